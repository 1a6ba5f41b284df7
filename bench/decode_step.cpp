// One step of a BART's decoder: the work for one more token in every running row.
#include "support/bart_model.hpp"
#include "support/machine.hpp"

#include <eckart/models/generate.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace {

struct step_cost {
  double flops = 0;
  double bytes = 0;  ///< weights once, and the caches that each row reads
};

auto cost_of_step(eckart::bart<float> const& model, eckart::index_t rows, eckart::index_t sources,
                  eckart::index_t source_tokens, eckart::index_t length) -> step_cost {
  auto const& c = model.config();
  step_cost cost;
  model.visit_linears([&](std::string const& name, eckart::linear<float> const& layer) {
    bool const once_a_source =
        name.ends_with("encoder_attn.k_proj") || name.ends_with("encoder_attn.v_proj");
    if (name.starts_with("model.decoder.") && !once_a_source) {
      cost.flops += static_cast<double>(layer.flops(rows));
      cost.bytes += static_cast<double>(layer.bytes());
    }
  });
  cost.flops += static_cast<double>(
      eckart::cost::flops(eckart::form::dense, {c.vocab_size, c.d_model}, 0, rows));
  cost.bytes += 4.0 * static_cast<double>(c.vocab_size * c.d_model);
  auto const cached = rows * length + sources * source_tokens;  // keys, and as many values
  cost.bytes += 2 * 4.0 * static_cast<double>(c.decoder_layers * cached * c.d_model);
  cost.flops +=
      4.0 * static_cast<double>(c.decoder_layers * rows * (length + source_tokens) * c.d_model);
  return cost;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("BART decoder step: milliseconds, roofline (FLOPs or bytes), ratio");
  int threads = 0;
  int repeats = 16;
  bench::model_option option;
  app.add_option("--threads", threads, "threads (default: all)")->check(CLI::PositiveNumber);
  app.add_option("--repeats", repeats, "timed steps")->check(CLI::PositiveNumber);
  option.add_to(app);
  CLI11_PARSE(app, argc, argv);
  auto const limits = bench::prepare(threads);
  auto const model = option.load();
  constexpr eckart::index_t source_tokens = 128;
  constexpr eckart::index_t length = 32;  // tokens that the caches hold when the clock starts
  fmt::print("{} source tokens, {} tokens written\n", source_tokens, length);
  fmt::print("{:>7} {:>6} {:>10} {:>12} {:>8}\n", "sources", "beams", "ms", "roofline ms", "ratio");
  for (auto const& [sources, beams] :
       {std::pair<eckart::index_t, eckart::index_t>{1, 1}, {1, 4}, {8, 1}, {8, 4}}) {
    std::vector<std::vector<eckart::token_id>> const texts(
        static_cast<std::size_t>(sources),
        bench::random_tokens(source_tokens, model.config().vocab_size));
    eckart::bart_step_decoder decoder(model, eckart::pad_batch(texts, 1), beams,
                                      length + repeats + 2);
    auto const rows = sources * beams;
    auto const tokens = bench::random_tokens(rows, model.config().vocab_size);
    for (eckart::index_t i = 0; i < length; ++i) {
      decoder.step(tokens);
    }
    auto const t = bench::time_calls(repeats, [&] { decoder.step(tokens); });
    auto const cost = cost_of_step(model, rows, sources, source_tokens, length + repeats / 2);
    auto const bound = limits.roofline_ms(cost.flops, cost.bytes);
    fmt::print("{:>7} {:>6} {:>10.2f} {:>12.2f} {:>8.2f}\n", sources, beams, t.median_ms, bound,
               t.median_ms / bound);
  }
}
