#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// What stands around the ids of one text or of two: `<s> A </s></s> B </s>`.
class sequence_template {
 public:
  static constexpr std::int32_t first = -1;   ///< place of the ids of the first text
  static constexpr std::int32_t second = -2;  ///< place of the ids of the second text

  sequence_template() = default;

  /// Ids of special tokens, with `first` and `second` where the texts go.
  explicit sequence_template(std::vector<std::int32_t> pieces) : pieces_(std::move(pieces)) {}

  /// The ids and places, in order.
  auto pieces() const -> std::span<std::int32_t const> { return pieces_; }

  /// How many ids the template adds.
  auto added() const -> std::size_t {
    return static_cast<std::size_t>(
        std::count_if(pieces_.begin(), pieces_.end(), [](std::int32_t p) { return p >= 0; }));
  }

  /// The ids with the texts' ids in their places; the texts alone if `with_special` is false.
  auto fill(std::span<std::int32_t const> a, std::span<std::int32_t const> b,
            bool with_special) const -> std::vector<std::int32_t> {
    std::vector<std::int32_t> ids;
    ids.reserve(a.size() + b.size() + pieces_.size());
    for (auto const piece : pieces_) {
      if (piece < 0) {
        auto const& text = piece == first ? a : b;
        ids.insert(ids.end(), text.begin(), text.end());
      } else if (with_special) {
        ids.push_back(piece);
      }
    }
    return ids;
  }

 private:
  std::vector<std::int32_t> pieces_;
};

}  // namespace v0
}  // namespace eckart
