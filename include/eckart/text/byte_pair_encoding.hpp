#pragma once

#include "eckart/core/error.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Two neighbouring symbols that may become one. A rule's rank is its place in the list of rules.
struct merge_rule {
  std::int32_t left;
  std::int32_t right;
  std::int32_t merged;
};

/// Byte pair encoding of single words (Sennrich et al. 2016, over bytes as in GPT-2): as long as a
/// rule fits, the fitting one of lowest rank is applied to all its places from left to right.
///
/// Hugging Face's `tokenizers` takes a freshly made pair of lower rank first, before the remaining
/// places of the current rule. No list that training gives can tell the two apart: there a rule
/// comes after the rules that make its parts, so a fresh pair always has a higher rank.
class byte_pair_encoding {
 public:
  static constexpr std::int32_t no_symbol = -1;

  /// Buffers that `append` uses again from word to word. One a thread.
  class scratch {
    friend class byte_pair_encoding;
    struct node {
      std::int32_t symbol;
      std::uint32_t previous;
      std::uint32_t next;
      std::uint32_t rank;  // of the rule for this symbol and the next
    };
    std::vector<node> nodes;
    std::vector<std::uint64_t> queue;  // min-heap of rank * 2^32 + place
    std::vector<std::uint64_t> fresh;  // pairs that the rule being applied has made
  };

  byte_pair_encoding() { symbols_.fill(no_symbol); }

  /// `symbols` gives the symbol of each single byte, `no_symbol` where there is none. No pair may
  /// have two rules and all symbols of rules must be >= 0; throws shape_error. O(m log m).
  byte_pair_encoding(std::array<std::int32_t, 256> const& symbols,
                     std::span<merge_rule const> rules)
      : symbols_(symbols) {
    std::vector<std::uint32_t> order(rules.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::tie(rules[a].left, rules[a].right, a) <
             std::tie(rules[b].left, rules[b].right, b);
    });
    for (auto const rank : order) {
      auto const& rule = rules[rank];
      if (rule.left < 0 || rule.right < 0 || rule.merged < 0) {
        throw shape_error(message("byte_pair_encoding: rule ", rank, " has a negative symbol"));
      }
      auto const row = static_cast<std::size_t>(rule.left);
      if (first_.size() > row + 1 && right_.size() > first_[row] && right_.back() == rule.right) {
        throw shape_error(message("byte_pair_encoding: rules ", rank_.back(), " and ", rank,
                                  " are for the same pair"));
      }
      // Rows between the last left symbol and this one are empty.
      first_.resize(std::max(first_.size(), row + 2), static_cast<std::uint32_t>(right_.size()));
      right_.push_back(rule.right);
      rank_.push_back(rank);
      first_[row + 1] = static_cast<std::uint32_t>(right_.size());
    }
    merged_.reserve(rules.size());
    for (auto const& rule : rules) {
      merged_.push_back(rule.merged);
    }
  }

  /// Appends the symbols of a word. Throws error if one of its bytes has no symbol, shape_error for
  /// a word of 2^32 bytes or more. O(n log n), no allocation once the buffers have grown.
  void append(std::string_view word, std::vector<std::int32_t>& out, scratch& s) const {
    if (word.size() == 1) {
      out.push_back(symbol(word, 0));
      return;
    }
    fill(word, s);
    while (!s.queue.empty()) {
      apply(static_cast<std::uint32_t>(s.queue.front() >> 32U), s);
    }
    for (std::uint32_t i = 0; i < s.nodes.size(); i = s.nodes[i].next) {
      out.push_back(s.nodes[i].symbol);
    }
  }

 private:
  static constexpr auto none = std::numeric_limits<std::uint32_t>::max();  // no rank, no place

  static auto key(std::uint32_t rank, std::uint32_t place) -> std::uint64_t {
    return (static_cast<std::uint64_t>(rank) << 32U) | place;
  }

  auto symbol(std::string_view word, std::size_t i) const -> std::int32_t {
    auto const byte = static_cast<unsigned char>(word[i]);
    if (symbols_[byte] == no_symbol) {
      throw error(message("encode: byte ", static_cast<int>(byte), " at ", i, " of a word of ",
                          word.size(), " bytes has no token, and there is no unknown token"));
    }
    return symbols_[byte];
  }

  // Rank of the rule for a pair, found in the row of its left symbol.
  auto rank(std::int32_t left, std::int32_t right) const -> std::uint32_t {
    auto const row = static_cast<std::size_t>(left);
    if (row + 1 >= first_.size()) {
      return none;
    }
    auto const begin = right_.begin() + first_[row];
    auto const end = right_.begin() + first_[row + 1];
    auto const found = std::lower_bound(begin, end, right);
    return found != end && *found == right ? rank_[static_cast<std::size_t>(found - right_.begin())]
                                           : none;
  }

  // One node a byte, and all pairs that have a rule.
  void fill(std::string_view word, scratch& s) const {
    if (word.size() >= none) {
      throw shape_error(message("encode: a word of ", word.size(), " bytes"));
    }
    auto const n = static_cast<std::uint32_t>(word.size());
    s.nodes.resize(n);
    s.queue.clear();
    for (std::uint32_t i = 0; i < n; ++i) {
      s.nodes[i] = {symbol(word, i), i - 1, i + 1, none};
      if (i > 0) {
        auto& pair = s.nodes[i - 1];
        pair.rank = rank(pair.symbol, s.nodes[i].symbol);
        if (pair.rank != none) {
          s.queue.push_back(key(pair.rank, i - 1));
        }
      }
    }
    std::make_heap(s.queue.begin(), s.queue.end(), std::greater<>());
  }

  // Applies one rule wherever it fits. Pairs made on the way wait until it is through.
  void apply(std::uint32_t rank, scratch& s) const {
    s.fresh.clear();
    while (!s.queue.empty() && s.queue.front() >> 32U == rank) {
      auto const place = static_cast<std::uint32_t>(s.queue.front());
      std::pop_heap(s.queue.begin(), s.queue.end(), std::greater<>());
      s.queue.pop_back();
      if (s.nodes[place].rank == rank) {  // else a neighbour's merge has taken a part away
        merge(place, s);
      }
    }
    for (auto const pair : s.fresh) {
      s.queue.push_back(pair);
      std::push_heap(s.queue.begin(), s.queue.end(), std::greater<>());
    }
  }

  void merge(std::uint32_t place, scratch& s) const {
    auto& node = s.nodes[place];
    auto& gone = s.nodes[node.next];
    node.symbol = merged_[node.rank];
    node.next = gone.next;
    gone.rank = none;
    if (node.next < s.nodes.size()) {
      s.nodes[node.next].previous = place;
    }
    renew(place, s);
    if (node.previous < s.nodes.size()) {
      renew(node.previous, s);
    }
  }

  // Looks up the pair that begins at a place whose symbol or neighbour has changed.
  void renew(std::uint32_t place, scratch& s) const {
    auto& node = s.nodes[place];
    node.rank = node.next < s.nodes.size() ? rank(node.symbol, s.nodes[node.next].symbol) : none;
    if (node.rank != none) {
      s.fresh.push_back(key(node.rank, place));
    }
  }

  std::array<std::int32_t, 256> symbols_{};  // symbol of each byte
  // The rules with left symbol l are the entries first_[l] to first_[l + 1] of right_ and rank_,
  // sorted by the right symbol: no hashing, so no file can make the look-up slow.
  std::vector<std::uint32_t> first_;
  std::vector<std::int32_t> right_;
  std::vector<std::uint32_t> rank_;
  std::vector<std::int32_t> merged_;  // by rank
};

}  // namespace v0
}  // namespace eckart
