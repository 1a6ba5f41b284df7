#include "compression_engine.hpp"

namespace program {

auto make_engine(device_choice const& choice) -> std::unique_ptr<compression_engine> {
  choice.name();
  if (choice.is_cuda()) {
    return make_cuda_engine(choice);
  }
  return std::make_unique<engine_of<eckart::host_engine>>(eckart::host_engine());
}

#ifndef ECKART_PROGRAM_HAS_CUDA
auto make_cuda_engine(device_choice const& choice) -> std::unique_ptr<compression_engine> {
  refuse_cuda(choice);
}
#endif

}  // namespace program
