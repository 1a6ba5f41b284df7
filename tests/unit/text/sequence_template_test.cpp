#include "eckart/text/sequence_template.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

using namespace eckart;
using ids = std::vector<std::int32_t>;
using t = sequence_template;

TEST_CASE("texts stand in their places, with the special ids or without") {
  sequence_template const pair({0, t::first, 2, 2, t::second, 2});
  ids const a{7, 8};
  ids const b{9};
  CHECK(pair.fill(a, b, true) == ids{0, 7, 8, 2, 2, 9, 2});
  CHECK(pair.fill(a, b, false) == ids{7, 8, 9});
  CHECK(pair.added() == 4);
  CHECK(sequence_template({t::second, t::first}).fill(a, b, true) == ids{9, 7, 8});
  CHECK(sequence_template().fill(a, b, true).empty());
}
