#pragma once

#include "support/random.hpp"

#include <eckart/io/json.hpp>
#include <eckart/io/safetensors.hpp>

#include <array>
#include <cmath>
#include <span>
#include <string>
#include <vector>

/// The tables that the trains are made of, one row a token or position, and their axes.
namespace textbook {

using eckart::index_t;
using table = eckart::matrix<double>;  // (tokens, width)

constexpr index_t tokens = 512, width = 384;

/// A way to see a table: as one tensor with these axes, or as one for each token.
struct layout {
  std::string name;
  std::vector<index_t> axes;
  bool by_token, paired;
};

inline auto const layouts =
    std::vector<layout>{{"token by token, 4 x 4 x 4 x 6", {4, 4, 4, 6}, true, false},
                        {"token by token, 16 x 24", {16, 24}, true, false},
                        {"whole, 8 x 8 x 8 x 6 x 8 x 8", {8, 8, 8, 6, 8, 8}, false, false},
                        {"whole, (8 6) x (8 8) x (8 8)", {48, 64, 64}, false, true}};

constexpr std::array asked{0.7, 0.5, 0.3, 0.2};  // relative errors

/// 512 of the 8192 tokens of the summarization model in this repository, every 16th.
inline auto trained_embedding() -> table {
  eckart::safetensors_reader const file(
      ECKART_SOURCE_DIR "/examples/summarization/model/dialogue-summarizer-24m/model.safetensors");
  auto const all = file.matrix<double>("model.shared.weight");  // (8192, width)
  return to_matrix(eckart::matrix_view<double const>(all.data(), tokens, width, 16 * width));
}

/// Independent normal numbers: nothing to find.
inline auto noise() -> table {
  return normal_matrix(tokens, width, 1);
}

/// sin(p w_j) and cos(p w_j) side by side, w_j = 10000^(-2j / width): a table that a formula makes
/// (Vaswani et al. 2017, section 3.5).
inline auto sinusoidal_positions() -> table {
  auto result = eckart::make_matrix<double>({tokens, width});
  for (index_t p = 0; p < tokens; ++p) {
    for (index_t j = 0; j < width; ++j) {
      auto const exponent = static_cast<double>(j - j % 2) / static_cast<double>(width);
      auto const angle = static_cast<double>(p) * std::pow(10000.0, -exponent);
      eckart::as_view(result)(p, j) = j % 2 == 0 ? std::sin(angle) : std::cos(angle);
    }
  }
  return result;
}

/// The entries in the order of the axes (8 6) (8 8) (8 8): the first counts the leading digits of
/// token and feature together, the second the middle ones, the third the last ones.
inline auto paired_digits(table const& a) -> std::vector<double> {
  std::vector<double> result;
  for (index_t i = 0; i < tokens * width; ++i) {
    auto const last = i % 64, middle = i / 64 % 64, leading = i / 4096;
    result.push_back(eckart::as_view(a)(leading / 6 * 64 + middle / 8 * 8 + last / 8,
                                        leading % 6 * 64 + middle % 8 * 8 + last % 8));
  }
  return result;
}

}  // namespace textbook
