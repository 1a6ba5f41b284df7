#include "eckart/linalg/tensor_train.hpp"

#include "support/allocation_counter.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

using namespace eckart;
using support::epsilon;
using support::identical;
using support::not_a_number;
using support::random_matrix;
using support::refusal;

namespace {

using sizes = std::vector<index_t>;

auto product_of(std::span<index_t const> shape) -> index_t {
  index_t product = 1;
  for (auto const n : shape) {
    product *= n;
  }
  return product;
}

// 28 random shapes of 2 to 5 axes, and the degenerate ones.
auto tensor_shapes() -> std::vector<sizes> {
  std::vector<sizes> result{{1}, {7}, {1, 1}, {1, 9}, {9, 1}, {1, 1, 1}, {3, 1, 4}, {1, 5, 1, 6}};
  std::mt19937 bits(1);
  for (std::size_t i = 0; i < 28; ++i) {
    sizes shape(2 + i % 4);
    auto const largest = std::array{20U, 10U, 6U, 5U}[i % 4];
    for (auto& n : shape) {
      n = 1 + static_cast<index_t>(bits() % largest);
    }
    result.push_back(shape);
  }
  return result;
}

template <class T>
auto values_of(sizes const& shape, std::uint32_t seed) -> std::vector<T> {
  auto const random = random_matrix<T>(1, product_of(shape), seed);
  return {random.begin(), random.end()};
}

// f of the indices, row-major.
template <class T, class F>
auto tabulate(sizes const& shape, F f) -> std::vector<T> {
  std::vector<T> result;
  sizes index(shape.size(), 0);
  for (index_t i = 0; i < product_of(shape); ++i) {
    auto rest = i;
    for (auto d = shape.size(); d-- > 0;) {
      index[d] = rest % shape[d];
      rest /= shape[d];
    }
    result.push_back(static_cast<T>(f(index)));
  }
  return result;
}

template <class T>
auto train_of(std::vector<T> const& values, sizes const& shape, tt_options options = {})
    -> tensor_train<T> {
  return tt_svd(std::span<T const>(values), shape, options);
}

auto ranks_of(auto const& tt) -> sizes {
  return {tt.ranks().begin(), tt.ranks().end()};
}

template <class L, class R>
auto distance(L const& a, R const& b) -> double {
  REQUIRE(a.size() == b.size());
  std::vector<double> difference(a.size());
  std::transform(a.begin(), a.end(), b.begin(), difference.begin(),
                 [](auto x, auto y) { return static_cast<double>(x) - static_cast<double>(y); });
  return euclidean_norm(difference);
}

// The backward error of each SVD is 10 max(m, n) eps ||a|| as in the tests of svd, for the N - 1
// unfoldings; no unfolding is larger than the whole tensor by an axis. The products of the N cores
// round as much again.
template <class T>
auto tensor_tolerance(sizes const& shape) -> double {
  double sum = 0;
  index_t left = 1;
  auto const all = product_of(shape);
  for (auto const n : shape) {
    left *= n;
    sum += 20 * static_cast<double>(std::max(left, all / left)) * epsilon<T>;
  }
  return sum;
}

// The tensor by the definition: the sum over all rank indices, in double.
template <class T>
auto by_definition(tensor_train<T> const& tt, sizes const& index) -> double {
  std::vector<double> row{1};
  for (std::size_t d = 0; d < index.size(); ++d) {
    auto const core = as_view(tt.core(d));
    auto const n = tt.shape()[d];
    std::vector<double> next(static_cast<std::size_t>(core.cols), 0.0);
    for (std::size_t r = 0; r < row.size(); ++r) {
      for (std::size_t s = 0; s < next.size(); ++s) {
        next[s] += row[r] * static_cast<double>(core(static_cast<index_t>(r) * n + index[d],
                                                     static_cast<index_t>(s)));
      }
    }
    row = next;
  }
  return row[0];
}

// Cores that come from no decomposition.
template <class T>
auto any_train(sizes const& shape, sizes const& ranks, std::uint32_t seed) -> tensor_train<T> {
  std::vector<matrix<T>> cores;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    cores.push_back(
        random_matrix<T>(ranks[d] * shape[d], ranks[d + 1], seed + static_cast<std::uint32_t>(d)));
  }
  return tensor_train<T>(shape, std::move(cores));
}

}  // namespace

