#pragma once

#include "eckart/io/json.hpp"
#include "eckart/io/safetensors.hpp"
#include "eckart/models/bart/load.hpp"

#include "support/golden.hpp"
#include "unit/io/io_fixture.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What the tests of BART share: a small random checkpoint that can be written in other layouts, and
// one pass over a fixed batch.
namespace bart_test {

using eckart::index_t;
using eckart::token_id;
using io_test::has;
using io_test::temporary_directory;

/// Of equal computations in another order: as in the comparison with the reference, the tiny models
/// amplify rounding by up to 1e3, and 1e5 units of 2^-53 leave room for that.
inline constexpr double rounding = 1e-11;

inline auto tiny_model() -> std::filesystem::path {
  return golden::directory() / "tiny_gelu";
}

struct stored_tensor {
  eckart::dtype type;
  std::vector<index_t> shape;
  std::vector<std::byte> bytes;

  /// The values as float.
  auto values() const -> std::vector<float> {
    std::vector<float> result(bytes.size() / static_cast<std::size_t>(eckart::dtype_size(type)));
    eckart::decode(type, bytes, std::span(result));
    return result;
  }
};

inline auto stored(std::vector<index_t> shape, std::vector<float> const& values,
                   eckart::dtype type = eckart::dtype::f32) -> stored_tensor {
  stored_tensor result{type, std::move(shape), {}};
  result.bytes.resize(values.size() * static_cast<std::size_t>(eckart::dtype_size(type)));
  if (eckart::encode(std::span<float const>(values), type, result.bytes)) {
    throw eckart::numerical_error("beyond the range", 0);
  }
  return result;
}

/// Uniform in [-1, 1), the same numbers with every standard library.
inline auto random_values(std::size_t n, std::uint64_t seed) -> std::vector<float> {
  std::mt19937_64 engine(seed);
  std::vector<float> result(n);
  for (auto& value : result) {
    value = static_cast<float>(static_cast<double>(engine() >> 11) * 0x1p-52 - 1.0);
  }
  return result;
}

/// A checkpoint in memory, to be changed and written again.
struct checkpoint {
  nlohmann::json config;
  std::map<std::string, stored_tensor> tensors;
  std::map<std::string, std::string> metadata{{"format", "pt"}};

  static auto tiny() -> checkpoint { return from(tiny_model()); }
  static auto from(std::filesystem::path const& directory) -> checkpoint {
    checkpoint result{eckart::read_json(directory / "config.json"), {}};
    eckart::safetensors_archive const archive(directory);
    for (auto const& name : archive.names()) {
      auto const& info = archive.info(name);
      auto const bytes = archive.bytes(name);
      result.tensors[name] = {info.type, info.shape, {bytes.begin(), bytes.end()}};
    }
    return result;
  }

  void rename(std::string const& from, std::string const& to) {
    auto node = tensors.extract(from);
    node.key() = to;
    tensors.insert(std::move(node));
  }

  /// Every tensor rounded to the type, and stored as `as`.
  void round_to(eckart::dtype type, eckart::dtype as) {
    for (auto& [name, tensor] : tensors) {
      auto const rounded = stored(tensor.shape, tensor.values(), type);
      tensor = stored(tensor.shape, rounded.values(), as);
    }
  }

  void write_config(std::filesystem::path const& directory) const {
    io_test::put(directory / "config.json", config.dump(2));
  }
  /// The tensors whose names `chosen` accepts, as one file.
  template <class Chosen>
  void write_tensors(std::filesystem::path const& file, Chosen chosen) const {
    eckart::safetensors_writer writer;
    for (auto const& [key, value] : metadata) {
      writer.metadata(key, value);
    }
    for (auto const& [name, tensor] : tensors) {
      if (chosen(name)) {
        writer.add_stored(name, tensor.type, tensor.shape, tensor.bytes);
      }
    }
    writer.save(file);
  }
  void write(std::filesystem::path const& directory) const {
    write_config(directory);
    write_tensors(directory / "model.safetensors", [](std::string const&) { return true; });
  }

  template <class T>
  auto load() const -> eckart::bart<T> {
    temporary_directory const directory;
    write(directory.path());
    return eckart::bart<T>::load(directory.path());
  }
  /// What load() says of the fault that it meets.
  template <class Error = eckart::format_error>
  auto refusal() const -> std::string {
    return io_test::refusal<Error>([this] { load<float>(); });
  }
};

/// Hidden states and logits of a pass.
template <class T>
struct outputs {
  eckart::matrix<T> memory;  ///< (sentences * tokens, d_model)
  eckart::matrix<T> hidden;  ///< (sentences * steps, d_model)
  eckart::matrix<T> logits;  ///< (sentences * steps, vocabulary)

  auto operator==(outputs const& other) const -> bool {
    return std::ranges::equal(memory, other.memory) && std::ranges::equal(hidden, other.hidden) &&
           std::ranges::equal(logits, other.logits);
  }
};

/// Two sentences, one of them padded, and four tokens of each continuation.
template <class T>
auto run(eckart::bart<T> const& model) -> outputs<T> {
  using eckart::as_view;
  auto const& c = model.config();
  std::vector<token_id> const sources{0, 17, 5, 41, 9, 2, 0, 33, 8, 2, 1, 1};
  std::vector<token_id> const targets{2, 0, 17, 6, 2, 0, 33, 90};
  std::vector<index_t> const lengths{6, 4};
  std::vector<index_t> const source_of{0, 1};
  eckart::workspace<T> scratch;
  outputs<T> result{eckart::make_matrix<T>({12, c.d_model}), eckart::make_matrix<T>({8, c.d_model}),
                    eckart::make_matrix<T>({8, c.vocab_size})};
  model.encoder()(sources, 2, lengths, as_view(result.memory), scratch);
  auto state = model.decoder().start(as_view(result.memory), 2, lengths, source_of, 4, scratch);
  model.decoder()(targets, state, as_view(result.hidden), scratch);
  model.logits(as_view(result.hidden), as_view(result.logits), scratch);
  return result;
}

template <class T>
auto linear_names(eckart::bart<T> const& model) -> std::vector<std::string> {
  std::vector<std::string> names;
  model.visit_linears(
      [&](std::string const& name, eckart::linear<T> const&) { names.push_back(name); });
  return names;
}

}  // namespace bart_test
