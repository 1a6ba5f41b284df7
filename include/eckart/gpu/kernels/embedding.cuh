#pragma once

#include "eckart/gpu/kernels/layer_norm.cuh"
#include "eckart/nn/embedding.hpp"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// Token embedding, learned positions and the LayerNorm behind them. Position p stands in row
/// p + offset of the table of positions.
template <kernel_number T>
struct embedding_view {
  device_view<T const> tokens;     ///< (vocabulary, width)
  device_view<T const> positions;  ///< (offset + longest input, width)
  int offset = 0;
  float scale = 1;  ///< of the tokens
  layer_norm_view norm;
};

namespace detail {

template <class T, int Packet, int Chunks>
__global__ void embed_kernel(token_id const* ids, int row_length, int const* first_position,
                             embedding_view<T> table, T* x) {
  after_previous();
  auto const width = table.norm.width;
  auto const row = static_cast<index_t>(blockIdx.x);
  int const position =
      static_cast<int>(row % row_length) + (first_position != nullptr ? *first_position : 0);
  T const* const token = table.tokens.data + static_cast<index_t>(ids[row]) * width;
  T const* const place =
      table.positions.data + static_cast<index_t>(table.offset + position) * width;
  row_part<Packet, Chunks> part;
  part.each_chunk(width, [&](int c, int column) {
    float learned[Packet];
    load(token + column, part.values[c]);
    load(place + column, learned);
    for (int i = 0; i < Packet; ++i) {
      part.values[c][i] = table.scale * part.values[c][i] + learned[i];
    }
  });
  part.normalize(table.norm);
  part.each_chunk(width,
                  [&](int c, int column) { store(part.values[c], x + row * width + column); });
}

}  // namespace detail

/// x (ids, width) = LayerNorm(scale * tokens[id] + positions[offset + p]) for ids in the memory of
/// the device, rows of `row_length` ids whose first stands at *first_position (none: at 0). The ids
/// must be of the vocabulary and the positions of the table: whoever brings them there checks it.
/// Throws shape_error.
template <kernel_number T>
void embed(token_id const* ids, index_t row_length, int const* first_position,
           embedding_view<T> table, device_view<T> x, cudaStream_t stream) {
  auto const width = static_cast<index_t>(table.norm.width);
  if (x.cols != width || x.ld != width || table.tokens.cols != width || table.tokens.ld != width ||
      table.positions.cols != width || table.positions.ld != width || row_length < 1) {
    throw shape_error(message("embed: tokens ", table.tokens.shape(), ", positions ",
                              table.positions.shape(), " into ", x.shape()));
  }
  if (x.rows == 0) {
    return;
  }
  bool const packets = in_packets(width, x.data) && in_packets(width, table.tokens.data) &&
                       in_packets(width, table.positions.data);
  with_row_part<T>(
      table.norm.width, packets, [&]<int Packet, int Chunks>(row_part<Packet, Chunks>) {
        launch("embed", detail::embed_kernel<T, Packet, Chunks>, {grid_size(x.rows), norm_threads},
               stream, ids, static_cast<int>(row_length), first_position, table, x.data);
      });
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
