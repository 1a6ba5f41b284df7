#include "eckart/models/compress_bart.hpp"

#include "support/matrix_check.hpp"
#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace eckart;
using bart_test::has;
using bart_test::linear_names;
using bart_test::run;
using bart_test::tiny_model;
using support::epsilon;
using support::refusal;

namespace {

template <class T>
using layers = std::map<std::string, linear<T>>;

template <class T>
auto layers_of(bart<T> const& model) -> layers<T> {
  layers<T> result;
  model.visit_linears(
      [&](std::string const& name, linear<T> const& layer) { result.emplace(name, layer); });
  return result;
}

/// No layer is in other factors, none has other numbers.
template <class T>
auto unchanged(bart<T> const& model, layers<T> const& before) -> bool {
  auto const now = layers_of(model);
  return std::ranges::all_of(before, [&](auto const& entry) {
    auto const& layer = now.at(entry.first);
    auto const a = layer.dense_weight();
    auto const b = entry.second.dense_weight();
    // Comparing bytes: NaN equals itself.
    return layer.stored_as() == entry.second.stored_as() && a.size() == b.size() &&
           std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
  });
}

/// Frobenius norm of the difference over that of the first.
template <class T>
auto relative_distance(matrix<T> const& exact, matrix<T> const& other) -> double {
  return support::distance(exact, other) / frobenius_norm(exact);
}

/// Bound on ||fl(U_k S_k Vt_k) - U_k S_k Vt_k|| / ||W|| with computed factors: the SVD is exact for
/// a matrix within p eps ||W|| (LAPACK Users' Guide, section 4.9, p a modest function of the shape,
/// here the larger side with a factor of 4), products of k terms add k eps.
template <class T>
auto svd_rounding(shape2 w) -> double {
  return 4 * static_cast<double>(w.rows + w.cols) * epsilon<T>;
}

}  // namespace

TEST_CASE("a target is the end of a name, after a dot") {
  auto const matches = [](std::string_view name, std::string const& target) {
    return matches_target(name, std::span(&target, 1));
  };
  std::string_view const name = "model.encoder.layers.0.self_attn.q_proj";
  CHECK(matches(name, "q_proj"));
  CHECK(matches(name, "self_attn.q_proj"));
  CHECK(matches(name, "0.self_attn.q_proj"));
  CHECK(matches(name, std::string(name)));
  CHECK_FALSE(matches(name, "proj"));
  CHECK_FALSE(matches(name, "_proj"));
  CHECK_FALSE(matches(name, ".q_proj"));
  CHECK_FALSE(matches(name, "attn.q_proj"));
  CHECK_FALSE(matches(name, "q_proj.weight"));
  CHECK_FALSE(matches(name, "self_attn"));
  CHECK_FALSE(matches(name, ""));
  CHECK_FALSE(matches(name, "x" + std::string(name)));
  CHECK_FALSE(matches_target(name, target_list{}));
  CHECK(matches_target(name, target_list{"fc1", "q_proj"}));
  CHECK_FALSE(matches("", ""));
}

TEST_CASE("the thesis's targets are all attention, the other list all linear layers") {
  auto model = bart<float>::load(tiny_model());
  auto const all = linear_names(model);
  auto const count = [&](target_list const& targets) {
    return std::ranges::count_if(
        all, [&](std::string const& name) { return matches_target(name, targets); });
  };
  CHECK(count(attention_targets()) == 2 * 4 + 3 * 8);
  CHECK(count(linear_targets()) == 2 * 6 + 3 * 10);
  CHECK(static_cast<std::size_t>(count(linear_targets())) == all.size());
}

TEST_CASE("a target that matches nothing is refused by name, the model is untouched") {
  auto model = bart<float>::load(tiny_model());
  auto const before = layers_of(model);
  for (std::string const unknown : {"query", "proj", "Q_PROJ", ""}) {
    target_list const targets{"q_proj", unknown, "fc1"};
    auto const what = refusal<shape_error>([&] { compress(model, targets, at_rank{4}); });
    CHECK(what == "compress: no linear layer is named '" + unknown + "'");
    CHECK(unchanged(model, before));
  }
}

