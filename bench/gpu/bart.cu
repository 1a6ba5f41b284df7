// A BART on a GPU: its encoder, greedy search and beam search, as JSON, a line a case. Cases are
// read from the command line or, without any there, line by line from the standard input, so that
// another program can take turns with this one.
//
//   FORMAT WEIGHTS encode BATCH TOKENS
//   FORMAT WEIGHTS generate BATCH TOKENS BEAMS NEW_TOKENS
//
// FORMAT: fp32, fp16 or bf16. WEIGHTS: dense, or a ratio such as 0.33: every linear layer in two
// factors with that share of its parameters. Weights are random; times do not depend on them.
#include <eckart/io/json.hpp>

#include <eckart/gpu/bart/generate.cuh>

#include "support/bart_model.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace eckart;

/// The middle of `repeats` times in milliseconds, after two calls that nobody times.
template <class F>
auto median_ms(int repeats, F call) -> double {
  call();
  call();
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    auto const start = std::chrono::steady_clock::now();
    call();
    auto const taken = std::chrono::steady_clock::now() - start;
    times.push_back(std::chrono::duration<double, std::milli>(taken).count());
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

/// Every linear layer in two random factors with this share of its weights.
void compress_at_random(bart<float>& model, double ratio) {
  std::minstd_rand generator(3);
  model.visit_linears([&](std::string const&, linear<float>& layer) {
    auto const [m, n] = layer.shape();
    auto const k = std::max<index_t>(
        1, static_cast<index_t>(ratio * static_cast<double>(m * n) / static_cast<double>(m + n)));
    auto const side = std::sqrt(0.035F / std::sqrt(static_cast<float>(k)));
    std::uniform_real_distribution<float> uniform(-side, side);
    auto left = make_matrix<float>({m, k});
    auto right = make_matrix<float>({k, n});
    std::ranges::generate(left, [&] { return uniform(generator); });
    std::ranges::generate(right, [&] { return uniform(generator); });
    layer = layer.with_weight(low_rank<float, two_factor>(std::move(left), std::move(right)));
  });
}

class hosts {
 public:
  explicit hosts(bench::model_option option) : option_(std::move(option)) {}

  auto operator()(std::string const& weights) -> bart<float> const& {
    auto& known = models_[weights];
    if (!known) {
      known = std::make_unique<bart<float>>(option_.load());
      if (weights != "dense") {
        compress_at_random(*known, std::stod(weights));
      }
    }
    return *known;
  }

 private:
  bench::model_option option_;
  std::map<std::string, std::unique_ptr<bart<float>>> models_;
};

template <kernel_number T>
class machine {
 public:
  machine(bart<float> const& host, cublas const& backend) : model_(host, backend) {}

  auto encode(index_t batch, index_t tokens, int repeats) -> nlohmann::json {
    auto const stream = model_.backend().stream();
    auto const& c = model_.config();
    auto const ids = bench::random_tokens(batch * tokens, c.vocab_size);
    std::vector<int> const lengths(static_cast<std::size_t>(batch), static_cast<int>(tokens));
    device_buffer<token_id> ids_there(batch * tokens);
    device_buffer<int> lengths_there(batch);
    gpu::copy_values(std::span(ids), ids_there.data(), stream);
    gpu::copy_values(std::span(lengths), lengths_there.data(), stream);
    device_arena counting;
    model_.encoder().make_scratch(batch * tokens, counting);
    device_buffer<std::byte> memory(static_cast<index_t>(counting.most()));
    device_arena arena(memory.data());
    auto const work = model_.encoder().make_scratch(batch * tokens, arena);
    device_matrix<T> x(shape2{batch * tokens, c.d_model});
    auto const sources = device_sources{ids_there.data(), lengths_there.data(), batch, tokens};
    auto const ms = median_ms(repeats, [&] {
      model_.encoder()(sources, x.view(), work, model_.products());
      model_.backend().synchronize();
    });
    return {{"ms", ms}};
  }

  auto generate(index_t batch, index_t tokens, index_t beams, index_t new_tokens, int repeats)
      -> nlohmann::json {
    std::vector<std::vector<token_id>> sources;
    auto const ids = bench::random_tokens(batch * tokens, model_.config().vocab_size);
    for (index_t b = 0; b < batch; ++b) {
      sources.emplace_back(ids.begin() + b * tokens, ids.begin() + (b + 1) * tokens);
    }
    generation_options options;
    options.num_beams = beams;
    options.max_new_tokens = options.min_new_tokens = new_tokens;
    options.bos_token_id = 0;
    options.pad_token_id = 1;
    options.decoder_start_token_id = 2;
    options.eos_token_id = {2};
    device_generator<T> write(model_);
    auto const ms = median_ms(repeats, [&] {
      auto const found = write(sources, options);
      if (static_cast<index_t>(found.at(0).at(0).ids.size()) != new_tokens + 1) {
        throw error(message("bench: ", found[0][0].ids.size(), " ids"));
      }
    });
    auto const use = write.memory_use();
    return {{"ms", ms},
            {"ms_a_token", ms / static_cast<double>(new_tokens)},
            {"weight_bytes", use.weights},
            {"cache_bytes", use.caches},
            {"peak_bytes", use.peak},
            {"peak_ratio",
             static_cast<double>(use.peak) / static_cast<double>(use.weights + use.caches)}};
  }

 private:
  device_bart<T> model_;
};

class bench_program {
 public:
  bench_program(bench::model_option option, int repeats)
      : hosts_(std::move(option)), repeats_(repeats) {}

  void run(std::string const& line) {
    std::istringstream words(line);
    std::string format;
    std::string weights;
    words >> format >> weights;
    nlohmann::json answer;
    if (format == "fp32") {
      answer = run_on(singles_, weights, words);
    } else if (format == "fp16") {
      answer = run_on(halves_, weights, words);
    } else if (format == "bf16") {
      answer = run_on(bfloats_, weights, words);
    } else {
      throw error(message("bench: format '", format, "'"));
    }
    answer["case"] = line;
    std::cout << answer.dump() << std::endl;
  }

 private:
  template <class T>
  using machines = std::map<std::string, std::unique_ptr<machine<T>>>;

  template <class T>
  auto run_on(machines<T>& models, std::string const& weights, std::istringstream& words)
      -> nlohmann::json {
    auto& one = models[weights];
    if (!one) {
      one = std::make_unique<machine<T>>(hosts_(weights), backend_);
    }
    std::string work;
    index_t batch = 0;
    index_t tokens = 0;
    words >> work >> batch >> tokens;
    if (work == "encode" && words) {
      return one->encode(batch, tokens, repeats_);
    }
    index_t beams = 0;
    index_t new_tokens = 0;
    words >> beams >> new_tokens;
    if (work != "generate" || !words) {
      throw error(message("bench: no such work: ", work));
    }
    return one->generate(batch, tokens, beams, new_tokens, repeats_);
  }

  cublas backend_{cublas_options{.workspace = 16 << 20}};  // as eckart summarize has it
  hosts hosts_;
  int repeats_;
  machines<float> singles_;
  machines<half> halves_;
  machines<bfloat16> bfloats_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("BART on a GPU: milliseconds of its encoder and of generation, as JSON");
  bench::model_option option;
  option.shape = "bart-base";
  int repeats = 9;
  std::vector<std::string> cases;
  option.add_to(app);
  app.add_option("--repeats", repeats, "timed calls")->check(CLI::PositiveNumber);
  app.add_option("cases", cases, "'fp16 dense encode 64 512', 'fp16 0.33 generate 64 512 4 64'");
  CLI11_PARSE(app, argc, argv);
  try {
    bench_program program(option, repeats);
    for (auto const& one : cases) {
      program.run(one);
    }
    for (std::string line; cases.empty() && std::getline(std::cin, line);) {
      program.run(line);
    }
  } catch (std::exception const& problem) {
    std::cerr << "bart: " << problem.what() << '\n';
    return 2;
  }
}
