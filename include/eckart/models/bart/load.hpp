#pragma once

#include "eckart/io/safetensors_archive.hpp"
#include "eckart/models/bart/bart.hpp"
#include "eckart/models/bart/config_json.hpp"
#include "eckart/models/bart/weights.hpp"

#include <filesystem>

namespace eckart {
inline namespace v0 {

/// Declared, with what it throws, in models/bart/bart.hpp, which knows no files.
template <real T>
auto bart<T>::load(std::filesystem::path const& directory) -> bart {
  auto const c = read_bart_config(directory / "config.json");
  auto const archive = safetensors_archive(directory);
  auto weights = bart_weights(archive, c, directory.string());
  weights.read_ahead<T>();
  return bart(weights, c);
}

}  // namespace v0
}  // namespace eckart
