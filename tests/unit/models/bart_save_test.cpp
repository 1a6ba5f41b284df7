#include "eckart/models/bart/save.hpp"

#include "eckart/models/bart/module_tree.hpp"
#include "eckart/models/bart_sites.hpp"
#include "eckart/models/fold_bart.hpp"
#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace eckart;
using bart_test::checkpoint;
using bart_test::has;
using bart_test::random_values;
using bart_test::rounding;
using bart_test::run;
using bart_test::stored;
using bart_test::temporary_directory;
using bart_test::tiny_model;
using io_test::refusal;

namespace {

std::string const memory(cross_kv_name);

auto tiny_config() -> nlohmann::json {
  return read_json(tiny_model() / "config.json");
}

template <class T>
auto layer_of(bart<T> const& model, std::string_view wanted) -> linear<T> {
  std::optional<linear<T>> result;
  model.visit_linears([&](std::string const& name, linear<T> const& layer) {
    if (name == wanted) {
      result = layer;
    }
  });
  return result.value();
}

/// The layer's truncated SVD.
template <class T>
auto truncated(linear<T> const& layer, form stored_as, index_t rank) -> linear<T> {
  auto factors = factorize(layer.dense_weight(), at_rank{rank});
  return layer.with_weight(weight_in_form(to_two_factor(factors), stored_as));
}

template <class T>
auto without_bias(linear<T> const& layer) -> linear<T> {
  return linear<T>(layer.stored_weight());
}

template <class T>
void compress(bart<T>& model, std::string const& name, form stored_as, index_t rank) {
  model.replace(name, truncated(layer_of(model, name), stored_as, rank));
}

/// The joint layer of the site of this name, dense.
template <class T>
auto joined(bart<T> const& model, std::string const& name) -> linear<T> {
  std::vector<linear<T>> layers;
  std::vector<linear<T> const*> members;
  for (auto const& site : bart_sites(model.config())) {
    if (site.name == name) {
      for (auto const& member : site.members) {
        layers.push_back(layer_of(model, member));
      }
    }
  }
  for (auto const& layer : layers) {
    members.push_back(&layer);
  }
  return joint_layer(members);
}

/// Every form, both kinds of joint layers, layers without bias. Functions of the reference model
/// but for truncation.
template <class T>
auto compressed_model(bool folded) -> bart<T> {
  auto model = bart<T>::load(tiny_model());
  if (folded) {
    fold(model);
  }
  std::string const encoder = "model.encoder.layers.";
  std::string const decoder = "model.decoder.layers.";
  model.replace(encoder + "0.self_attn.qkv_proj",
                truncated(joined(model, encoder + "0.self_attn.qkv_proj"), form::two_factor, 24));
  compress(model, encoder + "0.self_attn.out_proj", form::diagonal_core, 21);
  compress(model, encoder + "0.fc1", form::full_core, 23);
  compress(model, encoder + "0.fc2", form::pivoted, 20);
  model.replace(encoder + "1.self_attn.qkv_proj", joined(model, encoder + "1.self_attn.qkv_proj"));
  compress(model, encoder + "1.fc2", form::pivoted, 32);  // nothing is left to combine
  compress(model, decoder + "0.self_attn.q_proj", form::two_factor, 1);
  compress(model, decoder + "1.self_attn.v_proj", form::pivoted, 19);
  model.replace(decoder + "1.fc1",
                without_bias(truncated(layer_of(model, decoder + "1.fc1"), form::full_core, 18)));
  model.replace(decoder + "2.self_attn.qkv_proj",
                without_bias(truncated(joined(model, decoder + "2.self_attn.qkv_proj"),
                                       form::diagonal_core, 22)));
  model.replace(decoder + "2.fc2", without_bias(layer_of(model, decoder + "2.fc2")));
  model.replace(memory, truncated(joined(model, memory), form::pivoted, 25));
  return model;
}

/// With an output layer in factors, or dense for the form dense, and a bias of its own.
template <class T>
auto with_head(bart<T> model, form stored_as) -> bart<T> {
  auto bias = make_vector<T>(97);
  std::ranges::copy(random_values(97, 7), bias.begin());
  auto table = to_matrix(model.output_table());
  if (stored_as == form::dense) {
    model.replace("lm_head", linear<T>(std::move(table), bias));
  } else {
    auto factors = to_two_factor(factorize(table, at_rank{9}));
    model.replace("lm_head", linear<T>(weight_in_form(std::move(factors), stored_as), bias));
  }
  return model;
}

template <class T>
auto saved(bart<T> const& model, save_options const& options = {}) -> checkpoint {
  temporary_directory const directory;
  save_bart(directory / "model", model, tiny_config(), options);
  return checkpoint::from(directory / "model");
}

auto data_bytes(checkpoint const& c, std::string_view prefix) -> std::uint64_t {
  std::uint64_t total = 0;
  for (auto const& [name, tensor] : c.tensors) {
    total += name.starts_with(prefix) ? tensor.bytes.size() : 0;
  }
  return total;
}

auto names_of(checkpoint const& c) -> std::set<std::string> {
  std::set<std::string> names;
  for (auto const& [name, tensor] : c.tensors) {
    names.insert(name);
  }
  return names;
}

auto listed(nlohmann::json& config, std::string const& name) -> nlohmann::json& {
  for (auto& layer : config["eckart"]["layers"]) {
    if (layer["name"] == name) {
      return layer;
    }
  }
  throw std::out_of_range(name);
}

auto norm(matrix_view<double const> a) -> double {
  double sum = 0;
  for (index_t i = 0; i < a.rows; ++i) {
    for (auto const x : a.row(i)) {
      sum += x * x;
    }
  }
  return std::sqrt(sum);
}

auto relative_difference(matrix<double> got, matrix<double> const& expected) -> double {
  auto const size = norm(as_view(expected));
  std::ranges::transform(got, expected, got.begin(), std::minus{});
  return norm(as_view(std::as_const(got))) / size;
}

}  // namespace

