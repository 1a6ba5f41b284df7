#include "eckart/models/generate.hpp"

#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace eckart;
using bart_test::checkpoint;
using bart_test::has;
using bart_test::temporary_directory;
using bart_test::tiny_model;
using io_test::refusal;

namespace {

using ids = std::vector<token_id>;
using batch_of_ids = std::vector<ids>;

auto options_of(index_t beams) -> generation_options {
  auto options = load_generation_options(tiny_model());
  options.num_beams = beams;
  options.max_length = 15;
  return options;
}

auto sources() -> batch_of_ids {
  return {{0, 17, 5, 41, 9, 2}, {0, 33, 2}, {2}, {0, 90, 91, 92, 8, 7, 6, 5, 4, 3, 2}};
}

/// The options of a directory with these two files; an empty text is no file.
auto load_from(std::string const& config, std::string const& generation) -> generation_options {
  temporary_directory const directory;
  io_test::put(directory / "config.json", config);
  if (!generation.empty()) {
    io_test::put(directory / "generation_config.json", generation);
  }
  return load_generation_options(directory.path());
}

}  // namespace

TEST_CASE("a batch is padded to its longest sentence") {
  auto const batch = pad_batch(batch_of_ids{{5, 6}, {7, 8, 9}, {4}}, 1);
  CHECK(batch.ids == ids{5, 6, 1, 7, 8, 9, 4, 1, 1});
  CHECK(batch.key_lengths == std::vector<index_t>{2, 3, 1});
  CHECK(batch.tokens == 3);
  CHECK(batch.sentences() == 3);
}

TEST_CASE("an empty batch and an empty sentence are refused") {
  CHECK(has(refusal<shape_error>([] { pad_batch({}, 1); }), "empty input among 0"));
  auto const model = bart<float>::load(tiny_model());
  for (auto const& batch : {batch_of_ids{}, batch_of_ids{{}}, batch_of_ids{{0, 2}, {}, {2}}}) {
    auto const what = refusal<shape_error>([&] { generate(model, batch, options_of(2)); });
    CHECK(has(what, message("generate: an empty input among ", batch.size())));
  }
}

TEST_CASE("a source longer than the positions is refused with both numbers") {
  auto const model = bart<float>::load(tiny_model());
  auto const told = [&](std::size_t length) {
    return refusal<shape_error>([&] {
      generate(model, batch_of_ids{{0, 2}, ids(length, 5)}, options_of(1));
    });
  };
  CHECK(told(40) == "nothing thrown");
  CHECK(has(told(41), "generate: a source of 41 tokens, the model has 40 positions"));
}

TEST_CASE("ids outside of the vocabulary are refused with both numbers") {
  auto const model = bart<float>::load(tiny_model());
  for (token_id const id : {97, -1, 1'000'000}) {
    auto const what = refusal<shape_error>([&] {
      generate(model, batch_of_ids{{0, 2}, {0, id, 2}}, options_of(1));
    });
    CHECK(has(what, message("token id ", id, " is outside the vocabulary of 97")));
  }
}

TEST_CASE("options that do not fit the model are refused before anything is computed") {
  auto const model = bart<float>::load(tiny_model());
  auto const told = [&](auto change) {
    auto options = options_of(2);
    change(options);
    return refusal<shape_error>([&] { generate(model, sources(), options); });
  };
  CHECK(has(told([](auto& o) { o.num_beams = 0; }), "num_beams is 0"));
  CHECK(has(told([](auto& o) { o.eos_token_id = {97}; }), "eos_token_id holds 97"));
  CHECK(has(told([](auto& o) { o.num_return_sequences = 3; }), "num_return_sequences 3"));
  CHECK(has(told([](auto& o) { o.max_length = 42; }), "max_length 42"));
}

TEST_CASE("a batch gives what its sentences give alone, greedily and with beams") {
  auto const model = bart<float>::load(tiny_model());
  for (index_t const beams : {1, 2, 4}) {
    CAPTURE(beams);
    auto options = options_of(beams);
    options.num_return_sequences = beams;
    options.no_repeat_ngram_size = 3;
    auto const together = generate(model, sources(), options);
    REQUIRE(together.size() == sources().size());
    for (std::size_t s = 0; s < together.size(); ++s) {
      CAPTURE(s);
      auto const alone = generate(model, batch_of_ids{sources()[s]}, options);
      REQUIRE(alone.size() == 1);
      REQUIRE(together[s].size() == static_cast<std::size_t>(beams));
      for (std::size_t i = 0; i < together[s].size(); ++i) {
        CHECK(together[s][i].ids == alone[0][i].ids);
        CHECK(together[s][i].ids.front() == 2);
        CHECK(together[s][i].ids.size() <= 15);
      }
    }
  }
}

