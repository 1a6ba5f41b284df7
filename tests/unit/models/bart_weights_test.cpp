#include "eckart/models/bart/weights.hpp"

#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace eckart;
using bart_test::checkpoint;
using bart_test::has;
using bart_test::random_values;
using bart_test::run;
using bart_test::stored;
using bart_test::temporary_directory;

namespace {

std::string const shared_name = "model.shared.weight";
std::string const encoder_name = "model.encoder.embed_tokens.weight";
std::string const decoder_name = "model.decoder.embed_tokens.weight";
std::string const output_name = "lm_head.weight";

struct layout {
  char const* name;
  std::function<void(checkpoint&)> rearrange;
};

/// The ways in which published checkpoints name the same tensors.
auto layouts() -> std::vector<layout> {
  return {
      {"the table under all four names",
       [](checkpoint& c) {
         for (auto const& name : {encoder_name, decoder_name, output_name}) {
           c.tensors[name] = c.tensors.at(shared_name);
         }
       }},
      {"the decoder's table alone, the others as aliases in the metadata",
       [](checkpoint& c) {
         c.rename(shared_name, decoder_name);
         c.metadata[encoder_name] = decoder_name;
         c.metadata[shared_name] = decoder_name;
       }},
      {"the decoder's table alone", [](checkpoint& c) { c.rename(shared_name, decoder_name); }},
      {"the encoder's table alone", [](checkpoint& c) { c.rename(shared_name, encoder_name); }},
      {"the output's table alone", [](checkpoint& c) { c.rename(shared_name, output_name); }},
      {"aliases that lead nowhere",
       [](checkpoint& c) { c.metadata[encoder_name] = "model.nothing.weight"; }},
      {"no prefix",
       [](checkpoint& c) {
         std::vector<std::string> names;
         for (auto const& [name, tensor] : c.tensors) {
           names.push_back(name);
         }
         for (auto const& name : names) {
           if (name.starts_with("model.")) {
             c.rename(name, name.substr(6));
           }
         }
       }},
      {"version numbers that nobody reads",
       [](checkpoint& c) {
         c.tensors["model.encoder.version"] = stored({1}, {3});
         c.tensors["encoder.version"] = stored({1}, {3});
         c.tensors["decoder.version"] = {dtype::i64, {}, std::vector<std::byte>(8)};
       }},
      {"numbers in double precision", [](checkpoint& c) { c.round_to(dtype::f32, dtype::f64); }},
  };
}

auto table_of(checkpoint const& c, std::string const& name) -> std::vector<float> {
  return c.tensors.at(name).values();
}

template <class Table>
auto holds(Table const& table, std::vector<float> const& values) -> bool {
  auto const view = matrix_view<float const>(table);
  return std::ranges::equal(std::span(view.data, static_cast<std::size_t>(view.size())), values);
}

}  // namespace

TEST_CASE("every layout of the same tensors gives the same logits to the last bit") {
  auto const original = bart<float>::load(bart_test::tiny_model());
  auto const expected = run(original);
  for (auto const& one : layouts()) {
    CAPTURE(std::string(one.name));
    auto changed = checkpoint::tiny();
    one.rearrange(changed);
    auto const model = changed.load<float>();
    CHECK(run(model) == expected);
    CHECK(model.parameters() == original.parameters());
    // One table, however often it is named.
    CHECK(model.encoder().embed.tokens() == model.decoder().embed.tokens());
    CHECK(model.output_table().data == model.encoder().embed.tokens()->data());
  }
}

TEST_CASE("shards and their index are one checkpoint") {
  auto const c = checkpoint::tiny();
  temporary_directory const directory;
  c.write_config(directory.path());
  nlohmann::json map = nlohmann::json::object();
  for (auto const& [name, tensor] : c.tensors) {
    auto const in_first = name.find("encoder") != std::string::npos;
    map[name] = in_first ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
  }
  for (std::string const file :
       {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    c.write_tensors(directory / file, [&](std::string const& name) { return map[name] == file; });
  }
  io_test::put(directory / "model.safetensors.index.json",
               nlohmann::json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}}.dump());
  CHECK(run(bart<float>::load(directory.path())) ==
        run(bart<float>::load(bart_test::tiny_model())));
}

TEST_CASE("half precision is read as the numbers that it stores") {
  for (auto const type : {dtype::f16, dtype::bf16}) {
    CAPTURE(std::string(dtype_name(type)));
    auto rounded = checkpoint::tiny();
    rounded.round_to(type, dtype::f32);
    auto halves = checkpoint::tiny();
    halves.round_to(type, type);
    CHECK(run(halves.load<float>()) == run(rounded.load<float>()));
    CHECK(run(halves.load<double>()) == run(rounded.load<double>()));
    CHECK_FALSE(run(halves.load<float>()) == run(checkpoint::tiny().load<float>()));
  }
}

