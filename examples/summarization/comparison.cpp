#include "comparison.hpp"

#include "terminal.hpp"

#include <eckart/io/json.hpp>
#include <eckart/models/bart/load.hpp>
#include <eckart/models/bart/stack_projections.hpp>

#include <fmt/format.h>
#include <fmt/ostream.h>

namespace program {

namespace {

using eckart::as_view;

auto encoder_states(eckart::bart<float> const& model, token_ids const& ids,
                    eckart::workspace<float>& scratch) -> eckart::matrix<float> {
  auto states = eckart::make_matrix<float>(
      {static_cast<eckart::index_t>(ids.size()), model.config().d_model});
  model.encoder()(ids, 1, {}, as_view(states), scratch);
  return states;
}

auto run(generator const& generate, std::vector<token_ids> const& sources,
         eckart::generation_options const& options, progress_line& progress, std::string_view name,
         model_figures& figures) -> std::vector<token_ids> {
  std::vector<token_ids> result;
  stopwatch const watch;
  for (auto const& source : sources) {
    progress.show(fmt::format("{}: {}/{}", name, result.size() + 1, sources.size()));
    auto found = generate(std::span(&source, 1), options);
    result.push_back(std::move(found.front().front().ids));
  }
  figures.seconds = watch.seconds();
  return result;
}

auto as_json(model_figures const& f) -> nlohmann::ordered_json {
  return {{"parameters", f.parameters},
          {"bytes", f.bytes},
          {"encoder_flops_per_token", f.encoder_flops},
          {"decoder_flops_per_token", f.decoder_flops},
          {"seconds", f.seconds}};
}

}  // namespace

auto compare_models(model_choice const& choice, device_choice const& device,
                    std::filesystem::path const& directory, text_side const& text,
                    std::vector<document> documents, bool strict) -> comparison {
  auto dense = eckart::bart<float>::load(directory);
  auto const sources = text.encode(documents, strict, choice.quiet);
  auto low_rank = dense;
  auto policy = choice.policy();
  if (!choice.changes_model()) {
    policy = eckart::at_ratio{1.0 / 3};
  }
  compress(low_rank, choice, policy);

  comparison result{choice.description(policy), figures_of(dense), figures_of(low_rank), {}};
  eckart::stack_projections(dense);
  eckart::stack_projections(low_rank);
  progress_line progress(choice.quiet);
  auto const by_dense = run(make_runner(dense, device).generate, sources, text.options, progress,
                            "dense", result.dense);
  auto const by_low_rank = run(make_runner(low_rank, device).generate, sources, text.options,
                               progress, "low-rank", result.low_rank);
  eckart::workspace<float> scratch;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    auto const states = encoder_states(dense, sources[i], scratch);
    auto const other = encoder_states(low_rank, sources[i], scratch);
    result.documents.push_back({std::move(documents[i]), text.decode(by_dense[i]),
                                text.decode(by_low_rank[i]), by_dense[i] == by_low_rank[i],
                                eckart::compare_states(as_view(states), as_view(other))});
  }
  return result;
}

void write_text(std::ostream& out, comparison const& result) {
  for (auto const& one : result.documents) {
    fmt::print(out, "{}\n\n", one.source.text);
    fmt::print(out, "dense     {}\n", one.dense);
    fmt::print(out, "low-rank  {}\n", one.low_rank);
    fmt::print(out,
               "cosine of the encoder states: {:.4f} pooled, {:.4f} mean token, {:.4f} worst "
               "token\n\n",
               one.encoder.pooled, one.encoder.mean_token, one.encoder.worst_token);
  }
  auto const& a = result.dense;
  auto const& b = result.low_rank;
  auto const row = [&out](std::string_view name, std::string const& dense,
                          std::string const& low_rank, double ratio) {
    fmt::print(out, "{:<26}{:>14}{:>14}{:>9.2f}\n", name, dense, low_rank, ratio);
  };
  auto const count = [&row](std::string_view name, std::uint64_t dense, std::uint64_t low_rank) {
    row(name, grouped(dense), grouped(low_rank),
        static_cast<double>(low_rank) / static_cast<double>(dense));
  };
  fmt::print(out, "{:<26}{:>14}{:>14}{:>9}\n", result.compression, "dense", "low-rank", "ratio");
  count("parameters", a.parameters, b.parameters);
  count("bytes in memory", a.bytes, b.bytes);
  count("FLOPs a source token", a.encoder_flops, b.encoder_flops);
  count("FLOPs a written token", a.decoder_flops, b.decoder_flops);
  row("seconds", fmt::format("{:.3f}", a.seconds), fmt::format("{:.3f}", b.seconds),
      b.seconds / a.seconds);
}

void write_json(std::ostream& out, comparison const& result) {
  nlohmann::ordered_json json{{"compression", result.compression},
                              {"dense", as_json(result.dense)},
                              {"low_rank", as_json(result.low_rank)},
                              {"documents", nlohmann::ordered_json::array()}};
  for (auto const& one : result.documents) {
    nlohmann::ordered_json row;
    row["origin"] = one.source.origin;
    if (!one.source.id.is_null()) {
      row["id"] = one.source.id;
    }
    row["dense"] = one.dense;
    row["low_rank"] = one.low_rank;
    row["identical"] = one.identical;
    row["encoder_cosine"] = {{"pooled", one.encoder.pooled},
                             {"mean_token", one.encoder.mean_token},
                             {"worst_token", one.encoder.worst_token}};
    json["documents"].push_back(std::move(row));
  }
  out << json.dump(2) << '\n';
}

}  // namespace program
