#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/models/generation_options.hpp"
#include "eckart/models/step_decoder.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

/// The hypotheses of a beam search in one sentence, as in Hugging Face (transformers 5.16,
/// generation/utils.py, _beam_search), with its arithmetic: scores are floats, and what is out of
/// the race is moved down by 1e9. That constant is visible where there are fewer possible
/// continuations than beams, so it is kept. B: beams, V: vocabulary, K = max(2, 1 + EOS tokens) *
/// B: candidates a sentence and step.
namespace eckart {
inline namespace v0 {

namespace detail {

inline constexpr float out_of_race = -1.0e9F;

/// A continuation: flat = beam * V + token.
struct beam_candidate {
  float score;
  index_t flat;
};

/// Higher scores first, of equal ones the lower position.
inline auto ranks_before(beam_candidate const& a, beam_candidate const& b) -> bool {
  return a.score > b.score || (a.score == b.score && a.flat < b.flat);
}

/// K: enough for B continuations that are not EOS, whatever the model says.
inline auto candidates_kept(generation_options const& options) -> std::size_t {
  return static_cast<std::size_t>(options.num_beams) *
         std::max<std::size_t>(2, 1 + options.eos_token_id.size());
}

/// The K best of all continuations seen. A heap with the worst kept one on top, so that nearly all
/// of the B * V scores cost one comparison.
class best_candidates {
 public:
  explicit best_candidates(std::size_t k) : k_(k) { heap_.reserve(k); }

  void clear() { heap_.clear(); }

  /// Offers scores[j] + running under the position first + j. Positions must come in rising order.
  /// Throws numerical_error if a sum is not a number.
  void offer(std::span<float const> scores, float running, index_t first) {
    // Not a number until the heap is full; comparing with it, or with a score that is not a number,
    // is false and leads to keep().
    auto worst = worst_kept();
    for (std::size_t j = 0; j < scores.size(); ++j) {
      auto const score = scores[j] + running;
      if (!(score <= worst)) {
        keep({score, first + static_cast<index_t>(j)});
        worst = worst_kept();
      }
    }
  }

  /// The candidates, best first. The next call must be clear().
  auto sorted() -> std::span<beam_candidate const> {
    std::sort_heap(heap_.begin(), heap_.end(), ranks_before);
    return heap_;
  }

 private:
  auto worst_kept() const -> float {
    return heap_.size() < k_ ? std::numeric_limits<float>::quiet_NaN() : heap_.front().score;
  }

  void keep(beam_candidate candidate) {
    if (std::isnan(candidate.score)) {
      throw numerical_error("beam_search: a score is not a number", 0);
    }
    if (heap_.size() == k_) {
      std::pop_heap(heap_.begin(), heap_.end(), ranks_before);
      heap_.pop_back();
    }
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end(), ranks_before);
  }

  std::size_t k_;
  std::vector<beam_candidate> heap_;
};

/// What all sentences share at one step.
struct beam_step {
  index_t vocabulary;
  bool at_max_length;    // whatever comes next is the last id
  float length_factor;   // generated ids at the end of this step, to the length_penalty
  float hopeful_factor;  // the same at the length that the stopping rule assumes
};

/// The search in one sentence: B open rows and B slots for finished ones, best first.
class beam_sentence {
 public:
  beam_sentence(generation_options const& options, generation_lengths lengths, std::size_t sentence)
      : options_(&options),
        sentence_(sentence),
        beams_(static_cast<std::size_t>(options.num_beams)),
        open_(beams_),
        slots_(beams_),
        next_open_(beams_),
        next_slots_(beams_) {
    auto const start = decoder_start(options);
    for (std::size_t b = 0; b < beams_; ++b) {
      for (auto* r : {&open_[b], &slots_[b], &next_open_[b], &next_slots_[b]}) {
        r->ids.reserve(initial_capacity(lengths));
        r->ids.push_back(start);
        r->score = out_of_race;
      }
    }
    // All rows begin alike: only the first may count, or all would stay alike.
    open_[0].score = 0.0F;
    auto const k = candidates_kept(options);
    hits_.reserve(k);
    ranking_.reserve(beams_ + k);
  }

  auto sentence() const -> std::size_t { return sentence_; }
  auto beams() const -> std::size_t { return beams_; }
  auto ids(std::size_t beam) const -> std::span<std::int32_t const> { return open_[beam].ids; }
  auto score(std::size_t beam) const -> float { return open_[beam].score; }
  auto parent(std::size_t beam) const -> std::size_t { return open_[beam].parent; }

  /// Takes the step's K best continuations. False if the search in this sentence is over: the
  /// reference would go on with it for the sake of others, but let nothing more into its slots.
  /// Must not be called again then.
  auto advance(beam_step const& step, std::span<beam_candidate const> candidates) -> bool {
    hits_.clear();
    for (auto const& c : candidates) {
      auto const token = static_cast<std::int32_t>(c.flat % step.vocabulary);
      hits_.push_back(step.at_max_length || is_eos(*options_, token) ? 1 : 0);
    }
    choose_open(step, candidates);
    choose_slots(step, candidates);
    std::swap(open_, next_open_);
    std::swap(slots_, next_slots_);
    bool const all_hit = std::find(hits_.begin(), hits_.end(), 0) == hits_.end();
    return can_improve(step) && !is_full() && !all_hit;
  }

  /// The best finished sequences.
  auto results(index_t count) const -> std::vector<generated> {
    std::vector<generated> best;
    for (std::size_t b = 0; std::cmp_less(b, count); ++b) {
      best.push_back({slots_[b].ids, slots_[b].score});
    }
    return best;
  }

 private:
  struct row {
    std::vector<std::int32_t> ids{};
    float score = 0;
    bool finished = false;   // of a slot: holds a sequence that came to its end
    std::size_t parent = 0;  // of an open row: the beam that it continues
  };

  /// With early stopping the search is over once all slots are finished.
  auto is_full() const -> bool {
    return options_->early_stopping == stop_early::yes &&
           std::all_of(slots_.begin(), slots_.end(), [](row const& s) { return s.finished; });
  }

  void extend(row& target, row const& source, beam_candidate const& c, index_t vocabulary) const {
    target.ids.assign(source.ids.begin(), source.ids.end());
    target.ids.push_back(static_cast<std::int32_t>(c.flat % vocabulary));
  }

  /// The B best of the candidates that have not come to their end go on.
  void choose_open(beam_step const& step, std::span<beam_candidate const> candidates) {
    ranking_.clear();
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      ranking_.push_back(
          {candidates[i].score + (hits_[i] != 0 ? out_of_race : 0.0F), static_cast<index_t>(i)});
    }
    std::sort(ranking_.begin(), ranking_.end(), ranks_before);
    for (std::size_t b = 0; b < beams_; ++b) {
      auto const& c = candidates[static_cast<std::size_t>(ranking_[b].flat)];
      auto& target = next_open_[b];
      target.parent = static_cast<std::size_t>(c.flat / step.vocabulary);
      target.score = ranking_[b].score;
      extend(target, open_[target.parent], c, step.vocabulary);
    }
  }

  /// Of the slots and the candidates that have just come to their end, the B best. A candidate
  /// ranked B or worse must not finish: it is there only so that B rows can go on.
  void choose_slots(beam_step const& step, std::span<beam_candidate const> candidates) {
    ranking_.clear();
    for (std::size_t b = 0; b < beams_; ++b) {
      ranking_.push_back({slots_[b].score, static_cast<index_t>(b)});
    }
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      bool const finishes = i < beams_ && hits_[i] != 0;
      auto const score = candidates[i].score / step.length_factor;
      ranking_.push_back(
          {score + (finishes ? 0.0F : out_of_race), static_cast<index_t>(beams_ + i)});
    }
    std::sort(ranking_.begin(), ranking_.end(), ranks_before);
    for (std::size_t b = 0; b < beams_; ++b) {
      auto const from = static_cast<std::size_t>(ranking_[b].flat);
      auto& target = next_slots_[b];
      if (from < beams_) {
        target = slots_[from];
      } else {
        auto const& c = candidates[from - beams_];
        // choose_open has not swapped yet: open_ are still the rows that the candidates continue.
        extend(target, open_[static_cast<std::size_t>(c.flat / step.vocabulary)], c,
               step.vocabulary);
        target.score = ranking_[b].score;
        target.finished = from - beams_ < beams_ && hits_[from - beams_] != 0;
      }
    }
  }

  /// Could the best open row, at the length that the rule assumes, still beat the worst slot?
  auto can_improve(beam_step const& step) const -> bool {
    auto const best = open_[0].score / step.hopeful_factor;
    auto const worst = std::min_element(slots_.begin(), slots_.end(), [](auto& a, auto& b) {
                         return a.score < b.score;
                       })->score;
    return std::any_of(slots_.begin(), slots_.end(),
                       [&](row const& s) { return best > (s.finished ? worst : out_of_race); });
  }

  generation_options const* options_;
  std::size_t sentence_;
  std::size_t beams_;
  std::vector<row> open_;   // (B)
  std::vector<row> slots_;  // (B)
  std::vector<row> next_open_;
  std::vector<row> next_slots_;
  std::vector<char> hits_;               // (K): EOS, or the last id that fits
  std::vector<beam_candidate> ranking_;  // (B + K)
};

}  // namespace detail

}  // namespace v0
}  // namespace eckart
