#pragma once

#include <eckart/models/compress_bart.hpp>

#include <CLI/CLI.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// Options that choose a model and its compression, shared by the commands.
namespace program {

using rank_choice = std::variant<eckart::at_rank, eckart::at_ratio, eckart::keep_energy>;

struct model_choice {
  std::filesystem::path directory;  ///< as given; empty for the embedded model
  std::optional<eckart::index_t> rank;
  std::optional<double> rank_ratio;
  std::optional<double> energy;
  std::string targets = "attention";
  eckart::form stored_as = eckart::form::two_factor;
  bool int8 = false;  ///< dense weights and the output table in 8 bits a number
  int threads = 0;    ///< 0: as many as the system has
  bool quiet = false;

  /// Adds --model, --rank, --rank-ratio, --energy, --targets, --form, --int8, --threads, --quiet.
  void add_to(CLI::App& command);
  /// Adds --model, --threads and --quiet alone.
  void add_model_to(CLI::App& command);

  /// The directory to load: the given one, or the embedded model beside the program or in the
  /// source tree. Throws io_error where neither is there.
  auto location() const -> std::filesystem::path;

  /// The asked compression, if one was asked for.
  auto policy() const -> std::optional<rank_choice>;

  /// Whether the model is to be another than the one that is loaded.
  auto changes_model() const -> bool { return int8 || policy().has_value(); }

  /// The targets as suffixes of layer names.
  auto target_names() const -> eckart::target_list;

  /// "rank 159, attention, two-factor", "rank 159, attention, two-factor, int8", "int8"
  auto description(std::optional<rank_choice> const& policy) const -> std::string;

  /// Sets threads and says once if the BLAS is slower than the processor.
  void prepare_blas() const;
};

/// The files that a model, its tokenizer and its generation options are read from, sorted by name.
auto files_of_model(std::filesystem::path const& directory) -> std::vector<std::filesystem::path>;

/// Compresses the model, if there is a policy, and stores it in 8 bits a number, if the choice asks
/// for it; a progress line on a terminal unless quiet. Answers the layers that are now in factors.
auto compress(eckart::bart<float>& model, model_choice const& choice,
              std::optional<rank_choice> const& policy) -> std::vector<eckart::replaced_layer>;

}  // namespace program
