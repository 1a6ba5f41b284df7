#include "rank_list.hpp"

#include <eckart/core/error.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using program::parse_ranks;
using ranks = std::vector<eckart::index_t>;

namespace {

auto refusal(std::string_view list) -> std::string {
  try {
    parse_ranks(list);
  } catch (eckart::shape_error const& e) {
    return e.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST_CASE("a range holds both of its ends and falls, from whichever end it is written") {
  CHECK(parse_ranks("384:64:-64") == ranks{384, 320, 256, 192, 128, 64});
  CHECK(parse_ranks("64:384:64") == ranks{384, 320, 256, 192, 128, 64});
  CHECK(parse_ranks("5:5:1") == ranks{5});
  CHECK(parse_ranks("5:5:-1") == ranks{5});
  CHECK(parse_ranks("3:1:-1") == ranks{3, 2, 1});
}

TEST_CASE("an end that the steps miss is left out") {
  CHECK(parse_ranks("100:1:-40") == ranks{100, 60, 20});
  CHECK(parse_ranks("1:100:40") == ranks{81, 41, 1});
  CHECK(parse_ranks("7:9:1000") == ranks{7});
}

TEST_CASE("the ranks of the thesis can be written as ranges") {
  auto const base = parse_ranks("765:165:-50");
  CHECK(base.size() == 13);
  CHECK(base.front() == 765);
  CHECK(base.back() == 165);
  CHECK(parse_ranks("1005:205:-50").size() == 17);
}

TEST_CASE("lists and mixtures are sorted, each rank once") {
  CHECK(parse_ranks("192") == ranks{192});
  CHECK(parse_ranks("192,384,256") == ranks{384, 256, 192});
  CHECK(parse_ranks("10,20,10") == ranks{20, 10});
  CHECK(parse_ranks("159,64:256:64,64,96") == ranks{256, 192, 159, 128, 96, 64});
}

TEST_CASE("what is no rank is refused with its text") {
  CHECK(refusal("") == "ranks: '': '' is no whole number; a part is a rank or FIRST:LAST:STEP");
  CHECK(refusal("12,").find("'': ''") != std::string::npos);
  CHECK(refusal("12,,3").find("'': ''") != std::string::npos);
  CHECK(refusal("1.5").find("'1.5' is no whole number") != std::string::npos);
  CHECK(refusal("12 ").find("'12 ' is no whole number") != std::string::npos);
  CHECK(refusal("+12").find("'+12' is no whole number") != std::string::npos);
  CHECK(refusal("all").find("'all' is no whole number") != std::string::npos);
  CHECK(refusal("64:x:8").find("'64:x:8': 'x' is no whole number") != std::string::npos);
  CHECK(refusal("0") == "ranks: '0': rank 0 is below 1");
  CHECK(refusal("-3") == "ranks: '-3': rank -3 is below 1");
  CHECK(refusal("64:0:-8") == "ranks: '64:0:-8': rank 0 is below 1");
  CHECK(refusal("99999999999999999999").find("is beyond 1000000") != std::string::npos);
  CHECK(refusal("1000001").find("is beyond 1000000") != std::string::npos);
}

TEST_CASE("a range without end, or with too many or too few numbers, is refused") {
  CHECK(refusal("384:64") == "ranks: '384:64' has 2 numbers; a part is a rank or FIRST:LAST:STEP");
  CHECK(refusal("1:2:3:4").find("has 4 numbers") != std::string::npos);
  CHECK(refusal("384:64:0") == "ranks: '384:64:0': steps of 0 do not lead from 384 to 64");
  CHECK(refusal("384:64:16") == "ranks: '384:64:16': steps of 16 do not lead from 384 to 64");
  CHECK(refusal("64:384:-16") == "ranks: '64:384:-16': steps of -16 do not lead from 64 to 384");
  CHECK(refusal("1:1000000:1") == "ranks: '1:1000000:1': 1000000 ranks, more than 10000 at once");
}
