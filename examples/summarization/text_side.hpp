#pragma once

#include "summarize.hpp"

#include <eckart/text/bpe_tokenizer.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace program {

using token_ids = std::vector<eckart::token_id>;

/// Tokenizer and generation options of a model directory, as the command line changes them.
struct text_side {
  eckart::bpe_tokenizer tokenizer;
  eckart::generation_options options;
  eckart::index_t max_positions;

  text_side(std::filesystem::path const& directory, generation_choice const& choice,
            eckart::bart_config const& config);

  /// Ids of all documents. One that is longer than the model's positions is cut with a note on
  /// stderr, or refused if strict.
  auto encode(std::span<document const> documents, bool strict, bool quiet) const
      -> std::vector<token_ids>;

  auto decode(token_ids const& ids) const -> std::string;

  /// How summaries are written: "4 beams, no repeated 3-grams, at most 100 tokens".
  auto generation_text() const -> std::string;
};

/// As the command line and files write it: no, yes, never.
auto name_of(eckart::stop_early mode) -> std::string_view;

}  // namespace program