TEST_CASE_TEMPLATE("only the matching layers are replaced, in the asked form, biases stay", T,
                   float, double) {
  for (auto const stored_as :
       {form::two_factor, form::diagonal_core, form::full_core, form::pivoted}) {
    auto model = bart<T>::load(tiny_model());
    auto const before = layers_of(model);
    target_list const targets{"q_proj", "encoder_attn.v_proj"};
    compress(model, targets, at_rank{5}, stored_as);
    model.visit_linears([&](std::string const& name, linear<T> const& layer) {
      CAPTURE(name);
      auto const& old = before.at(name);
      auto const replaced = name.ends_with("q_proj") || name.ends_with("encoder_attn.v_proj");
      CHECK(layer.stored_as() == (replaced ? stored_as : form::dense));
      CHECK(layer.rank() == (replaced ? 5 : old.rank()));
      CHECK(layer.shape() == old.shape());
      REQUIRE(layer.has_bias());
      CHECK(std::ranges::equal(*layer.bias(), *old.bias()));
      if (!replaced) {
        CHECK(std::ranges::equal(layer.dense_weight(), old.dense_weight()));
      }
    });
  }
}

TEST_CASE_TEMPLATE("the report says for each layer what was lost and what is stored", T, float,
                   double) {
  auto model = bart<T>::load(tiny_model());
  auto const before = layers_of(model);
  auto const parameters_before = model.parameters();
  auto const report = compress(model, linear_targets(), at_ratio{0.3});
  auto const after = layers_of(model);
  REQUIRE(report.size() == before.size());
  std::vector<std::string> names;
  std::uint64_t given_up = 0;
  std::uint64_t kept = 0;
  for (auto const& entry : report) {
    CAPTURE(entry.name);
    names.push_back(entry.name);
    auto const& old = before.at(entry.name);
    auto const& layer = after.at(entry.name);
    CHECK(entry.shape == old.shape());
    auto const smaller = std::min(entry.shape.rows, entry.shape.cols);
    CHECK(entry.rank == std::llround(0.3 * static_cast<double>(smaller)));
    CHECK(entry.rank == layer.rank());
    CHECK(entry.parameters_before == old.parameters());
    CHECK(entry.parameters_after == layer.parameters());
    CHECK(entry.parameters_after ==
          static_cast<std::uint64_t>(entry.rank * (entry.shape.rows + entry.shape.cols) +
                                     entry.shape.rows));
    auto const measured = relative_distance(old.dense_weight(), layer.dense_weight());
    CHECK(entry.relative_error > 0.1);  // random weights have no small singular values
    CHECK(std::abs(entry.relative_error - measured) <= svd_rounding<T>(entry.shape));
    given_up += entry.parameters_before;
    kept += entry.parameters_after;
  }
  CHECK(names == linear_names(model));
  CHECK(model.parameters() == parameters_before - given_up + kept);
}

TEST_CASE("a layer that is compressed again is measured against what it was") {
  auto model = bart<double>::load(tiny_model());
  target_list const targets{"fc1"};
  auto const first = compress(model, targets, at_rank{8});
  auto const second = compress(model, targets, at_rank{8}, form::diagonal_core);
  REQUIRE(second.size() == first.size());
  for (std::size_t i = 0; i < second.size(); ++i) {
    CHECK(second[i].parameters_before == first[i].parameters_after);
    // Rank 8 already: only rounding is lost.
    CHECK(second[i].relative_error <= svd_rounding<double>(second[i].shape));
  }
}

