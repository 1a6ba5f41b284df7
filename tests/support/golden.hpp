#pragma once

#include "eckart/core/view.hpp"
#include "eckart/io/json.hpp"
#include "eckart/nn/embedding.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

/// The reference outputs under tests/golden, made with transformers 5.17.
namespace golden {

using eckart::index_t;
using eckart::token_id;
using ids = std::vector<token_id>;

inline constexpr std::array<char const*, 4> tiny_models{"tiny_gelu", "tiny_gelu_new",
                                                        "tiny_bartmodel_prefixless", "tiny_bf16"};

inline auto directory() -> std::filesystem::path {
  return std::filesystem::path(ECKART_SOURCE_DIR) / "tests" / "golden";
}
inline auto embedded_model() -> std::filesystem::path {
  return std::filesystem::path(ECKART_SOURCE_DIR) / "examples" / "summarization" / "model" /
         "dialogue-summarizer-24m";
}

/// Rows of equal length, one after another.
inline auto flat(nlohmann::json const& rows) -> ids {
  ids result;
  for (auto const& row : rows) {
    for (auto const& id : row) {
      result.push_back(id.get<token_id>());
    }
  }
  return result;
}

/// Ones in each row of an attention mask.
inline auto lengths(nlohmann::json const& mask) -> std::vector<index_t> {
  std::vector<index_t> result;
  for (auto const& row : mask) {
    index_t ones = 0;
    for (auto const& bit : row) {
      ones += bit.get<index_t>();
    }
    result.push_back(ones);
  }
  return result;
}

struct difference {
  double largest = 0;  ///< max |expected|
  double error = 0;    ///< max |got - expected|
};

inline auto compare(std::vector<double> const& got, std::vector<double> const& expected)
    -> difference {
  difference result;
  if (got.size() != expected.size()) {
    result.error = INFINITY;
    return result;
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    auto const d = std::abs(got[i] - expected[i]);
    result.largest = std::max(result.largest, std::abs(expected[i]));
    result.error = std::isnan(d) ? INFINITY : std::max(result.error, d);
  }
  return result;
}

}  // namespace golden
