#include "device_choice.hpp"

#include <eckart/cuda.cuh>

#include <memory>

namespace program {

namespace {

/// A model on a GPU with what it needs to live.
template <class T>
struct on_device {
  eckart::cublas backend;
  eckart::device_bart<T> model;
  eckart::device_generator<T> generate;

  on_device(eckart::bart<float> const& from, int device)
      : backend(eckart::cublas_options{.device = device}), model(from, backend), generate(model) {}
};

template <class T>
auto generator_in(eckart::bart<float> const& model, device_choice const& choice) -> generator {
  auto const there = std::make_shared<on_device<T>>(model, choice.index());
  return [there](std::span<std::vector<eckart::token_id> const> sources,
                 eckart::generation_options const& options) {
    return there->generate(sources, options);
  };
}

}  // namespace

auto make_cuda_generator(eckart::bart<float> const& model, device_choice const& choice)
    -> generator {
  if (choice.precision == "fp16") {
    return generator_in<eckart::half>(model, choice);
  }
  if (choice.precision == "bf16") {
    return generator_in<eckart::bfloat16>(model, choice);
  }
  return generator_in<float>(model, choice);
}

}  // namespace program