TEST_CASE("a rank above min(m, n) is refused with the layer's name, the model is untouched") {
  auto model = bart<float>::load(tiny_model());
  auto const before = layers_of(model);
  for (index_t const rank : {33, 0, -1}) {
    auto const what =
        refusal<shape_error>([&] { compress(model, linear_targets(), at_rank{rank}); });
    CHECK(what.starts_with("model.encoder.layers.0.self_attn.k_proj: "));
    CHECK(has(what, message("rank ", rank)));
    CHECK(has(what, "min(32, 32)"));
    CHECK(unchanged(model, before));
  }
}

TEST_CASE("a layer in the middle that cannot be replaced leaves all others as they were") {
  auto model = bart<float>::load(tiny_model());
  auto const before = layers_of(model);
  // 32 x 32 attention matrices fit, the feed-forward ones of 64 x 32 are larger.
  within_budget const policy{.bytes = 4 * 64};
  target_list const targets{"q_proj", "fc1"};
  auto const what = refusal<shape_error>([&] { compress(model, targets, policy); });
  CHECK(what.starts_with("model.encoder.layers.0.fc1: "));
  CHECK(has(what, "256 bytes hold no rank of a 64 x 32 matrix"));
  CHECK(unchanged(model, before));
}

TEST_CASE("dense is no form to compress to, the model is untouched") {
  auto model = bart<float>::load(tiny_model());
  auto const before = layers_of(model);
  auto const what =
      refusal<shape_error>([&] { compress(model, attention_targets(), at_rank{4}, form::dense); });
  CHECK(has(what, "cannot store an SVD as dense"));
  CHECK(unchanged(model, before));
}

TEST_CASE_TEMPLATE("weights that are not finite name their layer, the model is untouched", T, float,
                   double) {
  for (auto const bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
    auto model = bart<T>::load(tiny_model());
    model.visit_linears([&](std::string const& name, linear<T>& layer) {
      if (name == "model.decoder.layers.1.encoder_attn.v_proj") {
        auto w = layer.dense_weight();
        w(3, 4) = bad;
        layer = layer.with_weight(std::move(w));
      }
    });
    auto const before = layers_of(model);
    auto const what =
        refusal<numerical_error>([&] { compress(model, attention_targets(), at_rank{4}); });
    CHECK(what.starts_with("model.decoder.layers.1.encoder_attn.v_proj: "));
    CHECK(has(what, "(3, 4)"));
    CHECK(unchanged(model, before));
  }
}

TEST_CASE_TEMPLATE("at full rank states and logits are those of the dense model", T, float,
                   double) {
  // How far the outputs move for weights that are off by `off`, relative and at random, measures
  // how the model amplifies. A step small enough to be linear, large enough to tower over rounding.
  auto const off = std::sqrt(epsilon<T>) / 16;
  auto const dense = bart<T>::load(tiny_model());
  auto shaken = dense;
  double largest_side = 0;
  std::uint64_t seed = 0;
  shaken.visit_linears([&](std::string const&, linear<T>& layer) {
    auto w = layer.dense_weight();
    auto const noise = bart_test::random_values(w.size(), ++seed);
    for (std::size_t i = 0; i < w.size(); ++i) {
      w.data()[i] *= static_cast<T>(1 + (noise[i] < 0 ? -off : off));
    }
    largest_side = std::max(largest_side, static_cast<double>(w.shape(0) + w.shape(1)));
    layer = layer.with_weight(std::move(w));
  });
  auto const exact = run(dense);
  auto const moved = run(shaken);
  for (auto const stored_as :
       {form::two_factor, form::diagonal_core, form::full_core, form::pivoted}) {
    CAPTURE(std::string(name_of(stored_as)));
    auto model = dense;
    auto const report = compress(model, linear_targets(), at_ratio{1}, stored_as);
    auto const before = layers_of(dense);
    auto const after = layers_of(model);
    for (auto const& entry : report) {
      CHECK(entry.relative_error == 0);
      CHECK(relative_distance(before.at(entry.name).dense_weight(),
                              after.at(entry.name).dense_weight()) <= svd_rounding<T>(entry.shape));
    }
    // The weights are off by svd_rounding; products through factors and through the dense matrix
    // are those of weights that are off by as much again.
    auto const amount = 2 * 4 * largest_side * epsilon<T> / off;
    auto const got = run(model);
    CHECK(relative_distance(exact.memory, got.memory) <=
          amount * relative_distance(exact.memory, moved.memory));
    CHECK(relative_distance(exact.hidden, got.hidden) <=
          amount * relative_distance(exact.hidden, moved.hidden));
    CHECK(relative_distance(exact.logits, got.logits) <=
          amount * relative_distance(exact.logits, moved.logits));
  }
}