TEST_CASE_TEMPLATE("without an error asked for the train is the tensor", T, float, double) {
  for (auto const& shape : tensor_shapes()) {
    CAPTURE(detail::sizes_text(shape));
    auto const values = values_of<T>(shape, 2);
    for (auto const wanted : {-1.0, 0.0}) {
      auto const tt = train_of(values, shape, {.epsilon = wanted});
      CHECK(distance(to_dense(tt), values) <= tensor_tolerance<T>(shape) * euclidean_norm(values));
      CHECK(std::ranges::equal(tt.shape(), shape));
    }
  }
}

TEST_CASE_TEMPLATE("the relative error is at most epsilon", T, float, double) {
  for (auto const& shape : tensor_shapes()) {
    auto const values = values_of<T>(shape, 3);
    auto const norm = euclidean_norm(values);
    for (auto const wanted : {0.01, 0.1, 0.3, 0.7, 1.0, 5.0}) {
      CAPTURE(detail::sizes_text(shape));
      CAPTURE(wanted);
      auto const tt = train_of(values, shape, {.epsilon = wanted});
      CHECK(distance(to_dense(tt), values) <= (wanted + tensor_tolerance<T>(shape)) * norm);
    }
  }
}

TEST_CASE_TEMPLATE("a larger error never needs more numbers, and saves some", T, float, double) {
  // Entries 1 / (1 + i + j + k + l): singular values that fall fast.
  sizes const shape{6, 7, 5, 6};
  auto const values = tabulate<T>(shape, [](sizes const& i) {
    return 1.0 / static_cast<double>(1 + i[0] + i[1] + i[2] + i[3]);
  });
  auto last = product_of(shape);
  for (auto const wanted : {1e-5, 1e-4, 1e-3, 1e-2, 1e-1}) {
    CAPTURE(wanted);
    auto const tt = train_of(values, shape, {.epsilon = wanted});
    CHECK(parameters(tt) < last);
    last = parameters(tt);
  }
}

TEST_CASE_TEMPLATE("tiny and huge tensors are decomposed as well as others", T, float, double) {
  sizes const shape{4, 5, 6};
  for (auto const scale : {1e-30, 1e30}) {
    CAPTURE(scale);
    auto values = values_of<T>(shape, 4);
    for (auto& x : values) {
      x *= static_cast<T>(scale);
    }
    auto const norm = euclidean_norm(values);
    CHECK(distance(to_dense(train_of(values, shape)), values) <= tensor_tolerance<T>(shape) * norm);
    auto const tt = train_of(values, shape, {.epsilon = 0.5});
    CHECK(ranks_of(tt) != ranks_of(train_of(values, shape)));
    CHECK(distance(to_dense(tt), values) <= (0.5 + tensor_tolerance<T>(shape)) * norm);
  }
}

TEST_CASE_TEMPLATE("outer products of vectors have all ranks 1", T, float, double) {
  for (auto const& shape : tensor_shapes()) {
    CAPTURE(detail::sizes_text(shape));
    std::vector<matrix<T>> vectors;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      vectors.push_back(random_matrix<T>(1, shape[d], 5 + static_cast<std::uint32_t>(d)));
    }
    auto const values = tabulate<T>(shape, [&](sizes const& index) {
      double product = 1;
      for (std::size_t d = 0; d < index.size(); ++d) {
        product *= static_cast<double>(as_view(vectors[d])(0, index[d]));
      }
      return product;
    });
    auto const tt = train_of(values, shape);
    CHECK(ranks_of(tt) == sizes(shape.size() + 1, 1));
    index_t sum = 0;
    for (auto const n : shape) {
      sum += n;
    }
    CHECK(parameters(tt) == sum);
    CHECK(distance(to_dense(tt), values) <= tensor_tolerance<T>(shape) * euclidean_norm(values));
  }
}

