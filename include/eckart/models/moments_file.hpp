#pragma once

#include "eckart/compress/statistics.hpp"
#include "eckart/io/safetensors_reader.hpp"
#include "eckart/io/safetensors_writer.hpp"
#include "eckart/models/low_rank_tensors.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

/// What calibration has gathered as a safetensors file, for gathering takes minutes and is worth
/// keeping. The moments of the site NAME with n inputs are stored as
///
///   NAME.mean        (n)            F64
///   NAME.covariance  (n (n + 1)/2)  F64 or F32, the upper triangle row after row
///   NAME.count       (1)            I64
///
/// and the metadata say from which model and data they are.
namespace eckart {
inline namespace v0 {

/// From what statistics were gathered. Fingerprints are texts that differ where the contents do.
struct moments_origin {
  std::string model;           ///< fingerprint of the model
  std::string data;            ///< fingerprint of the data
  std::size_t examples = 0;    ///< of the data that were used
  std::string decoder_inputs;  ///< what the decoder was fed: "references", say

  auto operator==(moments_origin const&) const -> bool = default;
};

/// The content of a file.
struct stored_moments {
  std::map<std::string, input_moments> moments;  ///< by the name of the site, a bart_moments
  moments_origin origin;
};

namespace detail {

inline constexpr std::string_view moments_version = "1";
inline constexpr std::string_view moments_version_key = "eckart_moments";

/// Above all layers there are, and small enough that no size overflows.
inline constexpr index_t largest_moments_width = index_t{1} << 24;

/// The upper triangle of c (n, n), row after row.
inline auto packed_triangle(matrix_view<double const> c) -> std::vector<double> {
  std::vector<double> packed;
  packed.reserve(static_cast<std::size_t>(c.rows * (c.rows + 1) / 2));
  for (index_t i = 0; i < c.rows; ++i) {
    auto const row = c.row(i).subspan(static_cast<std::size_t>(i));
    packed.insert(packed.end(), row.begin(), row.end());
  }
  return packed;
}

/// The symmetric matrix (n, n) of a packed upper triangle.
inline auto unpacked_triangle(std::span<double const> packed, index_t n) -> matrix<double> {
  auto result = make_matrix<double>({n, n});
  auto const c = as_view(result);
  std::size_t next = 0;
  for (index_t i = 0; i < n; ++i) {
    for (index_t j = i; j < n; ++j) {
      c(i, j) = packed[next++];
      c(j, i) = c(i, j);
    }
  }
  return result;
}

/// What is wrong with numbers that are to be moments: a mean (n) and a packed covariance, which
/// times the count must be finite; nothing if all is well.
inline auto fault_of_moments(index_t count, std::span<double const> mean,
                             std::span<double const> packed) -> std::string {
  for (std::size_t i = 0; i < mean.size(); ++i) {
    if (!std::isfinite(mean[i])) {
      return message("the mean of input ", i, " is ", mean[i]);
    }
  }
  std::size_t next = 0;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    for (std::size_t j = i; j < mean.size(); ++j, ++next) {
      if (!std::isfinite(packed[next] * static_cast<double>(count)) ||
          (i == j && packed[next] < 0)) {
        return message("the covariance of inputs ", i, " and ", j, " is ", packed[next], " over ",
                       count, " rows");
      }
    }
  }
  return {};
}

/// What is wrong with an origin; nothing if all is well.
inline auto fault_of_origin(moments_origin const& origin) -> std::string {
  if (origin.model.empty() || origin.data.empty() || origin.decoder_inputs.empty()) {
    return message("model ", json_quoted(origin.model), ", data ", json_quoted(origin.data),
                   ", decoder_inputs ", json_quoted(origin.decoder_inputs), ": one is empty");
  }
  return origin.examples == 0 ? "there are no examples" : "";
}

/// Throws shape_error for what a reader would refuse.
inline void check_moments(std::map<std::string, input_moments> const& moments,
                          moments_origin const& origin) {
  auto fault = fault_of_origin(origin);
  if (moments.empty()) {
    fault = "there are none";
  }
  for (auto const& [site, one] : moments) {
    if (site.empty() || one.count() < 1 || one.width() < 1 || one.width() > largest_moments_width) {
      fault = message("site ", json_quoted(site), ": ", one.count(), " rows of ", one.width());
    }
  }
  if (!fault.empty()) {
    throw shape_error(message("save_moments: ", fault));
  }
}

[[noreturn]] inline void refuse_moments_file(safetensors_reader const& file,
                                             std::string_view fault) {
  throw format_error(message(file.path().string(), ": ", fault), 0);
}

inline auto moments_text(safetensors_reader const& file, std::string_view key)
    -> std::string const& {
  auto const found = file.metadata().find(std::string(key));
  if (found == file.metadata().end()) {
    refuse_moments_file(file, message("no moments: the metadata have no ", json_quoted(key)));
  }
  return found->second;
}

inline auto read_origin(safetensors_reader const& file) -> moments_origin {
  if (auto const& version = moments_text(file, moments_version_key); version != moments_version) {
    refuse_moments_file(file, message("moments of version ", json_quoted(version), ", not ",
                                      json_quoted(moments_version)));
  }
  moments_origin origin{moments_text(file, "model"), moments_text(file, "data"), 0,
                        moments_text(file, "decoder_inputs")};
  auto const& text = moments_text(file, "examples");
  auto const [end, status] =
      std::from_chars(text.data(), text.data() + text.size(), origin.examples);
  if (status != std::errc{} || end != text.data() + text.size()) {
    refuse_moments_file(file, message("examples: ", json_quoted(text), " is no number"));
  }
  if (auto const fault = fault_of_origin(origin); !fault.empty()) {
    refuse_moments_file(file, fault);
  }
  return origin;
}

/// The names before the last dot. Throws format_error for a tensor that is no part of
/// moments.
inline auto moments_sites(safetensors_reader const& file) -> std::set<std::string> {
  std::set<std::string> sites;
  for (auto const& tensor : file.names()) {
    auto const dot = tensor.rfind('.');
    auto const part = std::string_view(tensor).substr(dot == std::string::npos ? 0 : dot);
    if (dot == 0 || (part != ".mean" && part != ".covariance" && part != ".count")) {
      refuse_tensor(file, tensor, "not the mean, covariance or count of a site");
    }
    sites.insert(tensor.substr(0, dot));
  }
  return sites;
}

inline void check_moments_type(safetensors_reader const& file, std::string const& tensor,
                               dtype wanted) {
  if (auto const type = file.info(tensor).type; type != wanted) {
    refuse_tensor(file, tensor, "expected ", wanted);
  }
}

inline auto read_moments_count(safetensors_reader const& file, std::string const& tensor)
    -> index_t {
  check_part(file, tensor, {1});
  check_moments_type(file, tensor, dtype::i64);
  index_t count = 0;
  std::memcpy(&count, file.bytes(tensor).data(), sizeof count);
  if (count < 1) {
    refuse_tensor(file, tensor, "a count of ", count);
  }
  return count;
}

inline auto read_moments(safetensors_reader const& file, std::string const& site) -> input_moments {
  auto const mean_name = site + ".mean";
  auto const covariance_name = site + ".covariance";
  auto const n = check_part(file, mean_name, {-1})[0];
  if (n < 1 || n > largest_moments_width) {
    refuse_tensor(file, mean_name, "not 1 to ", largest_moments_width, " inputs");
  }
  check_part(file, covariance_name, {n * (n + 1) / 2});
  check_moments_type(file, mean_name, dtype::f64);
  if (file.info(covariance_name).type != dtype::f32) {
    check_moments_type(file, covariance_name, dtype::f64);
  }
  auto const count = read_moments_count(file, site + ".count");
  auto mean = file.vector<double>(mean_name);
  auto const packed = file.vector<double>(covariance_name);
  if (auto const fault = fault_of_moments(count, as_span(mean), as_span(packed)); !fault.empty()) {
    refuse_tensor(file, mean_name, "site ", json_quoted(site), ": ", fault);
  }
  return {count, std::move(mean), unpacked_triangle(as_span(packed), n)};
}

}  // namespace detail

/// Writes the moments of all sites, complete or not at all, covariances as F64 or F32; what is read
/// back has to the last bit the count, mean and, as F64, covariance() of what was written. Takes
/// 4 n² bytes of memory a site. Throws shape_error where there are no sites, no rows or no origin,
/// numerical_error for numbers that are not finite or beyond F32, format_error for texts that are
/// not UTF-8, io_error.
inline void save_moments(std::filesystem::path const& path,
                         std::map<std::string, input_moments> const& moments,
                         moments_origin const& origin, dtype covariances = dtype::f64) {
  detail::check_moments(moments, origin);
  if (covariances != dtype::f64 && covariances != dtype::f32) {
    throw shape_error(message("save_moments: covariances as ", covariances, ", not F64 or F32"));
  }
  safetensors_writer writer;  // keeps views of what follows
  std::deque<std::vector<double>> triangles;
  std::deque<index_t> counts;
  for (auto const& [site, one] : moments) {
    auto const covariance = one.covariance();
    auto const& packed = triangles.emplace_back(detail::packed_triangle(as_view(covariance)));
    if (auto const fault = detail::fault_of_moments(one.count(), as_span(one.mean()), packed);
        !fault.empty()) {
      throw numerical_error(message("save_moments: site ", detail::json_quoted(site), ": ", fault),
                            0);
    }
    writer.add(site + ".mean", one.mean());
    writer.add(site + ".covariance", std::span<double const>(packed), covariances);
    writer.add_stored(site + ".count", dtype::i64, {1},
                      std::as_bytes(std::span(&counts.emplace_back(one.count()), 1)));
  }
  writer.metadata(std::string(detail::moments_version_key), std::string(detail::moments_version));
  writer.metadata("model", origin.model);
  writer.metadata("data", origin.data);
  writer.metadata("examples", std::to_string(origin.examples));
  writer.metadata("decoder_inputs", origin.decoder_inputs);
  writer.save(path);
}

/// Reads what save_moments has written. Whether the sites are those of a model, and the origin that
/// of the caller (check_origin), is the caller's to see. Throws io_error, and format_error that
/// names the file and the tensor: another version, missing or unknown tensors and texts, sizes that
/// do not agree, numbers that are not finite, negative variances, counts below 1.
template <class Json = nlohmann::json>
auto load_moments(std::filesystem::path const& path) -> stored_moments {
  auto const file = safetensors_reader::open<Json>(path);
  stored_moments result{{}, detail::read_origin(file)};
  for (auto const& site : detail::moments_sites(file)) {
    result.moments.emplace(site, detail::read_moments(file, site));
  }
  if (result.moments.empty()) {
    detail::refuse_moments_file(file, "there are no moments");
  }
  return result;
}

/// Throws format_error that names both fingerprints unless the moments are of this model and these
/// data. `name` is of the moments' file.
inline void check_origin(moments_origin const& origin, std::string_view model,
                         std::string_view data, std::string_view name = "moments") {
  auto const check = [name](char const* what, std::string_view stored, std::string_view given) {
    if (stored != given) {
      throw format_error(
          message(name, ": gathered from the ", what, ' ', detail::json_quoted(stored),
                  ", not from ", detail::json_quoted(given)),
          0);
    }
  };
  check("model", origin.model, model);
  check("data", origin.data, data);
}

}  // namespace v0
}  // namespace eckart
