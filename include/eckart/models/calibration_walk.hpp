#pragma once

#include "eckart/core/parallel.hpp"
#include "eckart/models/bart/bart.hpp"
#include "eckart/models/calibration_tokens.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
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

}  // namespace detail

/// What a walk tells at each group of linear layers with a common input, in the order of the
/// computation: `add(site, outputs, inputs)` for all tokens in pieces, then `finish(site)`. The
/// site is the name of the layer, or of the joint layer that could stand for the group.
template <class H, class T>
concept walk_handler = requires(H& handler, std::string const& site, matrix_view<T const> rows) {
  handler.add(site, rows, rows);
  handler.finish(site);
};

/// Takes all calibration tokens through a model layer by layer, and through a second model beside
/// it that the handler may change as it goes: at each site the outputs are those of the first
/// model, and the inputs those that the second one has there with all that is behind in place.
/// Where a layer's output is added to a residual, the outputs hold what brings the second model's
/// sum back to that of the first. Without a second model inputs and outputs are of one model.
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

  /// context (rows, width) of self-attention on x, sentence by sentence; sees(q | k | v).
  template <class Sees>
  void self_context(multi_head_attention<T> const& attention, packed_sequences const& sequences,
                    detail::sequence_range const& c, const_rows x, bool causal, rows context,
                    Sees sees) {
    auto qkv = make_matrix<T>({c.rows, 3 * attention.width()});
    auto const all = as_view(qkv);
    attention.project(x, all, scratch_);
    sees(const_rows(all));
    parallel_for(c.last - c.first, [&](index_t i) {
      auto const from = sequences.start(c.first + i) - c.row;
      auto const one = all.row_range(from, sequences.length(c.first + i));
      workspace<T> own;
      attention.attend(attention.queries(one), attention.keys(one), attention.values(one), {causal},
                       context.row_range(from, one.rows), own);
    });
  }

  static void subtract(const_rows a, rows from) {
    for (index_t i = 0; i < a.rows; ++i) {
      std::ranges::transform(from.row(i), a.row(i), from.row(i).begin(), std::minus<>{});
    }
  }
  static void add_to(const_rows a, rows sum) {
    for (index_t i = 0; i < a.rows; ++i) {
      std::ranges::transform(sum.row(i), a.row(i), sum.row(i).begin(), std::plus<>{});
    }
  }

  /// next = x + layer(inputs), for the original; then tells the site `next` minus the residual of
  /// the changing model, with that model's inputs.
  void tell_sum(std::string const& site, const_rows sum, const_rows residual, const_rows inputs) {
    auto outputs = to_matrix(sum);
    subtract(residual, as_view(outputs));
    handler_.add(site, const_rows(as_view(outputs)), inputs);
  }

  /// Self-attention with its two sites. On return own.x is normalized, and so is other.x.
  template <class Layer, class Changing>
  void self_attention(std::string const& name, packed_sequences const& sequences,
                      std::vector<detail::sequence_range> const& chunks, bool causal,
                      Layer const& layer, Changing const* changing, states& own, states& other) {
    auto const& attention = layer.self_attn;
    auto const qkv_site = name + ".self_attn.qkv_proj";
    for (auto const& c : chunks) {
      self_context(attention, sequences, c, part(own.x, c), causal, part(own.next, c),
                   [&](const_rows qkv) {
                     handler_.add(qkv_site, qkv, part(changing ? other.x : own.x, c));
                   });
    }
    handler_.finish(qkv_site);
    for (auto const& c : chunks) {
      if (changing) {
        self_context(changing->self_attn, sequences, c, part(other.x, c), causal,
                     part(other.next, c), [](const_rows) {});
      }
    }
    after_attention(name + ".self_attn.out_proj", chunks, attention.out_proj,
                    layer.self_attn_layer_norm, changing ? &changing->self_attn.out_proj : nullptr,
                    changing ? &changing->self_attn_layer_norm : nullptr, own, other);
  }

  /// From the contexts in `next` to the normalized sums in `x`.
  void after_attention(std::string const& site, std::vector<detail::sequence_range> const& chunks,
                       linear<T> const& out, layer_norm<T> const& norm, linear<T> const* changing,
                       layer_norm<T> const* changing_norm, states& own, states& other) {
    for (auto const& c : chunks) {
      auto update = make_matrix<T>({c.rows, original_.config().d_model});
      out(part(own.next, c), as_view(update), scratch_);
      if (changing) {
        add_to(part(own.x, c), as_view(update));
        tell_sum(site, as_view(update), part(other.x, c), part(other.next, c));
        copy(as_view(update), part(own.x, c));
        norm(part(own.x, c));
      } else {
        handler_.add(site, const_rows(as_view(update)), const_rows(part(own.next, c)));
        norm.add_and_normalize(as_view(update), part(own.x, c));
      }
    }
    handler_.finish(site);
    if (changing) {
      for (auto const& c : chunks) {
        auto update = make_matrix<T>({c.rows, original_.config().d_model});
        (*changing)(part(other.next, c), as_view(update), scratch_);
        changing_norm->add_and_normalize(as_view(update), part(other.x, c));
      }
    }
  }

  void activate_rows(activation f, rows x) {
    constexpr index_t at_once = 64;
    parallel_for((x.rows + at_once - 1) / at_once, [&](index_t i) {
      activate(f, x.row_range(i * at_once, std::min(at_once, x.rows - i * at_once)));
    });
  }

  /// h (rows, hidden) = f(fc1(x)).
  auto hidden(feed_forward<T> const& ffn, const_rows x) -> matrix<T> {
    auto h = make_matrix<T>({x.rows, ffn.fc1.shape().rows});
    ffn.fc1(x, as_view(h), scratch_);
    activate_rows(ffn.f, as_view(h));
    return h;
  }

  template <class Layer, class Changing>
  void feed_forward_part(std::string const& name, std::vector<detail::sequence_range> const& chunks,
                         Layer const& layer, Changing const* changing, states& own, states& other) {
    auto const& ffn = layer.ffn;
    for (auto const& c : chunks) {
      auto h = make_matrix<T>({c.rows, ffn.fc1.shape().rows});
      ffn.fc1(part(own.x, c), as_view(h), scratch_);
      handler_.add(name + ".fc1", const_rows(as_view(h)),
                   const_rows(part(changing ? other.x : own.x, c)));
      activate_rows(ffn.f, as_view(h));
      auto const update = part(own.next, c);
      ffn.fc2(as_view(h), update, scratch_);
      if (changing) {
        add_to(part(own.x, c), update);
        copy(update, part(own.x, c));
        layer.final_layer_norm(part(own.x, c));
      } else {
        handler_.add(name + ".fc2", const_rows(update), const_rows(as_view(h)));
        layer.final_layer_norm.add_and_normalize(update, part(own.x, c));
      }
    }
    handler_.finish(name + ".fc1");
    std::vector<matrix<T>> hidden_units;  // of the changing model, a matrix for each chunk
    if (changing) {
      for (auto const& c : chunks) {
        auto const& h = hidden_units.emplace_back(hidden(changing->ffn, part(other.x, c)));
        tell_sum(name + ".fc2", part(own.next, c), part(other.x, c), as_view(h));
      }
    }
    handler_.finish(name + ".fc2");
    if (changing) {
      for (std::size_t i = 0; i < chunks.size(); ++i) {
        auto const& c = chunks[i];
        auto const& h = hidden_units[i];
        auto update = make_matrix<T>({c.rows, original_.config().d_model});
        changing->ffn.fc2(as_view(h), as_view(update), scratch_);
        changing->final_layer_norm.add_and_normalize(as_view(update), part(other.x, c));
      }
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

  /// k | v (rows, 2 width) of an encoder output for one decoder layer.
  static void memory_of(bart<T> const& model, std::size_t layer, const_rows x, rows kv,
                        workspace<T>& scratch) {
    auto const& attention = model.decoder().layers[layer].encoder_attn;
    auto const width = attention.width();
    if (auto const& joint = model.decoder().cross_kv_proj) {
      auto const frame = scratch.frame();
      auto const all = scratch.take_matrix(x.rows, joint->shape().rows);
      (*joint)(x, all, scratch);
      copy(all.col_range(2 * static_cast<index_t>(layer) * width, 2 * width), kv);
      return;
    }
    (*attention.k_proj)(x, kv.col_range(0, width), scratch);
    (*attention.v_proj)(x, kv.col_range(width, width), scratch);
  }

  /// The site of all keys and values of the memory.
  void memory_site(matrix<T>& memory, matrix<T>& changing_memory) {
    auto const& layers = original_.decoder().layers;
    auto const site = std::string(cross_kv_name);
    for (auto const& c : detail::chunks_of(data_.sources)) {
      auto const width = original_.config().d_model;
      auto kv = make_matrix<T>({c.rows, 2 * width * static_cast<index_t>(layers.size())});
      for (std::size_t i = 0; i < layers.size(); ++i) {
        memory_of(original_, i, part(memory, c),
                  as_view(kv).col_range(2 * width * static_cast<index_t>(i), 2 * width), scratch_);
      }
      handler_.add(site, const_rows(as_view(kv)), const_rows(part(changing_memory, c)));
    }
    handler_.finish(site);
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
      memory_site(memory, changing_memory);
    }
    for (std::size_t i = 0; i < original_.decoder().layers.size(); ++i) {
      decoder_layer(i, own, other, memory, changing_memory);
    }
    finish_decoder(own, other);
  }

  void decoder_layer(std::size_t i, states& own, states& other, matrix<T>& memory,
                     matrix<T>& changing_memory) {
    auto const name = layer_name("decoder", static_cast<index_t>(i));
    auto const chunks = detail::chunks_of(data_.targets);
    auto const& layer = original_.decoder().layers[i];
    auto const* changing = changing_ ? &changing_->decoder().layers[i] : nullptr;
    self_attention(name, data_.targets, chunks, true, layer, changing, own, other);
    auto const site = name + ".encoder_attn.q_proj";
    for (auto const& c : chunks) {
      cross_context(original_, i, c, part(own.x, c), memory, part(own.next, c), [&](const_rows q) {
        handler_.add(site, q, const_rows(part(changing ? other.x : own.x, c)));
      });
    }
    handler_.finish(site);
    for (auto const& c : chunks) {
      if (changing) {
        cross_context(*changing_, i, c, part(other.x, c), changing_memory, part(other.next, c),
                      [](const_rows) {});
      }
    }
    after_attention(name + ".encoder_attn.out_proj", chunks, layer.encoder_attn.out_proj,
                    layer.encoder_attn_layer_norm,
                    changing ? &changing->encoder_attn.out_proj : nullptr,
                    changing ? &changing->encoder_attn_layer_norm : nullptr, own, other);
    feed_forward_part(name, chunks, layer, changing, own, other);
  }

  /// context (rows, width) of cross-attention for queries on x. Keys and values are made anew for
  /// each layer: those of all layers at once would be most of the memory.
  template <class Sees>
  void cross_context(bart<T> const& model, std::size_t layer, detail::sequence_range const& c,
                     const_rows x, matrix<T>& memory, rows context, Sees sees) {
    auto const& attention = model.decoder().layers[layer].encoder_attn;
    auto const width = attention.width();
    auto q = make_matrix<T>({c.rows, width});
    (*attention.q_proj)(x, as_view(q), scratch_);
    sees(const_rows(as_view(q)));
    parallel_for(c.last - c.first, [&](index_t i) {
      auto const from = data_.targets.start(c.first + i) - c.row;
      auto const steps = data_.targets.length(c.first + i);
      auto const source = as_view(memory).row_range(data_.sources.start(c.first + i),
                                                    data_.sources.length(c.first + i));
      workspace<T> own;
      auto kv = make_matrix<T>({source.rows, 2 * width});
      memory_of(model, layer, source, as_view(kv), own);
      attention.attend(as_view(q).row_range(from, steps), as_view(kv).col_range(0, width),
                       as_view(kv).col_range(width, width), {}, context.row_range(from, steps),
                       own);
    });
  }

  /// The inputs of the output table.
  void finish_decoder(states& own, states& other) {
    std::string const site = "lm_head";
    for (auto const& c : detail::chunks_of(data_.targets)) {
      handler_.add(site, const_rows(part(own.x, c)),
                   const_rows(part(changing_ ? other.x : own.x, c)));
    }
    handler_.finish(site);
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
