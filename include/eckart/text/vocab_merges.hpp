#pragma once

#include "eckart/core/error.hpp"
#include "eckart/io/file.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_parser.hpp"
#include "eckart/text/tokenizer_definition.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

namespace detail {

// merges.txt: one merge a line, "a b". Lines that begin "#version" are skipped, and only those:
// "# #" is a merge.
inline void read_merge_lines(tokenizer_reader const& reader, std::string_view text,
                             tokenizer_definition& d) {
  std::string joined;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    auto const end = std::min(text.find('\n', at), text.size());
    auto line = text.substr(at, end - at);
    ++number;
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (!line.starts_with("#version")) {
      auto const where = [&] { return message("line ", number); };
      auto const [left, right] = reader.parts(line, where, at);
      d.merges.push_back(reader.rule(d.words, left, right, joined, where, at));
    }
    at = end + 1;
  }
}

// These two files say nothing about special tokens, so they are BART's, as far as they exist.
inline void add_bart_tokens(tokenizer_definition& d) {
  for (auto const* content : {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}) {
    if (auto const id = d.words.find(content)) {
      d.added.push_back(
          {.content = content, .id = *id, .lstrip = std::string_view(content) == "<mask>"});
    }
  }
  d.unknown = d.words.find("<unk>");
  auto const bos = d.words.find("<s>");
  auto const eos = d.words.find("</s>");
  if (bos && eos) {
    using t = sequence_template;
    d.single = t({*bos, t::first, *eos});
    d.pair = t({*bos, t::first, *eos, *eos, t::second, *eos});
  }
}

}  // namespace detail

/// Reads vocab.json and merges.txt, the older form of a byte-level BPE tokenizer. Its special
/// tokens are BART's `<s> <pad> </s> <unk> <mask>` where the vocabulary has them; `<mask>` takes
/// the white space before it, `<unk>` stands for a byte without token. Throws io_error;
/// format_error naming the file and the entry or line.
template <class Json = nlohmann::json>
auto read_vocab_merges(std::filesystem::path const& vocab_json,
                       std::filesystem::path const& merges_txt) -> tokenizer_definition {
  tokenizer_definition result;
  detail::tokenizer_reader const vocab_reader(vocab_json.string());
  result.words = vocab_reader.read_words(read_json<Json>(vocab_json), "the document", 0);
  detail::tokenizer_reader const merges_reader(merges_txt.string());
  detail::read_merge_lines(merges_reader, read_text(merges_txt), result);
  merges_reader.check_unique(result);
  detail::add_bart_tokens(result);
  return result;
}

}  // namespace v0
}  // namespace eckart
