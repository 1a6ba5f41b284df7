#pragma once

#include "eckart/gpu/bart/device_arena.cuh"
#include "eckart/gpu/kernels/process_scores.cuh"
#include "eckart/gpu/upload.cuh"
#include "eckart/models/generation_options.hpp"

#include <algorithm>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Throws shape_error for options of the host's search that no kernel has. The others mean the
/// same on a device.
inline void check_device_options(generation_options const& options) {
  auto const refuse = [](bool is_set, char const* name) {
    if (is_set) {
      throw shape_error(message("generate: the device has no ", name));
    }
  };
  refuse(options.encoder_repetition_penalty != 1.0, "encoder_repetition_penalty");
  refuse(!options.bad_words_ids.empty(), "bad_words_ids");
  refuse(!options.sequence_bias.empty(), "sequence_bias");
  refuse(options.exponential_decay_length_penalty.has_value(), "exponential_decay_length_penalty");
  refuse(options.remove_invalid_values, "remove_invalid_values");
  refuse(options.renormalize_logits, "renormalize_logits");
}

/// The rules of the options, their lists in memory of the arena (nothing is copied while it
/// counts). Sources are left to the caller. Waits for the copies.
inline auto make_device_rules(generation_options const& options, generation_lengths lengths,
                              device_arena& arena, cudaStream_t stream) -> gpu::score_rules {
  auto const list = [&](std::vector<token_id> const& ids) -> gpu::id_list {
    auto* const to = arena.take<token_id>(static_cast<index_t>(ids.size()));
    if (to != nullptr) {
      gpu::copy_values(std::span(ids), to, stream);
    }
    return {to, static_cast<int>(ids.size())};
  };
  auto eos = options.eos_token_id;
  std::ranges::sort(eos);
  eos.erase(std::unique(eos.begin(), eos.end()), eos.end());
  gpu::score_rules rules;
  rules.repetition_penalty = static_cast<float>(options.repetition_penalty);
  rules.no_repeat_ngram_size =
      static_cast<int>(std::min<index_t>(options.no_repeat_ngram_size, unlimited_positions));
  rules.encoder_no_repeat_ngram_size = static_cast<int>(
      std::min<index_t>(options.encoder_no_repeat_ngram_size, unlimited_positions));
  rules.min_length = static_cast<int>(std::min<index_t>(lengths.min_length, unlimited_positions));
  rules.max_length = static_cast<int>(lengths.max_length);
  rules.begin = options.forced_bos_token_id ? 2 : 1;
  rules.forced_bos = options.forced_bos_token_id.value_or(-1);
  rules.eos = list(eos);
  rules.forced_eos = list(options.forced_eos_token_id);
  rules.suppress = list(options.suppress_tokens);
  rules.begin_suppress = list(options.begin_suppress_tokens);
  return rules;
}

}  // namespace v0
}  // namespace eckart
