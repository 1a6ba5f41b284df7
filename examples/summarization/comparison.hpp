#pragma once

#include "text_side.hpp"

#include <eckart/eval/cosine.hpp>

#include <ostream>
#include <string>
#include <vector>

namespace program {

/// Size, cost and time of one model over all documents.
struct model_figures {
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;
  std::uint64_t encoder_flops = 0;  ///< linear layers, per source token
  std::uint64_t decoder_flops = 0;  ///< linear layers and output table, per generated token
  double seconds = 0;               ///< generation of all documents, one after another
};

/// One document under both models.
struct compared_document {
  document source;
  std::string dense;
  std::string low_rank;
  bool identical = false;  ///< the same ids
  eckart::state_likeness encoder;
};

struct comparison {
  std::string compression;  ///< "rank 159, attention, two-factor"
  model_figures dense;
  model_figures low_rank;
  std::vector<compared_document> documents;
};

/// Summarizes every document with the model as it is and with its compressed copy.
auto compare_models(model_choice const& choice, std::filesystem::path const& directory,
                    text_side const& text, std::vector<document> documents, bool strict)
    -> comparison;

void write_text(std::ostream& out, comparison const& result);
void write_json(std::ostream& out, comparison const& result);

}  // namespace program
