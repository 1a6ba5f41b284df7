#include "gpu/gpu_fixture.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <utility>

using namespace gpu;

TEST_CASE_TEMPLATE("what goes to the device comes back, also from and into blocks", T, float,
                   double) {
  auto const host = support::random_matrix<T>(50, 41, 1);
  CHECK(support::identical(to_host(eckart::to_device(host, backend()), backend()), host));
  auto const block = eckart::as_view(host).block(3, 4, 20, 30);
  auto device = eckart::to_device(block, backend());
  CHECK(support::identical(to_host(device, backend()), eckart::to_matrix(block)));
  auto const part = device.view().block(5, 6, 7, 8);
  CHECK(support::identical(to_host(part, backend()), eckart::to_matrix(block.block(5, 6, 7, 8))));
}

TEST_CASE("a lazy expression is evaluated before it goes to the device") {
  auto const host = support::random_matrix<double>(6, 7, 2);
  CHECK(support::identical(to_host(eckart::to_device(2.0 * host + 1.0, backend()), backend()),
                           matrix<double>(2.0 * host + 1.0)));
}

TEST_CASE_TEMPLATE("numbers are rounded to nearest on the way to 16 bits", T, half, bfloat16) {
  auto const host = support::random_matrix<float>(30, 30, 3);
  auto const back = to_host(eckart::to_device<T>(host, backend()), backend());
  for (index_t i = 0; i < 30; ++i) {
    for (index_t j = 0; j < 30; ++j) {
      CHECK(std::abs(back(i, j) - host(i, j)) <=
            unit<T>() * std::abs(host(i, j)) + smallest_error<T>());
    }
  }
  CHECK(support::identical(to_host(eckart::to_device<T>(back, backend()), backend()), back));
}

TEST_CASE("matrices without elements go there and back") {
  auto const none = eckart::make_matrix<float>({0, 5});
  auto const back = to_host(eckart::to_device(none, backend()), backend());
  CHECK(eckart::as_view(back).shape() == eckart::shape2{0, 5});
}

TEST_CASE("copies into another shape are refused") {
  auto const host = eckart::make_matrix<float>({3, 4});
  device_matrix<float> device({4, 3});
  CHECK_THROWS_AS(eckart::copy_to_device(eckart::as_view(host), device.view(), backend().stream()),
                  eckart::shape_error);
}

TEST_CASE("device memory that is not there is an error by name, and everything goes on") {
  std::size_t free_bytes = 0;
  std::size_t total = 0;
  eckart::check_cuda(cudaMemGetInfo(&free_bytes, &total), "cudaMemGetInfo");
  auto const too_many = static_cast<index_t>(total);  // as doubles: 8 times the memory
  auto const what = support::refusal<eckart::backend_error>([&] {
    device_matrix<double> const large({too_many, 1});
  });
  CHECK(what.find("cudaErrorMemoryAllocation") != std::string::npos);
  CHECK_THROWS_AS((eckart::device_workspace<double>(total)), eckart::backend_error);

  auto const a = integers<float>(20, exact_terms, 4);
  auto c = device_matrix<float>({20, 20});
  backend().gemm(op::none, op::transpose, 1, a.view(), a.view(), 0, c.view());
  auto const x = in_double(a);
  CHECK(support::identical(in_double(c), support::product(op::none, x, op::transpose, x)));
}

TEST_CASE("sizes that no memory has are refused before CUDA is asked") {
  CHECK_THROWS_AS(device_matrix<float>({-1, 3}), eckart::shape_error);
  CHECK_THROWS_AS(device_matrix<float>({index_t{1} << 40, index_t{1} << 40}), eckart::shape_error);
}

TEST_CASE("a device that does not exist is an error by name, and the next backend works") {
  auto const what = support::refusal<eckart::backend_error>(
      [] { eckart::cublas const nowhere({.device = 1000}); });
  CHECK(what.find("cudaErrorInvalidDevice") != std::string::npos);
  eckart::cublas const here;
  here.synchronize();
}

TEST_CASE("a moved backend takes stream and workspace along, and the old one refuses work") {
  eckart::cublas first;
  auto const a = integers<half>(8, 8, 5);
  auto c = device_matrix<half>({8, 8});
  first.scale_columns(a.view().row_range(0, 1), c.view());  // its kernels move too
  auto const stream = first.stream();
  eckart::cublas const second = std::move(first);
  CHECK(second.stream() == stream);
  second.gemm(op::none, op::none, 1, a.view(), a.view(), 0, c.view());
  second.scale_columns(a.view().row_range(0, 1), c.view());
  second.synchronize();
  CHECK_THROWS_AS(first.gemm(op::none, op::none, 1, a.view(), a.view(), 0, c.view()),
                  eckart::backend_error);
}

TEST_CASE("a moved matrix is empty and its memory lives on") {
  auto first = integers<float>(5, 6, 6);
  auto const before = in_double(first);
  device_matrix<float> const second = std::move(first);
  CHECK(support::identical(in_double(second), before));
  first = integers<float>(2, 2, 7);
  CHECK(first.view().shape() == eckart::shape2{2, 2});
}

TEST_CASE("a device workspace gives the same memory again and refuses to be used outside a frame") {
  eckart::device_workspace<float> scratch(1000);
  float* first = nullptr;
  {
    auto const frame = scratch.frame();
    first = scratch.take_matrix(10, 20).data;
    CHECK(scratch.take_matrix(5, 5).data != first);
  }
  auto const frame = scratch.frame();
  CHECK(scratch.take_matrix(20, 10).data == first);
  CHECK(scratch.capacity() < 2000);
  CHECK_THROWS_AS(eckart::device_workspace<float>().take_matrix(1, 1), eckart::error);
}