TEST_CASE_TEMPLATE("the sum of the indices has ranks 2, its exponential ranks 1 and its sine 2", T,
                   float, double) {
  sizes const shape{4, 3, 5, 4};
  auto const check = [&](auto const& f, index_t rank) {
    auto const values = tabulate<T>(
        shape, [&](sizes const& i) { return f(static_cast<double>(i[0] + i[1] + i[2] + i[3])); });
    auto const tt = train_of(values, shape);
    CHECK(ranks_of(tt) == sizes{1, rank, rank, rank, 1});
    CHECK(distance(to_dense(tt), values) <= tensor_tolerance<T>(shape) * euclidean_norm(values));
  };
  check([](double sum) { return sum; }, 2);  // i + rest = (i, 1) (1, rest)^T
  check([](double sum) { return std::exp(0.1 * sum); }, 1);
  check([](double sum) { return std::sin(0.7 * sum); }, 2);  // the addition theorem
  check([](double sum) { return sum * sum; }, 3);
}

TEST_CASE_TEMPLATE("two axes give the truncated singular value decomposition", T, float, double) {
  for (auto const shape : {shape2{12, 20}, shape2{20, 12}, shape2{9, 9}}) {
    CAPTURE(shape);
    auto const a = random_matrix<T>(shape.rows, shape.cols, 6);
    auto const f = svd(a);
    for (index_t k = 1; k < 9; ++k) {
      auto const tt = tt_svd(a, {.epsilon = 0, .max_rank = k});
      CHECK(ranks_of(tt) == sizes{1, k, 1});
      CHECK(identical(tt.core(0), to_matrix(as_view(f.u).col_range(0, k))));
      auto const expected = support::layers<T>(as_view(f.u), as_span(f.s), as_view(f.vt), k);
      auto const bound = tensor_tolerance<T>({shape.rows, shape.cols}) * frobenius_norm(a);
      CHECK(distance(to_dense(tt), expected) <= bound);
      // An error a little above the tail of k gives k, a little below it k + 1.
      auto const tail =
          euclidean_norm(as_span(f.s).subspan(static_cast<std::size_t>(k))) / frobenius_norm(a);
      CHECK(tt_svd(a, {.epsilon = tail * 1.0001}).ranks()[1] == k);
      CHECK(tt_svd(a, {.epsilon = tail * 0.9999}).ranks()[1] == k + 1);
    }
  }
}

TEST_CASE_TEMPLATE("ranks are bounded by the unfoldings and by max_rank", T, float, double) {
  for (auto const& shape : tensor_shapes()) {
    auto const values = values_of<T>(shape, 7);
    for (auto const limit : {index_t{1}, index_t{3}, std::numeric_limits<index_t>::max()}) {
      CAPTURE(detail::sizes_text(shape));
      CAPTURE(limit);
      auto const tt = train_of(values, shape, {.epsilon = 0, .max_rank = limit});
      REQUIRE(tt.ranks().size() == shape.size() + 1);
      CHECK(tt.ranks().front() == 1);
      CHECK(tt.ranks().back() == 1);
      index_t left = 1;
      auto const all = product_of(shape);
      for (std::size_t d = 0; d < shape.size(); ++d) {
        left *= shape[d];
        CHECK(tt.ranks()[d + 1] <= std::min({limit, left, all / left}));
        CHECK(as_view(tt.core(d)).shape() == shape2{tt.ranks()[d] * shape[d], tt.ranks()[d + 1]});
      }
    }
  }
}

TEST_CASE_TEMPLATE("all cores but the last have orthonormal columns", T, float, double) {
  for (auto const& shape : tensor_shapes()) {
    CAPTURE(detail::sizes_text(shape));
    auto const tt = train_of(values_of<T>(shape, 8), shape, {.epsilon = 0.2});
    for (std::size_t d = 0; d + 1 < shape.size(); ++d) {
      CHECK(support::distance_from_orthonormal_columns(as_view(tt.core(d))) <=
            tensor_tolerance<T>(shape));
    }
  }
}

