#pragma once

#include <nlohmann/json_fwd.hpp>

/// nlohmann::json by name alone. Its parser takes a compiler a second and a half, which is paid in
/// the files that read JSON, not in every file that names a model: everything of this library that
/// reads JSON is a template over the type of its values, `template <class Json = nlohmann::json>`,
/// and is compiled where it is called. The caller's file includes io/json.hpp.
namespace eckart {
inline namespace v0 {
namespace detail {

/// Json itself, or the sentence that says what to include.
template <class Json>
struct included_json {
  static_assert(
      requires { sizeof(Json); },
      "JSON is read here: #include <eckart/io/json.hpp> (or <eckart/bart.hpp>) in the "
      "file that loads models, tokenizers or safetensors");
  using type = Json;
};

}  // namespace detail

/// The type of the values that a parser makes. Does not compile without io/json.hpp.
template <class Json>
using parsed_json = typename detail::included_json<Json>::type;

}  // namespace v0
}  // namespace eckart
