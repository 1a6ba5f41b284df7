#pragma once

#include "eckart/core/workspace.hpp"
#include "eckart/nn/kv_cache.hpp"
#include "eckart/nn/linear.hpp"
#include "eckart/nn/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <utility>

namespace eckart {
inline namespace v0 {

/// Which keys a query may see.
struct attention_mask {
  bool causal = false;  ///< the last query sees all keys, each query before it one less
  std::optional<index_t> key_length = std::nullopt;  ///< keys from here on are padding
};

/// Elements of workspace for one head.
template <real T>
auto scaled_dot_product_attention_worksize(index_t queries, index_t keys) -> std::size_t {
  return workspace<T>::footprint(queries, keys);
}

/// softmax(scale q k^T + mask) v (Vaswani et al. 2017, eq. 1): q (queries, d), k (keys, d),
/// v (keys, e), out (queries, e). Throws shape_error, also where a query would see no key.
/// 2 queries keys (d + e) FLOPs.
template <real T, blas_backend<T> B = openblas>
void scaled_dot_product_attention(std::type_identity_t<matrix_view<T const>> q,
                                  std::type_identity_t<matrix_view<T const>> k,
                                  std::type_identity_t<matrix_view<T const>> v, T scale,
                                  attention_mask mask, matrix_view<T> out, workspace<T>& scratch,
                                  B const& backend = {}) {
  if (k.rows != v.rows) {
    throw shape_error(message("attention: ", k.rows, " keys, ", v.rows, " values"));
  }
  auto const keys = std::min(k.rows, mask.key_length.value_or(k.rows));
  auto const visible = [&](index_t query) {
    return mask.causal ? std::min(keys, k.rows - q.rows + query + 1) : keys;
  };
  if (q.rows > 0 && visible(0) < 1) {
    throw shape_error(
        message("attention: the first of ", q.rows, " queries sees none of ", keys, " keys"));
  }
  auto const frame = scratch.frame();
  auto const scores = scratch.take_matrix(q.rows, keys);
  backend.gemm(op::none, op::transpose, scale, q, k.row_range(0, keys), T{0}, scores);
  for (index_t i = 0; i < scores.rows; ++i) {
    auto const row = scores.row(i);
    auto const seen = static_cast<std::size_t>(visible(i));
    softmax(row.first(seen));
    std::ranges::fill(row.subspan(seen), T{0});
  }
  backend.gemm(op::none, op::none, T{1}, matrix_view<T const>(scores), v.row_range(0, keys), T{0},
               out);
}

/// Concat(head_1, ..., head_h) W_o with head_i = Attention(x W_q, memory W_k, memory W_v) on the
/// i-th block of columns (Vaswani et al. 2017, section 3.2.2). The scale is 1 / sqrt(head width).
template <real T>
class multi_head_attention {
 public:
  multi_head_attention(index_t head_count, linear<T> q, linear<T> k, linear<T> v, linear<T> out)
      : heads(head_count),
        q_proj(std::move(q)),
        k_proj(std::move(k)),
        v_proj(std::move(v)),
        out_proj(std::move(out)) {
    auto const width = q_proj.shape().rows;
    if (heads < 1 || width % heads != 0 || k_proj.shape().rows != width ||
        v_proj.shape().rows != width || out_proj.shape().cols != width) {
      throw shape_error(message("attention: ", heads, " heads, q ", q_proj.shape(), ", k ",
                                k_proj.shape(), ", v ", v_proj.shape(), ", out ",
                                out_proj.shape()));
    }
  }

  auto width() const -> index_t { return q_proj.shape().rows; }

  /// Elements of workspace that a call with x (rows, inputs) takes at most, if a sentence has no
  /// more queries and keys than these.
  auto worksize(index_t rows, index_t queries, index_t keys) const -> std::size_t {
    auto const inner = std::max({q_proj.worksize(rows), k_proj.worksize(rows),
                                 v_proj.worksize(rows), out_proj.worksize(rows),
                                 scaled_dot_product_attention_worksize<T>(queries, keys)});
    return 4 * workspace<T>::footprint(rows, width()) + inner;  // q, k, v and their context
  }

  /// Self-attention without a cache: x and y (batch * tokens, width), sentence after sentence.
  /// key_lengths (batch) are the tokens before the padding; empty means no padding.
  template <blas_backend<T> B = openblas>
  void self(std::type_identity_t<matrix_view<T const>> x, index_t batch,
            std::span<index_t const> key_lengths, bool causal, matrix_view<T> y,
            workspace<T>& scratch, B const& backend = {}) const {
    check_batch(x.rows, batch, key_lengths);
    auto const tokens = x.rows / batch;
    auto const frame = scratch.frame();
    auto const q = scratch.take_matrix(x.rows, width());
    auto const k = scratch.take_matrix(x.rows, width());
    auto const v = scratch.take_matrix(x.rows, width());
    q_proj(x, q, scratch, backend);
    k_proj(x, k, scratch, backend);
    v_proj(x, v, scratch, backend);
    auto const context = scratch.take_matrix(x.rows, width());
    for (index_t b = 0; b < batch; ++b) {
      attend(q.row_range(b * tokens, tokens), k.row_range(b * tokens, tokens),
             v.row_range(b * tokens, tokens), {causal, length_of(key_lengths, b)},
             context.row_range(b * tokens, tokens), scratch, backend);
    }
    out_proj(context, y, scratch, backend);
  }

  /// Causal self-attention of new tokens that continue the cached ones: x and y (rows * steps,
  /// width), row after row. Appends to the cache.
  template <blas_backend<T> B = openblas>
  void self(std::type_identity_t<matrix_view<T const>> x, kv_cache<T>& cache, matrix_view<T> y,
            workspace<T>& scratch, B const& backend = {}) const {
    if (y.shape() != shape2{x.rows, out_proj.shape().rows}) {  // before the cache has changed
      throw shape_error(message("attention: input ", x.shape(), ", output ", y.shape()));
    }
    auto const frame = scratch.frame();
    auto const q = scratch.take_matrix(x.rows, width());
    auto const k = scratch.take_matrix(x.rows, width());
    auto const v = scratch.take_matrix(x.rows, width());
    q_proj(x, q, scratch, backend);
    k_proj(x, k, scratch, backend);
    v_proj(x, v, scratch, backend);
    cache.append(k, v);
    auto const steps = x.rows / cache.rows();
    auto const context = scratch.take_matrix(x.rows, width());
    for (index_t r = 0; r < cache.rows(); ++r) {
      attend(q.row_range(r * steps, steps), cache.keys(r), cache.values(r), {.causal = true},
             context.row_range(r * steps, steps), scratch, backend);
    }
    out_proj(context, y, scratch, backend);
  }

  /// Keys and values of an encoder output (batch * tokens, width) for later calls of `cross`.
  template <blas_backend<T> B = openblas>
  void remember(std::type_identity_t<matrix_view<T const>> memory, index_t batch,
                kv_cache<T>& cache, workspace<T>& scratch, B const& backend = {}) const {
    check_batch(memory.rows, batch, {});
    auto const frame = scratch.frame();
    auto const k = scratch.take_matrix(memory.rows, width());
    auto const v = scratch.take_matrix(memory.rows, width());
    k_proj(memory, k, scratch, backend);
    v_proj(memory, v, scratch, backend);
    cache.reset(batch, memory.rows / batch);
    cache.append(k, v);
  }

  /// Attention on remembered encoder outputs: x and y (rows * steps, width); row r looks at the
  /// sentence source_of[r]. Rows of one sentence that follow each other share one product.
  template <blas_backend<T> B = openblas>
  void cross(std::type_identity_t<matrix_view<T const>> x, kv_cache<T> const& memory,
             std::span<index_t const> source_of, std::span<index_t const> key_lengths,
             matrix_view<T> y, workspace<T>& scratch, B const& backend = {}) const {
    auto const rows = static_cast<index_t>(source_of.size());
    check_batch(x.rows, rows, {});
    check_sources(memory.rows(), source_of, key_lengths);
    auto const steps = x.rows / rows;
    auto const frame = scratch.frame();
    auto const q = scratch.take_matrix(x.rows, width());
    q_proj(x, q, scratch, backend);
    auto const context = scratch.take_matrix(x.rows, width());
    for (index_t first = 0; first < rows;) {
      auto const source = source_of[static_cast<std::size_t>(first)];
      auto last = first + 1;
      while (last < rows && source_of[static_cast<std::size_t>(last)] == source) {
        ++last;
      }
      auto const queries = (last - first) * steps;
      attend(q.row_range(first * steps, queries), memory.keys(source), memory.values(source),
             {false, length_of(key_lengths, source)}, context.row_range(first * steps, queries),
             scratch, backend);
      first = last;
    }
    out_proj(context, y, scratch, backend);
  }

  index_t heads;
  linear<T> q_proj;    ///< (width, inputs)
  linear<T> k_proj;    ///< (width, inputs)
  linear<T> v_proj;    ///< (width, inputs)
  linear<T> out_proj;  ///< (outputs, width)

 private:
  static void check_batch(index_t rows, index_t batch, std::span<index_t const> key_lengths) {
    if (batch < 1 || rows % batch != 0 ||
        (!key_lengths.empty() && static_cast<index_t>(key_lengths.size()) != batch)) {
      throw shape_error(message("attention: ", rows, " rows for a batch of ", batch, " with ",
                                key_lengths.size(), " key lengths"));
    }
  }

  static void check_sources(index_t sentences, std::span<index_t const> source_of,
                            std::span<index_t const> key_lengths) {
    if (!key_lengths.empty() && static_cast<index_t>(key_lengths.size()) != sentences) {
      throw shape_error(
          message("attention: ", key_lengths.size(), " key lengths for ", sentences, " sentences"));
    }
    for (std::size_t r = 0; r < source_of.size(); ++r) {
      if (source_of[r] < 0 || source_of[r] >= sentences) {
        throw shape_error(
            message("attention: row ", r, " looks at sentence ", source_of[r], " of ", sentences));
      }
    }
  }

  static auto length_of(std::span<index_t const> lengths, index_t b) -> std::optional<index_t> {
    return lengths.empty() ? std::nullopt
                           : std::optional<index_t>(lengths[static_cast<std::size_t>(b)]);
  }

  // All heads of one sentence: each works on its own block of columns, in place.
  template <class B>
  void attend(matrix_view<T const> q, matrix_view<T const> k, matrix_view<T const> v,
              attention_mask mask, matrix_view<T> context, workspace<T>& scratch,
              B const& backend) const {
    auto const head_width = width() / heads;
    auto const scale = T{1} / std::sqrt(static_cast<T>(head_width));
    for (index_t h = 0; h < heads; ++h) {
      auto const from = h * head_width;
      scaled_dot_product_attention(q.col_range(from, head_width), k.col_range(from, head_width),
                                   v.col_range(from, head_width), scale, mask,
                                   context.col_range(from, head_width), scratch, backend);
    }
  }
};

}  // namespace v0
}  // namespace eckart
