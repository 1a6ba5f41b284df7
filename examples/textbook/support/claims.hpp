#pragma once

#include <fmt/format.h>

#include <string>

/// What the textbook programs say and check.
namespace textbook {

/// Prints claims, each with "yes" or "NO" behind it in one column, and remembers whether all hold.
class claims {
 public:
  /// The claims take `width` characters, the answers stand to the right of them.
  explicit claims(int width) : width_(width) {}

  void check(std::string const& claim, bool holds) {
    fmt::print("{:<{}}{}\n", claim, width_, holds ? "yes" : "NO");
    all_hold_ = all_hold_ && holds;
  }

  auto all_hold() const -> bool { return all_hold_; }

 private:
  int width_;
  bool all_hold_ = true;
};

}  // namespace textbook