TEST_CASE_TEMPLATE("a model that was saved and loaded is the same to the last bit", T, float,
                   double) {
  auto const stored_as = std::same_as<T, float> ? dtype::f32 : dtype::f64;
  for (bool const folded : {false, true}) {
    CAPTURE(folded);
    auto const model = compressed_model<T>(folded);
    temporary_directory const directory;
    save_bart(directory / "model", model, tiny_config(), {stored_as, "test"});
    CHECK(directory.count_files() == 1);
    auto const loaded = bart<T>::load(directory / "model");
    CHECK(run(loaded) == run(model));
    CHECK(loaded.parameters() == model.parameters());
    CHECK(compression_of(loaded) == compression_of(model));
    CHECK(compression_of(loaded).score_scale_folded == folded);
    CHECK(module_tree(loaded) == module_tree(model));
    CHECK(loaded.config() == model.config());
    std::vector<T> scales;
    loaded.visit_attentions([&](auto const&, auto const& a) { scales.push_back(a.scale); });
    model.visit_attentions([&, i = std::size_t{0}](auto const&, auto const& a) mutable {
      CHECK(scales.at(i++) == a.scale);
    });
    // Once more, over itself.
    save_bart(directory / "model", loaded, read_json(directory / "model/config.json"), {stored_as});
    CHECK(run(bart<T>::load(directory / "model")) == run(model));
    CHECK(read_bart_config(directory / "model/config.json").compression->method == "test");
  }
}

TEST_CASE("the section lists what is not dense with a bias, in the order of the modules") {
  auto const c = saved(compressed_model<float>(true), {dtype::f32, "by hand"});
  auto const config = read_bart_config(c.config, "config.json");
  REQUIRE(config.compression);
  CHECK(config.compression->method == "by hand");
  CHECK(config.compression->score_scale_folded);
  auto const& layers = config.compression->layers;
  CHECK(layers.front() ==
        stored_layer{"model.encoder.layers.0.self_attn.qkv_proj", form::two_factor, 24, true});
  CHECK(layers.at(1) ==
        stored_layer{"model.encoder.layers.0.self_attn.out_proj", form::diagonal_core, 21, true});
  CHECK(layers.back() == stored_layer{"model.decoder.layers.2.fc2", form::dense, 32, false});
  // The biases of k_proj and v_proj are dropped in the decoder's self-attention where no joint
  // layer has them: two in layer 0, two in layer 1.
  CHECK(std::ranges::count_if(layers, [](auto const& one) { return !one.bias; }) == 4 + 3);
  CHECK(c.tensors.contains(memory + ".weight.kept"));
  CHECK_FALSE(c.tensors.contains("model.decoder.layers.0.encoder_attn.k_proj.weight"));
  // The file holds what the section says, and nothing else.
  std::set<std::string> wanted{"final_logits_bias"};
  for (auto const& spec : stored_schema(config)) {
    CHECK(wanted.insert(spec.name).second);
    CHECK(c.tensors.at(spec.name).shape == spec.shape);
  }
  CHECK(names_of(c) == wanted);
  CHECK(c.metadata.at("format") == "pt");
}

