#include "compression_engine.hpp"

#include <eckart/gpu/device_engine.hpp>

namespace program {

auto make_cuda_engine(device_choice const& choice) -> std::unique_ptr<compression_engine> {
  auto const backend =
      std::make_shared<eckart::cublas>(eckart::cublas_options{.device = choice.index()});
  return std::make_unique<engine_of<eckart::device_engine>>(eckart::device_engine(*backend),
                                                            backend);
}

}  // namespace program
