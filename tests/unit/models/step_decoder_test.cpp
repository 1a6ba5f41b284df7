#include "eckart/models/step_decoder.hpp"

#include "eckart/core/error.hpp"
#include "unit/models/fake_decoder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;

struct without_reorder {
  auto vocabulary() -> eckart::index_t { return 1; }
  auto step(std::span<std::int32_t const>) -> eckart::matrix_view<float> { return {}; }
};

}  // namespace

static_assert(eckart::step_decoder<fake::decoder<fake::table_model>>);
static_assert(!eckart::step_decoder<without_reorder>);

TEST_CASE("padded rows are as long as the longest and end in the pad id") {
  CHECK(eckart::pad_rows({{2, 5}, {}, {2, 6, 7}}, 1) ==
        std::vector<ids>{{2, 5, 1}, {1, 1, 1}, {2, 6, 7}});
  CHECK(eckart::pad_rows({}, 1).empty());
}

TEST_CASE("a decoder that answers another shape than asked for is refused") {
  struct wrong {
    std::vector<float> logits = std::vector<float>(6);
    auto vocabulary() -> eckart::index_t { return 3; }
    auto step(std::span<std::int32_t const>) -> eckart::matrix_view<float> {
      return {logits.data(), 2, 3};
    }
    void reorder(std::span<eckart::index_t const>) {}
  } decoder;
  CHECK_NOTHROW(eckart::detail::checked_step(decoder, ids{0, 0}));
  CHECK_THROWS_WITH_AS(eckart::detail::checked_step(decoder, ids{0}),
                       "generation: the decoder answered 2 x 3 logits, not 1 x 3",
                       eckart::shape_error);
}