TEST_CASE("the file's bytes are the parameters, and 8 for every row of a pivoted layer") {
  auto const model = compressed_model<float>(true);
  for (auto const type : {dtype::f32, dtype::f16, dtype::bf16, dtype::f64}) {
    auto const width = static_cast<std::uint64_t>(dtype_size(type));
    auto const c = saved(model, {type});
    std::uint64_t rows = 0;
    model.visit_linears([&](std::string const& name, linear<float> const& layer) {
      CAPTURE(name);
      auto const own = layer.stored_as() == form::pivoted
                           ? static_cast<std::uint64_t>(layer.shape().rows)
                           : std::uint64_t{0};
      auto const numbers = cost::parameters(layer.stored_as(), layer.shape(), layer.rank());
      CHECK(data_bytes(c, name + ".weight") == numbers * width + 8 * own);
      rows += own;
    });
    CHECK(data_bytes(c, "") == (model.parameters() + 97) * width + 8 * rows);
  }
}

TEST_CASE("a model that is not compressed is written as the checkpoint that it was read from") {
  auto const c = saved(bart<float>::load(tiny_model()));
  auto const original = checkpoint::tiny();
  CHECK(c.config == original.config);
  CHECK(names_of(c) == names_of(original));
  for (auto const& entry : original.tensors) {
    auto const& name = entry.first;
    auto const& tensor = entry.second;
    CAPTURE(name);
    CHECK(c.tensors.at(name).type == tensor.type);
    CHECK(c.tensors.at(name).shape == tensor.shape);
    CHECK(c.tensors.at(name).bytes == tensor.bytes);
  }
}

TEST_CASE("keys of the configuration stay, but for the element type and the section") {
  auto const model = compressed_model<float>(false);
  auto config = tiny_config();
  config["task_specific_params"] = {{"summarization", {{"num_beams", 4}}}};
  temporary_directory const directory;
  save_bart(directory / "a", model, config, {dtype::f16});
  auto written = read_json(directory / "a/config.json");
  CHECK(written["dtype"] == "float16");
  CHECK_FALSE(written.contains("torch_dtype"));
  CHECK(written["eckart"]["method"] == "");
  written.erase("eckart");
  written["dtype"] = "float32";
  CHECK(written == config);
  config.erase("dtype");
  save_bart(directory / "b", model, config, {dtype::bf16});
  CHECK(read_json(directory / "b/config.json")["torch_dtype"] == "bfloat16");
  save_bart(directory / "c", model, config);
  CHECK_FALSE(read_json(directory / "c/config.json").contains("torch_dtype"));
  // A section of before goes with the layers that it described.
  save_bart(directory / "d", bart<float>::load(tiny_model()),
            read_json(directory / "a/config.json"));
  CHECK_FALSE(read_json(directory / "d/config.json").contains("eckart"));
  CHECK(run(bart<float>::load(directory / "d")) == run(bart<float>::load(tiny_model())));
}

TEST_CASE("tables that are not tied are written under their own names") {
  auto const table = [](std::uint64_t seed) {
    return stored({97, 32}, random_values(97 * 32, seed));
  };
  for (bool const tied : {true, false}) {
    for (bool const own_decoder : {true, false}) {
      for (auto const* const output : {"shared", "decoder", "own"}) {
        CAPTURE(message(tied, own_decoder, output));
        auto c = checkpoint::tiny();
        c.config["tie_word_embeddings"] = tied;
        if (own_decoder) {
          c.tensors["model.decoder.embed_tokens.weight"] = table(1);
        }
        c.tensors["lm_head.weight"] = has(output, "own") ? table(2)
                                      : has(output, "decoder") && own_decoder
                                          ? table(1)
                                          : c.tensors.at("model.shared.weight");
        auto const model = c.load<float>();
        temporary_directory const directory;
        save_bart(directory / "m", model, c.config);
        auto const loaded = bart<float>::load(directory / "m");
        CHECK(run(loaded) == run(model));
        CHECK(loaded.parameters() == model.parameters());
        auto const names = names_of(checkpoint::from(directory / "m"));
        CHECK(names.contains("model.decoder.embed_tokens.weight") == own_decoder);
        CHECK(names.contains("model.shared.weight"));
      }
    }
  }
}

