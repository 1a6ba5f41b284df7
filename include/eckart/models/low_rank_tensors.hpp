#pragma once

#include "eckart/factor/int8_rows.hpp"
#include "eckart/factor/low_rank.hpp"
#include "eckart/factor/pivoted.hpp"
#include "eckart/io/safetensors_format.hpp"
#include "eckart/models/low_rank_parts.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// Low-rank matrices in safetensors files. The matrix NAME (m, n) of rank k is stored as
///
///   diagonal core   NAME.u (m, k), NAME.s (k), NAME.vt (k, n)
///   full core       NAME.u (m, k), NAME.core (k, k), NAME.vt (k, n)
///   two factors     NAME.left (m, k), NAME.right (k, n)
///   pivoted         NAME.kept (k, n), NAME.combinations (m - k, k), NAME.rows (m) as I64
///   int8            NAME.int8 (m, n) as I8, NAME.scales (m): not of low rank
///
/// The data take cost::parameters(form, {m, n}, k) numbers, and 8 m bytes more for pivoted rows.
namespace eckart {
inline namespace v0 {

/// A low-rank matrix in any form.
template <real T>
using any_low_rank = std::variant<low_rank<T, two_factor>, low_rank<T, diagonal_core>,
                                  low_rank<T, full_core>, low_rank<T, pivoted>>;

/// What tensors are read from: a safetensors_reader or a safetensors_archive.
template <class F>
concept tensor_source = requires(F const& file, std::string_view name) {
  { file.contains(name) } -> std::same_as<bool>;
  { file.info(name) } -> std::same_as<tensor_info const&>;
  { file.bytes(name) } -> std::same_as<std::span<std::byte const>>;
  file.template matrix<float>(name);
  file.template vector<float>(name);
  file.path();
};

namespace detail {

/// Throws format_error "PATH: byte B: tensor "NAME": F32 of shape [2, 3], ..." .
template <tensor_source F, class... Parts>
[[noreturn]] void refuse_tensor(F const& file, std::string const& tensor, Parts const&... parts) {
  auto const& info = file.info(tensor);
  throw format_error(
      message(file.path().string(), ": byte ", info.begin, ": tensor ", json_quoted(tensor), ": ",
              info.type, " of shape ", shape_text(info.shape), ", ", parts...),
      info.begin);
}

/// Throws format_error unless the tensor is there and has this shape; -1 stands for any extent.
/// Answers its shape.
template <tensor_source F>
auto check_part(F const& file, std::string const& tensor, std::vector<index_t> const& wanted)
    -> std::vector<index_t> {
  auto const& shape = file.info(tensor).shape;
  bool fits = shape.size() == wanted.size();
  for (std::size_t i = 0; fits && i < wanted.size(); ++i) {
    fits = wanted[i] < 0 || shape[i] == wanted[i];
  }
  if (!fits) {
    std::string text;
    for (auto const extent : wanted) {
      text += text.empty() ? "" : ", ";
      text += extent < 0 ? "any" : std::to_string(extent);
    }
    refuse_tensor(file, tensor, "expected [", text, "]");
  }
  return shape;
}

/// The rank that the first factor, which has it as its extent number `axis`, gives. Not 0.
template <tensor_source F>
auto rank_of_part(F const& file, std::string const& tensor, std::size_t axis) -> index_t {
  auto const k = check_part(file, tensor, {-1, -1})[axis];
  if (k < 1) {
    refuse_tensor(file, tensor, "a rank of 0 is none");
  }
  return k;
}

/// The integers of NAME.rows, a permutation of 0 to m - 1. I64 or I32.
template <tensor_source F>
auto read_rows(F const& file, std::string const& tensor, index_t m) -> std::vector<index_t> {
  auto const& info = file.info(tensor);
  if (info.type != dtype::i64 && info.type != dtype::i32) {
    refuse_tensor(file, tensor, "expected I64 or I32");
  }
  std::span<std::byte const> const bytes = file.bytes(tensor);
  auto const width = static_cast<std::size_t>(dtype_size(info.type));
  std::vector<index_t> rows(static_cast<std::size_t>(m));
  std::vector<bool> seen(rows.size(), false);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::int32_t narrow = 0;
    if (info.type == dtype::i64) {
      std::memcpy(&rows[i], bytes.data() + i * width, width);
    } else {
      std::memcpy(&narrow, bytes.data() + i * width, width);
      rows[i] = narrow;
    }
    if (rows[i] < 0 || rows[i] >= m || seen[static_cast<std::size_t>(rows[i])]) {
      refuse_tensor(file, tensor, "entry ", i, " is ", rows[i],
                    ", so it is no permutation of 0 to ", m - 1);
    }
    seen[static_cast<std::size_t>(rows[i])] = true;
  }
  return rows;
}

/// The rank of a matrix with orthonormal factors U and Vt.
template <tensor_source F>
auto check_u_and_vt(F const& file, std::string_view name) -> index_t {
  auto const k = rank_of_part(file, part_name(name, ".u"), 1);
  check_part(file, part_name(name, ".vt"), {k, -1});
  return k;
}

}  // namespace detail

/// The matrix NAME, which must be stored in this form; its numbers are converted to T as by
/// safetensors_reader::read. Throws format_error that names the tensor which is missing, has a
/// shape that does not fit the others, is of an unfit type, or is no permutation of the rows. All
/// shapes are checked before any data are read.
template <real T, class Form, tensor_source F>
auto read_low_rank(F const& file, std::string_view name) -> low_rank<T, Form> {
  auto const part = [name](std::string_view suffix) { return detail::part_name(name, suffix); };
  auto const matrix_of = [&](auto suffix) { return file.template matrix<T>(part(suffix)); };
  if constexpr (std::same_as<Form, two_factor>) {
    auto const k = detail::rank_of_part(file, part(".left"), 1);
    detail::check_part(file, part(".right"), {k, -1});
    return {matrix_of(".left"), matrix_of(".right")};
  } else if constexpr (std::same_as<Form, pivoted>) {
    auto const k = detail::rank_of_part(file, part(".kept"), 0);
    auto const m = k + detail::check_part(file, part(".combinations"), {-1, k})[0];
    detail::check_part(file, part(".rows"), {m});
    auto rows = detail::read_rows(file, part(".rows"), m);
    return {matrix_of(".kept"), matrix_of(".combinations"), std::move(rows)};
  } else if constexpr (std::same_as<Form, full_core>) {
    auto const k = detail::check_u_and_vt(file, name);
    detail::check_part(file, part(".core"), {k, k});
    return {matrix_of(".u"), matrix_of(".core"), matrix_of(".vt")};
  } else {
    auto const k = detail::check_u_and_vt(file, name);
    detail::check_part(file, part(".s"), {k});
    return {matrix_of(".u"), file.template vector<T>(part(".s")), matrix_of(".vt")};
  }
}

/// The matrix NAME, which must be stored in 8 bits a number: NAME.int8 (m, n) as I8 and NAME.scales
/// (m). Throws format_error as read_low_rank.
template <real T, tensor_source F>
auto read_int8_rows(F const& file, std::string_view name) -> int8_rows<T> {
  auto const tensor = detail::part_name(name, ".int8");
  auto const shape = detail::check_part(file, tensor, {-1, -1});
  if (file.info(tensor).type != dtype::i8) {
    detail::refuse_tensor(file, tensor, "expected I8");
  }
  auto const scales = detail::part_name(name, ".scales");
  detail::check_part(file, scales, {shape[0]});
  std::span<std::byte const> const bytes = file.bytes(tensor);
  return {{shape[0], shape[1]},
          {reinterpret_cast<std::int8_t const*>(bytes.data()), bytes.size()},
          file.template vector<T>(scales)};
}

/// The form in which the matrix NAME is stored, by the tensors that exist. Throws format_error that
/// names the missing tensors if the parts of no form are complete, and the tensors that exist if
/// they belong to more than one form.
template <tensor_source F>
auto stored_form(F const& file, std::string_view name) -> form {
  std::string present;
  std::string missing;
  std::ptrdiff_t count = 0;
  for (auto const part : detail::all_low_rank_parts) {
    if (file.contains(detail::part_name(name, part))) {
      present += message(' ', name, part);
      ++count;
    }
  }
  for (auto const candidate : all_factor_forms) {
    auto const parts = detail::low_rank_parts(candidate);
    auto const there = std::ranges::count_if(
        parts, [&](auto part) { return file.contains(detail::part_name(name, part)); });
    if (there != count) {
      continue;  // parts of another form exist
    }
    if (there == std::ssize(parts)) {
      return candidate;
    }
    missing += message(missing.empty() ? " " : " or ", name_of(candidate), " lacks");
    for (auto const part : parts) {
      auto const tensor = detail::part_name(name, part);
      missing += file.contains(tensor) ? std::string() : message(' ', tensor);
    }
  }
  auto const fault = count == 0        ? std::string("no tensor of it exists,")
                     : missing.empty() ? message("tensors of more than one form exist:", present)
                                       : message("tensors are missing,");
  throw format_error(message(file.path().string(), ": low-rank matrix ", detail::json_quoted(name),
                             ": ", fault, missing),
                     0);
}

/// The matrix NAME in the form in which it is stored. Throws format_error as stored_form and
/// read_low_rank.
template <real T, tensor_source F>
auto read_any_low_rank(F const& file, std::string_view name) -> any_low_rank<T> {
  switch (stored_form(file, name)) {
    case form::two_factor:
      return read_low_rank<T, two_factor>(file, name);
    case form::full_core:
      return read_low_rank<T, full_core>(file, name);
    case form::pivoted:
      return read_low_rank<T, pivoted>(file, name);
    default:
      return read_low_rank<T, diagonal_core>(file, name);
  }
}

}  // namespace v0
}  // namespace eckart
