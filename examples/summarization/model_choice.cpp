#include "model_choice.hpp"

#include "terminal.hpp"

#include <eckart/models/bart/int8.hpp>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <map>
#include <system_error>

namespace program {

namespace {

using eckart::form;

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

auto embedded_model() -> std::filesystem::path {
  std::error_code ignored;
  auto const executable = std::filesystem::read_symlink("/proc/self/exe", ignored);
  auto const installed = executable.parent_path() / ECKART_INSTALLED_MODEL_DIR;
  for (auto const& candidate :
       {installed.lexically_normal(), std::filesystem::path(ECKART_EMBEDDED_MODEL_DIR)}) {
    if (std::filesystem::exists(candidate / "config.json", ignored)) {
      return candidate;
    }
  }
  throw eckart::io_error(
      eckart::message("the embedded model is neither in ", installed.lexically_normal().string(),
                      " nor in ", ECKART_EMBEDDED_MODEL_DIR, "; give one with --model"),
      ENOENT);
}

}  // namespace

void model_choice::add_model_to(CLI::App& command) {
  command
      .add_option("--model", directory,
                  "directory with config.json, safetensors and tokenizer (default: the embedded "
                  "dialogue-summarizer-24m)")
      ->check(CLI::ExistingDirectory);
  command.add_option("--threads", threads, "threads (default: all processors)")
      ->check(CLI::PositiveNumber);
  command.add_flag("-q,--quiet", quiet, "no progress and no notes on stderr");
}

void model_choice::add_to(CLI::App& command) {
  std::map<std::string, form> const forms{{"two-factor", form::two_factor},
                                          {"diagonal-core", form::diagonal_core},
                                          {"full-core", form::full_core},
                                          {"pivoted", form::pivoted}};
  add_model_to(command);
  auto* by_rank =
      command.add_option("--rank", rank, "replace the target layers by factors of rank K")
          ->option_text("K");
  auto* by_ratio =
      command.add_option("--rank-ratio", rank_ratio, "the same, rank as a part of min(m, n)")
          ->option_text("R");
  auto* by_energy =
      command
          .add_option("--energy", energy,
                      "the same, least rank that keeps this part of the squared singular values")
          ->option_text("E");
  by_rank->excludes(by_ratio)->excludes(by_energy);
  by_ratio->excludes(by_energy);
  command
      .add_option("--targets", targets,
                  "layers to replace: attention, linear (and feed-forward), all (and the output "
                  "layer lm_head), or a list such as q_proj,fc1")
      ->option_text("attention|linear|all|LIST")
      ->capture_default_str();
  command
      .add_option("--form", stored_as,
                  "how factors are stored: two-factor (default), "
                  "pivoted, diagonal-core or full-core (the textbook's)")
      ->option_text("FORM")
      ->transform(CLI::CheckedTransformer(forms));
  command.add_flag("--int8", int8,
                   "8 bits a number for the linear layers that are not in factors and the output "
                   "layer: a quarter of their bytes");
}

auto model_choice::location() const -> std::filesystem::path {
  return directory.empty() ? embedded_model() : directory;
}

auto model_choice::policy() const -> std::optional<rank_choice> {
  if (rank) {
    return eckart::at_rank{*rank};
  }
  if (rank_ratio) {
    return eckart::at_ratio{*rank_ratio};
  }
  if (energy) {
    return eckart::keep_energy{*energy};
  }
  return std::nullopt;
}

auto model_choice::target_names() const -> eckart::target_list {
  if (targets == "attention") {
    return eckart::attention_targets();
  }
  if (targets == "linear") {
    return eckart::linear_targets();
  }
  if (targets == "all") {
    return eckart::all_targets();
  }
  return CLI::detail::split(targets, ',');
}

auto model_choice::description(std::optional<rank_choice> const& policy) const -> std::string {
  if (!policy) {
    return int8 ? "int8" : "dense";
  }
  auto const rank_text = std::visit(
      overloaded{[](eckart::at_rank p) { return fmt::format("rank {}", p.rank); },
                 [](eckart::at_ratio p) { return fmt::format("rank ratio {:.3g}", p.ratio); },
                 [](eckart::keep_energy p) { return fmt::format("energy {}", p.fraction); }},
      *policy);
  return fmt::format("{}, {}, {}{}", rank_text, targets, eckart::name_of(stored_as),
                     int8 ? ", int8" : "");
}

void model_choice::prepare_blas() const {
  if (threads > 0) {
    eckart::set_threads(threads);
  }
  auto const blas = eckart::blas_info();
  if (!blas.warning.empty() && !quiet) {
    std::cerr << "eckart: " << blas.warning << '\n';
  }
}

auto files_of_model(std::filesystem::path const& directory) -> std::vector<std::filesystem::path> {
  std::vector<std::filesystem::path> files;
  for (auto const& entry : std::filesystem::directory_iterator(directory)) {
    auto const& path = entry.path();
    if (entry.is_regular_file() &&
        (path.extension() == ".json" || path.filename() == "merges.txt" ||
         path.extension() == ".safetensors")) {
      files.push_back(path);
    }
  }
  std::ranges::sort(files);
  return files;
}

auto compress(eckart::bart<float>& model, model_choice const& choice,
              std::optional<rank_choice> const& policy) -> std::vector<eckart::replaced_layer> {
  std::vector<eckart::replaced_layer> replaced;
  if (policy) {
    progress_line progress(choice.quiet);
    replaced = std::visit(
        [&](auto const& p) {
          return eckart::compress(
              model, choice.target_names(), p, choice.stored_as,
              [&](eckart::index_t done, eckart::index_t total, std::string const& name) {
                progress.show(fmt::format("compressing {}/{} {}", done + 1, total, name));
              });
        },
        *policy);
  }
  if (choice.int8) {
    eckart::use_int8(model);
  }
  return replaced;
}

}  // namespace program
