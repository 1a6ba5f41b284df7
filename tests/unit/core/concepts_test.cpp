#include "eckart/core/concepts.hpp"

#include "eckart/core/xtensor.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

using namespace eckart;

namespace {

template <class T>
using part_of = decltype(xt::view(std::declval<T&>(), xt::range(0, 2), xt::range(1, 3)));
template <class T>
using adapted = decltype(xt::adapt(std::declval<T&>(), std::array<std::size_t, 2>{2, 3}));
template <class T>
using sum = decltype(std::declval<T const&>() + std::declval<T const&>());

static_assert(real<float> && real<double>);
static_assert(!real<int> && !real<long double> && !real<float const>);

static_assert(dense_matrix<matrix<float>> && dense_matrix<matrix<double> const>);
static_assert(dense_matrix<xt::xarray<double>>);
static_assert(dense_matrix<part_of<matrix<float>>>);
static_assert(dense_matrix<adapted<std::vector<double>>>);
static_assert(!dense_matrix<sum<matrix<double>>>);  // a lazy expression owns no elements
static_assert(!dense_matrix<std::vector<double>>);
static_assert(!dense_matrix<int>);

}  // namespace

TEST_CASE("an index counts beyond the elements that 32 bits can count") {
  static_assert(std::is_signed_v<index_t>);
  CHECK(std::numeric_limits<index_t>::max() == 9223372036854775807);
}
