#include "model_figures.hpp"

#include <eckart/models/bart_sites.hpp>

#include <string>

namespace program {

auto figures_of(eckart::bart<float> const& model) -> model_figures {
  model_figures figures;
  figures.parameters = model.parameters();
  figures.bytes = model.bytes();
  auto const& c = model.config();
  model.visit_linears([&](std::string const& name, eckart::linear<float> const& layer) {
    (eckart::reads_source(name) ? figures.encoder_flops : figures.decoder_flops) += layer.flops(1);
  });
  if (!model.lm_head()) {
    figures.decoder_flops +=
        eckart::cost::flops(eckart::form::dense, {c.vocab_size, c.d_model}, 0, 1);
  }
  return figures;
}

}  // namespace program
