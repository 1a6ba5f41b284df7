#define ECKART_DEFINE_ALLOCATION_COUNTER
#include "eckart/linalg/svd.hpp"

#include "support/allocation_counter.hpp"
#include "support/made_matrix.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

using namespace eckart;
using support::backward_tolerance;
using support::epsilon;
using support::identical;
using support::integer_matrix;
using support::not_a_number;
using support::random_matrix;
using support::refusal;
using support::scaled;

namespace {

constexpr std::array both_methods{svd_method::divide_and_conquer, svd_method::qr_iteration};

// 1 x 1, rows, columns, square, wide, tall; 40 is beyond the size below which gesdd iterates like
// gesvd (25), 64 a multiple of LAPACK's block.
constexpr std::array<shape2, 13> shapes{{{1, 1},
                                         {1, 7},
                                         {7, 1},
                                         {2, 2},
                                         {5, 5},
                                         {64, 64},
                                         {5, 9},
                                         {9, 5},
                                         {40, 45},
                                         {45, 40},
                                         {30, 150},
                                         {150, 30},
                                         {100, 97}}};

template <class T>
auto first_layers(svd_result<T> const& f, index_t k) -> matrix<double> {
  return support::layers<T>(as_view(f.u), as_span(f.s), as_view(f.vt), k);
}

template <class T>
auto falls_and_is_not_negative(vector<T> const& s) -> bool {
  return std::ranges::is_sorted(as_span(s), std::ranges::greater{}) && as_span(s).back() >= 0;
}

template <class T>
void check_decomposition(matrix<T> const& a, svd_result<T> const& f) {
  auto const shape = as_view(a).shape();
  auto const k = std::min(shape.rows, shape.cols);
  auto const bound = backward_tolerance<T>(shape);
  REQUIRE(as_view(f.u).shape() == shape2{shape.rows, k});
  REQUIRE(as_view(f.vt).shape() == shape2{k, shape.cols});
  REQUIRE(static_cast<index_t>(f.s.size()) == k);
  CHECK(support::distance_from_orthonormal_columns(as_view(f.u)) <= bound);
  CHECK(support::distance_from_orthonormal_rows(as_view(f.vt)) <= bound);
  CHECK(falls_and_is_not_negative(f.s));
  CHECK(support::distance(a, first_layers(f, k)) <= bound * frobenius_norm(a));
}

template <class T>
auto same(svd_result<T> const& a, svd_result<T> const& b) -> bool {
  return identical(a.u, b.u) && identical(a.vt, b.vt) &&
         std::ranges::equal(as_span(a.s), as_span(b.s));
}

template <class T>
void fill(matrix_view<T> a, T value) {
  for (index_t i = 0; i < a.rows; ++i) {
    std::ranges::fill(a.row(i), value);
  }
}

// The default backend, but gesdd fails and leaves nothing whole behind.
struct gesdd_fails : openblas {
  int mutable gesvd_calls = 0;

  template <real T>
  auto svd(svd_method method, matrix_view<T> a, std::span<T> s, matrix_view<T> u, matrix_view<T> vt,
           std::span<T> work) const -> int {
    if (method == svd_method::qr_iteration) {
      ++gesvd_calls;
      return openblas::svd(method, a, s, u, vt, work);
    }
    fill(a, not_a_number<T>);
    fill(u, not_a_number<T>);
    fill(vt, not_a_number<T>);
    std::ranges::fill(s, not_a_number<T>);
    std::ranges::fill(work, not_a_number<T>);
    return 1;
  }
};

struct always_fails : openblas {
  int divide_and_conquer = 0;
  int qr_iteration = 0;

