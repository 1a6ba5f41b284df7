#pragma once

#include "eckart/core/error.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_parser.hpp"
#include "eckart/text/tokenizer_definition.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

namespace detail {

/// Reads a tokenizer.json. What it holds beyond byte-level BPE is refused by name, never skipped;
/// "truncation" and "padding" are settings of a call and are ignored.
template <class Json>
class tokenizer_json_reader : tokenizer_reader {
 public:
  tokenizer_json_reader(std::string name, Json const& document)
      : tokenizer_reader(std::move(name)), document_(document) {}

  auto read() const -> tokenizer_definition {
    tokenizer_definition result;
    check_kind("normalizer", "null", "");
    check_kind("decoder", "ByteLevel", "ByteLevel", true);
    read_pre_tokenizer(result);
    auto const& model = section("model");
    auto const& added = section("added_tokens");
    check_model(model);
    result.words = read_words(member(model, "model", "vocab"), "model.vocab",
                              added.is_array() ? added.size() : 0);
    read_added(added, result);
    read_merges(array(member(model, "model", "merges"), "model.merges"), result);
    check_unique(result);
    read_unknown(model, result);
    read_post_processor(section("post_processor"), "post_processor", result);
    return result;
  }

 private:
  auto section(std::string const& name) const -> Json const& {
    return member(document_, "the document", name);
  }

  // The "type" of a section, empty if the section is null or absent.
  auto type(Json const& value, std::string const& name) const -> std::string {
    return value.is_null() ? std::string() : text(member(value, name, "type"), name + ".type");
  }

  void check_kind(std::string const& name, char const* understood, std::string const& wanted,
                  bool absent_too = false) const {
    auto const kind = type(section(name), name);
    if (kind != wanted && !(kind.empty() && absent_too)) {
      fail(message(name, " ", kind.empty() ? "null" : quote(kind), " is not understood, only ",
                   understood));
    }
  }

  void read_pre_tokenizer(tokenizer_definition& d) const {
    check_kind("pre_tokenizer", "ByteLevel", "ByteLevel");
    auto const& value = section("pre_tokenizer");
    d.add_prefix_space = flag(value, "pre_tokenizer", "add_prefix_space", true);
    if (!flag(value, "pre_tokenizer", "use_regex", true)) {
      fail("pre_tokenizer.use_regex false is not understood");
    }
  }

  // Options of Hugging Face's BPE that change the result and that no byte-level model needs.
  void check_model(Json const& model) const {
    if (auto const kind = type_of_model(model); kind != "BPE") {
      fail(message("model type ", quote(kind), " is not understood, only BPE"));
    }
    for (auto const* name : {"byte_fallback", "ignore_merges", "fuse_unk"}) {
      if (flag(model, "model", name)) {
        fail(message("model.", name, " true is not understood"));
      }
    }
    for (auto const* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      auto const& value = member(model, "model", name);
      if (!value.is_null() && !text(value, message("model.", name)).empty()) {
        fail(message("model.", name, " ", quote(value.dump()), " is not understood"));
      }
    }
    auto const& dropout = member(model, "model", "dropout");
    if (!dropout.is_null() && dropout != 0) {
      fail(message("model.dropout ", quote(dropout.dump()), " is not understood"));
    }
  }

  // Old files do not name the type.
  auto type_of_model(Json const& model) const -> std::string {
    auto const& kind = member(model, "model", "type");
    return kind.is_null() ? "BPE" : text(kind, "model.type");
  }

  void read_added(Json const& list, tokenizer_definition& d) const {
    if (list.is_null()) {
      return;
    }
    for (std::size_t i = 0; i < array(list, "added_tokens").size(); ++i) {
      auto const where = message("added_tokens[", i, "]");
      auto const& entry = list[i];
      added_token token;
      token.content = text(member(entry, where, "content"), where + ".content");
      auto const id = integer(member(entry, where, "id"), where + ".id");
      token.special = flag(entry, where, "special");
      token.lstrip = flag(entry, where, "lstrip");
      token.rstrip = flag(entry, where, "rstrip");
      token.single_word = flag(entry, where, "single_word");
      token.normalized = flag(entry, where, "normalized", !token.special);
      add(std::move(token), id, where, d);
    }
  }

  void add(added_token token, std::int64_t id, std::string const& where,
           tokenizer_definition& d) const {
    auto const same = [&](added_token const& other) { return other.content == token.content; };
    if (std::any_of(d.added.begin(), d.added.end(), same)) {
      fail(message(where, ": ", quote(token.content), " is given twice"));
    }
    auto const known = d.words.find(token.content);
    if (!known) {
      d.words.insert(token.content, id);
    } else if (*known != id) {
      fail(message(where, ": ", quote(token.content), " has id ", id, ", but ", *known,
                   " in the vocabulary"));
    }
    token.id = static_cast<std::int32_t>(id);
    d.added.push_back(std::move(token));
  }

