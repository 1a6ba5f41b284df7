// One encoder layer and one decoder layer of BART, step by step, on a small model with random
// weights; the outputs are compared with those of the reference implementation.
#include "reference.hpp"
#include "steps.hpp"

#include <eckart/models/bart/load.hpp>

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <vector>

using namespace eckart;
using namespace textbook;

// x asks, memory answers. Each head works on its own block of columns; W_o mixes the heads.
auto attend(multi_head_attention<double> const& a, states const& x, states const& memory,
            attention_mask mask) -> states {
  auto const q = show("Q = x W_q^T + b", apply_linear(*a.q_proj, x));
  auto const k = show("K = memory W_k^T + b", apply_linear(*a.k_proj, memory));
  auto const v = show("V = memory W_v^T + b", apply_linear(*a.v_proj, memory));
  auto context = make_matrix<double>(as_view(q).shape());
  auto const d = a.width() / a.heads;
  workspace<double> scratch;
  for (index_t h = 0; h < a.heads; ++h) {
    scaled_dot_product_attention(as_view(q).col_range(h * d, d), as_view(k).col_range(h * d, d),
                                 as_view(v).col_range(h * d, d),
                                 1 / std::sqrt(static_cast<double>(d)), mask,
                                 as_view(context).col_range(h * d, d), scratch);
  }
  show(fmt::format("{} heads of width {}, side by side", a.heads, d), context);
  return show("times W_o^T + b", apply_linear(a.out_proj, context));
}

// W_2 GELU(W_1 x + b_1) + b_2, for each token by itself.
auto think(feed_forward<double> const& ffn, states const& x) -> states {
  auto hidden = show("wider: x W_1^T + b", apply_linear(ffn.fc1, x));
  activate(ffn.f, as_view(hidden));
  show("GELU", hidden);
  return show("back: times W_2^T + b", apply_linear(ffn.fc2, hidden));
}

// Post-norm, as in the first transformer and in BART: LayerNorm(x + update).
auto add_and_normalize(layer_norm<double> const& norm, states const& x, states const& update)
    -> states {
  return show("LayerNorm(x + update)", normalized(norm, show("x + update", x + update)));
}

auto encoder_layer(bart_encoder_layer<double> const& layer, states x, attention_mask mask)
    -> states {
  fmt::print(" self-attention: every token sees every other\n");
  x = add_and_normalize(layer.self_attn_layer_norm, x, attend(layer.self_attn, x, x, mask));
  fmt::print(" feed-forward: every token by itself\n");
  return add_and_normalize(layer.final_layer_norm, x, think(layer.ffn, x));
}

auto decoder_layer(bart_decoder_layer<double> const& layer, states x, states const& memory,
                   attention_mask padding) -> states {
  fmt::print(" causal self-attention: a token sees itself and those before it\n");
  x = add_and_normalize(layer.self_attn_layer_norm, x,
                        attend(layer.self_attn, x, x, {.causal = true}));
  fmt::print(" cross-attention: memory is the encoder's output\n");
  x = add_and_normalize(layer.encoder_attn_layer_norm, x,
                        attend(layer.encoder_attn, x, memory, padding));
  fmt::print(" feed-forward\n");
  return add_and_normalize(layer.final_layer_norm, x, think(layer.ffn, x));
}

// LayerNorm(token + position), the input of layer 0.
template <class Stack>
auto embedded(Stack const& stack, std::vector<token_id> const& ids) -> states {
  auto x = make_matrix<double>({static_cast<index_t>(ids.size()), stack.embed.width()});
  stack.embed(ids, 0, as_view(x));
  return show("LayerNorm(token + position)", normalized(stack.layernorm_embedding, x));
}

int main() {
  auto const folder = std::filesystem::path(ECKART_SOURCE_DIR) / "tests" / "golden" / "tiny_gelu";
  auto const model = bart<double>::load(folder);
  auto const golden = reference(folder);
  auto const& encoder = model.encoder();
  auto const& decoder = model.decoder();

  fmt::print(
      "Encoder: 14 tokens of width 32, of which the last 5 are padding that no token sees.\n");
  fmt::print("  {:<44}{:>8}    first numbers of the first token\n", "step", "shape");
  auto const ids = golden.tokens("input_ids");
  attention_mask const padding{.key_length = 9};
  auto const x = embedded(encoder, ids);
  auto const x1 = encoder_layer(encoder.layers[0], x, padding);

  fmt::print("\nDecoder: 8 tokens; its memory is what the whole encoder of {} layers says.\n",
             encoder.layers.size());
  auto memory = x;
  workspace<double> scratch;
  encoder(ids, 1, std::vector<index_t>{9}, as_view(memory), scratch);
  auto const y = embedded(decoder, golden.tokens("decoder_input_ids"));
  auto const y1 = decoder_layer(decoder.layers[0], y, memory, padding);

  fmt::print("\nLargest difference from the reference        single: below 1e-5  double: 1e-10\n");
  bool good = golden.agrees("encoder, input of layer 0", x, "encoder_hidden_states", 0);
  good &= golden.agrees("encoder, output of layer 0", x1, "encoder_hidden_states", 1);
  good &= golden.agrees("decoder, input of layer 0", y, "decoder_hidden_states", 0);
  good &= golden.agrees("decoder, output of layer 0", y1, "decoder_hidden_states", 1);
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