  template <real T>
  auto svd(svd_method method, matrix_view<T>, std::span<T>, matrix_view<T>, matrix_view<T>,
           std::span<T>) const -> int {
    return method == svd_method::qr_iteration ? qr_iteration : divide_and_conquer;
  }
};

// The default backend, but with the other sign for every second pair of vectors.
struct other_signs : openblas {
  template <real T>
  auto svd(svd_method method, matrix_view<T> a, std::span<T> s, matrix_view<T> u, matrix_view<T> vt,
           std::span<T> work) const -> int {
    auto const info = openblas::svd(method, a, s, u, vt, work);
    for (index_t j = 0; j < u.cols; j += 2) {
      for (index_t i = 0; i < u.rows; ++i) {
        u(i, j) = -u(i, j);
      }
      for (auto& x : vt.row(j)) {
        x = -x;
      }
    }
    return info;
  }
};

}  // namespace

TEST_CASE_TEMPLATE("factors are orthonormal, values fall, the product is the matrix", T, float,
                   double) {
  for (auto const method : both_methods) {
    for (auto const shape : shapes) {
      CAPTURE(shape);
      CAPTURE(static_cast<int>(method));
      auto const a = random_matrix<T>(shape.rows, shape.cols, 1);
      check_decomposition(a, svd(a, {.method = method}));
    }
  }
}

TEST_CASE_TEMPLATE("tiny and huge matrices are decomposed as well as others", T, float, double) {
  for (auto const scale : {1e-30, 1e30}) {
    for (auto const method : both_methods) {
      for (auto const shape : shapes) {
        CAPTURE(scale);
        CAPTURE(shape);
        auto const a = scaled(random_matrix<T>(shape.rows, shape.cols, 2), scale);
        check_decomposition(a, svd(a, {.method = method}));
      }
    }
  }
}

TEST_CASE_TEMPLATE("the matrix 3 0; 4 5 is decomposed as by hand", T, float, double) {
  matrix<T> const a{{3, 0}, {4, 5}};
  // a^T a = [25 20; 20 25] has the eigenvalues 45 and 5.
  auto const ten = std::sqrt(0.1);
  auto const two = std::sqrt(0.5);
  matrix<double> const u{{ten, 3 * ten}, {3 * ten, -ten}};
  matrix<double> const vt{{two, two}, {two, -two}};
  // 10 n eps ||a|| for the values (Weyl). The vectors turn by that over the gap of the values,
  // sqrt(45) - sqrt(5) > 4: by less than it, and each of the two has two of them.
  auto const bound = backward_tolerance<T>({2, 2}) * frobenius_norm(a);
  for (auto const method : both_methods) {
    auto const f = svd(a, {.method = method});
    CHECK(std::abs(static_cast<double>(f.s(0)) - std::sqrt(45.0)) <= bound);
    CHECK(std::abs(static_cast<double>(f.s(1)) - std::sqrt(5.0)) <= bound);
    CHECK(support::distance(f.u, u) <= bound);
    CHECK(support::distance(f.vt, vt) <= bound);
  }
}

TEST_CASE_TEMPLATE("the largest entry of each left vector is positive", T, float, double) {
  for (auto const method : both_methods) {
    for (auto const shape : shapes) {
      CAPTURE(shape);
      auto const f = svd(random_matrix<T>(shape.rows, shape.cols, 3), {.method = method});
      auto const u = as_view(f.u);
      for (index_t j = 0; j < u.cols; ++j) {
        T extreme = 0;
        for (index_t i = 0; i < u.rows; ++i) {
          extreme = std::abs(u(i, j)) > std::abs(extreme) ? u(i, j) : extreme;
        }
        CHECK(extreme > 0);
      }
    }
  }
}

TEST_CASE_TEMPLATE("of equally large entries the first one is made positive", T, float, double) {
  matrix<T> u{{T(-0.5), T(0.5), 0}, {T(0.5), T(-0.5), -1}};
  matrix<T> vt{{1, 2}, {3, 4}, {5, 6}};
  detail::fix_signs(as_view(u), as_view(vt));
  CHECK(identical(u, matrix<T>{{T(0.5), T(0.5), 0}, {T(-0.5), T(-0.5), 1}}));
  CHECK(identical(vt, matrix<T>{{-1, -2}, {3, 4}, {-5, -6}}));
}

