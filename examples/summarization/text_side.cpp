#include "text_side.hpp"

#include <iostream>
#include <string_view>

namespace program {

text_side::text_side(std::filesystem::path const& directory, generation_choice const& choice,
                     eckart::bart_config const& config)
    : tokenizer(eckart::bpe_tokenizer::from_directory(directory)),
      options(choice.over(eckart::load_generation_options(directory))),
      max_positions(config.max_position_embeddings) {
  eckart::validate(options, config.vocab_size);
  eckart::resolve_lengths(options, max_positions);
}

auto text_side::encode(std::span<document const> documents, bool strict, bool quiet) const
    -> std::vector<token_ids> {
  std::vector<token_ids> result;
  for (auto const& one : documents) {
    auto encoded = tokenizer.encode_truncated(one.text, {.max_length = max_positions});
    if (encoded.truncated) {
      auto const all = tokenizer.encode(one.text).size();
      auto const text =
          eckart::message(one.origin, ": ", all, " tokens, the model reads ", max_positions);
      if (strict) {
        throw eckart::shape_error(text);
      }
      if (!quiet) {
        std::cerr << "eckart: " << text << "; the rest is left out\n";
      }
    }
    result.push_back(std::move(encoded.ids));
  }
  return result;
}

auto text_side::decode(token_ids const& ids) const -> std::string {
  auto text = tokenizer.decode(ids);
  auto const first = text.find_first_not_of(' ');
  return first == std::string::npos ? std::string() : text.substr(first);
}

}  // namespace program
