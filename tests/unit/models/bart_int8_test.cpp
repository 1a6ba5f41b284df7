#include "eckart/models/bart/int8.hpp"

#include "eckart/backend/reference.hpp"
#include "eckart/io/json.hpp"
#include "eckart/models/bart/load.hpp"
#include "eckart/models/bart/save.hpp"
#include "eckart/models/compress_bart.hpp"
#include "support/matrix_check.hpp"
#include "support/temporary_directory.hpp"
#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using namespace eckart;
using bart_test::tiny_model;

namespace {

template <class B = openblas>
auto logits_of(bart<float> const& model, B const& backend = {}) -> matrix<float> {
  std::vector<token_id> const source{0, 7, 9, 11, 5, 2};
  std::vector<token_id> const target{2, 0, 8, 13};
  std::vector<index_t> const first{0};
  workspace<float> scratch;
  auto memory = make_matrix<float>({6, model.config().d_model});
  model.encoder()(source, 1, {}, as_view(memory), scratch, backend);
  auto state = model.decoder().start(as_view(memory), 1, {}, first, 4, scratch, backend);
  auto hidden = make_matrix<float>({4, model.config().d_model});
  model.decoder()(target, state, as_view(hidden), scratch, backend);
  auto logits = make_matrix<float>({4, model.config().vocab_size});
  model.logits(as_view(hidden), as_view(logits), scratch, backend);
  return logits;
}

}  // namespace

TEST_CASE("a model in 8 bits takes a quarter of the bytes") {
  auto const model = bart<float>::load(tiny_model());
  auto small = model;
  use_int8(small);
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  model.visit_linears([&](auto const&, linear<float> const& layer) { before += layer.bytes(); });
  small.visit_linears([&](std::string const& name, linear<float> const& layer) {
    CHECK(layer.stored_as() == form::int8);
    after += name == lm_head_name ? 0 : layer.bytes();
  });
  CHECK(small.lm_head().has_value());
  CHECK(static_cast<double>(after) < 0.45 * static_cast<double>(before));  // rows are short here
  CHECK(small.bytes() < model.bytes());
}

TEST_CASE("where no kernel multiplies bytes the answers are those of the rounded weights") {
  auto small = bart<float>::load(tiny_model());
  use_int8(small);
  auto rounded = small;
  rounded.visit_linears([](std::string const&, linear<float>& layer) {
    layer = layer.with_weight(layer.dense_weight());
  });
  CHECK(logits_of(small, reference{}) == logits_of(rounded, reference{}));
  CHECK(logits_of(small) != logits_of(rounded));  // here the inputs are rounded as well
}

TEST_CASE("a model in 8 bits, beside factors too, is saved and loaded to the last bit") {
  for (bool const has_factors : {false, true}) {
    auto model = bart<float>::load(tiny_model());
    if (has_factors) {
      compress(model, attention_targets(), at_rank{3});
    }
    use_int8(model);
    support::temporary_directory const folder;
    auto const target = folder.path() / "small";
    save_bart(target, model, read_json(tiny_model() / "config.json"));
    auto const again = bart<float>::load(target);
    CHECK(again.bytes() == model.bytes());
    CHECK(compression_of(again).layers == compression_of(model).layers);
    CHECK(logits_of(again) == logits_of(model));
    export_dense(folder.path() / "dense", again, read_json(target / "config.json"));
    auto const dense = bart<float>::load(folder.path() / "dense");
    dense.visit_linears(
        [](auto const&, linear<float> const& layer) { CHECK(layer.stored_as() == form::dense); });
  }
}

TEST_CASE("numbers that are not finite are refused before anything has changed in their layer") {
  auto model = bart<float>::load(tiny_model());
  model.visit_linears([](std::string const& name, linear<float>& layer) {
    if (name == "model.decoder.layers.0.fc1") {
      auto w = layer.dense_weight();
      w(0, 0) = support::not_a_number<float>;
      layer = layer.with_weight(std::move(w));
    }
  });
  CHECK(support::refusal<numerical_error>([&] { use_int8(model); }) ==
        "int8_rows: row 0 holds nan");
}