TEST_CASE_TEMPLATE("the signs that LAPACK chooses do not matter", T, float, double) {
  for (auto const shape : shapes) {
    CAPTURE(shape);
    auto const a = random_matrix<T>(shape.rows, shape.cols, 4);
    CHECK(same(svd(a), svd(a, {}, other_signs{})));
  }
}

TEST_CASE_TEMPLATE("the same matrix is decomposed the same way again", T, float, double) {
  auto const a = random_matrix<T>(45, 40, 5);
  CHECK(same(svd(a), svd(a)));
}

TEST_CASE_TEMPLATE("both drivers find the same singular values", T, float, double) {
  for (auto const shape : shapes) {
    CAPTURE(shape);
    auto const a = random_matrix<T>(shape.rows, shape.cols, 6);
    auto const fast = svd(a);
    auto const accurate = svd(a, {.method = svd_method::qr_iteration});
    // Each value is off by at most the backward error (Weyl 1912).
    auto const bound = 2 * backward_tolerance<T>(shape) * frobenius_norm(a);
    for (std::size_t i = 0; i < fast.s.size(); ++i) {
      CHECK(std::abs(static_cast<double>(fast.s(i)) - static_cast<double>(accurate.s(i))) <= bound);
    }
  }
}

TEST_CASE_TEMPLATE("the error of every truncation is the norm of the values cut off", T, float,
                   double) {
  for (auto const shape : shapes) {
    auto const a = random_matrix<T>(shape.rows, shape.cols, 7);
    auto const f = svd(a);
    // Eckart and Young 1936. The truncation differs from that of the exact decomposition by the
    // backward error, and so does the tail.
    auto const bound = 2 * backward_tolerance<T>(shape) * frobenius_norm(a);
    for (index_t k = 0; k <= static_cast<index_t>(f.s.size()); ++k) {
      CAPTURE(shape);
      CAPTURE(k);
      auto const tail = euclidean_norm(as_span(f.s).subspan(static_cast<std::size_t>(k)));
      CHECK(std::abs(support::distance(a, first_layers(f, k)) - tail) <= bound);
    }
  }
}

TEST_CASE_TEMPLATE("a matrix of rank r has r singular values that are not 0", T, float, double) {
  for (auto const shape : {shape2{30, 30}, shape2{20, 50}, shape2{50, 20}}) {
    constexpr index_t rank = 4;
    // Small integers: the product of rank 4 is exact.
    auto const left = support::in_double(integer_matrix<T>(shape.rows, rank, 8));
    auto const right = support::in_double(integer_matrix<T>(rank, shape.cols, 9));
    auto const exact = support::product(left, right);
    auto a = make_matrix<T>(shape);
    std::ranges::transform(exact, a.begin(), [](double x) { return static_cast<T>(x); });
    for (auto const method : both_methods) {
      auto const f = svd(a, {.method = method});
      check_decomposition(a, f);
      auto const noise = backward_tolerance<T>(shape) * frobenius_norm(a);
      CHECK(static_cast<double>(f.s(rank - 1)) > 1);  // far above the noise, far below ||a||
      CHECK(noise < 1);
      for (std::size_t i = rank; i < f.s.size(); ++i) {
        CHECK(static_cast<double>(f.s(i)) <= noise);
      }
    }
  }
}

TEST_CASE_TEMPLATE("the zero matrix has orthonormal vectors and no value but 0", T, float, double) {
  for (auto const method : both_methods) {
    for (auto const shape : shapes) {
      CAPTURE(shape);
      auto a = make_matrix<T>(shape);
      a.fill(T{0});
      auto const f = svd(a, {.method = method});
      check_decomposition(a, f);
      CHECK(f.s(0) == 0);
    }
  }
}