TEST_CASE("a small train is as by hand") {
  // a(i, j, k) = i + j + k for i, j, k in {0, 1} and the cores (i, 1), (1 0; j 1), (1; k).
  tensor_train<double> const tt(
      {2, 2, 2}, {matrix<double>{{0, 1}, {1, 1}}, matrix<double>{{1, 0}, {1, 0}, {0, 1}, {1, 1}},
                  matrix<double>{{1}, {1}, {0}, {1}}});
  CHECK(std::ranges::equal(as_span(to_dense(tt)), std::vector<double>{0, 1, 1, 2, 1, 2, 2, 3}));
  CHECK(parameters(tt) == 4 + 8 + 4);
  CHECK(ranks_of(tt) == sizes{1, 2, 2, 1});
  CHECK(element(tt, sizes{1, 0, 1}) == 2);
  std::vector<double> out(2);
  slice(tt, sizes{1, 1}, out);
  CHECK(out == std::vector<double>{2, 3});
}

TEST_CASE("parameters are counted as by hand") {
  auto const count = [](sizes const& shape, sizes const& ranks) {
    return parameters(any_train<double>(shape, ranks, 9));
  };
  CHECK(count({7}, {1, 1}) == 7);
  CHECK(count({4, 5}, {1, 3, 1}) == 12 + 15);
  CHECK(count({4, 4, 4, 6}, {1, 2, 3, 5, 1}) == 8 + 24 + 60 + 30);
  // A random tensor has the ranks of its unfoldings, min(4, 30), min(20, 6), so 16 + 120 + 36.
  CHECK(parameters(train_of(values_of<double>({4, 5, 6}, 10), {4, 5, 6})) == 16 + 120 + 36);
}

