#include "eckart/models/bart/compression_json.hpp"

#include "eckart/io/json.hpp"
#include "eckart/models/bart/config_json.hpp"
#include "eckart/models/bart/stored_schema.hpp"
#include "unit/io/io_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

using namespace eckart;
using io_test::has;

namespace {

std::string const fc1 = "model.encoder.layers.1.fc1";
std::string const queries = "model.encoder.layers.0.self_attn.q_proj";
std::string const joint_name = "model.encoder.layers.0.self_attn.qkv_proj";

auto small_config() -> nlohmann::json {
  return {{"d_model", 6},
          {"encoder_layers", 2},
          {"decoder_layers", 3},
          {"encoder_attention_heads", 2},
          {"decoder_attention_heads", 2},
          {"encoder_ffn_dim", 10},
          {"decoder_ffn_dim", 11},
          {"vocab_size", 20},
          {"max_position_embeddings", 30}};
}

auto layer(std::string const& name, std::string const& form, index_t rank, bool bias = true)
    -> nlohmann::json {
  return {{"name", name}, {"form", form}, {"rank", rank}, {"bias", bias}};
}

auto section(std::vector<nlohmann::json> const& layers) -> nlohmann::json {
  return {{"version", 1}, {"method", "svd"}, {"score_scale_folded", false}, {"layers", layers}};
}

auto read(nlohmann::json const& eckart_section) -> bart_config {
  auto json = small_config();
  json["eckart"] = eckart_section;
  return read_bart_config(json, "c.json");
}

auto fault(nlohmann::json const& eckart_section) -> std::string {
  return io_test::refusal<format_error>([&] { read(eckart_section); });
}

/// Of a section that lists one sound layer, changed.
auto fault_of_layer(std::string const& key, nlohmann::json const& value) -> std::string {
  auto one = layer(fc1, "pivoted", 4);
  one[key] = value;
  return fault(section({one}));
}

auto shapes(bart_config const& c) -> std::map<std::string, std::vector<index_t>> {
  std::map<std::string, std::vector<index_t>> result;
  for (auto const& spec : stored_schema(c)) {
    CHECK(result.emplace(spec.name, spec.shape).second);
  }
  return result;
}

}  // namespace

TEST_CASE("a section is read as it stands") {
  auto json = section({layer(fc1, "pivoted", 4), layer(queries, "dense", 6, false),
                       layer(std::string(cross_kv_name), "two-factor", 6),
                       layer("model.decoder.layers.2.fc2", "full-core", 1),
                       layer("model.decoder.layers.0.self_attn.qkv_proj", "diagonal-core", 2)});
  json["score_scale_folded"] = true;
  auto const c = read(json);
  REQUIRE(c.compression);
  CHECK(c.compression->method == "svd");
  CHECK(c.compression->score_scale_folded);
  std::vector<stored_layer> const expected{
      {fc1, form::pivoted, 4, true},
      {queries, form::dense, 6, false},
      {std::string(cross_kv_name), form::two_factor, 6, true},
      {"model.decoder.layers.2.fc2", form::full_core, 1, true},
      {"model.decoder.layers.0.self_attn.qkv_proj", form::diagonal_core, 2, true}};
  CHECK(c.compression->layers == expected);
}

TEST_CASE("what is written is read as the same") {
  for (bool const folded : {false, true}) {
    bart_compression const compression{
        "sequential \"\\\n",
        folded,
        {{fc1, form::full_core, 3, false}, {joint_name, form::dense, 6}}};
    CHECK(read(compression_json(compression)).compression == compression);
  }
  CHECK(read(compression_json(bart_compression{})).compression == bart_compression{});
  CHECK_THROWS_AS(compression_json(bart_compression{"\xff", false, {}}), format_error);
}

TEST_CASE("without a section, or with null, nothing is compressed") {
  CHECK_FALSE(read_bart_config(small_config(), "c.json").compression);
  CHECK_FALSE(read(nullptr).compression);
}

TEST_CASE("the rank of a dense layer may be left out, and must be the full one") {
  auto one = layer(fc1, "dense", 6, false);
  one.erase("rank");
  CHECK(read(section({one})).compression->layers.at(0).rank == 6);
  CHECK(has(fault(section({layer(fc1, "dense", 5)})),
            "c.json: eckart: layer \"" + fc1 + "\": rank 5 of a dense 10 x 6 matrix is not 6"));
}