TEST_CASE("an energy to keep chooses for each layer the smallest rank that keeps it") {
  auto model = bart<double>::load(tiny_model());
  auto const before = layers_of(model);
  constexpr double fraction = 0.9;
  auto const report = compress(model, linear_targets(), keep_energy{fraction});
  std::vector<index_t> ranks;
  for (auto const& entry : report) {
    CAPTURE(entry.name);
    auto const s = svd(before.at(entry.name).dense_weight()).s;
    double total = 0;
    for (auto const value : s) {
      total += value * value;
    }
    double kept = 0;
    index_t rank = 0;
    while (kept < fraction * total) {
      auto const value = s[static_cast<std::size_t>(rank++)];
      kept += value * value;
    }
    CHECK(entry.rank == rank);
    CHECK(entry.relative_error * entry.relative_error <= 1 - fraction);
    ranks.push_back(entry.rank);
  }
  auto const [least, most] = std::ranges::minmax(ranks);
  CHECK(least < most);  // ranks differ from layer to layer
  CHECK(most < 32);
}

TEST_CASE("progress is told before each layer, with the layers done, their number, and the name") {
  auto model = bart<float>::load(tiny_model());
  target_list const targets{"fc1", "fc2"};
  std::vector<std::tuple<index_t, index_t, std::string>> told;
  auto const report = compress(model, targets, at_rank{2}, form::two_factor,
                               [&](index_t done, index_t total, std::string const& name) {
                                 told.emplace_back(done, total, name);
                               });
  REQUIRE(told.size() == 10);
  for (std::size_t i = 0; i < told.size(); ++i) {
    auto const& [done, total, name] = told[i];
    CHECK(done == static_cast<index_t>(i));
    CHECK(total == 10);
    CHECK(name == report[i].name);
  }
}

TEST_CASE("without targets nothing is done") {
  auto model = bart<float>::load(tiny_model());
  auto const before = layers_of(model);
  CHECK(compress(model, target_list{}, at_rank{1}).empty());
  CHECK(unchanged(model, before));
}

TEST_CASE("progress that throws leaves the model untouched") {
  auto model = bart<float>::load(tiny_model());
  auto const before = layers_of(model);
  auto const stop_at_five = [](index_t done, index_t, std::string const&) {
    if (done == 5) {
      throw error("stopped");
    }
  };
  CHECK_THROWS_AS(compress(model, linear_targets(), at_rank{1}, form::two_factor, stop_at_five),
                  error);
  CHECK(unchanged(model, before));
}

TEST_CASE_TEMPLATE("one decomposition gives every rank and form, bit for bit what compress() gives",
                   T, float, double) {
  auto const dense = bart<T>::load(tiny_model());
  target_list const targets{"q_proj", "fc1", "encoder_attn.v_proj"};
  auto const decomposition = decompose(dense, targets);
  auto reused = dense;  // compressed again and again
  auto const same_as = [&](auto const& policy, form stored_as) {
    auto expected = dense;
    auto const report = compress(expected, targets, policy, stored_as);
    auto copy = dense;
    CHECK(compress(copy, decomposition, policy, stored_as) == report);
    CHECK(unchanged(copy, layers_of(expected)));
    CHECK(run(copy) == run(expected));
    compress(reused, decomposition, policy, stored_as);
    CHECK(unchanged(reused, layers_of(expected)));
  };
  for (auto const stored_as :
       {form::two_factor, form::diagonal_core, form::full_core, form::pivoted}) {
    CAPTURE(std::string(name_of(stored_as)));
    for (index_t const rank : {1, 7, 32}) {
      CAPTURE(rank);
      same_as(at_rank{rank}, stored_as);
    }
  }
  same_as(keep_energy{0.8}, form::two_factor);
  same_as(within_error{0.3}, form::two_factor);
}

