#pragma once

#include "eckart/gpu/kernels/reduce.cuh"
#include "eckart/gpu/kernels/step_attention.cuh"
#include "eckart/nn/embedding.hpp"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// Ids in the memory of the device.
struct id_list {
  token_id const* ids = nullptr;
  int size = 0;
};

/// What changes the scores of the next token: the processors of models/logits_processors.hpp that
/// have a kernel, with the same meanings. What is off costs nothing.
struct score_rules {
  float repetition_penalty = 1;
  int no_repeat_ngram_size = 0;
  int encoder_no_repeat_ngram_size = 0;
  int min_length = 0;  ///< ids before which there is no EOS
  int max_length = 0;
  int begin = 1;        ///< ids of a row at which begin_suppress holds
  int forced_bos = -1;  ///< -1: none
  id_list eos;          ///< distinct
  id_list forced_eos;   ///< allowed as the last id; empty: all are
  id_list suppress;
  id_list begin_suppress;
  token_id const* sources = nullptr;    ///< (sentences, source_tokens), padded
  int const* source_lengths = nullptr;  ///< (sentences)
  int source_tokens = 0;
};

/// The tokens that rows have written, which are found like their keys.
struct written_view {
  token_id* tokens = nullptr;  ///< (rows, capacity): what row r was fed at position p
  history_view history;

  __device__ auto at(int const* table, int row, int p, int now) const -> token_id {
    int const from = table == nullptr || p == now
                         ? row
                         : table[static_cast<index_t>(row) * history.capacity + p];
    return tokens[static_cast<index_t>(from) * history.capacity + p];
  }
};

namespace detail {

inline constexpr int rule_threads = 256;

// The scores of one row. Every function ends before the next begins: rules see each other's work,
// as on the host.
struct scored_row {
  float* scores;
  int vocabulary;
  token_id const* ids;  // (count) in shared memory
  int count;
  double* norm;  // what will be subtracted, or null

  __device__ void ban(token_id id) const {
    if (id >= 0 && id < vocabulary) {
      scores[id] = -INFINITY;
    }
  }
  __device__ void ban(id_list list) const {
    for (int i = static_cast<int>(threadIdx.x); i < list.size; i += rule_threads) {
      ban(list.ids[i]);
    }
    __syncthreads();
  }
  __device__ void force(token_id const* tokens, int size) const {
    for (int j = static_cast<int>(threadIdx.x); j < vocabulary; j += rule_threads) {
      scores[j] = -INFINITY;
    }
    if (threadIdx.x == 0 && norm != nullptr) {
      *norm = 0;
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < size; i += rule_threads) {
      scores[tokens[i]] = 0.0F;
    }
    __syncthreads();
  }
  __device__ void repetition_penalty(float factor) const {
    for (int i = static_cast<int>(threadIdx.x); i < count; i += rule_threads) {
      bool first = ids[i] >= 0 && ids[i] < vocabulary;
      for (int j = 0; first && j < i; ++j) {
        first = ids[j] != ids[i];
      }
      if (first) {
        float const s = scores[ids[i]];
        scores[ids[i]] = s < 0 ? s * factor : s / factor;
      }
    }
    __syncthreads();
  }
  // Bans the last id of every n-gram of `text` whose first n - 1 ids are the end of the row.
  __device__ void ngrams(token_id const* text, int size, int n) const {
    for (int i = static_cast<int>(threadIdx.x); i + n <= size; i += rule_threads) {
      bool same = true;
      for (int j = 0; same && j < n - 1; ++j) {
        same = text[i + j] == ids[count - (n - 1) + j];
      }
      if (same) {
        ban(text[i + n - 1]);
      }
    }
    __syncthreads();
  }
};

static __global__ void process_scores_kernel(float* scores, index_t ld, int vocabulary, int beams,
                                             score_rules rules, written_view written,
                                             int const* position, double* norms) {
  extern __shared__ token_id row_ids[];  // (capacity)
  after_previous();
  int const row = static_cast<int>(blockIdx.x);
  int const sentence = row / beams;
  int const now = *position;
  int const* const table = written.history.table(now);
  for (int p = static_cast<int>(threadIdx.x); p <= now; p += rule_threads) {
    row_ids[p] = written.at(table, row, p, now);
  }
  __syncthreads();
  scored_row const r{scores + row * ld, vocabulary, row_ids, now + 1,
                     norms == nullptr ? nullptr : norms + row};
  if (rules.repetition_penalty != 1.0F) {
    r.repetition_penalty(rules.repetition_penalty);
  }
  if (rules.no_repeat_ngram_size > 0 && r.count >= rules.no_repeat_ngram_size) {
    r.ngrams(r.ids, r.count, rules.no_repeat_ngram_size);
  }
  if (rules.encoder_no_repeat_ngram_size > 0 && r.count + 1 >= rules.encoder_no_repeat_ngram_size) {
    r.ngrams(rules.sources + static_cast<index_t>(sentence) * rules.source_tokens,
             rules.source_lengths[sentence], rules.encoder_no_repeat_ngram_size);
  }
  if (r.count < rules.min_length) {
    r.ban(rules.eos);
  }
  if (rules.forced_bos >= 0 && r.count == 1) {
    r.force(&rules.forced_bos, 1);
  }
  if (rules.forced_eos.size > 0 && r.count + 1 == rules.max_length) {
    r.force(rules.forced_eos.ids, rules.forced_eos.size);
  }
  r.ban(rules.suppress);
  if (r.count == rules.begin) {
    r.ban(rules.begin_suppress);
  }
}

}  // namespace detail

/// Applies the rules to the scores (sentences * beams, vocabulary) of the token that follows
/// *position, in place and in the order of logits_processors::apply. Where norms (rows) are still
/// to be subtracted from the scores, those of rows with forced tokens become 0; a penalty of
/// repetition needs scores that are final. Throws shape_error.
inline void process_scores(device_view<float> scores, index_t beams, score_rules const& rules,
                           written_view written, int const* position, cudaStream_t stream,
                           double* norms = nullptr) {
  if (beams < 1 || scores.rows % beams != 0 || written.history.rows != scores.rows ||
      (norms != nullptr && rules.repetition_penalty != 1.0F)) {
    throw shape_error(message("process_scores: ", scores.shape(), " scores, ", beams, " beams, ",
                              written.history.rows, " rows of tokens",
                              norms != nullptr ? ", norms still to be subtracted" : ""));
  }
  auto const shared = static_cast<std::size_t>(written.history.capacity) * sizeof(token_id);
  launch("process_scores", detail::process_scores_kernel,
         {grid_size(scores.rows), detail::rule_threads, shared}, stream, scores.data, scores.ld,
         static_cast<int>(scores.cols), static_cast<int>(beams), rules, written, position, norms);
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