TEST_CASE("half precision is off by half a unit in the last place and no more") {
  auto const model = compressed_model<float>(true);
  auto const exact = saved(model);
  struct precision {
    dtype type;
    double unit;      // relative, of normal numbers
    double smallest;  // half the distance of subnormal ones
  };
  for (auto const& [type, unit, smallest] :
       {precision{dtype::f16, 0x1p-11, 0x1p-25}, precision{dtype::bf16, 0x1p-8, 0x1p-134}}) {
    auto const halves = saved(model, {type});
    CHECK(names_of(halves) == names_of(exact));
    bool differs = false;
    for (auto const& entry : exact.tensors) {
      auto const& name = entry.first;
      auto const& tensor = entry.second;
      CAPTURE(name);
      auto const& half = halves.tensors.at(name);
      if (name.ends_with(".rows")) {
        CHECK(half.bytes == tensor.bytes);
        continue;
      }
      CHECK(half.type == type);
      auto const got = half.values();
      auto const wanted = tensor.values();
      REQUIRE(got.size() == wanted.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        auto const x = static_cast<double>(wanted[i]);
        REQUIRE(std::abs(static_cast<double>(got[i]) - x) <=
                std::max(unit * std::abs(x), smallest));
        differs = differs || got[i] != wanted[i];
      }
    }
    CHECK(differs);
    // What is stored is what is read.
    CHECK(run(halves.load<float>()) == run(saved(halves.load<float>(), {type}).load<float>()));
  }
}

TEST_CASE("a number beyond the range of the element type is refused, nothing is written") {
  std::string const name = "model.decoder.layers.1.fc1";
  auto model = compressed_model<float>(false);
  auto weight = layer_of(model, name).dense_weight();
  weight(3, 5) = 65520.0F;  // the first that rounds to infinity
  model.replace(name, linear<float>(weight));
  temporary_directory const directory;
  auto const save = [&](std::string const& to) {
    return refusal<numerical_error>(
        [&] { save_bart(directory / to, model, tiny_config(), {dtype::f16}); });
  };
  auto const what = save("new");
  CHECK(has(what, "tensor \"" + name + ".weight\": value 65520 at (3, 5)"));
  CHECK(has(what, "beyond the range of F16"));
  CHECK(directory.count_files() == 0);
  save_bart(directory / "old", bart<float>::load(tiny_model()), tiny_config());
  CHECK(save("old") == what);
  CHECK(run(bart<float>::load(directory / "old")) == run(bart<float>::load(tiny_model())));
  CHECK(std::distance(std::filesystem::directory_iterator(directory / "old"), {}) == 2);
  CHECK_NOTHROW(save_bart(directory / "new", model, tiny_config(), {dtype::bf16}));
  weight(3, 5) = std::nextafter(65520.0F, 0.0F);
  model.replace(name, linear<float>(weight));
  CHECK_NOTHROW(save_bart(directory / "new", model, tiny_config(), {dtype::f16}));
}

TEST_CASE("other files of a directory stay, a place that is none is refused") {
  auto const model = bart<float>::load(tiny_model());
  temporary_directory const directory;
  auto const save = [&](std::filesystem::path const& to) {
    return refusal<io_error>([&] { save_bart(to, model, tiny_config()); });
  };
  std::filesystem::create_directory(directory / "m");
  io_test::put(directory / "m/tokenizer.json", "{}");
  CHECK(save(directory / "m") == "nothing thrown");
  CHECK(io_test::get(directory / "m/tokenizer.json") == "{}");
  CHECK(std::distance(std::filesystem::directory_iterator(directory / "m"), {}) == 3);
  CHECK(save(directory / "slash/") == "nothing thrown");
  CHECK(run(bart<float>::load(directory / "slash")) == run(model));

  io_test::put(directory / "file", "text");
  CHECK(has(save(directory / "file"), (directory / "file").string() + ": cannot write a model"));
  CHECK(has(save(directory / "file/m"), "file/m: cannot create a temporary directory beside it"));
  CHECK(has(save(directory / "none/m"), "none/m: cannot create a temporary directory beside it"));
  std::filesystem::create_symlink("nowhere", directory / "link");
  CHECK(has(save(directory / "link"), "link: cannot write a model"));
  CHECK(io_test::get(directory / "file") == "text");
  CHECK(directory.count_files() == 4);
}