TEST_CASE_TEMPLATE("a decomposition holds thin factors of the layers that match, and their bytes",
                   T, float, double) {
  auto const model = bart<T>::load(tiny_model());
  auto const decomposition = decompose(model, target_list{"q_proj", "fc1"});
  std::uint64_t numbers = 0;
  std::size_t matching = 0;
  for (auto const& entry : layers_of(model)) {
    auto const& name = entry.first;
    CAPTURE(name);
    auto const wanted = name.ends_with(".q_proj") || name.ends_with(".fc1");
    REQUIRE(decomposition.layers.contains(name) == wanted);
    if (wanted) {
      auto const& f = decomposition.layers.at(name);
      auto const w = entry.second.shape();
      auto const k = std::min(w.rows, w.cols);
      CHECK(as_view(f.u).shape() == shape2{w.rows, k});
      CHECK(as_view(f.vt).shape() == shape2{k, w.cols});
      CHECK(support::identical(svd(entry.second.dense_weight()).u, f.u));
      numbers += static_cast<std::uint64_t>(w.rows * k + k + k * w.cols);
      ++matching;
    }
  }
  CHECK(decomposition.layers.size() == matching);
  CHECK(decomposition.bytes() == numbers * sizeof(T));
  CHECK(decompose(model, target_list{}).bytes() == 0);
}

TEST_CASE("a decomposition is made as a compression is: progress, targets and errors") {
  auto model = bart<float>::load(tiny_model());
  target_list const targets{"fc1", "fc2"};
  std::vector<std::string> told;
  auto const tell = [&](index_t done, index_t total, std::string const& name) {
    CHECK(done == static_cast<index_t>(told.size()));
    CHECK(total == 10);
    told.push_back(name);
  };
  auto const decomposition = decompose(model, targets, tell);
  CHECK(told.size() == 10);
  auto const first = std::exchange(told, {});
  auto const report = compress(model, decomposition, at_rank{3}, form::two_factor, tell);
  CHECK(told == first);  // both in the order of the modules
  CHECK(report.size() == 10);
  CHECK(refusal<shape_error>([&] { decompose(model, target_list{"query"}); }) ==
        "compress: no linear layer is named 'query'");
  model.visit_linears([](std::string const& name, linear<float>& layer) {
    if (name == "model.decoder.layers.1.fc2") {
      auto w = layer.dense_weight();
      w(3, 4) = std::numeric_limits<float>::quiet_NaN();
      layer = layer.with_weight(std::move(w));
    }
  });
  CHECK(refusal<numerical_error>([&] {
          decompose(model, targets);
        }).starts_with("model.decoder.layers.1.fc2: "));
}

TEST_CASE("a model that is not the decomposed one is refused by name, and untouched") {
  auto const decomposition = decompose(bart<float>::load(tiny_model()), linear_targets());
  auto c = bart_test::checkpoint::tiny();
  c.config["decoder_layers"] = 2;
  auto shorter = c.load<float>();
  auto const before = layers_of(shorter);
  CHECK(refusal<shape_error>([&] {
          compress(shorter, decomposition, at_rank{2});
        }).starts_with("compress: the model has no linear layer 'model.decoder.layers.2."));
  CHECK(unchanged(shorter, before));

  auto other = bart<float>::load(tiny_model());
  auto changed = decompose(other, target_list{"fc1"});
  changed.layers.at("model.decoder.layers.1.fc1") = svd(matrix<float>(xt::ones<float>({5, 7})));
  auto const unlike = layers_of(other);
  CHECK(refusal<shape_error>([&] { compress(other, changed, at_rank{2}); }) ==
        "model.decoder.layers.1.fc1: a decomposition of 5 x 7 for a layer of 48 x 32");
  CHECK(unchanged(other, unlike));
}

