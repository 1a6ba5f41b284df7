#pragma once

#include <eckart/models/bart/bart.hpp>

#include <cstdint>

namespace program {

/// Size, cost and time of one model over all documents.
struct model_figures {
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;
  std::uint64_t encoder_flops = 0;  ///< linear layers, per source token
  std::uint64_t decoder_flops = 0;  ///< linear layers, output table or layer, per generated token
  double seconds = 0;               ///< generation of all documents, one after another
};

/// Everything but the time. Keys and values of cross-attention are computed once a source token,
/// so they count for the encoder.
auto figures_of(eckart::bart<float> const& model) -> model_figures;

}  // namespace program
