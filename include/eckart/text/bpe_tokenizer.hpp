#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/text/added_tokens.hpp"
#include "eckart/text/byte_alphabet.hpp"
#include "eckart/text/byte_pair_encoding.hpp"
#include "eckart/text/pre_tokenizer.hpp"
#include "eckart/text/tokenizer_definition.hpp"
#include "eckart/text/tokenizer_json.hpp"
#include "eckart/text/utf8.hpp"
#include "eckart/text/vocab_merges.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// How a text becomes ids.
struct encode_options {
  bool add_special_tokens = true;     ///< `<s> A </s>` and what else the tokenizer puts around
  index_t max_length = 0;             ///< most ids, those of special tokens counted; 0: no limit
  bool split_special_tokens = false;  ///< special tokens in the text are text like any other
};

/// How ids become a text.
struct decode_options {
  bool skip_special_tokens = true;  ///< leave out `<s>`, `</s>`, `<pad>` and their like
  bool clean_up_tokenization_spaces =
      false;  ///< " ." to ".", " n't" to "n't" (see clean_up_spaces)
};

/// Ids, and whether the text had more of them than were allowed.
struct encoding {
  std::vector<std::int32_t> ids;
  bool truncated = false;
};

/// Takes away the spaces before punctuation and English contractions, by the ten rules of
/// Hugging Face's `clean_up_tokenization`, in their order. O(n).
inline auto clean_up_spaces(std::string text) -> std::string {
  constexpr std::pair<std::string_view, std::string_view> rules[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (auto const& [from, to] : rules) {
    std::string result;
    result.reserve(text.size());
    std::size_t done = 0;
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, done)) {
      result.append(text, done, at - done).append(to);
      done = at + from.size();
    }
    text = result.append(text, done);
  }
  return text;
}

/// Byte-level BPE as in GPT-2, RoBERTa and BART; ids equal those of Hugging Face's `tokenizers`.
/// Texts are any bytes: what is not UTF-8 becomes the tokens of its bytes. A byte that has no token
/// becomes the unknown token if the model has one, and is an error if not (Hugging Face drops it).
/// Const member functions may be called from several threads at once.
class bpe_tokenizer {
 public:
  /// From parts that have been read. O(m log m) for m merges.
  explicit bpe_tokenizer(tokenizer_definition definition)
      : pairs_(byte_symbols(definition), definition.merges),
        words_(std::move(definition.words)),
        added_(std::move(definition.added)),
        single_(std::move(definition.single)),
        pair_(std::move(definition.pair)),
        add_prefix_space_(definition.add_prefix_space) {
    for (auto const& token : added_.tokens()) {
      if (token.special) {
        special_ids_.push_back(token.id);
      }
      added_ids_.push_back(token.id);
    }
    std::sort(special_ids_.begin(), special_ids_.end());
    std::sort(added_ids_.begin(), added_ids_.end());
  }

  /// From a model's directory: tokenizer.json if it is there, else vocab.json and merges.txt.
  /// Throws io_error, format_error.
  template <class Json = nlohmann::json>
  static auto from_directory(std::filesystem::path const& directory) -> bpe_tokenizer {
    auto const json = directory / "tokenizer.json";
    std::error_code unreadable;
    return std::filesystem::exists(json, unreadable)
               ? from_tokenizer_json<Json>(json)
               : from_files<Json>(directory / "vocab.json", directory / "merges.txt");
  }

  /// From a tokenizer.json. Throws io_error, format_error (see read_tokenizer_json).
  template <class Json = nlohmann::json>
  static auto from_tokenizer_json(std::filesystem::path const& path) -> bpe_tokenizer {
    return bpe_tokenizer(read_tokenizer_json<Json>(path));
  }

  /// From the older two files. Throws io_error, format_error (see read_vocab_merges).
  template <class Json = nlohmann::json>
  static auto from_files(std::filesystem::path const& vocab_json,
                         std::filesystem::path const& merges_txt) -> bpe_tokenizer {
    return bpe_tokenizer(read_vocab_merges<Json>(vocab_json, merges_txt));
  }

  /// The ids of a text. Throws shape_error if max_length has no room for the special tokens, error
  /// for a byte without token. O(n log n) at worst, for one word of n bytes.
  auto encode(std::string_view text, encode_options const& options = {}) const
      -> std::vector<std::int32_t> {
    return encode_truncated(text, options).ids;
  }

  /// As `encode`, and tells whether max_length has cut the text. The text is cut at its end, to
  /// max_length less the special tokens, which always stay.
  auto encode_truncated(std::string_view text, encode_options const& options = {}) const
      -> encoding {
    auto const room = room_for_content(options, single_);
    auto [content, cut] = content_ids(text, options);
    auto const kept = std::min(content.size(), room);
    cut = cut || content.size() > kept;
    content.resize(kept);
    return {single_.fill(content, {}, options.add_special_tokens), cut};
  }

  /// The ids of the text alone, without `<s>` and `</s>` around.
  auto encode_plain(std::string_view text) const -> std::vector<std::int32_t> {
    return content_ids(text, {.add_special_tokens = false}).ids;
  }