TEST_CASE(
    "a rank that one layer cannot have leaves the model as it was, also with a decomposition") {
  auto model = bart<float>::load(tiny_model());
  auto const before = layers_of(model);
  auto const decomposition = decompose(model, linear_targets());
  auto const what = refusal<shape_error>([&] { compress(model, decomposition, at_rank{33}); });
  CHECK(what.starts_with("model.encoder.layers.0.self_attn.k_proj: "));
  CHECK(has(refusal<shape_error>([&] { compress(model, decomposition, at_rank{4}, form::dense); }),
            "cannot store an SVD as dense"));
  CHECK(unchanged(model, before));
}

TEST_CASE_TEMPLATE("the output table is replaced by its truncated SVD, the embeddings stay", T,
                   float, double) {
  CHECK(all_targets().size() == linear_targets().size() + 1);
  auto const plain = bart<T>::load(tiny_model());
  auto const table = to_matrix(plain.output_table());
  for (auto const stored_as :
       {form::two_factor, form::diagonal_core, form::full_core, form::pivoted}) {
    auto model = plain;
    auto const report = compress(model, target_list{"lm_head"}, at_rank{7}, stored_as);
    REQUIRE(report.size() == 1);
    CHECK(report[0].name == "lm_head");
    CHECK(report[0].shape == shape2{97, 32});
    REQUIRE(model.lm_head());
    auto const& head = *model.lm_head();
    CHECK(head.stored_as() == stored_as);
    CHECK(head.rank() == 7);
    CHECK_FALSE(head.has_bias());
    auto const measured = relative_distance(table, head.dense_weight());
    CHECK(std::abs(report[0].relative_error - measured) <= svd_rounding<T>({97, 32}));
    CHECK(model.parameters() ==
          plain.parameters() - report[0].parameters_before + report[0].parameters_after);
    CHECK(report[0].parameters_before == 0);  // the embeddings need it
    CHECK(model.encoder().embed.tokens() == plain.encoder().embed.tokens());
    CHECK(std::ranges::equal(run(model).hidden, run(plain).hidden));

    auto again = plain;
    auto const decomposition = decompose(plain, target_list{"lm_head"});
    compress(again, decomposition, at_rank{7}, stored_as);
    CHECK(run(again) == run(model));
    compress(again, decomposition, at_rank{3}, stored_as);  // from a layer in factors
    CHECK(again.lm_head()->rank() == 3);
  }
}

TEST_CASE("all targets are all linear layers and the output layer, replaced all or none") {
  auto model = bart<float>::load(tiny_model());
  auto const linears = linear_names(model).size();
  CHECK(refusal<shape_error>([&] {
          compress(model, all_targets(), at_rank{33});
        }).starts_with("model.encoder.layers.0"));
  CHECK_FALSE(model.lm_head());
  auto const report = compress(model, all_targets(), at_rank{5});
  CHECK(report.size() == linears + 1);
  CHECK(report.back().name == "lm_head");
  CHECK(linear_names(model).back() == "lm_head");
  auto c = bart_test::checkpoint::tiny();
  c.config["tie_word_embeddings"] = false;
  c.tensors["lm_head.weight"] = bart_test::stored({97, 32}, bart_test::random_values(97 * 32, 1));
  auto own = c.load<float>();
  auto const before = own.parameters();
  auto const freed = compress(own, target_list{"lm_head"}, at_rank{5}).at(0);
  CHECK(freed.parameters_before == 97 * 32);
  CHECK(own.parameters() == before - 97 * 32 + 5 * (97 + 32));
}