TEST_CASE("sequences longer than the first room of the caches go on") {
  auto c = checkpoint::tiny();
  c.config["max_position_embeddings"] = 100;
  for (auto const* side : {"encoder", "decoder"}) {
    c.tensors[message("model.", side, ".embed_positions.weight")] =
        bart_test::stored({102, 32}, bart_test::random_values(102 * 32, 1));
  }
  auto const model = c.load<float>();
  for (index_t const beams : {1, 3}) {
    auto options = options_of(beams);
    options.max_length = 101;
    options.min_length = 101;
    auto const found = generate(model, batch_of_ids{{0, 17, 2}, {0, 2}}, options);
    for (auto const& sentence : found) {
      CHECK(sentence.front().ids.size() == 101);
      CHECK(sentence.front().ids.back() == 2);
    }
  }
}

TEST_CASE("a step wants one token for each row") {
  auto const model = bart<float>::load(tiny_model());
  bart_step_decoder decoder(model, pad_batch(sources(), 1), 2, 4);
  CHECK(decoder.vocabulary() == 97);
  CHECK(decoder.step(ids(8, 2)).shape() == shape2{8, 97});
  CHECK(has(refusal<shape_error>([&] { decoder.step(ids(4, 2)); }), "4 tokens for 8 rows"));
  decoder.reorder(std::vector<index_t>{0, 2, 4, 6});
  // Two tokens for each of the four rows that are left.
  CHECK(has(refusal<shape_error>([&] { decoder.step(ids(8, 2)); }), "8 tokens for 4 rows"));
  CHECK(decoder.step(ids(4, 2)).shape() == shape2{4, 97});
}

TEST_CASE("generation_config.json is read, and what it lacks of special tokens is BART's") {
  auto const options =
      load_from(R"({"bos_token_id":5,"pad_token_id":6,"eos_token_id":7,
                    "decoder_start_token_id":8,"num_beams":9,"max_length":99})",
                R"({"num_beams":3,"max_length":50,"no_repeat_ngram_size":2,"eos_token_id":[4,2]})");
  CHECK(options.num_beams == 3);
  CHECK(options.max_length == 50);
  CHECK(options.no_repeat_ngram_size == 2);
  CHECK(options.eos_token_id == ids{4, 2});
  CHECK(options.bos_token_id == 5);
  CHECK(options.pad_token_id == 6);
  CHECK(options.decoder_start_token_id == 8);
  CHECK(options.forced_eos_token_id.empty());  // the file would name it
  auto const bare = load_from("{}", "{}");
  CHECK(bare.bos_token_id == 0);
  CHECK(bare.pad_token_id == 1);
  CHECK(bare.eos_token_id == ids{2});
  CHECK(bare.decoder_start_token_id == 2);
  CHECK(bare.num_beams == 1);
}

TEST_CASE("without generation_config.json the model's configuration speaks, EOS is forced") {
  auto const options = load_from(
      R"({"num_beams":4,"early_stopping":true,"min_length":56,"max_length":142,
          "length_penalty":2.0,"no_repeat_ngram_size":3,"forced_bos_token_id":0})",
      "");
  CHECK(options.num_beams == 4);
  CHECK(options.early_stopping == stop_early::yes);
  CHECK(options.min_length == 56);
  CHECK(options.max_length == 142);
  CHECK(options.length_penalty == 2.0);
  CHECK(options.no_repeat_ngram_size == 3);
  CHECK(options.forced_bos_token_id == 0);
  CHECK(options.forced_eos_token_id == ids{2});
  CHECK(load_from(R"({"forced_eos_token_id":9})", "").forced_eos_token_id == ids{9});
  CHECK(load_from(R"({"forced_eos_token_id":null})", "").forced_eos_token_id.empty());
}

TEST_CASE("faulty files are refused with their names") {
  auto const told = [](std::string const& config, std::string const& generation) {
    return refusal<format_error>([&] { load_from(config, generation); });
  };
  CHECK(has(told("{}", R"({"num_beams":"four"})"), "generation_config.json"));
  CHECK(has(told(R"({"num_beams":"four"})", ""), "config.json"));
  CHECK(has(told("{", "{}"), "config.json"));
  CHECK(has(told("{}", "{"), "generation_config.json"));
  temporary_directory const empty;
  CHECK_THROWS_AS(load_generation_options(empty.path()), io_error);
}

TEST_CASE("the embedded summarizer's options are those of its file") {
  auto const options = load_generation_options(golden::embedded_model());
  CHECK(options.num_beams == 4);
  CHECK(options.max_length == 101);
  CHECK(options.forced_bos_token_id == 0);
  CHECK(options.forced_eos_token_id == ids{2});
}
