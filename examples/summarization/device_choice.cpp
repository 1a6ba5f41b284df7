#include "device_choice.hpp"

#include <eckart/core/error.hpp>
#include <eckart/io/json.hpp>
#include <eckart/models/generate.hpp>

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

void device_choice::add_to(CLI::App& command) {
  command.add_option("--device", device, "where summaries are written: cpu, cuda or cuda:N")
      ->option_text("DEVICE")
      ->check(CLI::Validator(fault_of, ""))
      ->capture_default_str();
  command.add_option("--precision", precision, "of the model's numbers on a GPU: fp32, fp16, bf16")
      ->option_text("NAME")
      ->check(CLI::IsMember({"fp32", "fp16", "bf16"}))
      ->capture_default_str();
}

auto device_choice::index() const -> int {
  return device.starts_with(cuda_prefix) ? index_in(device) : 0;
}

auto make_generator(eckart::bart<float> const& model, device_choice const& choice) -> generator {
  if (choice.is_cuda()) {
    return make_cuda_generator(model, choice);
  }
  if (choice.precision != "fp32") {
    throw eckart::error("--precision " + choice.precision + " goes with --device cuda");
  }
  return [&model](std::span<std::vector<eckart::token_id> const> sources,
                  eckart::generation_options const& options) {
    return eckart::generate(model, sources, options);
  };
}

#ifndef ECKART_PROGRAM_HAS_CUDA
auto make_cuda_generator(eckart::bart<float> const&, device_choice const& choice) -> generator {
  throw eckart::backend_error("--device " + choice.device + ": this program was built without CUDA",
                              0);
}
#endif

}  // namespace program
