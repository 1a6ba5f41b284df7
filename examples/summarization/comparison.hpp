#pragma once

#include "model_figures.hpp"
#include "text_side.hpp"

#include <eckart/eval/cosine.hpp>

#include <ostream>
#include <string>
#include <vector>

namespace program {

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

/// Summarizes every document on the device with the model as it is and with its compressed copy;
/// states are compared on the processor.
auto compare_models(model_choice const& choice, device_choice const& device,
                    std::filesystem::path const& directory, text_side const& text,
                    std::vector<document> documents, bool strict) -> comparison;

void write_text(std::ostream& out, comparison const& result);
void write_json(std::ostream& out, comparison const& result);

}  // namespace program