TEST_CASE("the configuration of another model is refused") {
  auto const model = bart<float>::load(tiny_model());
  temporary_directory const directory;
  auto config = tiny_config();
  config["decoder_layers"] = 2;
  auto const what = refusal<shape_error>([&] { save_bart(directory / "m", model, config); });
  CHECK(has(what, "save_bart: config is not the model's: d_model 32, 2 + 2 layers, vocabulary 97"));
  CHECK(has(what, "the model has d_model 32, 2 + 3 layers"));
  CHECK(has(refusal<shape_error>([&] { export_dense(directory / "m", model, config); }),
            "export_dense: config"));
  config = tiny_config();
  config["activation_function"] = "relu";
  CHECK_THROWS_AS(save_bart(directory / "m", model, config), shape_error);
  CHECK_THROWS_AS(save_bart(directory / "m", model, nlohmann::json::array()), format_error);
  CHECK_THROWS_AS(save_bart(directory / "m", model, tiny_config(), {dtype::i32}), shape_error);
  auto const compressed = compressed_model<float>(false);
  CHECK_THROWS_AS(save_bart(directory / "m", compressed, tiny_config(), {dtype::f32, "\xff"}),
                  format_error);
  CHECK(directory.count_files() == 0);
}

TEST_CASE("scores that some attentions scale and others do not are refused by the attention") {
  auto model = bart<float>::load(tiny_model());
  auto const set = [&](std::string_view wanted, float scale) {
    model.visit_attentions([&](std::string const& name, multi_head_attention<float>& a) {
      if (name == wanted) {
        a.scale = scale;
      }
    });
  };
  auto const last = "model.decoder.layers.2.encoder_attn";
  set(last, 1.0F);
  CHECK(has(refusal<shape_error>([&] { compression_of(model); }),
            "decoder.layers.2.encoder_attn: scores are scaled by 1"));
  fold(model);
  CHECK(compression_of(model).score_scale_folded);
  set(last, 0.5F);
  CHECK(has(refusal<shape_error>([&] { compression_of(model); }), "scaled by 0.5"));
}

TEST_CASE("a rank that the configuration and the file do not agree on is refused") {
  auto const original = saved(compressed_model<float>(false));
  for (auto const* const layer :
       {"model.encoder.layers.0.self_attn.qkv_proj", "model.encoder.layers.0.self_attn.out_proj",
        "model.encoder.layers.0.fc1", "model.encoder.layers.0.fc2",
        "model.decoder.cross_kv_proj"}) {
    CAPTURE(std::string(layer));
    for (int const step : {-1, 1}) {
      auto c = original;
      auto& rank = listed(c.config, layer)["rank"];
      rank = rank.get<int>() + step;
      CHECK(has(c.refusal(), message("\n  ", layer, ".weight.")));
    }
  }
  auto c = original;
  listed(c.config, "model.encoder.layers.0.fc2")["rank"] = 19;
  auto const what = c.refusal();
  CHECK(has(what, "\n  model.encoder.layers.0.fc2.weight.kept is 20 x 64, not 19 x 64"));
  CHECK(has(what, "\n  model.encoder.layers.0.fc2.weight.combinations is 12 x 20, not 13 x 19"));
  CHECK(std::ranges::count(what, '\n') == 2);
}

TEST_CASE("factors of one shape in the file and another in the configuration are refused") {
  auto c = saved(compressed_model<float>(false));
  // The file is consistent by itself: a smaller rank in all parts.
  std::string const name = "model.encoder.layers.0.self_attn.out_proj.weight";
  c.tensors[name + ".u"] = stored({32, 2}, random_values(64, 1));
  c.tensors[name + ".s"] = stored({2}, random_values(2, 2));
  c.tensors[name + ".vt"] = stored({2, 32}, random_values(64, 3));
  auto const what = c.refusal();
  CHECK(has(what, name + ".u is 32 x 2, not 32 x 21"));
  CHECK(has(what, name + ".s is 2, not 21"));
  CHECK(has(what, name + ".vt is 2 x 32, not 21 x 32"));
}

TEST_CASE("tensors of another form than the configuration names are refused, all in one message") {
  auto const original = saved(compressed_model<float>(false));
  std::string const name = "model.encoder.layers.0.fc1";
  for (std::string const form : {"dense", "diagonal-core", "two-factor", "pivoted"}) {
    CAPTURE(form);
    auto c = original;
    listed(c.config, name)["form"] = form;
    listed(c.config, name)["rank"] = form == "dense" ? 32 : 23;
    auto const what = c.refusal();
    CHECK(has(what, "is missing"));
    CHECK(has(what, ".weight.core has no place: in config.json the layer is " + form));
  }
  auto both = original;
  both.tensors[name + ".weight"] = stored({64, 32}, random_values(64 * 32, 4));
  CHECK(has(both.refusal(),
            "\n  " + name + ".weight has no place: in config.json the layer is full-core"));
  auto plain = original;
  plain.config.erase("eckart");
  auto const what = plain.refusal();
  CHECK(has(what, "\n  " + name + ".weight is missing"));
  CHECK(has(what, "\n  " + name + ".weight.core has no place: in config.json the layer is dense"));
  CHECK(has(what, "cross_kv_proj.weight.kept has no place: config.json lists no such joint layer"));
}

