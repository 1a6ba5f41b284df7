#pragma once

#include "eckart/gpu/bart/generate.cuh"

#include <span>
#include <utility>
#include <vector>

/// What tests of the model on a device share.
namespace fixture {

using namespace eckart;

/// Entries of a matrix of the device, row after row.
template <class T>
auto entries(device_view<T> v, cudaStream_t stream) -> std::vector<double> {
  using element = std::remove_const_t<T>;
  std::vector<element> host(static_cast<std::size_t>(v.size()));
  copy_to_host(device_view<element const>(v), matrix_view<element>(host.data(), v.rows, v.cols),
               stream);
  std::vector<double> result;
  for (auto const x : host) {
    if constexpr (std::same_as<element, half>) {
      result.push_back(static_cast<double>(__half2float(x)));
    } else if constexpr (std::same_as<element, bfloat16>) {
      result.push_back(static_cast<double>(__bfloat162float(x)));
    } else {
      result.push_back(static_cast<double>(x));
    }
  }
  return result;
}

/// A device_bart that is fed tokens from outside: what a search does, without choosing.
template <kernel_number T>
class fed_model {
 public:
  fed_model(device_bart<T> const& model, std::vector<token_id> ids, std::vector<index_t> lengths,
            index_t capacity)
      : model_(model) {
    batch_.ids = std::move(ids);
    batch_.key_lengths = std::move(lengths);
    batch_.tokens = static_cast<index_t>(batch_.ids.size()) / batch_.sentences();
    search_.rows = {batch_.sentences(), 1, batch_.tokens, capacity};
    auto const lengths_of_rows = generation_lengths{capacity, 0};
    device_arena counting;
    search_.place(model_, {}, lengths_of_rows, counting);
    memory_ = device_buffer<std::byte>(static_cast<index_t>(counting.most()));
    device_arena arena(memory_.data());
    search_.place(model_, {}, lengths_of_rows, arena);
  }

  /// Encodes; observe as by device_encoder. For batches that the encoder reads at once.
  template <class Observe>
  void encode(Observe observe) {
    search_.read_sources(model_, batch_);
    auto const x = search_.memory.row_range(0, search_.sources.rows());
    model_.encoder()(search_.sources, x, search_.encoder_work, model_.products(), observe);
    model_.backend().synchronize();
    search_.read_sources(model_, batch_);  // the cross cache stands beside, not in, what was used
    model_.backend().synchronize();
  }
  void encode() {
    search_.read_sources(model_, batch_);
    model_.backend().synchronize();
  }

  /// Feeds tokens (rows) that stand at `position`; observe as by device_decoder.
  template <class Observe>
  auto step(std::span<token_id const> tokens, int position, Observe observe)
      -> std::vector<double> {
    auto const stream = model_.backend().stream();
    std::vector<int> control{position};
    control.insert(control.end(), tokens.begin(), tokens.end());
    gpu::copy_values(std::span<int const>(control), search_.control, stream);
    model_.decoder()(search_.tokens(), search_.state, model_.products(), observe);
    model_.logits(search_.state.x, search_.logits, search_.logits_inner);
    return entries(search_.logits, stream);
  }

 private:
  device_bart<T> const& model_;
  padded_batch batch_;
  device_search<T> search_;
  device_buffer<std::byte> memory_;
};

}  // namespace fixture
