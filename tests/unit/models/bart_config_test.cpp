#include "eckart/models/bart/config_json.hpp"

#include "eckart/io/json.hpp"
#include "support/golden.hpp"
#include "unit/io/io_fixture.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

using namespace eckart;
using io_test::has;

namespace {

auto config_from(nlohmann::json const& json) -> bart_config {
  return read_bart_config(json, "c.json");
}

/// What is said of a configuration with this value in place of its own.
auto fault(std::string const& key, nlohmann::json const& value) -> std::string {
  nlohmann::json json{{"model_type", "bart"}};
  json[key] = value;
  return io_test::refusal<format_error>([&] { config_from(json); });
}

}  // namespace

TEST_CASE("every field is read") {
  auto const c = config_from({{"model_type", "bart"},
                              {"d_model", 60},
                              {"encoder_layers", 3},
                              {"decoder_layers", 4},
                              {"encoder_attention_heads", 5},
                              {"decoder_attention_heads", 6},
                              {"encoder_ffn_dim", 70},
                              {"decoder_ffn_dim", 80},
                              {"vocab_size", 90},
                              {"max_position_embeddings", 100},
                              {"activation_function", "gelu_new"},
                              {"scale_embedding", true},
                              {"tie_word_embeddings", false},
                              {"bos_token_id", 10},
                              {"pad_token_id", 11},
                              {"eos_token_id", 12},
                              {"decoder_start_token_id", 13}});
  CHECK(c.d_model == 60);
  CHECK(c.encoder_layers == 3);
  CHECK(c.decoder_layers == 4);
  CHECK(c.encoder_attention_heads == 5);
  CHECK(c.decoder_attention_heads == 6);
  CHECK(c.encoder_ffn_dim == 70);
  CHECK(c.decoder_ffn_dim == 80);
  CHECK(c.vocab_size == 90);
  CHECK(c.max_position_embeddings == 100);
  CHECK(c.activation_function == activation::gelu_tanh);
  CHECK(c.scale_embedding);
  CHECK_FALSE(c.tie_word_embeddings);
  CHECK(c.bos_token_id == 10);
  CHECK(c.pad_token_id == 11);
  CHECK(c.eos_token_id == 12);
  CHECK(c.decoder_start_token_id == 13);
}

TEST_CASE("keys that are missing or null have the defaults of the published class, bart-large's") {
  for (auto const& json :
       {nlohmann::json::object(), nlohmann::json{{"d_model", nullptr},
                                                 {"vocab_size", nullptr},
                                                 {"activation_function", nullptr},
                                                 {"pad_token_id", nullptr}}}) {
    auto const c = config_from(json);
    CHECK(c.d_model == 1024);
    CHECK(c.encoder_layers == 12);
    CHECK(c.decoder_layers == 12);
    CHECK(c.encoder_attention_heads == 16);
    CHECK(c.decoder_attention_heads == 16);
    CHECK(c.encoder_ffn_dim == 4096);
    CHECK(c.decoder_ffn_dim == 4096);
    CHECK(c.vocab_size == 50265);
    CHECK(c.max_position_embeddings == 1024);
    CHECK(c.activation_function == activation::gelu);
    CHECK_FALSE(c.scale_embedding);
    CHECK(c.tie_word_embeddings);
    CHECK(c.bos_token_id == 0);
    CHECK(c.pad_token_id == 1);
    CHECK(c.eos_token_id == 2);
    CHECK(c.decoder_start_token_id == 2);
  }
}

