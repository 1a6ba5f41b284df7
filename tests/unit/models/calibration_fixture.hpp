#pragma once

#include "eckart/models/calibration_walk.hpp"
#include "unit/models/bart_fixture.hpp"

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

/// Some random token sequences for the tiny model, and a handler that keeps all that a walk tells.
namespace calibration_test {

using eckart::index_t;
using eckart::token_id;

inline auto random_ids(std::size_t count, index_t vocabulary, std::uint32_t seed)
    -> std::vector<token_id> {
  std::mt19937 engine(seed);
  std::vector<token_id> ids;
  for (std::size_t i = 0; i < count; ++i) {
    ids.push_back(static_cast<token_id>(3 + engine() % static_cast<std::uint32_t>(vocabulary - 3)));
  }
  return ids;
}

struct examples {
  std::vector<std::vector<token_id>> sources;
  std::vector<std::vector<token_id>> targets;  ///< what the decoder reads
  eckart::calibration_tokens tokens;
};

inline auto some_examples(eckart::bart_config const& c, std::size_t count) -> examples {
  examples result;
  for (std::size_t i = 0; i < count; ++i) {
    auto const seed = static_cast<std::uint32_t>(i);
    result.sources.push_back(random_ids(4 + i % 7, c.vocab_size, 2 * seed));
    result.targets.push_back(random_ids(2 + i % 4, c.vocab_size, 2 * seed + 1));
    result.tokens.add(c, result.sources.back(), result.targets.back());
  }
  return result;
}

/// What a layer answers to rows.
template <class T>
auto answers(eckart::linear<T> const& layer, eckart::matrix_view<T const> rows)
    -> eckart::matrix<T> {
  auto result = eckart::make_matrix<T>({rows.rows, layer.shape().rows});
  eckart::workspace<T> scratch;
  layer(rows, eckart::as_view(result), scratch);
  return result;
}

/// Rows that were told, one behind the other.
template <class T>
struct told_rows {
  index_t width = 0;
  std::vector<T> numbers;

  void add(eckart::matrix_view<T const> rows) {
    width = rows.cols;
    for (index_t i = 0; i < rows.rows; ++i) {
      numbers.insert(numbers.end(), rows.row(i).begin(), rows.row(i).end());
    }
  }
  auto view() const -> eckart::matrix_view<T const> {
    return {numbers.data(), static_cast<index_t>(numbers.size()) / width, width};
  }
};

template <class T>
struct recorder {
  using rows = eckart::matrix_view<T const>;
  std::map<std::string, told_rows<T>> own;      ///< what the first model's layers read
  std::map<std::string, told_rows<T>> outputs;  ///< for a residual, in place of `own`
  std::map<std::string, told_rows<T>> read;     ///< what the second model's layers read
  std::vector<std::string> finished;

  void inputs(std::string const& site, rows of_first, rows of_second) {
    own[site].add(of_first);
    read[site].add(of_second);
  }
  void sums(std::string const& site, rows wanted, rows of_second) {
    outputs[site].add(wanted);
    read[site].add(of_second);
  }
  void finish(std::string const& site) { finished.push_back(site); }
};

}  // namespace calibration_test
