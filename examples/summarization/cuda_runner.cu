#include "device_choice.hpp"

#include <eckart/cuda.cuh>

#include <memory>
#include <string_view>
#include <utility>

namespace program {

namespace {

/// f(); where the device has no memory left the error says what needs less.
template <class F>
auto within_memory(device_choice const& choice, F&& f) {
  try {
    return f();
  } catch (eckart::backend_error const& e) {
    std::string_view const what = e.what();
    if (what.find("cudaErrorMemoryAllocation") == what.npos &&
        what.find("ALLOC_FAILED") == what.npos) {
      throw;
    }
    throw eckart::backend_error(
        eckart::message("--device ", choice.device, ": ", what,
                        "; a smaller --batch and --precision fp16 or bf16 take less"),
        e.status);
  }
}

/// A model on a GPU with what it needs to live.
template <class T>
struct on_device {
  eckart::cublas backend;
  eckart::device_bart<T> model;
  eckart::device_generator<T> generate;

  on_device(eckart::bart<float> const& from, int device)
      : backend(eckart::cublas_options{.device = device, .workspace = 16 << 20}),
        model(from, backend),
        generate(model) {}
};

template <class T>
auto runner_in(eckart::bart<float> const& model, device_choice const& choice) -> model_runner {
  using ids = std::span<std::vector<eckart::token_id> const>;
  auto const there =
      within_memory(choice, [&] { return std::make_shared<on_device<T>>(model, choice.index()); });
  return {[there, choice](ids sources, eckart::generation_options const& options) {
            return within_memory(choice, [&] { return there->generate(sources, options); });
          },
          [there, choice](ids sources, ids labels) {
            return within_memory(choice, [&] {
              auto const batch = std::max<std::size_t>(sources.size(), 1);
              return eckart::teacher_forced_loss(there->model, sources, labels,
                                                 static_cast<eckart::index_t>(batch));
            });
          },
          true};
}

}  // namespace

auto make_cuda_runner(eckart::bart<float> const& model, device_choice const& choice)
    -> model_runner {
  if (choice.precision == "fp16") {
    return runner_in<eckart::half>(model, choice);
  }
  if (choice.precision == "bf16") {
    return runner_in<eckart::bfloat16>(model, choice);
  }
  return runner_in<float>(model, choice);
}

auto cuda_name(device_choice const& choice) -> std::string {
  cudaDeviceProp properties{};
  try {
    eckart::check_cuda(cudaGetDeviceProperties(&properties, choice.index()),
                       "cudaGetDeviceProperties");
  } catch (eckart::backend_error const& e) {
    throw eckart::backend_error(
        eckart::message("--device ", choice.device, ": there is no such GPU: ", e.what()),
        e.status);
  }
  return properties.name;
}

}  // namespace program
