#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/view.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

/// Made-up models for the tests of the searches: a row's logits depend on its sentence and on all
/// of its ids, so that a row which continues the wrong one is seen at once.
namespace fake {

/// One step of splitmix64; tests/golden/make_generation_search.py has the same.
inline auto mix(std::uint64_t h, std::uint64_t value) -> std::uint64_t {
  h += value * 0x9E3779B97F4A7C15ULL + 0xD1B54A32D192ED03ULL;
  h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9ULL;
  h = (h ^ (h >> 27)) * 0x94D049BB133111EBULL;
  return h ^ (h >> 31);
}

/// Logits as functions of (sentence, ids): multiples of 2^-21 in [-4, 4), exact in float.
struct table_model {
  std::uint64_t seed = 0;
  eckart::index_t vocabulary = 0;

  auto logit(std::size_t sentence, std::span<std::int32_t const> ids, eckart::index_t token) const
      -> float {
    return value(mix(hash(sentence, ids), 1000 + static_cast<std::uint64_t>(token)));
  }
  auto logits(std::size_t sentence, std::span<std::int32_t const> ids) const -> std::vector<float> {
    auto const h = hash(sentence, ids);
    std::vector<float> row;
    for (eckart::index_t j = 0; j < vocabulary; ++j) {
      row.push_back(value(mix(h, 1000 + static_cast<std::uint64_t>(j))));
    }
    return row;
  }

 private:
  static auto value(std::uint64_t h) -> float {
    return static_cast<float>(h >> 40) / 2097152.0F - 4.0F;
  }
  auto hash(std::size_t sentence, std::span<std::int32_t const> ids) const -> std::uint64_t {
    auto h = mix(mix(seed, sentence), ids.size());
    for (auto const id : ids) {
      h = mix(h, static_cast<std::uint64_t>(id));
    }
    return h;
  }
};

/// A step_decoder over any model with `vocabulary` and `logits(sentence, ids)`. Refuses what a real
/// decoder could not do: a wrong number of rows, a row that changes its sentence.
template <class Model>
class decoder {
 public:
  decoder(Model model, std::size_t sentences, std::size_t beams) : model_(std::move(model)) {
    for (std::size_t s = 0; s < sentences; ++s) {
      rows_.insert(rows_.end(), beams, row{s, {}});
    }
  }

  auto vocabulary() const -> eckart::index_t { return model_.vocabulary; }

  auto step(std::span<std::int32_t const> tokens) -> eckart::matrix_view<float> {
    if (tokens.size() != rows_.size()) {
      throw eckart::shape_error("fake decoder: wrong number of tokens");
    }
    logits_.clear();
    for (std::size_t r = 0; r < tokens.size(); ++r) {
      rows_[r].ids.push_back(tokens[r]);
      auto const scores = model_.logits(rows_[r].sentence, rows_[r].ids);
      logits_.insert(logits_.end(), scores.begin(), scores.end());
    }
    ++steps;
    rows_seen += tokens.size();
    return {logits_.data(), static_cast<eckart::index_t>(tokens.size()), vocabulary()};
  }

  void reorder(std::span<eckart::index_t const> parents) {
    std::vector<row> next;
    for (auto const parent : parents) {
      next.push_back(rows_.at(static_cast<std::size_t>(parent)));
      if (next.size() > 1 && next.back().sentence < next[next.size() - 2].sentence) {
        throw eckart::shape_error("fake decoder: the sentences lost their order");
      }
    }
    rows_ = next;
  }

  std::size_t steps = 0;      ///< calls of step
  std::size_t rows_seen = 0;  ///< rows over all steps

 private:
  struct row {
    std::size_t sentence;
    std::vector<std::int32_t> ids;
  };
  Model model_;
  std::vector<row> rows_;
  std::vector<float> logits_;  // (rows, vocabulary)
};

}  // namespace fake
