#include "eckart/linalg/eigh.hpp"

#include "eckart/linalg/svd.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

using namespace eckart;
using support::epsilon;
using support::identical;
using support::not_a_number;
using support::random_matrix;
using support::refusal;

namespace {

// 40 is beyond the size below which syevd iterates (25), 70 beyond a block.
constexpr index_t eigh_orders[] = {1, 2, 3, 8, 25, 40, 70};

// Both drivers are backward stable with an error of p(n) eps ||a||, p growing slowly; LAPACK's own
// tests accept p = 50 n (its file sep.in), these here a fifth of it.
template <class T>
auto eigh_tolerance(index_t n) -> double {
  return 10 * static_cast<double>(n) * epsilon<T>;
}

// syevr keeps v_i v_j below n eps / gaptol, with gaptol = 1/1000 the relative distance from which
// it takes eigenvalues for separate (Dhillon, Parlett and Voemel 2006); a fifth of that is
// accepted.
template <class T>
auto tolerance_of_some(index_t n) -> double {
  return 200 * static_cast<double>(n) * epsilon<T>;
}

template <class T>
auto symmetric(index_t n, std::uint32_t seed, double scale = 1) -> matrix<T> {
  auto a = random_matrix<T>(n, n, seed);
  for (index_t i = 0; i < n; ++i) {
    for (index_t j = 0; j <= i; ++j) {
      as_view(a)(i, j) *= static_cast<T>(scale);
      as_view(a)(j, i) = as_view(a)(i, j);
    }
  }
  return a;
}

// v diag(w) v^T for a random orthogonal v.
template <class T>
auto of_spectrum(vector<double> const& w, std::uint32_t seed) -> matrix<T> {
  auto const n = static_cast<index_t>(w.size());
  auto const v = qr(random_matrix<double>(n, n, seed)).q;
  auto vw = v;
  for (index_t i = 0; i < n; ++i) {
    for (index_t j = 0; j < n; ++j) {
      as_view(vw)(i, j) *= w(static_cast<std::size_t>(j));
    }
  }
  auto const a = support::product(op::none, vw, op::transpose, v);
  auto result = make_matrix<T>({n, n});
  for (index_t i = 0; i < n; ++i) {
    for (index_t j = 0; j <= i; ++j) {
      as_view(result)(i, j) = as_view(result)(j, i) = static_cast<T>(as_view(a)(i, j));
    }
  }
  return result;
}

template <class T>
auto largest_entries_are_positive(matrix<T> const& vectors) -> bool {
  auto const v = as_view(vectors);
  for (index_t j = 0; j < v.cols; ++j) {
    T extreme = 0;
    for (index_t i = 0; i < v.rows; ++i) {
      extreme = std::abs(v(i, j)) > std::abs(extreme) ? v(i, j) : extreme;
    }
    if (!(extreme > 0)) {
      return false;
    }
  }
  return true;
}

template <class T>
void check_pairs(matrix<T> const& a, eigh_result<T> const& f, index_t k, double orthonormality) {
  auto const n = as_view(a).rows;
  REQUIRE(as_view(f.vectors).shape() == shape2{n, k});
  REQUIRE(static_cast<index_t>(f.values.size()) == k);
  CHECK(support::distance_from_orthonormal_columns(as_view(f.vectors)) <= orthonormality);
  CHECK(std::ranges::is_sorted(as_span(f.values), std::ranges::greater{}));
  CHECK(largest_entries_are_positive(f.vectors));
  auto const v = support::in_double(f.vectors);
  auto vw = v;
  for (index_t i = 0; i < n; ++i) {
    for (index_t j = 0; j < k; ++j) {
      as_view(vw)(i, j) *= static_cast<double>(f.values(static_cast<std::size_t>(j)));
    }
  }
  auto const av = support::product(support::in_double(a), v);
  CHECK(support::distance(av, vw) <= eigh_tolerance<T>(n) * frobenius_norm(a));
}

template <class T>
void check_all(matrix<T> const& a) {
  auto const n = as_view(a).rows;
  check_pairs(a, eigh(a), n, eigh_tolerance<T>(n));
}

template <class T>
void check_largest(matrix<T> const& a, index_t k) {
  check_pairs(a, eigh(a, k), k, tolerance_of_some<T>(as_view(a).rows));
}

template <class T>
auto same(eigh_result<T> const& a, eigh_result<T> const& b) -> bool {
  return identical(a.vectors, b.vectors) &&
         std::ranges::equal(as_span(a.values), as_span(b.values));
}

template <class T>
auto largest_difference(vector<T> const& a, vector<T> const& b, std::size_t count) -> double {
  double result = 0;
  for (std::size_t i = 0; i < count; ++i) {
    result = std::max(result, std::abs(static_cast<double>(a(i)) - static_cast<double>(b(i))));
  }
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("a v is v diag(w), v orthonormal, w falls", T, float, double) {
  for (auto const scale : {1.0, 1e-30, 1e30}) {
    for (auto const n : eigh_orders) {
      CAPTURE(n);
      CAPTURE(scale);
      auto const a = symmetric<T>(n, 1, scale);
      check_all(a);
      for (auto const k : {index_t{1}, (n + 1) / 2, n}) {
        CAPTURE(k);
        check_largest(a, k);
      }
    }
  }
}

TEST_CASE_TEMPLATE("equal eigenvalues and the zero matrix have orthonormal vectors too", T, float,
                   double) {
  vector<double> w = xt::zeros<double>({std::size_t{40}});
  std::fill_n(w.begin(), 12, 3.0);
  auto const a = of_spectrum<T>(w, 2);
  auto zero = make_matrix<T>({9, 9});
  zero.fill(T{0});
  check_all(a);
  check_largest(a, 20);
  check_all(zero);
  check_largest(zero, 4);
  CHECK(eigh(zero).values(0) == 0);
}

TEST_CASE_TEMPLATE("the matrix 2 1; 1 2 has the eigenvalues 3 and 1", T, float, double) {
  matrix<T> const a{{2, 1}, {1, 2}};
  auto const root = std::sqrt(0.5);
  auto const bound = eigh_tolerance<T>(2) * frobenius_norm(a);
  for (auto const& f : {eigh(a), eigh(a, 2)}) {
    CHECK(std::abs(static_cast<double>(f.values(0)) - 3) <= bound);
    CHECK(std::abs(static_cast<double>(f.values(1)) - 1) <= bound);
    auto const v = as_view(f.vectors);
    CHECK(std::abs(static_cast<double>(v(0, 0)) - root) <= bound);
    CHECK(std::abs(static_cast<double>(v(1, 0)) - root) <= bound);
    // Of two entries as large as each other rounding decides which one is made positive.
    CHECK(std::abs(static_cast<double>(v(0, 1) + v(1, 1))) <= bound);
  }
}

TEST_CASE_TEMPLATE("negative eigenvalues come last, 1 x 1 is its own", T, float, double) {
  auto const f = eigh(matrix<T>{{0, 2}, {2, -3}});  // 1 with (2, 1), -4 with (-1, 2)
  auto const bound = eigh_tolerance<T>(2) * 5;
  CHECK(std::abs(static_cast<double>(f.values(0)) - 1) <= bound);
  CHECK(std::abs(static_cast<double>(f.values(1)) + 4) <= bound);
  auto const unit = std::sqrt(0.2);
  CHECK(support::distance(f.vectors, matrix<double>{{2 * unit, -unit}, {unit, 2 * unit}}) <= bound);
  for (auto const& single : {eigh(matrix<T>{{-7}}), eigh(matrix<T>{{-7}}, 1)}) {
    CHECK(single.values(0) == -7);
    CHECK(single.vectors(0, 0) == 1);
  }
}

TEST_CASE_TEMPLATE("the k largest pairs are the first k of all", T, float, double) {
  // The eigenvalues n, ..., 1: neighbours are 1 apart, so that a vector turns by no more than the
  // error of the matrix (Davis and Kahan 1970), in both results.
  constexpr index_t n = 40;
  auto w = make_vector<double>(n);
  for (index_t i = 0; i < n; ++i) {
    w(static_cast<std::size_t>(i)) = static_cast<double>(n - i);
  }
  auto const a = of_spectrum<T>(w, 3);
  auto const all = eigh(a);
  auto const bound = 2 * eigh_tolerance<T>(n) * frobenius_norm(a);
  CHECK(bound < 0.5);
  for (auto const k : {index_t{1}, index_t{7}, n}) {
    CAPTURE(k);
    auto const head = eigh(a, k);
    check_largest(a, k);
    CHECK(largest_difference(head.values, all.values, head.values.size()) <= bound);
    for (index_t j = 0; j < k; ++j) {
      auto const one = as_view(head.vectors).col_range(j, 1);
      CHECK(support::distance(one, as_view(all.vectors).col_range(j, 1)) <= bound);
    }
  }
}

TEST_CASE_TEMPLATE("only the lower triangle is read", T, float, double) {
  for (auto const n : eigh_orders) {
    CAPTURE(n);
    auto const a = symmetric<T>(n, 4);
    auto lower = a;
    for (index_t i = 0; i < n; ++i) {
      for (index_t j = i + 1; j < n; ++j) {
        as_view(lower)(i, j) = not_a_number<T>;
      }
    }
    CHECK(same(eigh(lower), eigh(a)));
    CHECK(same(eigh(lower, (n + 1) / 2), eigh(a, (n + 1) / 2)));
  }
}

TEST_CASE_TEMPLATE("a positive semidefinite matrix has its eigenvalues as singular values", T,
                   float, double) {
  for (auto const n : {index_t{8}, index_t{40}}) {
    CAPTURE(n);
    // Rank n / 2: small integers, exact in float.
    auto const b = support::in_double(support::integer_matrix<T>(n, n / 2, 5));
    auto a = make_matrix<T>({n, n});
    std::ranges::transform(support::product(op::none, b, op::transpose, b), a.begin(),
                           [](double x) { return static_cast<T>(x); });
    // Each value is off by no more than the error of the matrix (Weyl 1912), in both results.
    auto const bound = 2 * eigh_tolerance<T>(n) * frobenius_norm(a);
    CHECK(largest_difference(eigh(a).values, svd(a).s, static_cast<std::size_t>(n)) <= bound);
  }
}

TEST_CASE_TEMPLATE("a part of a matrix has the pairs of its copy and stays as it is", T, float,
                   double) {
  auto const around = symmetric<T>(50, 6);
  auto const before = around;
  auto const part = as_view(around).block(3, 3, 30, 30);
  auto const copied = to_matrix(part);
  check_all(copied);
  CHECK(same(eigh(part), eigh(copied)));
  CHECK(same(eigh(part, 5), eigh(copied, 5)));
  CHECK(identical(around, before));
}

TEST_CASE_TEMPLATE("of equally large entries the first one is made positive", T, float, double) {
  matrix<T> const rows{{T(0.5), T(-0.5)}, {T(-0.25), T(0.25)}, {0, -1}};
  vector<T> const rising{1, 2, 3};
  auto const f = detail::falling_pairs<T>(as_span(rising), as_view(rows));
  CHECK(f.values == vector<T>{3, 2, 1});
  CHECK(identical(f.vectors, matrix<T>{{0, T(0.25), T(0.5)}, {1, T(-0.25), T(-0.5)}}));
}

TEST_CASE_TEMPLATE("an entry of the lower triangle that is not finite is refused by its place", T,
                   float, double) {
  auto a = symmetric<T>(4, 7);
  a(2, 1) = not_a_number<T>;
  auto const expected = "eigh: element (2, 1) of the 4 x 4 matrix is nan";
  CHECK(refusal<numerical_error>([&] { eigh(a); }) == expected);
  CHECK(refusal<numerical_error>([&] { eigh(a, 2); }) == expected);
  a(1, 1) = -std::numeric_limits<T>::infinity();
  CHECK(refusal<numerical_error>([&] { eigh(a); }) ==
        "eigh: element (1, 1) of the 4 x 4 matrix is -inf");
}

TEST_CASE("matrices that are not square or are empty and other counts are refused by name") {
  auto const wide = random_matrix<double>(2, 3, 8);
  auto const a = symmetric<double>(3, 8);
  CHECK(refusal<shape_error>([&] { eigh(wide); }) == "eigh: of a 2 x 3 matrix");
  CHECK(refusal<shape_error>([&] { eigh(wide, 1); }) == "eigh: of a 2 x 3 matrix");
  CHECK(refusal<shape_error>([] {
          eigh(make_matrix<double>({0, 0}));
        }) == "eigh: of a 0 x 0 matrix");
  CHECK(refusal<shape_error>([&] { eigh(a, 0); }) == "eigh: 0 eigenpairs of a 3 x 3 matrix");
  CHECK(refusal<shape_error>([&] { eigh(a, 4); }) == "eigh: 4 eigenpairs of a 3 x 3 matrix");
  CHECK(refusal<shape_error>([&] { eigh(a, -1); }) == "eigh: -1 eigenpairs of a 3 x 3 matrix");
}
