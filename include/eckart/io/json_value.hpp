#pragma once

#include "eckart/core/error.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_string.hpp"

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// Getters for members of JSON objects that check presence, type and range.
namespace eckart {
inline namespace v0 {
namespace detail {

template <class T>
struct is_json_optional : std::false_type {};
template <class U>
struct is_json_optional<std::optional<U>> : std::true_type {};
template <class T>
struct is_json_vector : std::false_type {};
template <class U>
struct is_json_vector<std::vector<U>> : std::true_type {};

// "string \"768\"", "floating-point number 1.5"
template <class Json>
auto describe_json(Json const& value) -> std::string {
  if (value.is_null()) {
    return "null";
  }
  std::string const kind = value.is_number_integer() ? "integer"
                           : value.is_number_float() ? "floating-point number"
                                                     : value.type_name();
  if (value.is_structured()) {
    return message(kind, " of ", value.size());
  }
  auto const text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return message(kind, " ", shortened(text, 60));
}

/// Where a value was found, for messages.
struct json_place {
  std::string_view name;
  std::string key;

  template <class Json>
  [[noreturn]] void mismatch(std::string_view expected, Json const& value) const {
    throw format_error(message(name, ": key ", json_quoted(key), ": expected ", expected, ", got ",
                               describe_json(value)),
                       0);
  }
};

template <std::integral T, class Json>
auto json_integer(Json const& value, json_place const& place) -> T {
  if (!value.is_number_integer()) {
    place.mismatch("integer", value);
  }
  auto const fits = value.is_number_unsigned()
                        ? std::in_range<T>(value.template get<std::uint64_t>())
                        : std::in_range<T>(value.template get<std::int64_t>());
  if (!fits) {
    using limits = std::numeric_limits<T>;
    place.mismatch(message("integer from ", +limits::min(), " to ", +limits::max()), value);
  }
  return value.template get<T>();
}

// T is bool, an integer, a floating-point type, std::string, std::vector or std::optional of
// these, or Json.
template <class T, class Json>
auto json_as(Json const& value, json_place const& place) -> T {
  if constexpr (std::same_as<T, Json>) {
    return value;
  } else if constexpr (is_json_optional<T>::value) {
    return value.is_null() ? T{} : T{json_as<typename T::value_type>(value, place)};
  } else if constexpr (is_json_vector<T>::value) {
    if (!value.is_array()) {
      place.mismatch("array", value);
    }
    T result;
    result.reserve(value.size());
    for (auto const& element : value) {
      result.push_back(json_as<typename T::value_type>(
          element, {place.name, message(place.key, "[", result.size(), "]")}));
    }
    return result;
  } else if constexpr (std::same_as<T, bool>) {
    return value.is_boolean() ? value.template get<bool>()
                              : (place.mismatch("boolean", value), false);
  } else if constexpr (std::integral<T>) {
    return json_integer<T>(value, place);
  } else if constexpr (std::floating_point<T>) {
    if (!value.is_number()) {
      place.mismatch("number", value);
    }
    auto const number = value.template get<double>();
    if (std::abs(number) > static_cast<double>(std::numeric_limits<T>::max())) {
      place.mismatch(message("number within ", std::numeric_limits<T>::max()), value);
    }
    return static_cast<T>(number);
  } else {
    static_assert(std::same_as<T, std::string>, "json_value: no conversion to this type");
    if (!value.is_string()) {
      place.mismatch("string", value);
    }
    return value.template get<std::string>();
  }
}

// Null if the object has no such key. Throws format_error if `object` is not an object.
template <class Json>
auto find_json(Json const& object, std::string_view key, std::string_view name) -> Json const* {
  if (!object.is_object()) {
    throw format_error(message(name, ": key ", json_quoted(key), ": looked for in an object, got ",
                               describe_json(object)),
                       0);
  }
  auto const found = object.find(std::string(key));
  return found == object.end() ? nullptr : &*found;
}

}  // namespace detail

/// The member `key` of `object` as T: bool, an integer, float, double, std::string, nlohmann::json,
/// or a std::vector or std::optional of these. No type passes for another: 1.5, 2.0 and true are
/// not integers; an integer is a number for float and double. Throws format_error (offset 0) with
/// `name` (of the file), key, expected and found type if it is missing, of another type or out of
/// range.
template <class T, class Json = nlohmann::json>
auto json_value(Json const& object, std::string_view key, std::string_view name) -> T {
  auto const* const found = detail::find_json(object, key, name);
  if (found == nullptr) {
    throw format_error(message(name, ": key ", detail::json_quoted(key), " is missing"), 0);
  }
  return detail::json_as<T>(*found, {name, std::string(key)});
}

/// As json_value, but a member that is missing or null gives `otherwise`.
template <class T, class Json = nlohmann::json>
auto json_value_or(Json const& object, std::string_view key, std::type_identity_t<T> otherwise,
                   std::string_view name) -> T {
  auto const* const found = detail::find_json(object, key, name);
  if (found == nullptr || found->is_null()) {
    return otherwise;
  }
  return detail::json_as<T>(*found, {name, std::string(key)});
}

}  // namespace v0
}  // namespace eckart