TEST_CASE("members of a joint layer beside it are refused") {
  auto const original = saved(compressed_model<float>(false));
  for (std::string const member :
       {"model.encoder.layers.1.self_attn.k_proj", "model.decoder.layers.1.encoder_attn.v_proj"}) {
    for (std::string const tensor : {".weight", ".bias", ".weight.left"}) {
      CAPTURE(member + tensor);
      auto c = original;
      c.tensors[member + tensor] = stored({32}, random_values(32, 5));
      CHECK(has(c.refusal(), "\n  " + member + tensor +
                                 " has no place: in config.json a joint layer stands for it"));
    }
  }
}

TEST_CASE("tensors that are missing and biases that should not be are refused by name") {
  auto const original = saved(compressed_model<float>(true));
  for (auto const& [name, tensor] : original.tensors) {
    if (name != "final_logits_bias" && has(name, "attn.") && !has(name, "encoder.layers.0")) {
      auto c = original;
      c.tensors.erase(name);
      CHECK(has(c.refusal(), "\n  " + name + " is missing"));
    }
  }
  std::string const name = "model.decoder.layers.2.fc2";
  auto more = original;
  more.tensors[name + ".bias"] = stored({32}, random_values(32, 6));
  CHECK(has(more.refusal(), "\n  " + name +
                                ".bias has no place: in config.json the layer is "
                                "dense without bias"));
  auto less = original;
  listed(less.config, name)["bias"] = true;
  CHECK(has(less.refusal(), "\n  " + name + ".bias is missing"));
}

TEST_CASE("rows of a pivoted layer that are no permutation are refused by the entry") {
  auto c = saved(compressed_model<float>(false));
  auto& rows = c.tensors.at("model.encoder.layers.0.fc2.weight.rows");
  std::memcpy(rows.bytes.data(), rows.bytes.data() + 8, 8);
  CHECK(has(c.refusal(), "tensor \"model.encoder.layers.0.fc2.weight.rows\""));
  CHECK(has(c.refusal(), "entry 1 is"));
}

TEST_CASE("a section of another version loads nothing") {
  auto c = saved(compressed_model<float>(false));
  c.config["eckart"]["version"] = 2;
  CHECK(has(c.refusal(), "config.json: eckart: version 2 is not 1"));
}

TEST_CASE("compressed layers are found under names without the prefix too") {
  auto const model = compressed_model<float>(true);
  auto c = saved(model);
  for (auto const& name : names_of(c)) {
    if (name.starts_with("model.")) {
      c.rename(name, name.substr(6));
    }
  }
  CHECK(run(c.load<float>()) == run(model));
}

TEST_CASE("a dense export of a model that is not compressed is the checkpoint it was read from") {
  temporary_directory const directory;
  export_dense(directory / "m", bart<float>::load(tiny_model()), tiny_config());
  auto const c = checkpoint::from(directory / "m");
  auto const original = checkpoint::tiny();
  CHECK(c.config == original.config);
  CHECK(names_of(c) == names_of(original));
  for (auto const& [name, tensor] : original.tensors) {
    CHECK(c.tensors.at(name).bytes == tensor.bytes);
  }
}

TEST_CASE("a dense export computes what the compressed model does") {
  for (bool const folded : {false, true}) {
    CAPTURE(folded);
    auto const model = compressed_model<double>(folded);
    temporary_directory const directory;
    save_bart(directory / "small", model, tiny_config(), {dtype::f64});
    export_dense(directory / "plain", model, read_json(directory / "small/config.json"),
                 dtype::f64);
    auto const c = checkpoint::from(directory / "plain");
    CHECK(names_of(c) == names_of(checkpoint::tiny()));
    CHECK_FALSE(c.config.contains("eckart"));
    CHECK(c.config["dtype"] == "float64");
    auto const plain = bart<double>::load(directory / "plain");
    CHECK(compression_of(plain) == bart_compression{});
    CHECK(plain.parameters() == bart_parameters(plain.config()));
    auto const got = run(plain);
    auto const expected = run(model);
    CHECK(relative_difference(got.memory, expected.memory) <= rounding);
    CHECK(relative_difference(got.hidden, expected.hidden) <= rounding);
    CHECK(relative_difference(got.logits, expected.logits) <= rounding);
    auto const dropped = c.tensors.at("model.decoder.layers.2.fc2.bias").values();
    CHECK(dropped == std::vector<float>(32));
  }
}

