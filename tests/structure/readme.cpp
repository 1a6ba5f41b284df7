#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace {

auto content(std::filesystem::path const& file) -> std::string {
  std::ifstream in(std::filesystem::path(ECKART_SOURCE_DIR) / file);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("the C++ of the README is the example that is compiled and run") {
  auto const example = content("examples/textbook/00_five_lines/main.cpp");
  REQUIRE(!example.empty());
  CHECK(content("README.md").find("```cpp\n" + example + "```") != std::string::npos);
}

TEST_CASE("the README's commands are those of bootstrap") {
  auto const script = content("bootstrap");
  auto const readme = content("README.md");
  for (std::string const command : {"demo", "test", "install"}) {
    CHECK(readme.find("./bootstrap " + command) != std::string::npos);
    CHECK(script.find("\n  " + command + ")") != std::string::npos);
  }
}