TEST_CASE("the output bias is added to every row of logits, whatever its rank in the file") {
  auto const bias = random_values(97, 1);
  for (auto const& shape : {std::vector<index_t>{1, 97}, std::vector<index_t>{97}}) {
    auto c = checkpoint::tiny();
    c.tensors["final_logits_bias"] = stored(shape, bias);
    auto const model = c.load<float>();
    auto states = make_matrix<float>({2, 32});
    states.fill(0.0F);
    auto logits = make_matrix<float>({2, 97});
    workspace<float> scratch;
    model.logits(as_view(states), as_view(logits), scratch);
    CHECK(std::ranges::equal(as_view(logits).row(0), bias));
    CHECK(std::ranges::equal(as_view(logits).row(1), bias));
  }
}

TEST_CASE("no output bias in the file means zeros") {
  auto zeros = checkpoint::tiny();
  zeros.tensors["final_logits_bias"] = stored({1, 97}, std::vector<float>(97));
  auto none = checkpoint::tiny();
  none.tensors.erase("final_logits_bias");
  CHECK(run(none.load<float>()) == run(zeros.load<float>()));
  CHECK_FALSE(run(none.load<float>()) == run(checkpoint::tiny().load<float>()));
}

TEST_CASE("an untied output table is used for the logits and nowhere else") {
  auto c = checkpoint::tiny();
  c.config["tie_word_embeddings"] = false;
  auto const own = random_values(97 * 32, 2);
  c.tensors[output_name] = stored({97, 32}, own);
  auto const model = c.load<float>();
  auto const original = bart<float>::load(bart_test::tiny_model());
  CHECK(holds(model.output_table(), own));
  CHECK(holds(as_view(*model.encoder().embed.tokens()), table_of(c, shared_name)));
  auto const got = run(model);
  auto const expected = run(original);
  CHECK(std::ranges::equal(got.hidden, expected.hidden));
  // The same product by hand; d products and sums and the bias, each rounded.
  auto const bias = table_of(c, "final_logits_bias");
  for (index_t i = 0; i < 8; ++i) {
    for (index_t token = 0; token < 97; ++token) {
      auto sum = static_cast<double>(bias[static_cast<std::size_t>(token)]);
      auto size = std::abs(sum);
      for (index_t j = 0; j < 32; ++j) {
        auto const product = static_cast<double>(got.hidden(i, j)) *
                             static_cast<double>(own[static_cast<std::size_t>(token * 32 + j)]);
        sum += product;
        size += std::abs(product);
      }
      REQUIRE(std::abs(static_cast<double>(got.logits(i, token)) - sum) <=
              34 * static_cast<double>(std::numeric_limits<float>::epsilon()) * size);
    }
  }
  CHECK(model.parameters() == original.parameters() + 97 * 32);
}

TEST_CASE("without ties an output table must be there") {
  auto c = checkpoint::tiny();
  c.config["tie_word_embeddings"] = false;
  CHECK(has(c.refusal(), "lm_head.weight is missing"));
  c.rename(shared_name, output_name);
  CHECK(has(c.refusal(), "model.shared.weight is missing"));
}

TEST_CASE("tables under tied names that differ are not tied, each is used where it belongs") {
  auto c = checkpoint::tiny();
  auto const decoder_table = random_values(97 * 32, 3);
  c.tensors[decoder_name] = stored({97, 32}, decoder_table);
  auto const model = c.load<float>();
  CHECK(holds(as_view(*model.decoder().embed.tokens()), decoder_table));
  CHECK(holds(as_view(*model.encoder().embed.tokens()), table_of(c, shared_name)));
  CHECK(holds(model.output_table(), table_of(c, shared_name)));
  CHECK(model.output_table().data == model.encoder().embed.tokens()->data());
  CHECK(model.parameters() == bart_parameters(model.config()) + 97 * 32);
  auto const got = run(model);
  auto const expected = run(bart<float>::load(bart_test::tiny_model()));
  CHECK(std::ranges::equal(got.memory, expected.memory));
  CHECK_FALSE(std::ranges::equal(got.hidden, expected.hidden));

  auto const output_table = random_values(97 * 32, 4);
  c.tensors[output_name] = stored({97, 32}, output_table);
  auto const three = c.load<float>();
  CHECK(holds(three.output_table(), output_table));
  CHECK(three.parameters() == bart_parameters(three.config()) + 2 * 97 * 32);
}