  // Each merge is "a b" or, in newer files, ["a", "b"].
  void read_merges(Json const& list, tokenizer_definition& d) const {
    std::string joined;
    d.merges.reserve(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
      auto const where = [&] { return message("model.merges[", i, "]"); };
      auto const& entry = list[i];
      if (entry.is_string()) {
        auto const [left, right] = parts(entry.template get_ref<std::string const&>(), where, 0);
        d.merges.push_back(rule(d.words, left, right, joined, where, 0));
      } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
                 entry[1].is_string()) {
        d.merges.push_back(rule(d.words, entry[0].template get_ref<std::string const&>(),
                                entry[1].template get_ref<std::string const&>(), joined, where, 0));
      } else {
        fail(where() + " is neither a string nor a pair of strings");
      }
    }
  }

  void read_unknown(Json const& model, tokenizer_definition& d) const {
    auto const& value = member(model, "model", "unk_token");
    if (!value.is_null()) {
      auto const& token = text(value, "model.unk_token");
      d.unknown = d.words.find(token);
      if (!d.unknown) {
        fail(message("model.unk_token ", quote(token), " is not in the vocabulary"));
      }
    }
  }

  void read_post_processor(Json const& value, std::string const& name,
                           tokenizer_definition& d) const {
    auto const kind = type(value, name);
    if (kind == "RobertaProcessing") {
      using t = sequence_template;
      auto const bos = special(member(value, name, "cls"), name + ".cls", d);
      auto const eos = special(member(value, name, "sep"), name + ".sep", d);
      d.single = t({bos, t::first, eos});
      d.pair = t({bos, t::first, eos, eos, t::second, eos});
    } else if (kind == "TemplateProcessing") {
      auto const& specials = member(value, name, "special_tokens");
      d.single = read_template(member(value, name, "single"), name + ".single", specials, 1, d);
      d.pair = read_template(member(value, name, "pair"), name + ".pair", specials, 2, d);
    } else if (!kind.empty() && kind != "ByteLevel") {  // ByteLevel only moves offsets
      fail(message(name, " ", quote(kind),
                   " is not understood, only RobertaProcessing, TemplateProcessing, ByteLevel"));
    }
  }

  // ["</s>", 2]
  auto special(Json const& value, std::string const& where, tokenizer_definition const& d) const
      -> std::int32_t {
    if (!value.is_array() || value.size() != 2) {
      fail(where + " is not a token and its id");
    }
    return same_in_words(text(value[0], where + "[0]"), value[1], where, d);
  }

  auto same_in_words(std::string const& token, Json const& id, std::string const& where,
                     tokenizer_definition const& d) const -> std::int32_t {
    auto const known = d.words.find(token);
    if (!known || integer(id, where) != *known) {
      fail(message(where, ": ", quote(token), " has id ", quote(id.dump()), ", but ",
                   known ? message(*known) : "none", " in the vocabulary"));
    }
    return *known;
  }

  // [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, ...], each text exactly once.
  auto read_template(Json const& list, std::string const& where, Json const& specials,
                     std::ptrdiff_t texts, tokenizer_definition const& d) const
      -> sequence_template {
    std::vector<std::int32_t> pieces;
    for (auto const& piece : array(list, where)) {
      if (auto const& sequence = member(piece, where, "Sequence"); !sequence.is_null()) {
        auto const& id = text(member(sequence, where, "id"), where + ".Sequence.id");
        if (id != "A" && id != "B") {
          fail(message(where, ": Sequence ", quote(id), " is neither A nor B"));
        }
        pieces.push_back(id == "A" ? sequence_template::first : sequence_template::second);
      } else {
        auto const& token = member(piece, where, "SpecialToken");
        append_special(text(member(token, where, "id"), where + ".SpecialToken.id"), where,
                       specials, d, pieces);
      }
    }
    for (auto const place : {sequence_template::first, sequence_template::second}) {
      auto const wanted = place == sequence_template::first || texts == 2 ? 1 : 0;
      if (std::count(pieces.begin(), pieces.end(), place) != wanted) {
        fail(message(where, " must hold each of its texts once"));
      }
    }
    return sequence_template(std::move(pieces));
  }

  // A special token of a template may be several tokens.
  void append_special(std::string const& name, std::string const& where, Json const& specials,
                      tokenizer_definition const& d, std::vector<std::int32_t>& pieces) const {
    auto const& entry = member(specials, where, name);
    auto const what = message(where, " ", quote(name));
    auto const& ids = array(member(entry, what, "ids"), what + ".ids");
    auto const& tokens = array(member(entry, what, "tokens"), what + ".tokens");
    if (ids.size() != tokens.size()) {
      fail(message(what, " has ", ids.size(), " ids for ", tokens.size(), " tokens"));
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      pieces.push_back(same_in_words(text(tokens[i], what + ".tokens"), ids[i], what, d));
    }
  }

  Json const& document_;
};

}  // namespace detail

/// Reads a tokenizer.json of Hugging Face's `tokenizers`. Throws io_error; format_error naming the
/// file and the entry, also for any normalizer, pre-tokenizer, model, decoder or post-processor
/// other than those of byte-level BPE.
template <class Json = nlohmann::json>
auto read_tokenizer_json(std::filesystem::path const& path) -> tokenizer_definition {
  auto const document = read_json<Json>(path);
  return detail::tokenizer_json_reader<Json>(path.string(), document).read();
}

}  // namespace v0
}  // namespace eckart
