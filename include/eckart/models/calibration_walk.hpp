#pragma once

#include "eckart/core/parallel.hpp"
#include "eckart/models/bart/bart.hpp"
#include "eckart/models/calibration_tokens.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace eckart {
inline namespace v0 {

namespace detail {

/// The hidden states of all sequences in one model, and a second set for what is between the parts
/// of a layer.
template <real T>
struct walk_states {
  matrix<T> x;     // (tokens, d_model)
  matrix<T> next;  // (tokens, d_model)

  walk_states(index_t tokens, index_t width)
      : x(make_matrix<T>({tokens, width})), next(make_matrix<T>({tokens, width})) {}
};

/// The layer that answers `count` of the outputs from the first on.
template <real T>
auto some_outputs(linear<T> const& layer, index_t first, index_t count) -> linear<T> {
  auto weight = std::visit(
      [&](auto const& w) -> typename linear<T>::weight {
        using given = std::remove_cvref_t<decltype(w)>;
        if constexpr (std::same_as<given, matrix<T>>) {
          return to_matrix(as_view(w).row_range(first, count));
        } else if constexpr (std::same_as<given, int8_rows<T>>) {
          return row_range(w, first, count);
        } else {
          auto const factors = to_two_factor(w);
          return low_rank<T, two_factor>(to_matrix(factors.left().row_range(first, count)),
                                         to_matrix(factors.right()));
        }
      },
      layer.stored_weight());
  std::optional<vector<T>> bias;
  if (layer.has_bias()) {
    bias = make_vector<T>(count);
    std::copy_n(layer.bias()->begin() + first, count, bias->begin());
  }
  return linear<T>(std::move(weight), std::move(bias));
}

}  // namespace detail

/// What a walk tells at each group of linear layers with a common input, in the order of the
/// computation, for all tokens in pieces, and then `finish(site)`. The site is the name of the
/// layer, or of the joint layer that could stand for the group.
/// - `inputs(site, own, changing)`: what the group reads in the first model and in the second; its
///   outputs should be what the first model's layers answer to `own`.
/// - `sums(site, outputs, changing)`: the output joins a residual, and these outputs would bring
///   the second model's sum back to that of the first.
template <class H, class T>
concept walk_handler = requires(H& handler, std::string const& site, matrix_view<T const> rows) {
  handler.inputs(site, rows, rows);
  handler.sums(site, rows, rows);
  handler.finish(site);
};

/// Takes all calibration tokens through a model layer by layer, and through a second model beside
/// it that the handler may change as it goes: what the second model reads at a site is told with
/// all that is behind in place. Without a second model both inputs are the first model's.
/// Memory for each token: two rows of d_model numbers in each model, and the hidden units of one
/// layer of the second model.
template <real T, walk_handler<T> Handler>
class calibration_walk {
 public:
  calibration_walk(bart<T> const& original, bart<T> const* changing, calibration_tokens const& data,
                   Handler& handler)
      : original_(original), changing_(changing), data_(data), handler_(handler) {}

  void run() {
    auto const width = original_.config().d_model;
    auto own = detail::walk_states<T>(data_.sources.tokens(), width);
    auto other = detail::walk_states<T>(changing_ ? data_.sources.tokens() : 0, width);
    embed(data_.sources, original_.encoder(), own.x);
    if (changing_) {
      other.x = own.x;
    }
    for (std::size_t i = 0; i < original_.encoder().layers.size(); ++i) {
      encoder_layer(i, own, other);
    }
    decoder(own.x, changing_ ? other.x : own.x);
  }

 private:
  using states = detail::walk_states<T>;
  using rows = matrix_view<T>;
  using const_rows = matrix_view<T const>;

  template <class Side>
  void embed(packed_sequences const& sequences, Side const& side, matrix<T>& x) {
    for (index_t i = 0; i < sequences.count(); ++i) {
      side.embed(sequences.ids(i), 0,
                 as_view(x).row_range(sequences.start(i), sequences.length(i)));
    }
    side.layernorm_embedding(as_view(x));
  }

  static auto part(matrix<T>& m, detail::sequence_range const& c) -> rows {
    return as_view(m).row_range(c.row, c.rows);
  }

  /// context (rows, width) of self-attention on x, sentence by sentence.
  void self_context(multi_head_attention<T> const& attention, packed_sequences const& sequences,
                    detail::sequence_range const& c, const_rows x, bool causal, rows context) {
    auto const frame = scratch_.frame();
    auto const qkv = scratch_.take_matrix(c.rows, 3 * attention.width());
    attention.project(x, qkv, scratch_);
    parallel_for(c.last - c.first, [&](index_t i) {
      auto const from = sequences.start(c.first + i) - c.row;
      auto const one = qkv.row_range(from, sequences.length(c.first + i));
      workspace<T> own;
      attention.attend(attention.queries(one), attention.keys(one), attention.values(one), {causal},
                       context.row_range(from, one.rows), own);
    });
  }

  /// Tells what the layers of a site read. Before anything behind them is computed.
  void tell_inputs(std::string const& site, std::vector<detail::sequence_range> const& chunks,
                   matrix<T>& own, matrix<T>& changing) {
    for (auto const& c : chunks) {
      handler_.inputs(site, const_rows(part(own, c)),
                      const_rows(part(changing_ ? changing : own, c)));
    }
    handler_.finish(site);
  }

  /// Self-attention with its two sites. On return own.x is normalized, and so is other.x.
  template <class Layer, class Changing>
  void self_attention(std::string const& name, packed_sequences const& sequences,
                      std::vector<detail::sequence_range> const& chunks, bool causal,
                      Layer const& layer, Changing const* changing, states& own, states& other) {
    tell_inputs(name + ".self_attn.qkv_proj", chunks, own.x, other.x);
    for (auto const& c : chunks) {
      self_context(layer.self_attn, sequences, c, part(own.x, c), causal, part(own.next, c));
      if (changing) {
        self_context(changing->self_attn, sequences, c, part(other.x, c), causal,
                     part(other.next, c));
      }
    }
    after_attention(name + ".self_attn.out_proj", chunks, layer.self_attn.out_proj,
                    layer.self_attn_layer_norm, changing ? &changing->self_attn.out_proj : nullptr,
                    changing ? &changing->self_attn_layer_norm : nullptr, own, other);
  }

  /// x <- norm(x + update), both of the original; before, the site is told what would bring the
  /// changing model's residual `other` to the same sum, with that model's inputs.
  void join(std::string const& site, rows update, layer_norm<T> const& norm, rows x,
            const_rows other, const_rows inputs) {
    parallel_rows(x.rows, x.cols, [&](index_t first, index_t last) {
      for (index_t i = first; i < last; ++i) {
        std::ranges::transform(x.row(i), update.row(i), x.row(i).begin(), std::plus<>{});
        std::ranges::transform(x.row(i), other.row(i), update.row(i).begin(), std::minus<>{});
      }
    });
    handler_.sums(site, const_rows(update), inputs);
    norm(x);
  }

  /// From the contexts in `next` to the normalized sums in `x`.
  void after_attention(std::string const& site, std::vector<detail::sequence_range> const& chunks,
                       linear<T> const& out, layer_norm<T> const& norm, linear<T> const* changing,
                       layer_norm<T> const* changing_norm, states& own, states& other) {
    auto const width = original_.config().d_model;
    for (auto const& c : chunks) {
      auto const frame = scratch_.frame();
      auto const update = scratch_.take_matrix(c.rows, width);
      auto const context = const_rows(part(own.next, c));
      out(context, update, scratch_);
      if (changing) {
        join(site, update, norm, part(own.x, c), part(other.x, c), part(other.next, c));
      } else {
        handler_.inputs(site, context, context);
        norm.add_and_normalize(update, part(own.x, c));
      }
    }
    handler_.finish(site);
    for (auto const& c : chunks) {
      if (changing) {
        auto const frame = scratch_.frame();
        auto const update = scratch_.take_matrix(c.rows, width);
        (*changing)(part(other.next, c), update, scratch_);
        changing_norm->add_and_normalize(update, part(other.x, c));
      }
    }
  }

  void activate_rows(activation f, rows x) {
    parallel_rows(x.rows, x.cols, [&](index_t first, index_t last) {
      activate(f, x.row_range(first, last - first));
    });
  }

  /// h (rows, hidden) = f(fc1(x)).
  void hidden(feed_forward<T> const& ffn, const_rows x, rows h) {
    ffn.fc1(x, h, scratch_);
    activate_rows(ffn.f, h);
  }

  template <class Layer, class Changing>
  void feed_forward_part(std::string const& name, std::vector<detail::sequence_range> const& chunks,
                         Layer const& layer, Changing const* changing, states& own, states& other) {
    auto const site = name + ".fc2";
    auto const units = layer.ffn.fc1.shape().rows;
    tell_inputs(name + ".fc1", chunks, own.x, other.x);
    std::vector<matrix<T>> hidden_units;  // of the changing model, a matrix for each chunk
    for (auto const& c : chunks) {
      auto const frame = scratch_.frame();
      auto const h = scratch_.take_matrix(c.rows, units);
      auto const update = part(own.next, c);
      hidden(layer.ffn, part(own.x, c), h);
      layer.ffn.fc2(h, update, scratch_);
      if (changing) {
        auto& changed = hidden_units.emplace_back(make_matrix<T>({c.rows, units}));
        hidden(changing->ffn, part(other.x, c), as_view(changed));
        join(site, update, layer.final_layer_norm, part(own.x, c), part(other.x, c),
             as_view(changed));
      } else {
        handler_.inputs(site, const_rows(h), const_rows(h));
        layer.final_layer_norm.add_and_normalize(update, part(own.x, c));
      }
    }
    handler_.finish(site);
    for (std::size_t i = 0; i < hidden_units.size(); ++i) {
      auto const& c = chunks[i];
      auto const frame = scratch_.frame();
      auto const update = scratch_.take_matrix(c.rows, original_.config().d_model);
      changing->ffn.fc2(as_view(hidden_units[i]), update, scratch_);
      changing->final_layer_norm.add_and_normalize(update, part(other.x, c));
    }
  }

  void encoder_layer(std::size_t i, states& own, states& other) {
    auto const name = layer_name("encoder", static_cast<index_t>(i));
    auto const chunks = detail::chunks_of(data_.sources);
    auto const& layer = original_.encoder().layers[i];
    auto const* changing = changing_ ? &changing_->encoder().layers[i] : nullptr;
    self_attention(name, data_.sources, chunks, false, layer, changing, own, other);
    feed_forward_part(name, chunks, layer, changing, own, other);
  }

  /// What makes the keys and values of one decoder layer from the encoder's output.
  struct memory_layer {
    std::vector<linear<T>> parts;  ///< k_proj and v_proj, or those rows of the joint layer

    void operator()(const_rows x, rows kv, workspace<T>& scratch) const {
      index_t first = 0;
      for (auto const& one : parts) {
        one(x, kv.col_range(first, one.shape().rows), scratch);
        first += one.shape().rows;
      }
    }
  };

  static auto memory_layer_of(bart<T> const& model, std::size_t layer) -> memory_layer {
    auto const& attention = model.decoder().layers[layer].encoder_attn;
    if (auto const& joint = model.decoder().cross_kv_proj) {
      auto const outputs = 2 * attention.width();
      return {{detail::some_outputs(*joint, static_cast<index_t>(layer) * outputs, outputs)}};
    }
    return {{*attention.k_proj, *attention.v_proj}};
  }

  void decoder(matrix<T>& memory, matrix<T>& changing_memory) {
    auto const tokens = data_.targets.tokens();
    auto own = states(tokens, original_.config().d_model);
    auto other = states(changing_ ? tokens : 0, original_.config().d_model);
    embed(data_.targets, original_.decoder(), own.x);
    if (changing_) {
      other.x = own.x;
    }
    if (!original_.decoder().layers.empty()) {
      tell_inputs(std::string(cross_kv_name), detail::chunks_of(data_.sources), memory,
                  changing_memory);
    }
    for (std::size_t i = 0; i < original_.decoder().layers.size(); ++i) {
      decoder_layer(i, own, other, memory, changing_memory);
    }
    tell_inputs(std::string(lm_head_name), detail::chunks_of(data_.targets), own.x, other.x);
  }

  void decoder_layer(std::size_t i, states& own, states& other, matrix<T>& memory,
                     matrix<T>& changing_memory) {
    auto const name = layer_name("decoder", static_cast<index_t>(i));
    auto const chunks = detail::chunks_of(data_.targets);
    auto const& layer = original_.decoder().layers[i];
    auto const* changing = changing_ ? &changing_->decoder().layers[i] : nullptr;
    self_attention(name, data_.targets, chunks, true, layer, changing, own, other);
    tell_inputs(name + ".encoder_attn.q_proj", chunks, own.x, other.x);
    cross_contexts(layer.encoder_attn, memory_layer_of(original_, i), chunks, memory, own);
    if (changing) {
      cross_contexts(changing->encoder_attn, memory_layer_of(*changing_, i), chunks,
                     changing_memory, other);
    }
    after_attention(name + ".encoder_attn.out_proj", chunks, layer.encoder_attn.out_proj,
                    layer.encoder_attn_layer_norm,
                    changing ? &changing->encoder_attn.out_proj : nullptr,
                    changing ? &changing->encoder_attn_layer_norm : nullptr, own, other);
    feed_forward_part(name, chunks, layer, changing, own, other);
  }

  /// Contexts of cross-attention, from queries on x, in `next`. Keys and values are made anew for
  /// each layer: those of all layers at once would be most of the memory.
  void cross_contexts(multi_head_attention<T> const& attention, memory_layer const& keys_and_values,
                      std::vector<detail::sequence_range> const& chunks, matrix<T>& memory,
                      states& side) {
    auto const width = attention.width();
    for (auto const& c : chunks) {
      auto const frame = scratch_.frame();
      auto const q = scratch_.take_matrix(c.rows, width);
      auto const context = part(side.next, c);
      (*attention.q_proj)(part(side.x, c), q, scratch_);
      parallel_for(c.last - c.first, [&](index_t i) {
        auto const from = data_.targets.start(c.first + i) - c.row;
        auto const steps = data_.targets.length(c.first + i);
        auto const source = as_view(memory).row_range(data_.sources.start(c.first + i),
                                                      data_.sources.length(c.first + i));
        workspace<T> own;
        auto const own_frame = own.frame();
        auto const kv = own.take_matrix(source.rows, 2 * width);
        keys_and_values(source, kv, own);
        attention.attend(q.row_range(from, steps), kv.col_range(0, width),
                         kv.col_range(width, width), {}, context.row_range(from, steps), own);
      });
    }
  }

  bart<T> const& original_;
  bart<T> const* changing_;
  calibration_tokens const& data_;
  Handler& handler_;
  workspace<T> scratch_;
};

/// Walks with a handler. Throws shape_error.
template <real T, walk_handler<T> Handler>
void walk(bart<T> const& original, calibration_tokens const& data, Handler& handler) {
  calibration_walk<T, Handler>(original, nullptr, data, handler).run();
}
template <real T, walk_handler<T> Handler>
void walk(bart<T> const& original, bart<T> const& changing, calibration_tokens const& data,
          Handler& handler) {
  calibration_walk<T, Handler>(original, &changing, data, handler).run();
}

}  // namespace v0
}  // namespace eckart
