// A model from files in the page cache to ready, each time in a new process: memory that a process
// has used before costs it no page faults.
#include "support/bart_model.hpp"
#include "support/machine.hpp"

#include <eckart/io/file.hpp>

#include <sys/resource.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>

namespace {

/// What one process has measured.
struct sample {
  double ms = 0;
  double cpu_ms = 0;             ///< of all threads, in the program and in the kernel
  double resident_mib = 0;       ///< afterwards, with the model alive
  double peak_mib = 0;           ///< of the process so far
  double start_mib = 0;          ///< resident before anything was read
  std::uint64_t parameters = 0;  ///< bytes
};

/// A line of /proc/self/status, in MiB; 0 where there is no such file.
auto status_mib(std::string const& key) -> double {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) {
      return std::stod(line.substr(key.size() + 1)) / 1024;
    }
  }
  return 0;
}

auto cpu_ms() -> double {
  ::rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto const ms = [](::timeval t) {
    return 1e3 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_usec);
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

/// Times `read`, which answers what keeps the memory alive and the bytes that it read.
template <class F>
void measure_and_print(F&& read) {
  sample s;
  s.start_mib = status_mib("VmRSS");
  auto const cpu = cpu_ms();
  auto const start = std::chrono::steady_clock::now();
  auto const [alive, bytes] = read();
  s.ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  s.cpu_ms = cpu_ms() - cpu;
  fmt::print("{} {} {} {} {} {}\n", s.ms, s.cpu_ms, status_mib("VmRSS"), status_mib("VmHWM"),
             s.start_mib, bytes);
}

void load_once(std::string const& directory) {
  measure_and_print([&] {
    auto model = std::make_unique<eckart::bart<float>>(eckart::bart<float>::load(directory));
    eckart::stack_projections(*model);
    auto const bytes = model->bytes();
    return std::pair{std::move(model), bytes};
  });
}

/// The least that copying the file takes without any care: a map, new memory, memcpy.
void copy_once(std::string const& directory) {
  measure_and_print([&] {
    eckart::mapped_file const file(std::filesystem::path(directory) / "model.safetensors");
    auto const bytes = file.bytes();
    auto copy = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
    std::memcpy(copy.get(), bytes.data(), bytes.size());
    return std::pair{std::move(copy), static_cast<std::uint64_t>(bytes.size())};
  });
}

/// Runs this program again for one measurement.
auto in_new_process(std::string const& what, std::string const& directory, int threads) -> sample {
  auto const quoted = [](std::string const& text) {
    std::string result = "'";
    for (auto const c : text) {
      result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return result + "'";
  };
  auto const self = std::filesystem::read_symlink("/proc/self/exe").string();
  auto const command = fmt::format("{} --once {} --threads {} --model {}", quoted(self), what,
                                   threads, quoted(directory));
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> const output(::popen(command.c_str(), "r"),
                                                               ::pclose);
  std::array<char, 256> line{};
  sample s;
  if (output == nullptr || std::fgets(line.data(), line.size(), output.get()) == nullptr ||
      std::sscanf(line.data(), "%lf %lf %lf %lf %lf %lu", &s.ms, &s.cpu_ms, &s.resident_mib,
                  &s.peak_mib, &s.start_mib, &s.parameters) != 6) {
    throw std::runtime_error("bench: no answer from: " + command);
  }
  return s;
}

auto stored_type(std::string const& name) -> eckart::dtype {
  return name == "f16"    ? eckart::dtype::f16
         : name == "bf16" ? eckart::dtype::bf16
                          : eckart::dtype::f32;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("loading a model from the page cache: milliseconds and memory of a new process");
  int threads = 0;
  int repeats = 7;
  std::string type = "f32";
  std::string once;
  bench::model_option option;
  option.shape = "bart-base";
  app.add_option("--threads", threads, "threads (default: all)");
  app.add_option("--repeats", repeats, "new processes of each kind")->check(CLI::PositiveNumber);
  app.add_option("--dtype", type, "element type of the random model")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  app.add_option("--once", once)->group("");
  option.add_to(app);
  CLI11_PARSE(app, argc, argv);
  if (!once.empty()) {
    if (threads > 0) {
      eckart::set_threads(threads);
    }
    once == "load" ? load_once(option.directory) : copy_once(option.directory);
    return 0;
  }
  bench::scratch_directory const scratch;
  auto directory = option.path();
  if (directory.empty()) {
    directory = scratch.path().string();
    bench::write_random_model(directory, bench::config_of_shape(option.shape), stored_type(type));
  }
  // In turns, so that a neighbour on the machine meets all alike; the first round warms up.
  std::vector<sample> loads;
  std::vector<sample> copies;
  for (int i = 0; i <= repeats; ++i) {
    loads.push_back(in_new_process("load", directory, threads));
    copies.push_back(in_new_process("copy", directory, threads));
  }
  loads.erase(loads.begin());
  copies.erase(copies.begin());
  std::ranges::sort(loads, {}, &sample::ms);
  std::ranges::sort(copies, {}, &sample::ms);
  auto const middle = loads.size() / 2;
  fmt::print("{:>5} {:>9} {:>9} {:>9} {:>9} {:>10} {:>9} {:>9}\n", "what", "median ms", "least ms",
             "most ms", "cpu ms", "bytes MiB", "RSS MiB", "peak MiB");
  auto const print = [&](char const* what, std::vector<sample> const& s) {
    fmt::print("{:>5} {:>9.1f} {:>9.1f} {:>9.1f} {:>9.1f} {:>10.1f} {:>9.1f} {:>9.1f}\n", what,
               s[middle].ms, s.front().ms, s.back().ms, s[middle].cpu_ms,
               static_cast<double>(s[middle].parameters) / (1 << 20), s[middle].resident_mib,
               s[middle].peak_mib);
  };
  print("load", loads);
  print("copy", copies);
  fmt::print("load / copy {:.2f}, resident before {:.1f} MiB\n",
             loads[middle].ms / copies[middle].ms, loads[middle].start_mib);
}
