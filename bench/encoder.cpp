// The encoder of a BART on whole sentences.
#include "support/bart_model.hpp"
#include "support/machine.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace {

/// FLOPs of the encoder for one sentence: linear layers, and 4 tokens d_model a token for scores
/// and weighted sums in each layer.
auto encoder_flops(eckart::bart<float> const& model, eckart::index_t tokens) -> double {
  std::uint64_t linear = 0;
  model.visit_linears([&](std::string const& name, eckart::linear<float> const& layer) {
    if (name.starts_with("model.encoder.")) {
      linear += layer.flops(tokens);
    }
  });
  auto const& c = model.config();
  return static_cast<double>(linear) +
         4.0 * static_cast<double>(c.encoder_layers * tokens * tokens * c.d_model);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("BART encoder: milliseconds, roofline of its FLOPs at the sgemm rate, ratio");
  int threads = 0;
  int repeats = 5;
  bench::model_option option;
  app.add_option("--threads", threads, "threads (default: all)")->check(CLI::PositiveNumber);
  app.add_option("--repeats", repeats, "timed calls")->check(CLI::PositiveNumber);
  option.add_to(app);
  CLI11_PARSE(app, argc, argv);
  auto const limits = bench::prepare(threads);
  auto const model = option.load();
  fmt::print("{:>7} {:>6} {:>10} {:>12} {:>8}\n", "tokens", "batch", "ms", "roofline ms", "ratio");
  eckart::workspace<float> scratch;
  for (eckart::index_t const tokens : {128, 512}) {
    for (eckart::index_t const batch : {1, 8}) {
      auto const ids = bench::random_tokens(batch * tokens, model.config().vocab_size);
      auto states = eckart::make_matrix<float>({batch * tokens, model.config().d_model});
      auto const t = bench::time_calls(
          repeats, [&] { model.encoder()(ids, batch, {}, eckart::as_view(states), scratch); });
      auto const bound =
          limits.roofline_ms(static_cast<double>(batch) * encoder_flops(model, tokens), 0);
      fmt::print("{:>7} {:>6} {:>10.1f} {:>12.1f} {:>8.2f}\n", tokens, batch, t.median_ms, bound,
                 t.median_ms / bound);
    }
  }
}
