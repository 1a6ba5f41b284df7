#include "model_figures.hpp"

#include <string>

namespace program {

auto figures_of(eckart::bart<float> const& model) -> model_figures {
  model_figures figures;
  figures.parameters = model.parameters();
  figures.bytes = model.bytes();
  auto const& c = model.config();
  model.visit_linears([&](std::string const& name, eckart::linear<float> const& layer) {
    bool const reads_source = name.find("encoder_attn.k_proj") != std::string::npos ||
                              name.find("encoder_attn.v_proj") != std::string::npos ||
                              name.starts_with("model.encoder.");
    (reads_source ? figures.encoder_flops : figures.decoder_flops) += layer.flops(1);
  });
  figures.decoder_flops +=
      eckart::cost::flops(eckart::form::dense, {c.vocab_size, c.d_model}, 0, 1);
  return figures;
}

}  // namespace program
