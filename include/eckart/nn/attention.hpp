#pragma once

#include "eckart/core/parallel.hpp"
#include "eckart/core/workspace.hpp"
#include "eckart/nn/kv_cache.hpp"
#include "eckart/nn/linear.hpp"
#include "eckart/nn/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
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

/// Queries whose scores are computed together: with 512 keys they take half of the second cache.
inline constexpr index_t attention_queries = 256;

/// Elements of workspace for one head.
template <real T>
auto scaled_dot_product_attention_worksize(index_t queries, index_t keys) -> std::size_t {
  return workspace<T>::footprint(std::min(queries, attention_queries), keys);
}

/// scaled_dot_product_attention with its scores in `work` (its worksize).
template <real T, blas_backend<T> B = openblas>
void scaled_dot_product_attention_work(std::type_identity_t<matrix_view<T const>> q,
                                       std::type_identity_t<matrix_view<T const>> k,
                                       std::type_identity_t<matrix_view<T const>> v, T scale,
                                       attention_mask mask, matrix_view<T> out, std::span<T> work,
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
  for (index_t first = 0; first < q.rows; first += attention_queries) {
    auto const queries = std::min(attention_queries, q.rows - first);
    auto const seen = visible(first + queries - 1);  // by the last of these queries
    auto const scores = matrix_view<T>(work.data(), queries, seen);
    backend.gemm(op::none, op::transpose, scale, q.row_range(first, queries), k.row_range(0, seen),
                 T{0}, scores);
    for (index_t i = 0; i < queries; ++i) {
      auto const row = scores.row(i);
      auto const own = static_cast<std::size_t>(visible(first + i));
      softmax(row.first(own));
      std::ranges::fill(row.subspan(own), T{0});
    }
    backend.gemm(op::none, op::none, T{1}, matrix_view<T const>(scores), v.row_range(0, seen), T{0},
                 out.row_range(first, queries));
  }
}

/// softmax(scale q k^T + mask) v (Vaswani et al. 2017, eq. 1): q (queries, d), k (keys, d),
/// v (keys, e), out (queries, e). Throws shape_error, also where a query would see no key.
/// 2 queries keys (d + e) FLOPs, less for keys that none of 256 queries sees.
template <real T, blas_backend<T> B = openblas>
void scaled_dot_product_attention(std::type_identity_t<matrix_view<T const>> q,
                                  std::type_identity_t<matrix_view<T const>> k,
                                  std::type_identity_t<matrix_view<T const>> v, T scale,
                                  attention_mask mask, matrix_view<T> out, workspace<T>& scratch,
                                  B const& backend = {}) {
  auto const frame = scratch.frame();
  auto const work = scratch.take(scaled_dot_product_attention_worksize<T>(q.rows, k.rows));
  scaled_dot_product_attention_work(q, k, v, scale, mask, out, work, backend);
}

/// Where an attention takes queries, keys and values from: a layer each, or one layer for all,
/// whose outputs stand side by side and which may be factors with one basis. An attention on
/// another sequence may also leave keys and values to its owner, who fills the cache.
template <real T>
struct attention_inputs {
  std::optional<linear<T>> q_proj;    ///< (width, inputs); none if joint
  std::optional<linear<T>> k_proj;    ///< (width, inputs); none if joint or the owner's
  std::optional<linear<T>> v_proj;    ///< (width, inputs); none if joint or the owner's
  std::optional<linear<T>> qkv_proj;  ///< (3 width, inputs): the three, one below the other
};

/// Concat(head_1, ..., head_h) W_o with head_i = Attention(x W_q, memory W_k, memory W_v) on the
/// i-th block of columns (Vaswani et al. 2017, section 3.2.2). The scale is 1 / sqrt(head width).
template <real T>
class multi_head_attention : public attention_inputs<T> {
 public:
  using attention_inputs<T>::q_proj;
  using attention_inputs<T>::k_proj;
  using attention_inputs<T>::v_proj;
  using attention_inputs<T>::qkv_proj;

  /// Throws shape_error.
  multi_head_attention(index_t head_count, attention_inputs<T> inputs, linear<T> out)
      : attention_inputs<T>(std::move(inputs)), heads(head_count), out_proj(std::move(out)) {
    if (heads < 1 || width() % heads != 0) {
      throw shape_error(message("attention: ", heads, " heads, out ", out_proj.shape()));
    }
    if (q_proj.has_value() == qkv_proj.has_value() || k_proj.has_value() != v_proj.has_value() ||
        (qkv_proj && k_proj)) {
      throw shape_error("attention: queries, keys and values need a layer each or one for all");
    }
    check_outputs("q", q_proj, width());
    check_outputs("k", k_proj, width());
    check_outputs("v", v_proj, width());
    check_outputs("q | k | v", qkv_proj, 3 * width());
    scale = T{1} / std::sqrt(static_cast<T>(head_width()));
  }