TEST_CASE("a checkpoint that exists only as a pickle is refused with the way to convert it") {
  temporary_directory const directory;
  checkpoint::tiny().write_config(directory.path());
  io_test::put(directory / "pytorch_model.bin", "PK\x03\x04");
  auto const what = io_test::refusal<format_error>([&] { bart<float>::load(directory.path()); });
  CHECK(has(what, "pytorch_model.bin"));
  CHECK(has(what, "save_pretrained(\"OUT\", safe_serialization=True)"));
}

TEST_CASE("all tensors that are missing or of a wrong shape are named in one message") {
  auto c = checkpoint::tiny();
  c.tensors.erase("model.encoder.layers.0.fc1.bias");
  c.tensors.erase("model.decoder.layers.2.encoder_attn.q_proj.weight");
  c.tensors.erase("model.decoder.layernorm_embedding.weight");
  c.tensors["model.encoder.layers.1.fc2.weight"] = stored({32, 63}, random_values(32 * 63, 5));
  c.tensors["model.encoder.layers.1.fc1.bias"] = stored({64, 1}, random_values(64, 6));
  c.tensors["model.decoder.layers.0.final_layer_norm.bias"] = stored({}, {1});
  c.tensors["model.shared.weight"] = stored({96, 32}, random_values(96 * 32, 7));
  temporary_directory const directory;
  c.write(directory.path());
  auto const what = io_test::refusal<format_error>([&] { bart<float>::load(directory.path()); });
  CHECK(what.starts_with(directory.path().string() + ": does not fit its config.json:"));
  CHECK(has(what, "\n  model.encoder.layers.0.fc1.bias is missing"));
  CHECK(has(what, "\n  model.decoder.layers.2.encoder_attn.q_proj.weight is missing"));
  CHECK(has(what, "\n  model.decoder.layernorm_embedding.weight is missing"));
  CHECK(has(what, "\n  model.encoder.layers.1.fc2.weight is 32 x 63, not 32 x 64"));
  CHECK(has(what, "\n  model.encoder.layers.1.fc1.bias is 64 x 1, not 64"));
  CHECK(has(what, "\n  model.decoder.layers.0.final_layer_norm.bias is a scalar, not 32"));
  CHECK(has(what, "\n  model.shared.weight is 96 x 32, not 97 x 32"));
  CHECK(std::ranges::count(what, '\n') == 7);
}

TEST_CASE("every table under a tied name must have the table's shape, also where one would do") {
  for (auto const& name : {encoder_name, decoder_name, output_name}) {
    CAPTURE(name);
    auto c = checkpoint::tiny();
    c.tensors[name] = stored({32, 97}, table_of(c, shared_name));
    auto const what = c.refusal();
    CHECK(has(what, "\n  " + name + " is 32 x 97, not 97 x 32"));
    CHECK(std::ranges::count(what, '\n') == 1);
  }
}

TEST_CASE("an empty checkpoint lacks every tensor") {
  auto c = checkpoint::tiny();
  auto const schema = bart_schema(read_bart_config(c.config, "config.json"));
  c.tensors.clear();
  auto const what = c.refusal();
  for (auto const& spec : schema) {
    CHECK(has(what, "\n  " + spec.name + " is missing"));
  }
}

TEST_CASE("an output bias of a wrong size is refused with both sizes") {
  auto c = checkpoint::tiny();
  c.tensors["final_logits_bias"] = stored({1, 96}, random_values(96, 8));
  CHECK(has(c.refusal(), "final_logits_bias is 1 x 96, config.json wants 1 x 97"));
}

TEST_CASE("numbers that are no floating-point numbers are refused with their type") {
  auto c = checkpoint::tiny();
  auto const shape = c.tensors.at(shared_name).shape;
  c.tensors[shared_name] = {dtype::i32, shape, std::vector<std::byte>(97 * 32 * 4)};
  auto const what = c.refusal();
  CHECK(has(what, shared_name));
  CHECK(has(what, "I32"));
}

TEST_CASE("without a readable config.json nothing is loaded") {
  temporary_directory const directory;
  auto const load = [&] { bart<float>::load(directory.path()); };
  auto const config = directory / "config.json";
  auto const c = checkpoint::tiny();
  c.write_tensors(directory / "model.safetensors", [](std::string const&) { return true; });
  CHECK(has(io_test::refusal<io_error>(load), config.string()));
  std::filesystem::create_directory(config);
  CHECK(has(io_test::refusal<io_error>(load), config.string()));
  std::filesystem::remove(config);
  io_test::put(config, "{\"d_model\": 32,}");
  CHECK(has(io_test::refusal<format_error>(load), config.string() + ": byte 15"));
  io_test::put(config, R"({"model_type": "mbart"})");
  CHECK(has(io_test::refusal<format_error>(load), "'mbart'"));
  c.write_config(directory.path());
  CHECK_NOTHROW(load());
}