TEST_CASE("sizes that no model can have are refused with file, key and value") {
  for (std::string const key :
       {"d_model", "encoder_attention_heads", "decoder_attention_heads", "encoder_ffn_dim",
        "decoder_ffn_dim", "vocab_size", "max_position_embeddings"}) {
    CAPTURE(key);
    CHECK(has(fault(key, 0), message("c.json: ", key, " is 0")));
    CHECK(has(fault(key, -3), message("c.json: ", key, " is -3")));
    CHECK(has(fault(key, 1e12), key));
    CHECK(has(fault(key, std::int64_t{1} << 40), message(key, " is 1099511627776")));
    CHECK(has(fault(key, 64.5), key));
    CHECK(has(fault(key, "768"), "expected integer, got string \"768\""));
    CHECK(has(fault(key, {768}), "expected integer"));
  }
  for (std::string const key : {"encoder_layers", "decoder_layers"}) {
    CAPTURE(key);
    CHECK(has(fault(key, -1), message("c.json: ", key, " is -1")));
    CHECK(has(fault(key, true), key));
    // The schema lists every tensor of every layer: such a model must not fill the memory first.
    CHECK(has(fault(key, 2'000'000'000), message("c.json: ", key, " is 2000000000")));
  }
}

TEST_CASE("a stack without layers is a model too") {
  CHECK(config_from({{"encoder_layers", 0}}).encoder_layers == 0);
}

TEST_CASE("heads that do not divide the width are refused with both numbers") {
  CHECK(has(fault("encoder_attention_heads", 7), "c.json: d_model 1024 is no multiple of 7 heads"));
  CHECK(has(fault("decoder_attention_heads", 3), "d_model 1024 is no multiple of 3 heads"));
  CHECK(has(fault("d_model", 1000), "d_model 1000 is no multiple of 16 heads"));
}

TEST_CASE("an activation that is unknown or no text is refused with the file") {
  auto const what = fault("activation_function", "swish");
  CHECK(has(what, "c.json: unknown activation 'swish'"));
  CHECK(has(what, "gelu_pytorch_tanh"));
  CHECK(has(fault("activation_function", 3), "expected string, got integer 3"));
}

TEST_CASE("flags must be true or false") {
  for (std::string const key : {"scale_embedding", "tie_word_embeddings"}) {
    CAPTURE(key);
    CHECK(has(fault(key, 1), "expected boolean, got integer 1"));
    CHECK(has(fault(key, "true"), "expected boolean"));
  }
}

TEST_CASE("special tokens must be ids of the vocabulary") {
  for (std::string const key :
       {"bos_token_id", "pad_token_id", "eos_token_id", "decoder_start_token_id"}) {
    CAPTURE(key);
    CHECK(has(fault(key, -1), message("c.json: ", key, " is -1")));
    CHECK(has(fault(key, 50265), message("c.json: ", key, " is 50265, the vocabulary has 50265")));
    CHECK(has(fault(key, std::int64_t{1} << 33), key));
    CHECK(has(fault(key, "</s>"), "expected integer"));
    CHECK(fault(key, 50264) == "nothing thrown");
  }
}

TEST_CASE("another kind of model is refused by its name") {
  CHECK(has(fault("model_type", "mbart"), "c.json: model_type is 'mbart', expected 'bart'"));
  CHECK(has(fault("model_type", 7), "expected string"));
}

TEST_CASE("what is no object is refused") {
  for (auto const& json : {nlohmann::json::array(), nlohmann::json("bart"), nlohmann::json()}) {
    CHECK(has(io_test::refusal<format_error>([&] { config_from(json); }), "c.json"));
  }
}

TEST_CASE("a file is read with its path in every message") {
  io_test::temporary_directory const dir;
  auto const file = dir / "config.json";
  auto const told = [&] { return io_test::refusal<format_error>([&] { read_bart_config(file); }); };
  CHECK_THROWS_AS(read_bart_config(file), io_error);
  io_test::put(file, R"({"vocab_size": 12})");
  CHECK(read_bart_config(file).vocab_size == 12);
  io_test::put(file, R"({"vocab_size": -12})");
  CHECK(has(told(), file.string() + ": vocab_size is -12"));
  io_test::put(file, R"({"vocab_size": 12)");
  CHECK(has(told(), file.string()));
}

TEST_CASE("the embedded summarizer's own configuration is read") {
  auto const c = read_bart_config(golden::embedded_model() / "config.json");
  CHECK(c.d_model == 384);
  CHECK(c.encoder_layers == 6);
  CHECK(c.decoder_layers == 4);
  CHECK(c.vocab_size == 8192);
}

TEST_CASE_TEMPLATE("token embeddings are scaled by sqrt(d_model) only if asked for", T, float,
                   double) {
  bart_config c;
  CHECK(embedding_scale<T>(c) == T{1});
  c.scale_embedding = true;
  CHECK(embedding_scale<T>(c) == T{32});
  c.d_model = 384;
  CHECK(embedding_scale<T>(c) == std::sqrt(T{384}));
}