TEST_CASE("another version is refused before anything else is looked at") {
  for (index_t const version : {0, 2, -1}) {
    CHECK(has(fault({{"version", version}, {"new key", 1}}),
              message("c.json: eckart: version ", version, " is not 1")));
  }
  CHECK(has(fault({{"version", "1"}}), "expected integer, got string \"1\""));
  CHECK(has(fault({{"layers", nlohmann::json::array()}}), "key \"version\" is missing"));
}

TEST_CASE("keys of the section that are missing, of another type or unknown are refused by name") {
  for (std::string const key : {"method", "score_scale_folded", "layers"}) {
    CAPTURE(key);
    auto without = section({});
    without.erase(key);
    CHECK(has(fault(without), "c.json: eckart: key \"" + key + "\" is missing"));
    auto other = section({});
    other[key] = 7;
    CHECK(has(fault(other), "c.json: eckart: key \"" + key + "\": expected"));
  }
  auto more = section({});
  more["layer"] = 1;
  CHECK(has(fault(more), "c.json: eckart: key \"layer\" is unknown"));
  CHECK(has(fault("pivoted"), "c.json: eckart: key \"version\": looked for in an object"));
  CHECK(has(fault(nlohmann::json::array()), "c.json: eckart"));
}

TEST_CASE("keys of a layer that are missing, of another type or unknown are refused by name") {
  auto const place = "c.json: eckart: layer \"" + fc1 + "\": ";
  for (std::string const key : {"form", "rank", "bias"}) {
    CAPTURE(key);
    auto one = layer(fc1, "pivoted", 4);
    one.erase(key);
    CHECK(has(fault(section({one})), place + "key \"" + key + "\" is missing"));
    CHECK(has(fault_of_layer(key, nlohmann::json::array()), place + "key \"" + key + "\""));
  }
  auto nameless = layer(fc1, "pivoted", 4);
  nameless.erase("name");
  CHECK(has(fault(section({layer(joint_name, "dense", 6), nameless})),
            "c.json: eckart: layers[1]: key \"name\" is missing"));
  CHECK(has(fault_of_layer("name", 3), "c.json: eckart: layers[0]: key \"name\": expected string"));
  CHECK(has(fault_of_layer("ranks", 3), place + "key \"ranks\" is unknown"));
  CHECK(has(fault_of_layer("bias", 1), "expected boolean, got integer 1"));
  CHECK(has(fault_of_layer("rank", 4.0), "expected integer"));
  CHECK(has(fault(section({nlohmann::json("fc1")})), "layers[0]"));
}

TEST_CASE("forms that are unknown are refused with those that are known") {
  for (std::string const text : {"svd", "", "Pivoted", "two_factor"}) {
    CHECK(has(fault_of_layer("form", text),
              "layer \"" + fc1 + "\": key \"form\": \"" + text +
                  "\" is none of dense, full-core, diagonal-core, two-factor, pivoted, int8"));
  }
}

TEST_CASE("ranks are from 1 to the shorter side, of joint layers too") {
  for (std::string const form : {"pivoted", "two-factor", "diagonal-core", "full-core"}) {
    for (index_t const rank : {0, 7, -1}) {
      CHECK(has(fault(section({layer(fc1, form, rank)})),
                message("layer \"", fc1, "\": rank ", rank, " of a ", form,
                        " 10 x 6 matrix is not in 1 to 6")));
    }
    CHECK(has(fault(section({layer(joint_name, form, 7)})), "18 x 6 matrix"));
    CHECK(has(fault(section({layer(std::string(cross_kv_name), form, 7)})), "36 x 6 matrix"));
    CHECK(fault(section({layer(fc1, form, 6)})) == "nothing thrown");
  }
  CHECK(has(fault_of_layer("rank", std::uint64_t{1} << 63), "expected integer from"));
}

TEST_CASE("layers that the model does not have are refused") {
  for (std::string const name :
       {"", "fc1", "model.encoder.layers.2.fc1", "model.encoder.layers.0.encoder_attn.q_proj",
        "model.decoder.layers.0.encoder_attn.qkv_proj", "model.encoder.layers.01.fc1",
        "model.shared", "lm_head.weight", "head", "model.encoder.layers.0.fc1.weight"}) {
    CHECK(has(fault(section({layer(name, "pivoted", 1)})),
              "c.json: eckart: layer \"" + name + "\": no linear layer has this name"));
  }
  auto json = small_config();
  json["decoder_layers"] = 0;
  json["eckart"] = section({layer(std::string(cross_kv_name), "pivoted", 1)});
  CHECK(has(io_test::refusal<format_error>([&] { read_bart_config(json, "c.json"); }),
            "no linear layer has this name"));
}

