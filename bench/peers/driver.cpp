// eckart's side of bench/peers: answers requests, one JSON object a line, until the input ends. The
// first line that it writes says what was loaded; see README.md for the protocol.
#include <eckart/backend/blas_info.hpp>
#include <eckart/io/json.hpp>
#include <eckart/linalg/svd.hpp>
#include <eckart/models/bart/int8.hpp>
#include <eckart/models/bart/load.hpp>
#include <eckart/models/bart/save.hpp>
#include <eckart/models/bart/stack_projections.hpp>
#include <eckart/models/generate.hpp>
#include <eckart/version.hpp>

#include <CLI/CLI.hpp>

#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

using eckart::index_t;
using eckart::token_id;
using nlohmann::json;
using sentences = std::vector<std::vector<token_id>>;

template <class F>
auto milliseconds_of(F&& call) -> double {
  auto const start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

/// The process's resident memory in MiB, by Linux; 0 elsewhere.
auto resident_mib() -> double {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) {
      return std::stod(line.substr(6)) / 1024;
    }
  }
  return 0;
}

void write_floats(std::string const& path, std::span<float const> values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<char const*>(values.data()),
             static_cast<std::streamsize>(values.size_bytes()));
  file.close();
  if (!file) {
    throw eckart::error(path + " cannot be written");
  }
}

auto read_matrix(std::string const& path, index_t rows, index_t cols) -> eckart::matrix<float> {
  auto result = eckart::make_matrix<float>({rows, cols});
  auto const values = std::span(result.data(), result.size());
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size_bytes()));
  if (!file) {
    throw eckart::error(path + " does not hold the matrix");
  }
  return result;
}

/// {"do": "encode", "sources": [[id, ...], ...], "output": FILE}: the encoder's states, which go to
/// the file if one is given.
auto encode(eckart::bart<float> const& model, json const& request) -> json {
  auto const batch =
      eckart::pad_batch(request.at("sources").get<sentences>(), model.config().pad_token_id);
  eckart::matrix<float> states;
  auto const ms = milliseconds_of([&] {
    eckart::workspace<float> scratch;
    states = eckart::make_matrix<float>({batch.sentences() * batch.tokens, model.config().d_model});
    model.encoder()(batch.ids, batch.sentences(), batch.key_lengths, eckart::as_view(states),
                    scratch);
  });
  if (request.contains("output")) {
    write_floats(request.at("output").get<std::string>(), {states.data(), states.size()});
  }
  return {{"ms", ms}};
}

/// {"do": "generate", "sources": ..., "beams": B, "new_tokens": N}: exactly N tokens a source, the
/// end of a text is not allowed before.
auto generate(eckart::bart<float> const& model, eckart::generation_options options,
              json const& request) -> json {
  auto const sources = request.at("sources").get<sentences>();
  options.num_beams = request.at("beams").get<index_t>();
  options.min_new_tokens = options.max_new_tokens = request.at("new_tokens").get<index_t>();
  std::vector<std::vector<eckart::generated>> found;
  auto const ms = milliseconds_of([&] { found = eckart::generate(model, sources, options); });
  auto ids = json::array();
  for (auto const& sequences : found) {
    auto const& row = sequences.at(0).ids;
    ids.push_back(sentences::value_type(row.begin() + 1, row.end()));  // without decoder start
  }
  return {{"ms", ms}, {"ids", ids}};
}

/// {"do": "svd", "matrix": FILE, "rows": M, "cols": N}: the file holds the floats row after row.
auto svd(json const& request) -> json {
  auto const a = read_matrix(request.at("matrix").get<std::string>(),
                             request.at("rows").get<index_t>(), request.at("cols").get<index_t>());
  std::optional<eckart::svd_result<float>> found;
  auto const ms = milliseconds_of([&] { found = eckart::svd(a); });
  return {{"ms", ms}, {"singular_values", std::vector<float>(found->s.begin(), found->s.end())}};
}

void say(json const& reply) {
  std::cout << reply.dump() << std::endl;
}

auto answer(eckart::bart<float> const* model, eckart::generation_options const& options,
            json const& request) -> json {
  auto const what = request.at("do").get<std::string>();
  if (what == "svd") {
    return svd(request);
  }
  if (model == nullptr) {
    throw eckart::error("'" + what + "' needs a model");
  }
  if (what == "encode") {
    return encode(*model, request);
  }
  if (what == "generate") {
    return generate(*model, options, request);
  }
  throw eckart::error("unknown request '" + what + "'");
}

void serve(std::string const& directory) {
  auto const before = resident_mib();
  std::optional<eckart::bart<float>> model;
  eckart::generation_options options;
  auto const ms = milliseconds_of([&] {
    if (!directory.empty()) {
      model.emplace(eckart::bart<float>::load(directory));
      eckart::stack_projections(*model);
      options = eckart::load_generation_options(directory);
    }
  });
  auto const after = resident_mib();
  auto const blas = eckart::blas_info();
  if (!blas.warning.empty()) {
    std::cerr << "bench_peers_driver: " << blas.warning << '\n';
  }
  say({{"load_ms", ms},
       {"resident_mib", after},
       {"resident_mib_before", before},
       {"threads", blas.threads},
       {"version", eckart::message(ECKART_VERSION_MAJOR, '.', ECKART_VERSION_MINOR, '.',
                                   ECKART_VERSION_PATCH)},
       {"blas", blas.version + " " + blas.core + " (" + blas.detected_core + " detected), " +
                    blas.flavour}});
  for (std::string line; std::getline(std::cin, line);) {
    try {
      say(answer(model ? &*model : nullptr, options, json::parse(line)));
    } catch (std::exception const& failure) {
      say({{"error", failure.what()}});
    }
  }
}

/// The same model with its linear layers in 8 bits.
void write_int8(std::filesystem::path const& from, std::filesystem::path const& to) {
  auto model = eckart::bart<float>::load(from);
  eckart::use_int8(model);
  eckart::save_bart(to, model, json::parse(std::ifstream(from / "config.json")));
  std::filesystem::copy_file(from / "generation_config.json", to / "generation_config.json",
                             std::filesystem::copy_options::overwrite_existing);
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Loads a model and answers requests, one JSON object a line");
  std::string directory;
  std::string int8_directory;
  int threads = 1;
  app.add_option("--model", directory, "model directory; without it only SVDs are answered")
      ->check(CLI::ExistingDirectory);
  app.add_option("--write-int8", int8_directory, "write the model in 8 bits a number, and end");
  app.add_option("--threads", threads, "threads")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  eckart::set_threads(threads);
  if (int8_directory.empty()) {
    serve(directory);
  } else {
    write_int8(directory, int8_directory);
  }
} catch (std::exception const& failure) {
  std::cerr << "bench_peers_driver: " << failure.what() << '\n';
  return 2;
}
