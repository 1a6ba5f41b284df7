#pragma once

#include "eckart/io/safetensors_reader.hpp"
#include "eckart/io/safetensors_writer.hpp"
#include "eckart/models/low_rank_tensors.hpp"

#include <concepts>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace eckart {
inline namespace v0 {

namespace detail {

/// Throws shape_error if the writer holds any part of a low-rank matrix of that name.
inline void refuse_known_parts(safetensors_writer const& writer, std::string_view name) {
  for (auto const part : all_low_rank_parts) {
    if (auto const tensor = part_name(name, part); writer.contains(tensor)) {
      throw shape_error(message("add_low_rank: tensor ", json_quoted(tensor), " was added before"));
    }
  }
}

template <real T>
inline constexpr dtype own_dtype = std::same_as<T, double> ? dtype::f64 : dtype::f32;

}  // namespace detail

/// Adds the factors to a file that is being collected, stored as `stored`: F64, F32, F16 or BF16.
/// Keeps views: the matrix must live and stay until save() has returned. Throws shape_error for
/// another type and if any part of a low-rank matrix of that name was added before, format_error
/// for a name that is not UTF-8; the writer is as before then.
template <real T, class Form>
void add_low_rank(safetensors_writer& writer, std::string const& name, low_rank<T, Form> const& w,
                  dtype stored = detail::own_dtype<T>) {
  detail::refuse_known_parts(writer, name);
  if constexpr (std::same_as<Form, two_factor>) {
    writer.add(name + ".left", w.left(), stored);
    writer.add(name + ".right", w.right(), stored);
  } else if constexpr (std::same_as<Form, pivoted>) {
    writer.add(name + ".kept", w.kept(), stored);
    writer.add(name + ".combinations", w.combinations(), stored);
    writer.add_stored(name + ".rows", dtype::i64, {w.shape().rows}, std::as_bytes(w.rows()));
  } else {
    writer.add(name + ".u", w.u(), stored);
    writer.add(name + ".vt", w.vt(), stored);
    if constexpr (std::same_as<Form, full_core>) {
      writer.add(name + ".core", w.core(), stored);
    } else {
      writer.add(name + ".s", w.s(), stored);
    }
  }
}
/// The same for a matrix in 8 bits a number, whose scales are stored as T.
template <real T>
void add_low_rank(safetensors_writer& writer, std::string const& name, int8_rows<T> const& w,
                  dtype = detail::own_dtype<T>) {
  detail::refuse_known_parts(writer, name);
  writer.add(name + ".int8", w.numbers());
  writer.add(name + ".scales", w.scales());
}
template <real T>
void add_low_rank(safetensors_writer& writer, std::string const& name, any_low_rank<T> const& w,
                  dtype stored = detail::own_dtype<T>) {
  std::visit([&](auto const& factors) { add_low_rank(writer, name, factors, stored); }, w);
}
/// A temporary would be gone before save() reads it.
template <real T, class Form>
void add_low_rank(safetensors_writer& writer, std::string const& name, low_rank<T, Form> const&& w,
                  dtype stored = dtype::f32) = delete;
template <real T>
void add_low_rank(safetensors_writer& writer, std::string const& name, any_low_rank<T> const&& w,
                  dtype stored = dtype::f32) = delete;

/// Writes one low-rank matrix, in a form or an any_low_rank, as a file of its own, complete or not
/// at all. Throws as safetensors_writer::save.
template <class W>
void save_low_rank(std::filesystem::path const& path, W const& w,
                   std::string const& name = "weight") {
  safetensors_writer writer;
  add_low_rank(writer, name, w);
  writer.save(path);
}

/// The low-rank matrix of a file of save_low_rank, in the form in which it was saved. Throws
/// io_error, and format_error as read_any_low_rank.
template <real T>
auto load_low_rank(std::filesystem::path const& path, std::string_view name = "weight")
    -> any_low_rank<T> {
  return read_any_low_rank<T>(safetensors_reader(path), name);
}

}  // namespace v0
}  // namespace eckart
