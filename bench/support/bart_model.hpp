#pragma once

#include <eckart/io/json.hpp>
#include <eckart/io/safetensors.hpp>
#include <eckart/models/bart/load.hpp>
#include <eckart/models/bart/stack_projections.hpp>

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <vector>

/// The models that the model benchmarks run on.
namespace bench {

/// A directory that is removed with its content.
class scratch_directory {
 public:
  scratch_directory() {
    auto pattern = (std::filesystem::temp_directory_path() / "eckart-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw eckart::io_error("bench: no temporary directory", errno);
    }
    path_ = pattern;
  }
  scratch_directory(scratch_directory const&) = delete;
  auto operator=(scratch_directory const&) -> scratch_directory& = delete;
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  auto path() const -> std::filesystem::path const& { return path_; }

 private:
  std::filesystem::path path_;
};

/// Writes config.json and model.safetensors with seeded random weights of the given shape, stored
/// as F64, F32, F16 or BF16.
inline void write_random_model(std::filesystem::path const& directory, eckart::bart_config const& c,
                               eckart::dtype stored = eckart::dtype::f32) {
  nlohmann::json const config{{"model_type", "bart"},
                              {"d_model", c.d_model},
                              {"encoder_layers", c.encoder_layers},
                              {"decoder_layers", c.decoder_layers},
                              {"encoder_attention_heads", c.encoder_attention_heads},
                              {"decoder_attention_heads", c.decoder_attention_heads},
                              {"encoder_ffn_dim", c.encoder_ffn_dim},
                              {"decoder_ffn_dim", c.decoder_ffn_dim},
                              {"vocab_size", c.vocab_size},
                              {"max_position_embeddings", c.max_position_embeddings}};
  std::ofstream(directory / "config.json") << config.dump(2);
  std::minstd_rand generator(1);
  std::vector<std::vector<float>> storage;
  eckart::safetensors_writer writer;
  for (auto const& spec : eckart::bart_schema(c)) {
    auto& values = storage.emplace_back(spec.parameters());
    // Uniform with BART's initial deviation of 0.02; layer norms near 1.
    auto const offset = spec.name.ends_with("norm.weight") ? 1.0F : 0.0F;
    std::uniform_real_distribution<float> uniform(offset - 0.035F, offset + 0.035F);
    for (auto& x : values) {
      x = uniform(generator);
    }
    auto const width = spec.shape.back();
    if (spec.shape.size() == 1) {
      writer.add(spec.name, std::span<float const>(values), stored);
    } else {
      writer.add(spec.name, eckart::matrix_view<float const>(values.data(), spec.shape[0], width),
                 stored);
    }
  }
  writer.save(directory / "model.safetensors");
}

/// The configuration of bart-base or, by default, bart-large.
inline auto config_of_shape(std::string const& shape) -> eckart::bart_config {
  eckart::bart_config c;
  if (shape == "bart-base") {
    c.d_model = 768;
    c.encoder_layers = c.decoder_layers = 6;
    c.encoder_attention_heads = c.decoder_attention_heads = 12;
    c.encoder_ffn_dim = c.decoder_ffn_dim = 3072;
  }
  return c;
}

/// --shape embedded|bart-base|bart-large, --model DIR
struct model_option {
  std::string shape = "embedded";
  std::string directory;

  void add_to(CLI::App& app) {
    app.add_option("--shape", shape,
                   "embedded (the real weights), bart-base or bart-large (random weights)")
        ->check(CLI::IsMember({"embedded", "bart-base", "bart-large"}))
        ->capture_default_str();
    app.add_option("--model", directory, "measure this model instead")
        ->check(CLI::ExistingDirectory);
  }

  /// Where the model lies; empty for random weights, which lie nowhere yet.
  auto path() const -> std::string {
    constexpr auto const* embedded =
        ECKART_SOURCE_DIR "/examples/summarization/model/dialogue-summarizer-24m";
    return !directory.empty() ? directory : shape == "embedded" ? embedded : "";
  }

  /// The model as the program runs it.
  auto load() const -> eckart::bart<float> {
    auto model = [this] {
      if (auto const place = path(); !place.empty()) {
        return eckart::bart<float>::load(place);
      }
      scratch_directory const scratch;
      write_random_model(scratch.path(), config_of_shape(shape));
      return eckart::bart<float>::load(scratch.path());
    }();
    eckart::stack_projections(model);
    return model;
  }
};

/// `count` token ids that are no special tokens.
inline auto random_tokens(eckart::index_t count, eckart::index_t vocabulary)
    -> std::vector<eckart::token_id> {
  std::mt19937 generator(7);
  std::uniform_int_distribution<eckart::token_id> uniform(
      5, static_cast<eckart::token_id>(vocabulary - 1));
  std::vector<eckart::token_id> ids(static_cast<std::size_t>(count));
  for (auto& id : ids) {
    id = uniform(generator);
  }
  return ids;
}

}  // namespace bench
