#include "text_side.hpp"

#include <eckart/io/json.hpp>

#include <fmt/format.h>

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

auto text_side::generation_text() const -> std::string {
  auto const& o = options;
  auto const lengths = eckart::resolve_lengths(o, max_positions);
  auto result = o.num_beams == 1 ? std::string("greedy") : fmt::format("{} beams", o.num_beams);
  if (o.no_repeat_ngram_size > 0) {
    result += fmt::format(", no repeated {}-grams", o.no_repeat_ngram_size);
  }
  result += fmt::format(", at most {} tokens", lengths.max_length - 1);
  if (lengths.min_length > 1) {
    result += fmt::format(", at least {}", lengths.min_length - 1);
  }
  if (o.num_beams > 1 && o.length_penalty != 1) {
    result += fmt::format(", length penalty {}", o.length_penalty);
  }
  if (o.repetition_penalty != 1) {
    result += fmt::format(", repetition penalty {}", o.repetition_penalty);
  }
  return result;
}

auto name_of(eckart::stop_early mode) -> std::string_view {
  return mode == eckart::stop_early::no ? "no" : mode == eckart::stop_early::yes ? "yes" : "never";
}

}  // namespace program
