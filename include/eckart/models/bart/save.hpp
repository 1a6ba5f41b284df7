#pragma once

#include "eckart/models/bart/bart.hpp"
#include "eckart/models/bart/checkpoint_directory.hpp"
#include "eckart/models/bart/config_json.hpp"
#include "eckart/models/bart/dense_tensors.hpp"
#include "eckart/models/low_rank_file.hpp"

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

/// Writing models: save_bart as they are (docs/format.md), export_dense as plain checkpoints.
namespace eckart {
inline namespace v0 {

/// What the layers and attentions of a model are, the method left empty. Throws shape_error where
/// the scale is folded into the queries of some attentions and not of others, or is another.
template <real T>
auto compression_of(bart<T> const& model) -> bart_compression {
  bart_compression result;
  model.visit_linears([&](std::string const& name, linear<T> const& layer) {
    auto const is_extra =
        name.ends_with(".qkv_proj") || name == cross_kv_name || name == lm_head_name;
    if (is_extra || layer.stored_as() != form::dense || !layer.has_bias()) {
      result.layers.push_back({name, layer.stored_as(), layer.rank(), layer.has_bias()});
    }
  });
  bool some_are_not = false;
  model.visit_attentions([&](std::string const& name, multi_head_attention<T> const& a) {
    auto const published = detail::published_scale(a);  // 1 too, where a head is one column wide
    auto const is_folded = a.scale == T{1};
    result.score_scale_folded |= is_folded && a.scale != published;
    some_are_not |= !is_folded;
    if ((!is_folded && a.scale != published) || (some_are_not && result.score_scale_folded)) {
      throw shape_error(message(name, ": scores are scaled by ", a.scale, ", not by ", published,
                                " or 1 as in all attentions of the model"));
    }
  });
  return result;
}

/// How a model is written.
struct save_options {
  /// The element type in the file: F32, F16, BF16 or F64. What is rounded to it: to nearest.
  dtype stored = dtype::f32;
  /// How the layers were made, for the reader; nothing: what the given config.json says.
  std::optional<std::string> method = std::nullopt;
};

namespace detail {

template <real T>
void add_norm(safetensors_writer& writer, std::string const& name, layer_norm<T> const& norm,
              dtype stored) {
  writer.add(name + ".weight", norm.weight(), stored);
  writer.add(name + ".bias", norm.bias(), stored);
}

/// Tables once under the name that all tied uses read; the output's own where it is not tied and no
/// layer stands for it.
template <real T>
void add_embeddings(safetensors_writer& writer, bart<T> const& model, dtype stored) {
  auto const& encoder = model.encoder().embed;
  auto const& decoder = model.decoder().embed;
  auto const shared = as_view(*encoder.tokens());
  auto const output = model.output_table();
  writer.add("model.shared.weight", shared, stored);
  if (decoder.tokens() != encoder.tokens()) {
    writer.add("model.decoder.embed_tokens.weight", as_view(*decoder.tokens()), stored);
  }
  if (!model.lm_head() && (!model.config().tie_word_embeddings || output.data != shared.data)) {
    writer.add("lm_head.weight", output, stored);
  }
  writer.add("model.encoder.embed_positions.weight", encoder.positions(), stored);
  writer.add("model.decoder.embed_positions.weight", decoder.positions(), stored);
}

/// The inputs' tables under the names of both sides, beside the shared one: who reads that nothing
/// is tied may look for them there.
template <real T>
void add_own_embeddings(safetensors_writer& writer, bart<T> const& model, dtype stored) {
  auto const& encoder = model.encoder().embed.tokens();
  auto const& decoder = model.decoder().embed.tokens();
  writer.add("model.encoder.embed_tokens.weight", as_view(*encoder), stored);
  if (decoder == encoder) {  // otherwise it is there
    writer.add("model.decoder.embed_tokens.weight", as_view(*decoder), stored);
  }
}

template <real T>
void add_norms(safetensors_writer& writer, bart<T> const& model, dtype stored) {
  auto const add = [&](std::string const& name, layer_norm<T> const& norm) {
    add_norm(writer, name, norm, stored);
  };
  add("model.encoder.layernorm_embedding", model.encoder().layernorm_embedding);
  add("model.decoder.layernorm_embedding", model.decoder().layernorm_embedding);
  index_t i = 0;
  for (auto const& layer : model.encoder().layers) {
    auto const name = layer_name("encoder", i++);
    add(name + ".self_attn_layer_norm", layer.self_attn_layer_norm);
    add(name + ".final_layer_norm", layer.final_layer_norm);
  }
  i = 0;
  for (auto const& layer : model.decoder().layers) {
    auto const name = layer_name("decoder", i++);
    add(name + ".self_attn_layer_norm", layer.self_attn_layer_norm);
    add(name + ".encoder_attn_layer_norm", layer.encoder_attn_layer_norm);
    add(name + ".final_layer_norm", layer.final_layer_norm);
  }
}

template <real T>
void add_stored_linear(safetensors_writer& writer, std::string const& name, linear<T> const& layer,
                       dtype stored) {
  std::visit(
      [&](auto const& weight) {
        if constexpr (dense_matrix<std::remove_cvref_t<decltype(weight)>>) {
          writer.add(name + ".weight", weight, stored);
        } else {
          add_low_rank(writer, name + ".weight", weight, stored);
        }
      },
      layer.stored_weight());
  if (layer.has_bias()) {
    writer.add(name + ".bias", *layer.bias(), stored);
  }
}

/// Everything but the linear layers and the bias of the logits.
template <real T>
auto writer_for(bart<T> const& model, dtype stored) -> safetensors_writer {
  safetensors_writer writer;
  writer.metadata("format", "pt");
  add_embeddings(writer, model, stored);
  add_norms(writer, model, stored);
  return writer;
}

inline auto sizes_text(bart_config const& c) -> std::string {
  return message("d_model ", c.d_model, ", ", c.encoder_layers, " + ", c.decoder_layers,
                 " layers, vocabulary ", c.vocab_size);
}

/// Throws unless the content of a config.json is that of the model. Answers its compression.
template <real T, class Json>
auto check_config(bart<T> const& model, Json const& json, std::string_view name)
    -> std::optional<bart_compression> {
  auto given = read_bart_config(json, name);
  auto compression = std::exchange(given.compression, std::nullopt);
  if (given != model.config()) {
    throw shape_error(message(name, " is not the model's: ", sizes_text(given), "; the model has ",
                              sizes_text(model.config())));
  }
  return compression;
}

/// The element type as Transformers writes it, under the keys that are there.
template <class Json>
void set_element_type(Json& config, dtype stored) {
  auto const* const name = stored == dtype::f16    ? "float16"
                           : stored == dtype::bf16 ? "bfloat16"
                           : stored == dtype::f64  ? "float64"
                                                   : "float32";
  bool is_set = false;
  for (auto const* key : {"dtype", "torch_dtype"}) {
    if (config.contains(key)) {
      config[key] = name;
      is_set = true;
    }
  }
  if (!is_set && stored != dtype::f32) {
    config["torch_dtype"] = name;
  }
}

}  // namespace detail

/// Writes model.safetensors and config.json, which bart<T>::load reads as the same model: to the
/// last bit where the file's element type holds T. `config` is the content of the config.json that
/// the model was read with; its section "eckart" is replaced, its element type set, all other keys
/// stay. A directory that is not there appears when it is complete (its parent must be there); in
/// one that is there each file is replaced as a whole. Throws io_error; numerical_error that names
/// the tensor for a finite value beyond the range of the element type; shape_error if the config is
/// another model's, and as compression_of; format_error if it is none.
template <real T, class Json>
void save_bart(std::filesystem::path const& directory, bart<T> const& model, Json config,
               save_options const& options = {}) {
  auto const before = detail::check_config(model, config, "save_bart: config");
  auto compression = compression_of(model);
  compression.method = options.method.value_or(before ? before->method : std::string());
  config.erase("eckart");
  if (!compression.layers.empty() || compression.score_scale_folded) {
    config["eckart"] = compression_json<Json>(compression);
  }
  detail::set_element_type(config, options.stored);
  auto writer = detail::writer_for(model, options.stored);
  detail::add_logits_bias(writer, model.final_logits_bias(), options.stored);
  model.visit_linears([&](std::string const& name, linear<T> const& layer) {
    detail::add_stored_linear(writer, name, layer, options.stored);
  });
  detail::write_checkpoint(directory, writer, config.dump(2));
}

/// The same with all linear layers dense under their published names, with zeros for a bias that
/// was dropped and queries without the scale that was folded into them: a checkpoint as Hugging
/// Face publishes them, which computes the same up to rounding. An output layer is its own table
/// there: the embeddings are not tied to it (`tie_word_embeddings` is false), nor then, for those
/// who read the file, to each other, so that they stand under both names; its bias joins
/// final_logits_bias. Throws as save_bart.
template <real T, class Json>
void export_dense(std::filesystem::path const& directory, bart<T> const& model, Json config,
                  dtype stored = dtype::f32) {
  detail::check_config(model, config, "export_dense: config");
  config.erase("eckart");
  detail::set_element_type(config, stored);
  auto writer = detail::writer_for(model, stored);
  detail::dense_tensors<T> linears(writer, stored);
  linears.add_all(model);
  if (model.lm_head()) {
    config["tie_word_embeddings"] = false;
    detail::add_own_embeddings(writer, model, stored);
  }
  detail::write_checkpoint(directory, writer, config.dump(2));
}

}  // namespace v0
}  // namespace eckart
