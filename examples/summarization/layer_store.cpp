#include "layer_store.hpp"

#include <eckart/io/file.hpp>
#include <eckart/io/json.hpp>
#include <eckart/io/safetensors.hpp>
#include <eckart/models/low_rank_file.hpp>

#include <cerrno>
#include <ostream>
#include <system_error>
#include <variant>

namespace program {

namespace {

constexpr auto circumstances_file = "circumstances";

auto layers_in(std::filesystem::path const& folder) -> std::vector<std::filesystem::path> {
  std::vector<std::filesystem::path> files;
  for (auto const& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") {
      files.push_back(entry.path());
    }
  }
  return files;
}

}  // namespace

layer_store::layer_store(std::filesystem::path folder, std::string const& circumstances,
                         bool restart)
    : folder_(std::move(folder)) {
  std::error_code failure;
  std::filesystem::create_directories(folder_, failure);
  if (failure) {
    throw eckart::io_error(
        eckart::message(folder_.string(), ": cannot make this directory: ", failure.message()),
        failure.value());
  }
  auto const file = folder_ / circumstances_file;
  if (restart) {
    for (auto const& one : layers_in(folder_)) {
      std::filesystem::remove(one);
    }
    std::filesystem::remove(plan_file());
  } else if (std::filesystem::exists(file) && eckart::read_text(file) != circumstances) {
    throw eckart::error(eckart::message(
        folder_.string(), " holds layers that were fitted under other circumstances (",
        eckart::read_text(file), ", now ", circumstances, "); --restart removes them"));
  }
  eckart::write_atomically(file, [&](std::ostream& out) { out << circumstances; });
}

auto layer_store::find(std::string const& name) const -> std::optional<eckart::linear<float>> {
  auto const file = file_of(name);
  if (!std::filesystem::exists(file)) {
    return std::nullopt;
  }
  auto const reader = eckart::safetensors_reader(file);
  auto factors = eckart::read_any_low_rank<float>(reader, "weight");
  return std::visit(
      [&](auto& w) { return eckart::linear<float>(std::move(w), reader.vector<float>("bias")); },
      factors);
}

void layer_store::keep(std::string const& name, eckart::linear<float> const& layer) const {
  eckart::safetensors_writer writer;
  std::visit(
      [&](auto const& w) {
        if constexpr (requires { eckart::add_low_rank(writer, "weight", w); }) {
          eckart::add_low_rank(writer, "weight", w);
        }
      },
      layer.stored_weight());
  writer.add("bias", *layer.bias());
  writer.save(file_of(name));
}

auto layer_store::plan_file() const -> std::filesystem::path {
  return folder_ / "plan.json";
}

auto layer_store::count() const -> std::size_t {
  return layers_in(folder_).size();
}

void layer_store::remove() const {
  std::filesystem::remove_all(folder_);
}

auto layer_store::file_of(std::string const& name) const -> std::filesystem::path {
  return folder_ / (name + ".safetensors");
}

}  // namespace program