  multi_head_attention(index_t head_count, linear<T> q, linear<T> k, linear<T> v, linear<T> out)
      : multi_head_attention(
            head_count, attention_inputs<T>{std::move(q), std::move(k), std::move(v), std::nullopt},
            std::move(out)) {}

  auto width() const -> index_t { return out_proj.shape().cols; }
  auto head_width() const -> index_t { return width() / heads; }

  /// An empty cache for the keys and values of these heads.
  auto make_cache() const -> kv_cache<T> { return kv_cache<T>(heads, head_width()); }

  /// Elements of workspace that a call with x (rows, inputs) takes at most, if a sentence has no
  /// more queries and keys than these.
  auto worksize(index_t rows, index_t queries, index_t keys) const -> std::size_t {
    auto inner = std::max(out_proj.worksize(rows), scores_worksize(queries, keys));
    for (auto const* layer : {&q_proj, &k_proj, &v_proj, &qkv_proj}) {
      inner = std::max(inner, *layer ? (*layer)->worksize(rows) : 0);
    }
    return workspace<T>::footprint(rows, 3 * width()) + workspace<T>::footprint(rows, width()) +
           inner;  // q | k | v and their context
  }

  /// qkv (rows, 3 width) = queries | keys | values of x (rows, inputs).
  template <blas_backend<T> B = openblas>
  void project(std::type_identity_t<matrix_view<T const>> x, matrix_view<T> qkv,
               workspace<T>& scratch, B const& backend = {}) const {
    if (qkv_proj) {
      (*qkv_proj)(x, qkv, scratch, backend);
      return;
    }
    check_own_memory();
    (*q_proj)(x, qkv.col_range(0, width()), scratch, backend);
    (*k_proj)(x, qkv.col_range(width(), width()), scratch, backend);
    (*v_proj)(x, qkv.col_range(2 * width(), width()), scratch, backend);
  }

  /// All heads of one sentence, each on its own block of columns: q (queries, width), k and v
  /// (keys, width), context (queries, width).
  template <blas_backend<T> B = openblas>
  void attend(std::type_identity_t<matrix_view<T const>> q,
              std::type_identity_t<matrix_view<T const>> k,
              std::type_identity_t<matrix_view<T const>> v, attention_mask mask,
              matrix_view<T> context, workspace<T>& scratch, B const& backend = {}) const {
    attend_each(
        1, q.rows, k.rows,
        [&](index_t, index_t h) {
          return one_head{head(q, h), head(k, h), head(v, h), mask, head(context, h)};
        },
        scratch, backend);
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
    auto const qkv = scratch.take_matrix(x.rows, 3 * width());
    project(x, qkv, scratch, backend);
    auto const context = scratch.take_matrix(x.rows, width());
    auto const head_of = [&](index_t b, index_t h) {
      auto const one = qkv.row_range(b * tokens, tokens);
      return one_head{head(queries(one), h),
                      head(keys(one), h),
                      head(values(one), h),
                      {causal, length_of(key_lengths, b)},
                      head(context.row_range(b * tokens, tokens), h)};
    };
    attend_each(batch, tokens, tokens, head_of, scratch, backend);
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
    check_heads(cache);
    auto const frame = scratch.frame();
    auto const qkv = scratch.take_matrix(x.rows, 3 * width());
    project(x, qkv, scratch, backend);
    cache.append(keys(qkv), values(qkv));
    auto const q = queries(qkv);
    auto const steps = x.rows / cache.rows();
    auto const context = scratch.take_matrix(x.rows, width());
    auto const head_of = [&](index_t r, index_t h) {
      return one_head{head(q.row_range(r * steps, steps), h),
                      cache.keys(r, h),
                      cache.values(r, h),
                      {.causal = true},
                      head(context.row_range(r * steps, steps), h)};
    };
    attend_each(cache.rows(), steps, cache.length(), head_of, scratch, backend);
    out_proj(context, y, scratch, backend);
  }

