#pragma once

#include "eckart/models/bart/decoder.hpp"
#include "eckart/models/bart/encoder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace eckart {
inline namespace v0 {

/// BART for conditional generation: encoder, decoder, and logits = h E^T + bias with the word
/// embedding E, or with a layer in its place.
template <real T>
class bart {
 public:
  /// From a checkpoint: a bart_weights, or whatever answers the same questions.
  template <class Weights>
  bart(Weights const& weights, bart_config const& c)
      : bart(weights, c, weights.template read_tables<T>()) {}

  /// Reads config.json and the safetensors of a directory in the Hugging Face layout, published or
  /// compressed (docs/format.md). Throws io_error, format_error. Defined in models/bart/load.hpp.
  static auto load(std::filesystem::path const& directory) -> bart;

  auto config() const -> bart_config const& { return config_; }
  auto encoder() const -> bart_encoder<T> const& { return encoder_; }
  auto decoder() const -> bart_decoder<T> const& { return decoder_; }
  /// (vocabulary, d_model), usually the memory of the word embeddings. Empty where lm_head() stands
  /// in its place.
  auto output_table() const -> matrix_view<T const> {
    return output_ ? as_view(*output_) : matrix_view<T const>();
  }
  /// The layer (vocabulary, d_model) that answers in place of the output table, if there is one:
  /// replace("lm_head", layer) puts it in. Its bias is added to final_logits_bias().
  auto lm_head() const -> std::optional<linear<T>> const& { return lm_head_; }
  auto final_logits_bias() const -> std::span<T const> { return as_span(final_logits_bias_); }
  /// Makes a token likelier or less likely everywhere. Throws shape_error for one that is not of
  /// the vocabulary.
  void add_to_logits_bias(token_id token, T amount) {
    if (token < 0 || token >= config_.vocab_size) {
      throw shape_error(message("add_to_logits_bias: token ", token,
                                " is outside the vocabulary of ", config_.vocab_size));
    }
    final_logits_bias_(static_cast<std::size_t>(token)) += amount;
  }

  /// Elements of workspace that logits() takes for this many rows.
  auto logits_worksize(index_t rows) const -> std::size_t {
    return lm_head_ ? lm_head_->worksize(rows) : 0;
  }

  /// logits (rows, vocabulary) = states (rows, d_model) E^T + bias. 2 d_model vocabulary FLOPs a
  /// row, or those of lm_head(). Throws shape_error.
  template <blas_backend<T> B = openblas>
  void logits(std::type_identity_t<matrix_view<T const>> states, matrix_view<T> result,
              workspace<T>& scratch, B const& backend = {}) const {
    if (result.shape() != shape2{states.rows, config_.vocab_size}) {
      throw shape_error(message("logits: ", states.shape(), " states into ", result.shape()));
    }
    if (lm_head_) {
      (*lm_head_)(states, result, scratch, backend);
      for (index_t i = 0; i < result.rows; ++i) {
        std::ranges::transform(result.row(i), final_logits_bias_, result.row(i).begin(),
                               std::plus<>{});
      }
      return;
    }
    for (index_t i = 0; i < result.rows; ++i) {
      std::ranges::copy(final_logits_bias_, result.row(i).begin());
    }
    backend.gemm(op::none, op::transpose, T{1}, states, output_table(), T{1}, result);
  }

  /// Calls f(name, linear) for every linear layer with its published name, in the order of the
  /// modules; the layers may be replaced. The output table is not one of them, lm_head() is, last.
  template <class F>
  void visit_linears(F&& f) {
    visit(*this, f);
  }
  template <class F>
  void visit_linears(F&& f) const {
    visit(*this, f);
  }

  /// Calls f(name, attention) for every attention with its published name, in the order of the
  /// modules.
  template <class F>
  void visit_attentions(F&& f) {
    visit_each_attention(*this, f);
  }
  template <class F>
  void visit_attentions(F&& f) const {
    visit_each_attention(*this, f);
  }

  /// Puts a layer in the place of the one with this published name, or a joint layer in the place
  /// of those it stands for: `...self_attn.qkv_proj`, `model.decoder.cross_kv_proj`; or `lm_head`
  /// in the place of the output table, which this model then holds no longer. Throws shape_error
  /// for an unknown name or another shape; the model is then as before.
  void replace(std::string_view name, linear<T> layer) {
    bool found = false;
    auto const put = [&](std::string const& place, auto& old, shape2 shape) {
      if (place == name) {
        if (layer.shape() != shape) {
          throw shape_error(message(place, ": a ", layer.shape(), " layer in place of ", shape));
        }
        old = std::move(layer);
        found = true;
      }
      return place == name;
    };
    visit_attentions([&](std::string const& place, multi_head_attention<T>& a) {
      if (place.ends_with(".self_attn") &&
          put(place + ".qkv_proj", a.qkv_proj, {3 * a.width(), config_.d_model})) {
        a.q_proj = a.k_proj = a.v_proj = std::nullopt;
      }
    });
    if (put(std::string(cross_kv_name), decoder_.cross_kv_proj, cross_kv_shape())) {
      for (auto& one : decoder_.layers) {
        one.encoder_attn.k_proj = one.encoder_attn.v_proj = std::nullopt;
      }
    }
    if (put(std::string(lm_head_name), lm_head_, {config_.vocab_size, config_.d_model})) {
      output_.reset();
    }
    visit_linears([&](std::string const& place, linear<T>& old) {
      if (!found) {
        put(place, old, old.shape());
      }
    });
    if (!found) {
      throw shape_error(message("bart: no linear layer is named '", name, "'"));
    }
  }

  /// Numbers stored: factors count as factors, a table that is shared counts once. The output
  /// bias, which is no trained parameter, is left out.
  auto parameters() const -> std::uint64_t {
    auto total = bart_parameters(config_);
    auto const table = static_cast<std::uint64_t>(config_.vocab_size * config_.d_model);
    total += table * tables();
    total -= table * (config_.tie_word_embeddings ? 1 : 2);
    visit_linears([&total](std::string const& name, linear<T> const& layer) {
      auto const s = layer.shape();
      total += layer.parameters();
      total -= name == lm_head_name ? 0 : static_cast<std::uint64_t>(s.rows * s.cols + s.rows);
    });
    return total;
  }
  /// Of these numbers, as they are stored.
  auto bytes() const -> std::uint64_t {
    auto total = parameters() * sizeof(T);
    visit_linears([&total](std::string const&, linear<T> const& layer) {
      total += layer.bytes();
      total -= layer.parameters() * sizeof(T);
    });
    return total;
  }

 private:
  template <class Weights>
  bart(Weights const& weights, bart_config const& c, typename Weights::template tables<T> tables)
      : config_(c),
        encoder_(weights, c, std::move(tables.encoder)),
        decoder_(weights, c, std::move(tables.decoder)),
        output_(std::move(tables.output)),
        lm_head_(weights.template read_linear_if<T>(std::string(lm_head_name))),
        final_logits_bias_(weights.template read_final_logits_bias<T>()) {
    config_.compression.reset();  // from here on the layers themselves say what they are
  }

  // Word embeddings in memory: one if all uses share it.
  auto tables() const -> std::uint64_t {
    auto const* const encoder = encoder_.embed.tokens().get();
    auto const* const decoder = decoder_.embed.tokens().get();
    auto const* const output = output_.get();
    bool const is_own = output != nullptr && output != encoder && output != decoder;
    return 1U + (decoder != encoder ? 1U : 0U) + (is_own ? 1U : 0U);
  }

  auto cross_kv_shape() const -> shape2 {
    index_t outputs = 0;
    for (auto const& layer : decoder_.layers) {
      outputs += 2 * layer.encoder_attn.width();
    }
    return {outputs, config_.d_model};
  }

  template <class Self, class F>
  static void visit_each_attention(Self& self, F& f) {
    index_t i = 0;
    for (auto& layer : self.encoder_.layers) {
      f(layer_name("encoder", i++) + ".self_attn", layer.self_attn);
    }
    i = 0;
    for (auto& layer : self.decoder_.layers) {
      auto const name = layer_name("decoder", i++);
      f(name + ".self_attn", layer.self_attn);
      f(name + ".encoder_attn", layer.encoder_attn);
    }
  }

  template <class Layer, class F>
  static void visit_if(std::string const& name, Layer& layer, F& f) {
    if (layer) {
      f(name, *layer);
    }
  }

  template <class Attention, class F>
  static void visit_attention(Attention& a, std::string const& name, F& f) {
    visit_if(name + ".k_proj", a.k_proj, f);
    visit_if(name + ".v_proj", a.v_proj, f);
    visit_if(name + ".q_proj", a.q_proj, f);
    visit_if(name + ".qkv_proj", a.qkv_proj, f);
    f(name + ".out_proj", a.out_proj);
  }

  template <class Self, class F>
  static void visit(Self& self, F& f) {
    index_t i = 0;
    for (auto& layer : self.encoder_.layers) {
      auto const name = layer_name("encoder", i++);
      visit_attention(layer.self_attn, name + ".self_attn", f);
      f(name + ".fc1", layer.ffn.fc1);
      f(name + ".fc2", layer.ffn.fc2);
    }
    visit_if(std::string(cross_kv_name), self.decoder_.cross_kv_proj, f);
    i = 0;
    for (auto& layer : self.decoder_.layers) {
      auto const name = layer_name("decoder", i++);
      visit_attention(layer.self_attn, name + ".self_attn", f);
      visit_attention(layer.encoder_attn, name + ".encoder_attn", f);
      f(name + ".fc1", layer.ffn.fc1);
      f(name + ".fc2", layer.ffn.fc2);
    }
    visit_if(std::string(lm_head_name), self.lm_head_, f);
  }

  bart_config config_;
  bart_encoder<T> encoder_;
  bart_decoder<T> decoder_;
  shared_matrix<T> output_;  // (vocabulary, d_model), usually the encoder's table; none if lm_head_
  std::optional<linear<T>> lm_head_;  // (vocabulary, d_model) in place of output_
  vector<T> final_logits_bias_;       // (vocabulary)
};

}  // namespace v0
}  // namespace eckart