  /// The ids of two texts, for BART `<s> A </s></s> B </s>`. Over max_length the longer one is cut
  /// to what the shorter one leaves; if that is not enough, both to half (A the smaller half).
  auto encode_pair(std::string_view a, std::string_view b, encode_options const& options = {}) const
      -> encoding {
    auto const room = room_for_content(options, pair_);
    auto [first, first_cut] = content_ids(a, options);
    auto [second, second_cut] = content_ids(b, options);
    auto const too_long = first.size() + second.size() > room;
    if (too_long) {
      auto const [n1, n2] = share(first.size(), second.size(), room);
      first.resize(n1);
      second.resize(n2);
    }
    return {pair_.fill(first, second, options.add_special_tokens),
            too_long || first_cut || second_cut};
  }

  /// The text of ids. Bytes of all tokens are joined first, then what is not UTF-8 is replaced by
  /// U+FFFD. Throws shape_error for an id that names no token. O(n).
  auto decode(std::span<std::int32_t const> ids, decode_options const& options = {}) const
      -> std::string {
    auto text = replace_invalid_utf8(join(ids, options.skip_special_tokens));
    return options.clean_up_tokenization_spaces ? clean_up_spaces(std::move(text)) : text;
  }

  /// The bytes of all ids, special ones too, as they are. What `encode_plain` made of a text
  /// without added tokens comes back unchanged. Throws shape_error for an id that names no token.
  /// O(n).
  auto decode_bytes(std::span<std::int32_t const> ids) const -> std::string {
    return join(ids, false);
  }

  /// The highest id plus 1.
  auto vocabulary_size() const -> index_t { return words_.size(); }

  /// The id of a token as it stands in the file (bytes written in the byte alphabet).
  auto token_to_id(std::string_view token) const -> std::optional<std::int32_t> {
    return words_.find(token);
  }

  /// The token of an id as it stands in the file. Throws shape_error for an id that names none.
  auto id_to_token(std::int32_t id) const -> std::string const& { return words_.token(id); }

  /// Ids that `decode` leaves out, ascending.
  auto special_ids() const -> std::span<std::int32_t const> { return special_ids_; }

 private:
  // The ids of a text without any around. As in Hugging Face, what follows the word that reaches
  // max_length is left out, which `share` can see; added tokens count but do not end the text.
  auto content_ids(std::string_view text, encode_options const& options) const -> encoding {
    auto const enough = options.max_length > 0 ? static_cast<std::size_t>(options.max_length)
                                               : std::numeric_limits<std::size_t>::max();
    encoding result;
    byte_pair_encoding::scratch scratch;
    std::string prefixed;
    bool full = false;
    auto const on_word = [&](std::string_view word) {
      if (!full) {
        pairs_.append(word, result.ids, scratch);
        full = result.ids.size() >= enough;
      } else {
        result.truncated = true;
      }
    };
    auto const on_text = [&](std::string_view piece) {
      if (add_prefix_space_ && piece.front() != ' ') {
        piece = prefixed.assign(1, ' ').append(piece);
      }
      words_of_.split(piece, on_word);
    };
    auto const on_token = [&](added_token const& token) {
      if (!full) {
        result.ids.push_back(token.id);
      } else {
        result.truncated = true;
      }
    };
    added_.split(text, options.split_special_tokens, on_text, on_token);
    return result;
  }

  static auto room_for_content(encode_options const& options, sequence_template const& around)
      -> std::size_t {
    if (options.max_length == 0) {
      return std::numeric_limits<std::size_t>::max();
    }
    auto const added =
        options.add_special_tokens ? static_cast<index_t>(around.added()) : index_t{0};
    if (options.max_length < added) {
      throw shape_error(message("encode: max_length ", options.max_length, " has no room for ",
                                added, " special tokens"));
    }
    return static_cast<std::size_t>(options.max_length - added);
  }

  // Hugging Face's strategy "longest_first" for two texts that have more ids than `room`.
  static auto share(std::size_t first, std::size_t second, std::size_t room)
      -> std::pair<std::size_t, std::size_t> {
    auto const shorter = std::min({first, second, room / 2});
    auto const longer = room - shorter;
    return first <= second ? std::pair(shorter, longer) : std::pair(longer, shorter);
  }

  auto join(std::span<std::int32_t const> ids, bool skip_special) const -> std::string {
    std::string bytes;
    for (auto const id : ids) {
      auto const& token = words_.token(id);
      if (skip_special && contains(special_ids_, id)) {
        continue;
      }
      // Added tokens are plain text (Hugging Face reads their characters of the byte alphabet as
      // bytes, which spoils all but ASCII). Any other token has characters outside of the alphabet
      // only in files edited by hand; it then stands for itself.
      if (contains(added_ids_, id) || !append_from_byte_alphabet(bytes, token)) {
        bytes += token;
      }
    }
    return bytes;
  }

  static auto contains(std::vector<std::int32_t> const& sorted, std::int32_t id) -> bool {
    return std::binary_search(sorted.begin(), sorted.end(), id);
  }

  pre_tokenizer words_of_;
  byte_pair_encoding pairs_;
  vocabulary words_;
  added_token_set added_;
  sequence_template single_;
  sequence_template pair_;
  std::vector<std::int32_t> special_ids_;  // ascending
  std::vector<std::int32_t> added_ids_;    // ascending
  bool add_prefix_space_ = false;
};

}  // namespace v0
}  // namespace eckart