TEST_CASE("a dense export takes the scale out of the queries") {
  auto model = bart<double>::load(tiny_model());
  auto const before = layer_of(model, "model.decoder.layers.1.encoder_attn.q_proj");
  fold(model);
  temporary_directory const directory;
  export_dense(directory / "m", model, tiny_config(), dtype::f64);
  auto const plain = bart<double>::load(directory / "m");
  // 2 heads of 16: the scale is a power of 2, so that nothing is rounded.
  auto const after = layer_of(plain, "model.decoder.layers.1.encoder_attn.q_proj");
  CHECK(std::ranges::equal(after.dense_weight(), before.dense_weight()));
  CHECK(std::ranges::equal(*after.bias(), *before.bias()));
  auto const k = layer_of(plain, "model.decoder.layers.1.encoder_attn.k_proj");
  CHECK(std::ranges::all_of(*k.bias(), [](double x) { return x == 0; }));
  auto const original = run(bart<double>::load(tiny_model()));
  CHECK(relative_difference(run(plain).logits, original.logits) <= rounding);
}

TEST_CASE_TEMPLATE("an output layer is saved and loaded to the last bit, and the table as before",
                   T, float, double) {
  auto const stored_as = std::same_as<T, float> ? dtype::f32 : dtype::f64;
  for (auto const head :
       {form::two_factor, form::diagonal_core, form::full_core, form::pivoted, form::dense}) {
    for (bool const compressed : {false, true}) {
      CAPTURE(static_cast<int>(head));
      auto const model =
          with_head(compressed ? compressed_model<T>(true) : bart<T>::load(tiny_model()), head);
      temporary_directory const directory;
      save_bart(directory / "m", model, tiny_config(), {stored_as});
      auto const loaded = bart<T>::load(directory / "m");
      CHECK(run(loaded) == run(model));
      CHECK(loaded.parameters() == model.parameters());
      CHECK(module_tree(loaded) == module_tree(model));
      CHECK(loaded.output_table().data == nullptr);
      auto const section = compression_of(loaded);
      CHECK(section == compression_of(model));
      auto const rank = head == form::dense ? index_t{32} : index_t{9};
      CHECK(section.layers.back() == stored_layer{"lm_head", head, rank, true});
      auto const c = checkpoint::from(directory / "m");
      CHECK(c.tensors.at("model.shared.weight").shape == std::vector<index_t>{97, 32});
      CHECK(c.tensors.contains("lm_head.weight") == (head == form::dense));
      CHECK(c.config["tie_word_embeddings"] == tiny_config()["tie_word_embeddings"]);
      // The file holds what the section says, and nothing else.
      std::set<std::string> wanted{"final_logits_bias"};
      for (auto const& spec : stored_schema(read_bart_config(c.config, "config.json"))) {
        CHECK(wanted.insert(spec.name).second);
      }
      CHECK(names_of(c) == wanted);
    }
  }
}

TEST_CASE("an output layer is no table, whose tensor it does not replace on loading") {
  auto const model = with_head(bart<float>::load(tiny_model()), form::dense);
  auto const original = saved(model);
  auto c = original;
  c.tensors.erase("model.shared.weight");  // lm_head.weight has its shape
  CHECK(has(c.refusal(), "\n  model.shared.weight is missing"));
  c = original;
  c.tensors.erase("lm_head.weight");
  CHECK(has(c.refusal(), "\n  lm_head.weight is missing"));
  c = original;
  c.tensors["lm_head.weight"] = stored({97, 31}, random_values(97 * 31, 1));
  CHECK(has(c.refusal(), "\n  lm_head.weight is 97 x 31, not 97 x 32"));
  c = original;  // without the section it is the output's table, which a bias has no place beside
  c.config.erase("eckart");
  CHECK(has(c.refusal(), "\n  lm_head.bias has no place: config.json lists no such layer"));
  c.tensors.erase("lm_head.bias");
  CHECK(c.load<float>().output_table().size() == 97 * 32);
}

