#pragma once

#include <eckart/nn/linear.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace program {

/// Fitted layers of a compression that is under way, a file each, so that a later run goes on where
/// an earlier one was ended, by whatever.
class layer_store {
 public:
  /// Opens the folder, made if it does not exist, for layers that are fitted under these
  /// circumstances. Throws eckart::error if it holds layers of other circumstances; with `restart`
  /// they are removed instead.
  layer_store(std::filesystem::path folder, std::string const& circumstances, bool restart);

  auto find(std::string const& name) const -> std::optional<eckart::linear<float>>;
  void keep(std::string const& name, eckart::linear<float> const& layer) const;

  /// Where the plan that the layers follow is to be.
  auto plan_file() const -> std::filesystem::path;

  /// Layers that are there.
  auto count() const -> std::size_t;
  /// Removes the folder.
  void remove() const;

 private:
  auto file_of(std::string const& name) const -> std::filesystem::path;

  std::filesystem::path folder_;
};

}  // namespace program
