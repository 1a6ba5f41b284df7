#include "eckart/models/bart/schema.hpp"

#include "eckart/io/json.hpp"
#include "eckart/io/safetensors.hpp"
#include "eckart/models/bart/config_json.hpp"
#include "support/golden.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

using namespace eckart;

namespace {

auto bart_base() -> bart_config {
  bart_config c;
  c.d_model = 768;
  c.encoder_layers = c.decoder_layers = 6;
  c.encoder_attention_heads = c.decoder_attention_heads = 12;
  c.encoder_ffn_dim = c.decoder_ffn_dim = 3072;
  return c;
}

auto shape_in(std::vector<tensor_spec> const& schema, std::string const& name)
    -> std::vector<index_t> {
  auto const found = std::ranges::find(schema, name, &tensor_spec::name);
  return found == schema.end() ? std::vector<index_t>{} : found->shape;
}

}  // namespace

TEST_CASE("the schema has as many parameters as the published models") {
  CHECK(bart_parameters(bart_base()) == 139'420'416);
  CHECK(bart_parameters(bart_config{}) == 406'291'456);
  CHECK(bart_parameters(read_bart_config(golden::embedded_model() / "config.json")) == 23'655'168);
}

TEST_CASE("bart-base's parameters, counted by hand") {
  constexpr std::uint64_t d = 768;
  constexpr std::uint64_t ffn = 3072;
  constexpr std::uint64_t norm = 2 * d;
  constexpr std::uint64_t attention = 4 * (d * d + d);
  constexpr std::uint64_t feed_forward = ffn * d + ffn + d * ffn + d;
  constexpr std::uint64_t encoder = 6 * (attention + feed_forward + 2 * norm) + norm;
  constexpr std::uint64_t decoder = 6 * (2 * attention + feed_forward + 3 * norm) + norm;
  constexpr std::uint64_t tables = 50265 * d + 2 * 1026 * d;
  CHECK(bart_parameters(bart_base()) == encoder + decoder + tables);
}

TEST_CASE("an output table of its own is one more tensor") {
  auto c = bart_base();
  auto const tied = bart_schema(c);
  CHECK(shape_in(tied, "lm_head.weight").empty());
  c.tie_word_embeddings = false;
  auto const untied = bart_schema(c);
  CHECK(untied.size() == tied.size() + 1);
  CHECK(shape_in(untied, "lm_head.weight") == std::vector<index_t>{50265, 768});
  CHECK(bart_parameters(c) == 139'420'416 + 50265 * 768);
}

TEST_CASE("shapes follow the configuration, each side its own") {
  bart_config c;
  c.d_model = 6;
  c.encoder_layers = 2;
  c.decoder_layers = 1;
  c.encoder_ffn_dim = 10;
  c.decoder_ffn_dim = 11;
  c.vocab_size = 20;
  c.max_position_embeddings = 30;
  auto const schema = bart_schema(c);
  // 26 tensors of a decoder layer, 16 of an encoder layer, two norms, three tables.
  CHECK(schema.size() == 1 * 26 + 2 * 16 + 2 * 2 + 3);
  using shape = std::vector<index_t>;
  CHECK(shape_in(schema, "model.shared.weight") == shape{20, 6});
  CHECK(shape_in(schema, "model.encoder.embed_positions.weight") == shape{32, 6});
  CHECK(shape_in(schema, "model.decoder.embed_positions.weight") == shape{32, 6});
  CHECK(shape_in(schema, "model.encoder.layers.1.fc1.weight") == shape{10, 6});
  CHECK(shape_in(schema, "model.encoder.layers.1.fc1.bias") == shape{10});
  CHECK(shape_in(schema, "model.encoder.layers.1.fc2.weight") == shape{6, 10});
  CHECK(shape_in(schema, "model.decoder.layers.0.fc1.weight") == shape{11, 6});
  CHECK(shape_in(schema, "model.decoder.layers.0.fc2.bias") == shape{6});
  CHECK(shape_in(schema, "model.decoder.layers.0.encoder_attn.k_proj.weight") == shape{6, 6});
  CHECK(shape_in(schema, "model.decoder.layers.0.encoder_attn_layer_norm.bias") == shape{6});
  CHECK(shape_in(schema, "model.encoder.layernorm_embedding.weight") == shape{6});
  CHECK(shape_in(schema, "model.encoder.layers.2.fc1.weight").empty());
}

TEST_CASE("names are unique and those of a checkpoint that Hugging Face has saved") {
  auto const model = golden::directory() / "tiny_gelu";
  std::set<std::string> names;
  for (auto const& spec : bart_schema(read_bart_config(model / "config.json"))) {
    CHECK(names.insert(spec.name).second);
  }
  safetensors_archive const archive(model);
  auto stored = archive.names();
  std::erase(stored, "final_logits_bias");
  CHECK(std::ranges::equal(names, stored));
}

TEST_CASE("the parameters of a tensor are the product of its shape") {
  CHECK(tensor_spec{"a", {3, 4}}.parameters() == 12);
  CHECK(tensor_spec{"a", {}}.parameters() == 1);
  CHECK(tensor_spec{"a", {100'000, 100'000}}.parameters() == 10'000'000'000);
}

TEST_CASE("layers are named by side and number") {
  CHECK(layer_name("decoder", 3) == "model.decoder.layers.3");
}
