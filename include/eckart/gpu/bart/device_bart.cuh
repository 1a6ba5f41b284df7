#pragma once

#include "eckart/gpu/bart/device_decoder.cuh"
#include "eckart/gpu/kernels/log_softmax.cuh"

#include <algorithm>
#include <optional>
#include <vector>

namespace eckart {
inline namespace v0 {

/// A BART in the memory of a device, in numbers of 16 or 32 bits. Layers in 8 bits are refused, all
/// other forms are taken (device_linear). Products, LayerNorm, softmax and logits are added up in
/// float; logits are floats.
template <kernel_number T>
class device_bart {
 public:
  /// Copies the weights; the backend must outlive the model, the host's model need not. Throws
  /// shape_error and backend_error.
  device_bart(bart<float> const& model, cublas const& backend)
      : config_(model.config()),
        products_(backend),
        tables_(backend),
        encoder_(model, tables_, backend),
        decoder_(model, tables_, backend) {
    std::vector<float> bias(model.final_logits_bias().begin(), model.final_logits_bias().end());
    if (auto const& head = model.lm_head()) {
      if (head->bias()) {
        std::ranges::transform(bias, *head->bias(), bias.begin(), std::plus<>{});
      }
      lm_head_.emplace(linear<float>(head->stored_weight()), backend);
    } else {
      output_ = tables_(model.output_table());
    }
    if (std::ranges::any_of(bias, [](float b) { return b != 0.0F; })) {
      logits_bias_ = gpu::upload<float>(std::span<float const>(bias), backend.stream());
    }
    backend.synchronize();
  }

  auto config() const -> bart_config const& { return config_; }
  auto backend() const -> cublas const& { return products_.backend(); }
  auto products() const -> cublaslt const& { return products_; }
  auto encoder() const -> device_encoder<T> const& { return encoder_; }
  auto decoder() const -> device_decoder<T> const& { return decoder_; }

  /// Memory of the device that the weights take.
  auto bytes() const -> std::size_t {
    return tables_.bytes() + encoder_.bytes() + decoder_.bytes() +
           (lm_head_ ? lm_head_->bytes() : 0) +
           static_cast<std::size_t>(logits_bias_.size()) * sizeof(float);
  }

  /// Columns of the working memory that logits() takes.
  auto logits_inner_width() const -> index_t { return lm_head_ ? lm_head_->inner_width() : 0; }
  /// Leading dimension of logits: a row has room for the product with a padded table.
  auto logits_ld() const -> index_t { return device_tables<T>::padded(config_.vocab_size); }

  /// logits (rows, vocabulary), rows logits_ld() apart, = states (rows, d_model) E^T + bias; inner
  /// (rows, logits_inner_width()). What is behind a row is written too. Does not wait. Throws
  /// shape_error.
  void logits(device_view<T const> states, device_view<float> result, T* inner) const {
    if (result.ld != logits_ld() || result.cols != config_.vocab_size) {
      throw shape_error(message("logits: ", result.shape(), ", leading dimension ", result.ld));
    }
    if (lm_head_) {
      (*lm_head_)(states, result, inner, products_);
    } else {
      auto const whole = device_view<float>(result.data, result.rows, result.ld);
      if (gpu::fits_few_rows(states, output_->view())) {
        gpu::few_rows_product(states, output_->view(), static_cast<T const*>(nullptr), std::nullopt,
                              whole, backend().stream());
      } else {
        products_(states, output_->view(), static_cast<float const*>(nullptr), whole);
      }
    }
    if (logits_bias_.size() > 0) {
      gpu::add_row(logits_bias_.data(), result, backend().stream());
    }
  }

 private:
  bart_config config_;
  cublaslt products_;
  device_tables<T> tables_;
  device_encoder<T> encoder_;
  device_decoder<T> decoder_;
  typename device_tables<T>::table output_;  // (vocabulary, d_model), none if lm_head_
  std::optional<device_linear<T>> lm_head_;  // (vocabulary, d_model) in place of output_
  device_buffer<float> logits_bias_;         // (vocabulary) or none
};

}  // namespace v0
}  // namespace eckart