TEST_CASE("a layer is listed once, by itself or within a joint layer") {
  CHECK(has(fault(section({layer(fc1, "pivoted", 4), layer(fc1, "dense", 6)})),
            "c.json: eckart: layer \"" + fc1 + "\": the name appears twice"));
  auto const told = [](std::string const& member, std::string const& whole) {
    auto const expected = message("c.json: eckart: layer \"", member, "\": the joint layer \"",
                                  whole, "\" stands for it");
    CHECK(has(fault(section({layer(whole, "pivoted", 4), layer(member, "pivoted", 4)})), expected));
    CHECK(has(fault(section({layer(member, "dense", 6), layer(whole, "dense", 6)})), expected));
  };
  for (std::string const projection : {"q_proj", "k_proj", "v_proj"}) {
    told("model.encoder.layers.0.self_attn." + projection, joint_name);
  }
  told("model.decoder.layers.2.encoder_attn.v_proj", std::string(cross_kv_name));
  told("model.decoder.layers.0.encoder_attn.k_proj", std::string(cross_kv_name));
  CHECK(fault(section({layer(joint_name, "pivoted", 4),
                       layer("model.encoder.layers.1.self_attn.q_proj", "pivoted", 4)})) ==
        "nothing thrown");
}

TEST_CASE("the dense layers without joint ones are those of the published schema") {
  auto const c = read_bart_config(small_config(), "c.json");
  std::vector<std::string> expected;
  for (auto const& spec : bart_schema(c)) {
    if (spec.shape.size() == 2 && !has(spec.name, "embed") && !has(spec.name, "shared")) {
      expected.push_back(spec.name.substr(0, spec.name.rfind('.')));
    }
  }
  std::vector<std::string> single;
  for (auto const& linear : bart_linears(c)) {
    if (linear.members.empty()) {
      single.push_back(linear.name);
    }
  }
  CHECK(stored_linears(c).size() == expected.size());
  CHECK_FALSE(stored_linears(c).contains(lm_head_name));
  expected.emplace_back(lm_head_name);  // in the place of the output table, if it is listed
  CHECK(single == expected);
}

TEST_CASE("the stored schema has the factors in place of the weights, and the joint layers") {
  using shape = std::vector<index_t>;
  auto const plain = read_bart_config(small_config(), "c.json");
  auto const c = read(section({layer(fc1, "pivoted", 4, false), layer(joint_name, "full-core", 5),
                               layer("model.encoder.layers.0.fc2", "two-factor", 2),
                               layer(std::string(cross_kv_name), "diagonal-core", 3, false),
                               layer("model.decoder.layers.0.self_attn.k_proj", "dense", 6, false),
                               layer("model.decoder.layers.1.self_attn.qkv_proj", "dense", 6)}));
  auto expected = shapes(plain);
  auto const erase = [&](std::string const& name) {
    CHECK(expected.erase(name + ".weight") == 1);
    CHECK(expected.erase(name + ".bias") == 1);
  };
  erase(fc1);
  expected[fc1 + ".weight.kept"] = shape{4, 6};
  expected[fc1 + ".weight.combinations"] = shape{6, 4};
  expected[fc1 + ".weight.rows"] = shape{10};
  for (std::string const projection : {"q_proj", "k_proj", "v_proj"}) {
    erase("model.encoder.layers.0.self_attn." + projection);
    erase("model.decoder.layers.1.self_attn." + projection);
  }
  expected[joint_name + ".weight.u"] = shape{18, 5};
  expected[joint_name + ".weight.core"] = shape{5, 5};
  expected[joint_name + ".weight.vt"] = shape{5, 6};
  expected[joint_name + ".bias"] = shape{18};
  expected["model.decoder.layers.1.self_attn.qkv_proj.weight"] = shape{18, 6};
  expected["model.decoder.layers.1.self_attn.qkv_proj.bias"] = shape{18};
  std::string const fc2 = "model.encoder.layers.0.fc2";
  erase(fc2);
  expected[fc2 + ".weight.left"] = shape{6, 2};
  expected[fc2 + ".weight.right"] = shape{2, 10};
  expected[fc2 + ".bias"] = shape{6};
  for (index_t i = 0; i < 3; ++i) {
    erase(layer_name("decoder", i) + ".encoder_attn.k_proj");
    erase(layer_name("decoder", i) + ".encoder_attn.v_proj");
  }
  std::string const memory(cross_kv_name);
  expected[memory + ".weight.u"] = shape{36, 3};
  expected[memory + ".weight.s"] = shape{3};
  expected[memory + ".weight.vt"] = shape{3, 6};
  expected.erase("model.decoder.layers.0.self_attn.k_proj.bias");
  CHECK(shapes(c) == expected);
}