TEST_CASE_TEMPLATE("a part of a matrix is decomposed like its copy", T, float, double) {
  auto const around = random_matrix<T>(50, 60, 10);
  for (auto const shape : {shape2{30, 30}, shape2{20, 45}, shape2{45, 20}}) {
    auto const part = xt::view(around, xt::range(3, 3 + shape.rows), xt::range(5, 5 + shape.cols));
    auto const copied = to_matrix(as_view(around).block(3, 5, shape.rows, shape.cols));
    auto const f = svd(part);
    check_decomposition(copied, f);
    CHECK(same(f, svd(copied)));
  }
}

TEST_CASE_TEMPLATE("factors can be written into parts of larger matrices", T, float, double) {
  for (auto const shape : {shape2{7, 12}, shape2{12, 7}, shape2{9, 9}}) {
    auto const a = random_matrix<T>(shape.rows, shape.cols, 11);
    auto const expected = svd(a);
    auto const k = std::min(shape.rows, shape.cols);
    auto u = make_matrix<T>({shape.rows + 2, k + 3});
    auto vt = make_matrix<T>({k + 2, shape.cols + 3});
    u.fill(T{100});
    vt.fill(T{100});
    auto s = make_vector<T>(k);
    workspace<T> scratch;
    auto const u_part = as_view(u).block(1, 1, shape.rows, k);
    auto const vt_part = as_view(vt).block(1, 1, k, shape.cols);
    svd_work(as_view(a), as_span(s), u_part, vt_part, scratch);
    CHECK(same(svd_result<T>{to_matrix(u_part), s, to_matrix(vt_part)}, expected));
    CHECK(std::ranges::count(u, T{100}) == 2 * (k + 3) + 3 * shape.rows);
    CHECK(std::ranges::count(vt, T{100}) == 2 * (shape.cols + 3) + 3 * k);
  }
}

TEST_CASE_TEMPLATE("the input stays as it is", T, float, double) {
  for (auto const shape : {shape2{20, 30}, shape2{30, 20}}) {
    auto const a = random_matrix<T>(shape.rows, shape.cols, 12);
    auto const before = a;
    svd(a);
    CHECK(identical(a, before));
  }
}

TEST_CASE_TEMPLATE("an entry that is not finite is refused by its place and value", T, float,
                   double) {
  for (auto const method : both_methods) {
    auto a = random_matrix<T>(4, 3, 13);
    a(2, 1) = not_a_number<T>;
    CHECK(refusal<numerical_error>([&] { svd(a, {.method = method}); }) ==
          "svd: element (2, 1) of the 4 x 3 matrix is nan");
    a(1, 2) = -std::numeric_limits<T>::infinity();
    CHECK(refusal<numerical_error>([&] { svd(a, {.method = method}); }) ==
          "svd: element (1, 2) of the 4 x 3 matrix is -inf");
  }
}

TEST_CASE_TEMPLATE("without the check finite matrices give the same factors", T, float, double) {
  auto const a = random_matrix<T>(9, 14, 14);
  CHECK(same(svd(a), svd(a, {.check_finite = false})));
}

TEST_CASE("matrices without rows or columns are refused by name") {
  CHECK(refusal<shape_error>([] {
          svd(make_matrix<double>({0, 3}));
        }) == "svd: a 0 x 3 matrix has no singular values");
  CHECK(refusal<shape_error>([] {
          svd(make_matrix<double>({3, 0}));
        }) == "svd: a 3 x 0 matrix has no singular values");
}