  /// Keys and values of an encoder output (batch * tokens, width) for later calls of `cross`.
  template <blas_backend<T> B = openblas>
  void remember(std::type_identity_t<matrix_view<T const>> memory, index_t batch,
                kv_cache<T>& cache, workspace<T>& scratch, B const& backend = {}) const {
    check_batch(memory.rows, batch, {});
    check_own_memory();
    check_heads(cache);
    auto const frame = scratch.frame();
    auto const k = scratch.take_matrix(memory.rows, width());
    auto const v = scratch.take_matrix(memory.rows, width());
    (*k_proj)(memory, k, scratch, backend);
    (*v_proj)(memory, v, scratch, backend);
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
    check_heads(memory);
    if (!q_proj) {
      throw shape_error("attention: a joint projection of queries, keys and values has no memory");
    }
    auto const steps = x.rows / rows;
    auto const frame = scratch.frame();
    auto const q = scratch.take_matrix(x.rows, width());
    (*q_proj)(x, q, scratch, backend);
    auto const context = scratch.take_matrix(x.rows, width());
    // The rows of one sentence that begin with row r; none where it is not the first of them.
    auto const head_of = [&](index_t r, index_t h) {
      auto const source = source_of[static_cast<std::size_t>(r)];
      auto last = r;
      if (r == 0 || source_of[static_cast<std::size_t>(r - 1)] != source) {
        while (last < rows && source_of[static_cast<std::size_t>(last)] == source) {
          ++last;
        }
      }
      auto const own = (last - r) * steps;
      return one_head{head(q.row_range(r * steps, own), h),
                      memory.keys(source, h),
                      memory.values(source, h),
                      {false, length_of(key_lengths, source)},
                      head(context.row_range(r * steps, own), h)};
    };
    attend_each(rows, x.rows, memory.length(), head_of, scratch, backend);
    out_proj(context, y, scratch, backend);
  }

  /// The parts of the output (rows, 3 width) of `project`.
  auto queries(matrix_view<T> qkv) const -> matrix_view<T> { return qkv.col_range(0, width()); }
  auto keys(matrix_view<T> qkv) const -> matrix_view<T> { return qkv.col_range(width(), width()); }
  auto values(matrix_view<T> qkv) const -> matrix_view<T> {
    return qkv.col_range(2 * width(), width());
  }

  index_t heads;
  linear<T> out_proj;  ///< (outputs, width)
  T scale = 0;         ///< of the scores; 1 where the queries carry it

 private:
  /// Queries, keys and values of a head (queries or keys, head width) that see each other.
  struct one_head {
    matrix_view<T const> q;
    matrix_view<T const> k;
    matrix_view<T const> v;
    attention_mask mask;
    matrix_view<T> context;
  };

  /// The columns of head h.
  template <class U>
  auto head(matrix_view<U> all, index_t h) const -> matrix_view<U> {
    return all.col_range(h * head_width(), head_width());
  }

  auto scores_worksize(index_t queries, index_t keys) const -> std::size_t {
    return static_cast<std::size_t>(worker_count()) *
           scaled_dot_product_attention_worksize<T>(queries, keys);
  }

  /// All heads of `count` sentences with no more queries and keys than these, on all threads where
  /// it is worth waking them and the backend may be called from each.
  template <class F, class B>
  void attend_each(index_t count, index_t most_queries, index_t most_keys, F&& head_of,
                   workspace<T>& scratch, B const& backend) const {
    auto const attend_head = [&](index_t task, std::span<T> work) {
      one_head const one = head_of(task / heads, task % heads);
      scaled_dot_product_attention_work(one.q, one.k, one.v, scale, one.mask, one.context, work,
                                        backend);
    };
    auto const frame = scratch.frame();
    auto const size = scaled_dot_product_attention_worksize<T>(most_queries, most_keys);
    auto const tasks = count * heads;
    if (std::same_as<B, openblas> &&
        tasks * most_queries * most_keys * head_width() > worth_waking) {
      auto const work = scratch.take(scores_worksize(most_queries, most_keys));
      parallel_for_workers(tasks, [&](index_t task, index_t worker) {
        attend_head(task, work.subspan(static_cast<std::size_t>(worker) * size, size));
      });
      return;
    }
    auto const work = scratch.take(size);
    for (index_t task = 0; task < tasks; ++task) {
      attend_head(task, work);
    }
  }

  void check_heads(kv_cache<T> const& cache) const {
    if (cache.heads() != heads || cache.head_width() != head_width()) {
      throw shape_error(message("attention: ", heads, " heads of ", head_width(), ", a cache of ",
                                cache.heads(), " of ", cache.head_width()));
    }
  }

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

  void check_outputs(char const* name, std::optional<linear<T>> const& layer,
                     index_t outputs) const {
    if (layer && layer->shape().rows != outputs) {
      throw shape_error(message("attention: ", heads, " heads, ", name, ' ', layer->shape(),
                                ", out ", out_proj.shape()));
    }
  }

  void check_own_memory() const {
    if (!k_proj || !v_proj) {
      throw shape_error("attention: its keys and values are left to its owner");
    }
  }
};

}  // namespace v0
}  // namespace eckart
