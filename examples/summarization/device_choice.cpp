#include "device_choice.hpp"

#include <eckart/core/error.hpp>
#include <eckart/io/json.hpp>
#include <eckart/models/generate.hpp>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace program {

namespace {

constexpr std::string_view cuda_prefix = "cuda:";

auto index_in(std::string_view device) -> int {
  auto const digits = device.substr(cuda_prefix.size());
  int result = 0;
  auto const [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), result);
  return fault == std::errc() && end == digits.data() + digits.size() && result >= 0 ? result : -1;
}

auto fault_of(std::string const& device) -> std::string {
  bool const is_known = device == "cpu" || device == "cuda" ||
                        (device.starts_with(cuda_prefix) && index_in(device) >= 0);
  return is_known ? "" : "'" + device + "' is none of cpu, cuda, cuda:N";
}

}  // namespace

void device_choice::add_device_to(CLI::App& command, std::string const& what) {
  command.add_option("--device", device, "cpu, cuda or cuda:N. " + what)
      ->option_text("DEVICE")
      ->check(CLI::Validator(fault_of, ""))
      ->capture_default_str();
}

void device_choice::add_to(CLI::App& command, std::string const& what) {
  add_device_to(command, what);
  command.add_option("--precision", precision, "of the model's numbers on a GPU: fp32, fp16, bf16")
      ->option_text("NAME")
      ->check(CLI::IsMember({"fp32", "fp16", "bf16"}))
      ->capture_default_str();
}

auto device_choice::index() const -> int {
  return device.starts_with(cuda_prefix) ? index_in(device) : 0;
}

auto device_choice::name() const -> std::string {
  if (is_cuda()) {
    return cuda_name(*this);
  }
  if (precision != "fp32") {
    throw eckart::error("--precision " + precision + " goes with --device cuda");
  }
  return device;
}

auto make_runner(eckart::bart<float> const& model, device_choice const& choice) -> model_runner {
  choice.name();
  if (choice.is_cuda()) {
    return make_cuda_runner(model, choice);
  }
  using ids = std::span<std::vector<eckart::token_id> const>;
  return {[&model](ids sources, eckart::generation_options const& options) {
            return eckart::generate(model, sources, options);
          },
          [&model](ids sources, ids labels) {
            auto const batch = std::max<std::size_t>(sources.size(), 1);
            return eckart::teacher_forced_loss(model, sources, labels,
                                               static_cast<eckart::index_t>(batch));
          }};
}

void refuse_cuda(device_choice const& choice) {
  throw eckart::backend_error("--device " + choice.device + ": this program was built without CUDA",
                              0);
}

#ifndef ECKART_PROGRAM_HAS_CUDA
auto make_cuda_runner(eckart::bart<float> const&, device_choice const& choice) -> model_runner {
  refuse_cuda(choice);
}

auto cuda_name(device_choice const& choice) -> std::string {
  refuse_cuda(choice);
}
#endif

}  // namespace program
