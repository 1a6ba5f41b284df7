#pragma once

#include "eckart/io/safetensors_archive.hpp"
#include "eckart/io/tensor_batch.hpp"
#include "eckart/models/bart/stored_schema.hpp"
#include "eckart/models/low_rank_tensors.hpp"
#include "eckart/nn/attention.hpp"
#include "eckart/nn/feed_forward.hpp"
#include "eckart/nn/layer_norm.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace eckart {
inline namespace v0 {

/// A checkpoint seen through BART's published names, whatever key layout it was saved in: with or
/// without the prefix `model.`, tied tables under any of their names, aliases in the metadata,
/// one file or shards. The constructor checks that every tensor is there with the shape that the
/// configuration wants, and that no linear layer has tensors of another form than the one that the
/// configuration names; it names all faults in one format_error.
class bart_weights {
 public:
  bart_weights(safetensors_archive const& archive, bart_config const& config, std::string name)
      : archive_(archive),
        config_(config),
        name_(std::move(name)),
        linears_(stored_linears(config)) {
    std::string faults;
    for (auto const& spec : stored_schema(config)) {
      faults += fault_of(spec);
    }
    for (auto const& [tensor, reason] : refused_tensors(config)) {
      if (stored_name(tensor)) {
        faults += message("\n  ", tensor, " has no place: ", reason);
      }
    }
    for (auto const& table : stored_tables()) {
      faults += fault_of_shape(table, {config.vocab_size, config.d_model});
    }
    if (!faults.empty()) {
      throw format_error(message(name_, ": does not fit its config.json:", faults), 0);
    }
  }

  /// Reads all tensors but the tables at once, on all threads, where each would be read when it is
  /// asked for. Each can be taken once from what was read; asked for again, it is read again.
  template <real T>
  void read_ahead() {
    std::vector<std::string> names;
    for (auto const& spec : stored_schema(config_)) {
      if (!is_table(spec.name)) {
        names.push_back(stored_name(spec.name).value());
      }
    }
    ahead_ = tensor_batch<T>(archive_, names);
  }

  template <real T>
  auto matrix_of(std::string_view tensor) const -> matrix<T> {
    auto const stored = stored_name(tensor).value();
    if (auto* const batch = std::get_if<tensor_batch<T>>(&ahead_)) {
      if (auto taken = batch->take_matrix(stored)) {
        return *std::move(taken);
      }
    }
    return archive_.matrix<T>(stored);
  }
  template <real T>
  auto vector_of(std::string_view tensor) const -> vector<T> {
    auto const stored = stored_name(tensor).value();
    if (auto* const batch = std::get_if<tensor_batch<T>>(&ahead_)) {
      if (auto taken = batch->take_vector(stored)) {
        return *std::move(taken);
      }
    }
    return archive_.vector<T>(stored);
  }

  /// The layer in the form in which it is stored.
  template <real T>
  auto read_linear(std::string const& tensor) const -> linear<T> {
    auto const& layer = linears_.find(tensor)->second;
    auto weight = read_weight<T>(tensor + ".weight", layer.stored_as);
    return linear<T>(std::move(weight),
                     layer.bias ? std::optional(vector_of<T>(tensor + ".bias")) : std::nullopt);
  }
  /// The same; nothing where a joint layer stands for it, or where no joint layer is stored.
  template <real T>
  auto read_linear_if(std::string const& tensor) const -> std::optional<linear<T>> {
    return linears_.contains(tensor) ? std::optional(read_linear<T>(tensor)) : std::nullopt;
  }
  template <real T>
  auto read_layer_norm(std::string const& tensor) const -> layer_norm<T> {
    return {vector_of<T>(tensor + ".weight"), vector_of<T>(tensor + ".bias")};
  }
  template <real T>
  auto read_attention(std::string const& tensor, index_t heads) const -> multi_head_attention<T> {
    multi_head_attention<T> result(
        heads,
        {read_linear_if<T>(tensor + ".q_proj"), read_linear_if<T>(tensor + ".k_proj"),
         read_linear_if<T>(tensor + ".v_proj"), read_linear_if<T>(tensor + ".qkv_proj")},
        read_linear<T>(tensor + ".out_proj"));
    if (config_.compression && config_.compression->score_scale_folded) {
      result.scale = T{1};
    }
    return result;
  }
  template <real T>
  auto read_feed_forward(std::string const& tensor) const -> feed_forward<T> {
    return {read_linear<T>(tensor + ".fc1"), read_linear<T>(tensor + ".fc2"),
            config_.activation_function};
  }

  /// Zeros where the checkpoint has none, as in a model that was saved without its head.
  template <real T>
  auto read_final_logits_bias() const -> vector<T> {
    auto bias = make_vector<T>(config_.vocab_size);
    bias.fill(T{0});
    if (auto const stored = stored_name("final_logits_bias")) {
      if (element_count(archive_.info(*stored).shape) != config_.vocab_size) {
        throw format_error(
            message(name_, ": final_logits_bias is ", written(archive_.info(*stored).shape),
                    ", config.json wants 1 x ", config_.vocab_size),
            0);
      }
      archive_.read(*stored, as_span(bias));
    }
    return bias;
  }

  /// The three uses of the word embedding. Tables with equal bytes are read once and shared.
  template <real T>
  struct tables {
    shared_matrix<T> encoder;  ///< (vocabulary, d_model)
    shared_matrix<T> decoder;  ///< (vocabulary, d_model)
    shared_matrix<T> output;   ///< (vocabulary, d_model), none where a layer stands for it
  };

  template <real T>
  auto read_tables() const -> tables<T> {
    std::vector<std::pair<std::string, shared_matrix<T>>> known;
    auto const read = [&](std::string_view preferred) -> shared_matrix<T> {
      auto const stored = table_name(preferred).value();
      for (auto const& [other, table] : known) {
        if (stored == other || same_bytes(stored, other)) {
          return table;
        }
      }
      known.emplace_back(stored, std::make_shared<matrix<T> const>(archive_.matrix<T>(stored)));
      return known.back().second;
    };
    auto const encoder = read("model.encoder.embed_tokens.weight");
    auto const decoder = read("model.decoder.embed_tokens.weight");
    return {encoder, decoder, has_head() ? nullptr : read(output_table)};
  }

 private:
  static constexpr std::string_view output_table = "lm_head.weight";
  static constexpr std::array<std::string_view, 4> tied_names{
      "model.shared.weight", "model.encoder.embed_tokens.weight",
      "model.decoder.embed_tokens.weight", output_table};

  /// Whether the file holds a linear layer in the place of the output table.
  auto has_head() const -> bool { return linears_.contains(lm_head_name); }
  /// Where there is such a layer, its dense weight is no table.
  auto is_table(std::string_view tensor) const -> bool {
    return std::ranges::find(tied_names, tensor) != tied_names.end() &&
           !(tensor == output_table && has_head());
  }

  // The tensors as read_low_rank asks for them.
  struct by_published_name {
    bart_weights const& weights;

    auto contains(std::string_view tensor) const -> bool {
      return weights.stored_name(tensor).has_value();
    }
    auto info(std::string_view tensor) const -> tensor_info const& {
      return weights.archive_.info(weights.stored_name(tensor).value());
    }
    auto bytes(std::string_view tensor) const -> std::span<std::byte const> {
      return weights.archive_.bytes(weights.stored_name(tensor).value());
    }
    template <real T>
    auto matrix(std::string_view tensor) const -> eckart::matrix<T> {
      return weights.matrix_of<T>(tensor);
    }
    template <real T>
    auto vector(std::string_view tensor) const -> eckart::vector<T> {
      return weights.vector_of<T>(tensor);
    }
    auto path() const -> std::filesystem::path const& { return weights.archive_.path(); }
  };

  template <real T>
  auto read_weight(std::string const& tensor, form stored_as) const -> typename linear<T>::weight {
    by_published_name const file{*this};
    switch (stored_as) {
      case form::full_core:
        return read_low_rank<T, full_core>(file, tensor);
      case form::diagonal_core:
        return read_low_rank<T, diagonal_core>(file, tensor);
      case form::two_factor:
        return read_low_rank<T, two_factor>(file, tensor);
      case form::pivoted:
        return read_low_rank<T, pivoted>(file, tensor);
      case form::int8:
        return read_int8_rows<T>(file, tensor);
      case form::dense:
        break;
    }
    return matrix_of<T>(tensor);
  }

  // The name in the file: as published, without the prefix, or through an alias of the metadata.
  auto stored_name(std::string_view tensor) const -> std::optional<std::string> {
    constexpr std::string_view prefix = "model.";
    std::vector<std::string> names{std::string(tensor)};
    if (tensor.starts_with(prefix)) {
      names.emplace_back(tensor.substr(prefix.size()));
    }
    for (auto const& candidate : names) {
      if (archive_.contains(candidate)) {
        return candidate;
      }
      auto const alias = archive_.metadata().find(candidate);
      if (alias != archive_.metadata().end() && archive_.contains(alias->second)) {
        return alias->second;
      }
    }
    return std::nullopt;
  }

  // The table under its own name, or under another name that it is tied to.
  auto table_name(std::string_view preferred) const -> std::optional<std::string> {
    if (auto const own = stored_name(preferred)) {
      return own;
    }
    bool const is_output = preferred == output_table;
    for (auto const tied : tied_names) {
      bool const other_is_output = tied == output_table;
      if (is_table(tied) && (is_output == other_is_output || config_.tie_word_embeddings)) {
        if (auto const stored = stored_name(tied)) {
          return stored;
        }
      }
    }
    return std::nullopt;
  }

  // Every tensor that stands for a table: all of them are used, so each must have its shape.
  auto stored_tables() const -> std::vector<std::string> {
    std::vector<std::string> names;
    for (auto const tied : tied_names) {
      auto const stored = is_table(tied) ? stored_name(tied) : std::nullopt;
      if (stored && std::ranges::find(names, *stored) == names.end()) {
        names.push_back(*stored);
      }
    }
    return names;
  }

  auto fault_of(tensor_spec const& spec) const -> std::string {
    auto const stored = is_table(spec.name) ? table_name(spec.name) : stored_name(spec.name);
    if (!stored) {
      return message("\n  ", spec.name, " is missing");
    }
    return is_table(spec.name) ? std::string() : fault_of_shape(*stored, spec.shape);
  }

  auto fault_of_shape(std::string const& stored, std::vector<index_t> const& wanted) const
      -> std::string {
    auto const& shape = archive_.info(stored).shape;
    return shape == wanted
               ? std::string()
               : message("\n  ", stored, " is ", written(shape), ", not ", written(wanted));
  }

  auto same_bytes(std::string const& a, std::string const& b) const -> bool {
    auto const x = archive_.bytes(a);
    auto const y = archive_.bytes(b);
    return archive_.info(a).type == archive_.info(b).type && x.size() == y.size() &&
           (x.empty() || std::memcmp(x.data(), y.data(), x.size()) == 0);
  }

  static auto element_count(std::vector<index_t> const& shape) -> index_t {
    index_t product = 1;
    for (auto const n : shape) {
      product *= n;
    }
    return product;
  }

  static auto written(std::vector<index_t> const& shape) -> std::string {
    std::string text;
    for (auto const n : shape) {
      text += text.empty() ? "" : " x ";
      text += std::to_string(n);
    }
    return text.empty() ? "a scalar" : text;
  }

  safetensors_archive const& archive_;
  bart_config const& config_;
  std::string name_;
  std::map<std::string, stored_linear, std::less<>> linears_;
  mutable std::variant<std::monostate, tensor_batch<float>, tensor_batch<double>> ahead_;
};

}  // namespace v0
}  // namespace eckart
