#pragma once

#include "eckart/models/bart/bart.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Linear layers that read the same input, one after the other in the order of their outputs. More
/// than one of them can be a joint layer with one basis, whose name is that of the site.
struct linear_site {
  std::string name;
  std::vector<std::string> members;  ///< the site's own name if there is but one layer

  auto can_be_joint() const -> bool { return members.size() > 1; }
};

/// All of a BART, in the order of the computation, the output layer last; whatever the model's
/// layers are stored as.
inline auto bart_sites(bart_config const& c) -> std::vector<linear_site> {
  std::vector<linear_site> sites;
  auto const single = [&](std::string const& name) { sites.push_back({name, {name}}); };
  auto const self = [&](std::string const& name) {
    auto const a = name + ".self_attn";
    sites.push_back({a + ".qkv_proj", {a + ".q_proj", a + ".k_proj", a + ".v_proj"}});
    single(a + ".out_proj");
  };
  auto const feed_forward = [&](std::string const& name) {
    single(name + ".fc1");
    single(name + ".fc2");
  };
  for (index_t i = 0; i < c.encoder_layers; ++i) {
    auto const name = layer_name("encoder", i);
    self(name);
    feed_forward(name);
  }
  linear_site memory{std::string(cross_kv_name), {}};
  for (index_t i = 0; i < c.decoder_layers; ++i) {
    auto const a = layer_name("decoder", i) + ".encoder_attn";
    memory.members.push_back(a + ".k_proj");
    memory.members.push_back(a + ".v_proj");
  }
  if (c.decoder_layers > 0) {
    sites.push_back(std::move(memory));
  }
  for (index_t i = 0; i < c.decoder_layers; ++i) {
    auto const name = layer_name("decoder", i);
    self(name);
    single(name + ".encoder_attn.q_proj");
    single(name + ".encoder_attn.out_proj");
    feed_forward(name);
  }
  single(std::string(lm_head_name));
  return sites;
}

/// Whether a layer runs once a source token, and not once a written token: those of the encoder,
/// and keys and values of cross-attention.
inline auto reads_source(std::string_view layer) -> bool {
  return layer.starts_with("model.encoder.") || layer == cross_kv_name ||
         layer.ends_with("encoder_attn.k_proj") || layer.ends_with("encoder_attn.v_proj");
}

/// The weights of several layers one below the other, and their biases, zero where there is none.
template <real T>
auto joint_layer(std::vector<linear<T> const*> const& members) -> linear<T> {
  index_t outputs = 0;
  for (auto const* member : members) {
    outputs += member->shape().rows;
  }
  auto weight = make_matrix<T>({outputs, members.at(0)->shape().cols});
  auto bias = make_vector<T>(outputs);
  bias.fill(T{0});
  index_t first = 0;
  for (auto const* member : members) {
    auto const rows = member->shape().rows;
    auto const part = member->dense_weight();
    copy(as_view(part), as_view(weight).row_range(first, rows));
    if (member->has_bias()) {
      std::ranges::copy(*member->bias(), bias.begin() + first);
    }
    first += rows;
  }
  return linear<T>(std::move(weight), std::move(bias));
}

}  // namespace v0
}  // namespace eckart