TEST_CASE_TEMPLATE("elements, slices and the dense tensor are those of the definition", T, float,
                   double) {
  struct kind {
    sizes shape;
    sizes ranks;
  };
  for (auto const& tensor : std::vector<kind>{{{5}, {1, 1}},
                                              {{3, 4}, {1, 2, 1}},
                                              {{2, 3, 4}, {1, 5, 3, 1}},
                                              {{3, 1, 2, 5}, {1, 2, 7, 3, 1}},
                                              {{2, 2, 3, 2, 3}, {1, 2, 3, 4, 2, 1}}}) {
    auto const& shape = tensor.shape;
    auto const& ranks = tensor.ranks;
    CAPTURE(detail::sizes_text(shape));
    auto const tt = any_train<T>(shape, ranks, 11);
    auto const expected =
        tabulate<double>(shape, [&](sizes const& index) { return by_definition(tt, index); });
    // Products of N matrices with entries up to 1: an element is a sum of at most prod(ranks)
    // products, each with N roundings and those of the sums before it.
    double sum = 1;
    double roundings = 0;
    for (auto const r : ranks) {
      sum *= static_cast<double>(r);
      roundings += static_cast<double>(r) + 1;
    }
    auto const bound = sum * roundings * epsilon<T>;
    auto const dense = to_dense(tt);
    REQUIRE(dense.size() == expected.size());
    auto const near = [&](T x, std::size_t i) {
      return std::abs(static_cast<double>(x) - expected[i]) <= bound;
    };
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CHECK(near(dense(i), i));
    }
    for (std::size_t leading = 0; leading <= shape.size(); ++leading) {
      CAPTURE(leading);
      auto const first = std::span(shape).first(leading);
      auto const width = static_cast<std::size_t>(product_of(std::span(shape).subspan(leading)));
      std::vector<T> out(width);
      for (std::size_t start = 0; start < expected.size(); start += width) {
        sizes index(leading);
        auto rest = static_cast<index_t>(start / width);
        for (auto d = leading; d-- > 0;) {
          index[d] = rest % first[d];
          rest /= first[d];
        }
        slice(tt, index, out);
        for (std::size_t i = 0; i < width; ++i) {
          CHECK(near(out[i], start + i));
        }
        if (leading == shape.size()) {
          CHECK(near(element(tt, index), start));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("the zero tensor has ranks 1", T, float, double) {
  for (auto const wanted : {-1.0, 0.0, 0.5}) {
    auto const tt = train_of(std::vector<T>(60, T{0}), {3, 4, 5}, {.epsilon = wanted});
    CHECK(ranks_of(tt) == sizes{1, 1, 1, 1});
    CHECK(std::ranges::count(to_dense(tt), T{0}) == 60);
  }
}

TEST_CASE_TEMPLATE("arrays of any container give what their values give", T, float, double) {
  sizes const shape{3, 4, 5};
  auto const values = values_of<T>(shape, 12);
  auto const expected = train_of(values, shape);
  auto const check = [&](auto const& array) {
    auto const tt = tt_svd(array);
    CHECK(std::ranges::equal(tt.shape(), shape));
    for (std::size_t d = 0; d < 3; ++d) {
      CHECK(identical(tt.core(d), expected.core(d)));
    }
  };
  xt::xtensor<T, 3> tensor = xt::zeros<T>({3, 4, 5});
  std::ranges::copy(values, tensor.begin());
  check(tensor);
  std::vector<std::size_t> const any_shape{3, 4, 5};
  check(xt::adapt(values, any_shape));
  xt::xtensor<T, 4> around = xt::zeros<T>({2, 3, 4, 5});
  std::ranges::copy(values, around.begin() + 60);
  check(xt::view(around, 1, xt::all(), xt::all(), xt::all()));
  // An axis of length 1 has stride 0 in xtensor.
  xt::xtensor<T, 4> flat = xt::zeros<T>({3, 1, 4, 5});
  std::ranges::copy(values, flat.begin());
  CHECK(parameters(tt_svd(flat)) == parameters(train_of(values, {3, 1, 4, 5})));
}

TEST_CASE("arrays that are column-major or not contiguous are refused by their strides") {
  xt::xtensor<double, 3, xt::layout_type::column_major> const columns =
      xt::zeros<double>({2, 3, 4});
  CHECK(refusal<shape_error>([&] { tt_svd(columns); }) ==
        "tt_svd: needs contiguous row-major storage, got strides (1, 2, 6) for shape 2 x 3 x 4");
  xt::xtensor<double, 3> const around = xt::zeros<double>({2, 3, 9});
  CHECK(refusal<shape_error>(
            [&] { tt_svd(xt::view(around, xt::all(), xt::all(), xt::range(0, 4))); }) ==
        "tt_svd: needs contiguous row-major storage, got strides (27, 9, 1) for shape 2 x 3 x 4");
}

TEST_CASE_TEMPLATE("slices are formed without allocating in a reserved workspace", T, float,
                   double) {
  auto const tt = any_train<T>({4, 6, 5, 3}, {1, 3, 7, 2, 1}, 13);
  for (std::size_t leading = 0; leading <= 4; ++leading) {
    CAPTURE(leading);
    sizes const index(leading, 1);
    auto const size = product_of(tt.shape().subspan(leading));
    std::vector<T> expected(static_cast<std::size_t>(size));
    slice(tt, index, expected);
    std::vector<T> out(expected.size(), not_a_number<T>);
    workspace<T> scratch(slice_worksize(tt, leading));
    CHECK(support::allocations_in([&] { slice_work<T>(tt, index, out, scratch); }) == 0);
    CHECK(out == expected);
  }
  std::vector<T> out(360);
  CHECK(support::allocations_in([&] { slice(tt, {}, out); }) > 0);  // the counter is alive
}

TEST_CASE("a train of more elements than can be counted still has elements and slices") {
  // 70 axes of size 2, all cores 1.
  std::vector<matrix<double>> cores(70, matrix<double>{{1}, {1}});
  cores[69] = matrix<double>{{1}, {5}};
  tensor_train<double> const tt(sizes(70, 2), cores);
  CHECK(parameters(tt) == 140);
  CHECK(element(tt, sizes(70, 1)) == 5);
  std::vector<double> out(4);
  slice(tt, sizes(68, 1), out);
  CHECK(out == std::vector<double>{1, 5, 1, 5});
  CHECK(refusal<shape_error>([&] { to_dense(tt); }).ends_with("more elements than can be counted"));
}

TEST_CASE_TEMPLATE("values that are not finite are refused by their place", T, float, double) {
  auto values = values_of<T>({3, 4}, 14);
  values[7] = not_a_number<T>;
  CHECK(refusal<numerical_error>([&] {
          train_of(values, {3, 4});
        }) == "tt_svd: value 7 of 12 is nan");
  values[2] = -std::numeric_limits<T>::infinity();
  CHECK(refusal<numerical_error>([&] {
          train_of(values, {3, 4});
        }) == "tt_svd: value 2 of 12 is -inf");
}

TEST_CASE("shapes and options that do not fit are refused by name") {
  std::vector<double> const values(12, 1.0);
  auto const attempt = [&](sizes const& shape, tt_options options = {}) {
    return refusal<shape_error>([&] { train_of(values, shape, options); });
  };
  CHECK(attempt({}) == "tt_svd: of a tensor without axes");
  CHECK(attempt({3, 5}) == "tt_svd: 12 values for the shape 3 x 5");
  CHECK(attempt({3, 0, 4}) == "tt_svd: shape 3 x 0 x 4 has a size below 1");
  CHECK(attempt({-3, -4}) == "tt_svd: shape -3 x -4 has a size below 1");
  // 2^62 * 4 is 0 modulo 2^64, and 3 * 2^62 * 4 + 12 would be 12.
  CHECK(attempt({index_t{1} << 62, 4}) ==
        "tt_svd: shape 4611686018427387904 x 4 has more elements than can be counted");
  CHECK(attempt({3, 4}, {.epsilon = not_a_number<double>}) ==
        "tt_svd: epsilon nan, max_rank 9223372036854775807");
  CHECK(attempt({3, 4}, {.epsilon = 0.5, .max_rank = 0}) == "tt_svd: epsilon 0.5, max_rank 0");
  CHECK(attempt({3, 4}, {.epsilon = 0.5, .max_rank = 1}) == "nothing thrown");
}

TEST_CASE("cores that do not join are refused by name") {
  auto const attempt = [](sizes const& shape, std::vector<shape2> const& cores) {
    return refusal<shape_error>([&] {
      std::vector<matrix<double>> made;
      for (auto const core : cores) {
        made.push_back(random_matrix<double>(core.rows, core.cols, 15));
      }
      tensor_train<double>(shape, std::move(made));
    });
  };
  CHECK(attempt({}, {}) == "tensor_train: 0 cores for a tensor of 0 axes");
  CHECK(attempt({2, 3}, {{2, 1}}) == "tensor_train: 1 cores for a tensor of 2 axes");
  CHECK(attempt({2, 3}, {{3, 2}, {6, 1}}) ==
        "tensor_train: core 0 of shape 3 x 2 after rank 1 for shape 2 x 3");
  CHECK(attempt({2, 3}, {{2, 2}, {9, 1}}) ==
        "tensor_train: core 1 of shape 9 x 1 after rank 2 for shape 2 x 3");
  CHECK(attempt({2, 3}, {{2, 2}, {6, 2}}) ==
        "tensor_train: core 1 of shape 6 x 2 after rank 2 for shape 2 x 3");
  CHECK(attempt({2, 3}, {{2, 0}, {0, 1}}) ==
        "tensor_train: core 0 of shape 2 x 0 after rank 1 for shape 2 x 3");
  CHECK(attempt({0, 3}, {{0, 1}, {3, 1}}) ==
        "tensor_train: core 0 of shape 0 x 1 after rank 1 for shape 0 x 3");
  CHECK(attempt({2, 3}, {{2, 2}, {6, 1}}) == "nothing thrown");
}

TEST_CASE("indices and outputs that do not fit are refused by name and nothing is written") {
  auto const tt = any_train<double>({2, 3}, {1, 2, 1}, 16);
  std::vector<double> out(6, 7.0);
  auto const attempt = [&](sizes const& index, std::size_t size) {
    return refusal<shape_error>([&] { slice(tt, index, std::span(out).first(size)); });
  };
  CHECK(attempt({0, 3}, 1) == "slice: index 3 of axis 1 of shape 2 x 3");
  CHECK(attempt({-1}, 3) == "slice: index -1 of axis 0 of shape 2 x 3");
  CHECK(attempt({0, 0, 0}, 1) == "slice: 3 indices into a tensor of shape 2 x 3");
  CHECK(attempt({1}, 2) == "slice: 2 elements for output, 3 needed");
  CHECK(refusal<shape_error>([&] { element(tt, sizes{1}); }) ==
        "element: 1 indices into a tensor of shape 2 x 3");
  CHECK(std::ranges::count(out, 7.0) == 6);
  CHECK(attempt({1}, 3) == "nothing thrown");
  CHECK_THROWS_AS(tt.core(2), std::out_of_range);
}
