#pragma once

#include <eckart/models/bart/bart.hpp>
#include <eckart/models/step_decoder.hpp>
#include <eckart/models/teacher_forcing.hpp>

#include <CLI/CLI.hpp>

#include <functional>
#include <span>
#include <string>
#include <vector>

/// Options that choose where a model runs.
namespace program {

struct device_choice {
  std::string device = "cpu";      ///< cpu, cuda, cuda:N
  std::string precision = "fp32";  ///< of the numbers on a GPU: fp32, fp16, bf16

  /// Adds --device; `what` tells which parts run there.
  void add_device_to(CLI::App& command, std::string const& what);
  /// Adds --device and --precision.
  void add_to(CLI::App& command, std::string const& what);

  auto is_cuda() const -> bool { return device != "cpu"; }
  /// N of cuda:N, 0 of cuda.
  auto index() const -> int;

  /// "cpu", or the name of the GPU. Throws backend_error where the program was built without CUDA
  /// and without that GPU, error for another precision than fp32 on the processor: whoever takes a
  /// choice asks before any work.
  auto name() const -> std::string;
};

/// As eckart::generate, with a model that it knows.
using generator = std::function<std::vector<std::vector<eckart::generated>>(
    std::span<std::vector<eckart::token_id> const>, eckart::generation_options const&)>;

/// As eckart::teacher_forced_loss, with a model that it knows: examples of one batch.
using loss_meter =
    std::function<std::vector<eckart::token_loss>(std::span<std::vector<eckart::token_id> const>,
                                                  std::span<std::vector<eckart::token_id> const>)>;

/// A model on its device.
struct model_runner {
  generator generate;
  loss_meter token_loss;
  bool one_at_a_time = false;  ///< whether calls must not overlap
};

/// Runs the model on the chosen device: on the processor by reference, on a GPU a copy, which is
/// there as long as the answer. Throws as device_choice::name; backend_error, too, where the GPU
/// has no memory left.
auto make_runner(eckart::bart<float> const& model, device_choice const& choice) -> model_runner;

/// What nvcc compiles of these, where the program is built with CUDA.
auto make_cuda_runner(eckart::bart<float> const& model, device_choice const& choice)
    -> model_runner;
auto cuda_name(device_choice const& choice) -> std::string;

/// For a program without CUDA.
[[noreturn]] void refuse_cuda(device_choice const& choice);

}  // namespace program