TEST_CASE("an output layer that is listed stands for the output's own table, tied or not") {
  for (bool const tied : {true, false}) {
    CAPTURE(tied);
    auto json = small_config();
    json["tie_word_embeddings"] = tied;
    auto const plain = read_bart_config(json, "c.json");
    auto const v = plain.vocab_size;
    auto const with = [&](nlohmann::json const& head) {
      json["eckart"] = section({head, layer(fc1, "pivoted", 4)});
      return read_bart_config(json, "c.json");
    };
    auto const factors = shapes(with(layer("lm_head", "two-factor", 2)));
    CHECK(factors.at("lm_head.weight.left") == std::vector<index_t>{v, 2});
    CHECK(factors.at("lm_head.weight.right") == std::vector<index_t>{2, 6});
    CHECK(factors.at("lm_head.bias") == std::vector<index_t>{v});
    CHECK_FALSE(factors.contains("lm_head.weight"));
    CHECK(factors.contains("model.shared.weight"));
    auto const dense = shapes(with(layer("lm_head", "dense", 6, false)));
    CHECK(dense.at("lm_head.weight") == std::vector<index_t>{v, 6});
    CHECK_FALSE(dense.contains("lm_head.bias"));

    auto const refused = refused_tensors(with(layer("lm_head", "two-factor", 2)));
    CHECK(refused.at("lm_head.weight") == "in config.json the layer is two-factor");
    CHECK(refused.at("lm_head.weight.kept") == "in config.json the layer is two-factor");
    CHECK_FALSE(refused.contains("lm_head.weight.left"));
    // Where no layer is listed, lm_head.weight is a table, and factors have no place.
    for (auto const& c : {plain, read_bart_config(small_config(), "c.json")}) {
      auto const of_table = refused_tensors(c);
      CHECK_FALSE(of_table.contains("lm_head.weight"));
      CHECK(of_table.at("lm_head.weight.left") == "config.json lists no such layer");
      CHECK(of_table.at("lm_head.bias") == "config.json lists no such layer");
    }
    json["eckart"] = section({layer(fc1, "pivoted", 4)});
    CHECK(shapes(read_bart_config(json, "c.json")).contains("lm_head.weight") == !tied);
    CHECK(has(fault(section({layer("lm_head", "pivoted", 7)})), "rank 7"));
  }
}

TEST_CASE("the tensors that are refused are none of those that are wanted") {
  auto const plain = refused_tensors(read_bart_config(small_config(), "c.json"));
  CHECK(plain.contains(fc1 + ".weight.kept"));
  CHECK(plain.contains(joint_name + ".weight"));
  CHECK(plain.contains(joint_name + ".bias"));
  CHECK_FALSE(plain.contains(fc1 + ".bias"));
  auto const c =
      read(section({layer(fc1, "pivoted", 4, false), layer(joint_name, "full-core", 5)}));
  auto const refused = refused_tensors(c);
  for (auto const& spec : stored_schema(c)) {
    CHECK_FALSE(refused.contains(spec.name));
  }
  CHECK(refused.at(fc1 + ".bias") == "in config.json the layer is pivoted without bias");
  CHECK(refused.at(fc1 + ".weight") == refused.at(fc1 + ".bias"));
  CHECK(refused.at(fc1 + ".weight.left") == refused.at(fc1 + ".bias"));
  CHECK(refused.at(queries + ".bias") == "in config.json a joint layer stands for it");
  CHECK(refused.at("model.decoder.cross_kv_proj.weight") ==
        "config.json lists no such joint layer");
}
