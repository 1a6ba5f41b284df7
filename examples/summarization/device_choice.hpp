#pragma once

#include <eckart/models/bart/bart.hpp>
#include <eckart/models/step_decoder.hpp>

#include <CLI/CLI.hpp>

#include <functional>
#include <span>
#include <string>
#include <vector>

/// Options that choose where summaries are written.
namespace program {

/// As eckart::generate, with a model that it knows.
using generator = std::function<std::vector<std::vector<eckart::generated>>(
    std::span<std::vector<eckart::token_id> const>, eckart::generation_options const&)>;

struct device_choice {
  std::string device = "cpu";      ///< cpu, cuda, cuda:N
  std::string precision = "fp32";  ///< of the numbers on a GPU: fp32, fp16, bf16

  /// Adds --device and --precision.
  void add_to(CLI::App& command);

  auto is_cuda() const -> bool { return device != "cpu"; }
  /// N of cuda:N, 0 of cuda.
  auto index() const -> int;
};

/// Generates with the model on the chosen device: on the processor by reference, on a GPU with a
/// copy. Throws backend_error where the program was built without CUDA, and without a GPU; error
/// for another precision than fp32 on the processor.
auto make_generator(eckart::bart<float> const& model, device_choice const& choice) -> generator;

/// The part of make_generator that nvcc compiles, where the program is built with CUDA.
auto make_cuda_generator(eckart::bart<float> const& model, device_choice const& choice)
    -> generator;

}  // namespace program