TEST_CASE("outputs of other shapes are refused by name and nothing is written") {
  auto const a = random_matrix<double>(4, 3, 15);
  auto numbers = std::vector<double>(50, 7.0);
  workspace<double> scratch;
  auto const attempt = [&](std::size_t values, shape2 u, shape2 vt) {
    return refusal<shape_error>([&] {
      svd_work(as_view(a), std::span(numbers).first(values),
               matrix_view<double>(numbers.data() + 10, u.rows, u.cols),
               matrix_view<double>(numbers.data() + 30, vt.rows, vt.cols), scratch);
    });
  };
  CHECK(attempt(4, {4, 3}, {3, 3}) == "svd: outputs (4 x 3), 4, (3 x 3) do not fit a 4 x 3 matrix");
  CHECK(attempt(3, {4, 4}, {3, 3}) == "svd: outputs (4 x 4), 3, (3 x 3) do not fit a 4 x 3 matrix");
  CHECK(attempt(3, {4, 3}, {4, 3}) == "svd: outputs (4 x 3), 3, (4 x 3) do not fit a 4 x 3 matrix");
  CHECK(std::ranges::count(numbers, 7.0) == 50);
  CHECK(attempt(3, {4, 3}, {3, 3}) == "nothing thrown");
}

TEST_CASE_TEMPLATE("where gesdd does not converge, gesvd begins anew", T, float, double) {
  for (auto const shape : shapes) {
    CAPTURE(shape);
    auto const a = random_matrix<T>(shape.rows, shape.cols, 16);
    gesdd_fails const backend;
    auto const f = svd(a, {}, backend);
    CHECK(backend.gesvd_calls == 1);
    check_decomposition(a, f);
    CHECK(same(f, svd(a, {.method = svd_method::qr_iteration})));
  }
}

TEST_CASE("where no driver converges, the error carries the last one's info") {
  auto const a = random_matrix<double>(5, 4, 17);
  auto const info = [&](svd_method method, always_fails const& backend) {
    try {
      svd(a, {.method = method}, backend);
    } catch (numerical_error const& e) {
      CHECK(std::string(e.what()) ==
            message("svd: LAPACK gave up on the 5 x 4 matrix with info ", e.info));
      return e.info;
    }
    return 0;
  };
  always_fails backend;
  backend.divide_and_conquer = 1;
  backend.qr_iteration = 3;
  CHECK(info(svd_method::divide_and_conquer, backend) == 3);
  CHECK(info(svd_method::qr_iteration, backend) == 3);
  backend.divide_and_conquer = -4;  // a wrong argument: another driver is no help
  CHECK(info(svd_method::divide_and_conquer, backend) == -4);
}

TEST_CASE_TEMPLATE("with a reserved workspace nothing is allocated", T, float, double) {
  for (auto const shape : shapes) {
    auto const a = random_matrix<T>(shape.rows, shape.cols, 18);
    auto const k = std::min(shape.rows, shape.cols);
    auto u = make_matrix<T>({shape.rows, k});
    auto s = make_vector<T>(k);
    auto vt = make_matrix<T>({k, shape.cols});
    for (auto const method : both_methods) {
      CAPTURE(shape);
      CAPTURE(static_cast<int>(method));
      workspace<T> scratch(svd_worksize<T>(shape));
      CHECK(support::allocations_in([&] {
              svd_work(as_view(a), as_span(s), as_view(u), as_view(vt), scratch,
                       {.method = method});
            }) == 0);
    }
    workspace<T> scratch(svd_worksize<T>(shape));
    CHECK(support::allocations_in([&] {
            svd_work(as_view(a), as_span(s), as_view(u), as_view(vt), scratch, {}, gesdd_fails{});
          }) == 0);
    CHECK(support::allocations_in([&] { svd(a); }) > 0);  // the counter is alive
  }
}

TEST_CASE_TEMPLATE("what allocates and what does not give the same factors", T, float, double) {
  workspace<T> scratch;
  for (auto const shape : shapes) {  // one workspace for all, whatever it holds
    auto const a = random_matrix<T>(shape.rows, shape.cols, 19);
    auto f = svd(a);
    auto const expected = f;
    f.u.fill(not_a_number<T>);
    f.s.fill(not_a_number<T>);
    f.vt.fill(not_a_number<T>);
    svd_work(as_view(a), as_span(f.s), as_view(f.u), as_view(f.vt), scratch);
    CHECK(same(f, expected));
  }
}