TEST_CASE("parts of an output layer that are missing, of another form or shape are refused") {
  auto const original = saved(with_head(compressed_model<float>(false), form::two_factor));
  CHECK_NOTHROW(original.load<float>());
  for (std::string const part : {"lm_head.weight.left", "lm_head.weight.right", "lm_head.bias"}) {
    auto c = original;
    c.tensors.erase(part);
    CHECK(has(c.refusal(), "\n  " + part + " is missing"));
    c.tensors[part] = stored({5}, random_values(5, 1));
    CHECK(has(c.refusal(), "\n  " + part + " is 5, not "));
  }
  auto c = original;
  c.tensors["lm_head.weight"] = stored({97, 32}, random_values(97 * 32, 1));
  CHECK(
      has(c.refusal(), "\n  lm_head.weight has no place: in config.json the layer is two-factor"));
  c = original;
  c.tensors["lm_head.weight.core"] = stored({9, 9}, random_values(81, 1));
  CHECK(has(c.refusal(), "\n  lm_head.weight.core has no place"));
  c = original;
  c.tensors.erase("model.shared.weight");
  CHECK(has(c.refusal(), "\n  model.shared.weight is missing"));
  c = original;
  auto& layers = c.config["eckart"]["layers"];
  CHECK(layers.back()["name"] == "lm_head");
  layers.erase(layers.size() - 1);
  CHECK(has(c.refusal(), "\n  lm_head.weight.left has no place: config.json lists no such layer"));
}

TEST_CASE("a dense export of an output layer has a table of its own, and the sum of the biases") {
  for (auto const head : {form::two_factor, form::pivoted, form::dense}) {
    auto original = checkpoint::tiny();
    original.tensors["final_logits_bias"] = stored({1, 97}, random_values(97, 8));
    original.config["tie_word_embeddings"] = true;
    auto const model = with_head(original.load<double>(), head);
    temporary_directory const directory;
    export_dense(directory / "m", model, original.config, dtype::f64);
    auto const c = checkpoint::from(directory / "m");
    CHECK(c.config["tie_word_embeddings"] == false);
    CHECK_FALSE(c.config.contains("eckart"));
    auto expected = names_of(original);
    expected.insert({"lm_head.weight", "model.encoder.embed_tokens.weight",
                     "model.decoder.embed_tokens.weight"});
    CHECK(names_of(c) == expected);
    CHECK(c.tensors.at("model.encoder.embed_tokens.weight").bytes ==
          c.tensors.at("model.shared.weight").bytes);
    CHECK(c.tensors.at("final_logits_bias").shape == std::vector<index_t>{1, 97});
    auto const plain = bart<double>::load(directory / "m");
    CHECK_FALSE(plain.lm_head());
    // The dense layer is the table itself, which is read once.
    CHECK(plain.parameters() ==
          bart_parameters(plain.config()) - (head == form::dense ? 97 * 32 : 0));
    CHECK(relative_difference(run(plain).logits, run(model).logits) <= rounding);
  }
}

TEST_CASE("a model whose output was not tied is saved with an output layer and without its table") {
  auto c = checkpoint::tiny();
  c.config["tie_word_embeddings"] = false;
  c.tensors["lm_head.weight"] = stored({97, 32}, random_values(97 * 32, 2));
  auto const model = with_head(c.load<float>(), form::pivoted);
  temporary_directory const directory;
  save_bart(directory / "m", model, c.config);
  CHECK(run(bart<float>::load(directory / "m")) == run(model));
  CHECK_FALSE(checkpoint::from(directory / "m").tensors.contains("lm_head.weight"));
  CHECK(bart<float>::load(directory / "m").parameters() ==
        bart<float>::load(tiny_model()).parameters() + 9 * (97 + 32 - 9) + 97);
}

TEST_CASE("the module tree shows an output layer in the place of the table") {
  auto const model = with_head(bart<float>::load(tiny_model()), form::two_factor);
  CHECK(has(to_text(module_tree(model)),
            "(lm_head): LowRank(in_features=32, out_features=97, rank=9, form=two-factor, "
            "bias=True)"));
  auto config = model.config();
  CHECK(has(to_text(module_tree(config)),
            "(lm_head): Linear(in_features=32, out_features=97, bias=False)"));
  config.compression = compression_of(model);
  CHECK(module_tree(config) == module_tree(model));
}

TEST_CASE("the module tree shows joint layers in the place of their members") {
  auto const model = compressed_model<float>(true);
  auto const text = to_text(module_tree(model));
  CHECK(has(text,
            "(qkv_proj): LowRank(in_features=32, out_features=96, rank=24, "
            "form=two-factor, bias=True)"));
  CHECK(has(text, "(qkv_proj): Linear(in_features=32, out_features=96, bias=True)"));
  CHECK(has(text,
            "(cross_kv_proj): LowRank(in_features=32, out_features=192, rank=25, "
            "form=pivoted, bias=True)"));
  auto config = model.config();
  config.compression = compression_of(model);
  CHECK(module_tree(config) == module_tree(model));
  config.compression.reset();
  CHECK(module_tree(config) == module_tree(bart<float>::load(tiny_model())));
  CHECK_FALSE(has(to_text(module_tree(config)), "qkv_proj"));
}
