#include "sweep_state.hpp"

#include "fingerprint.hpp"
#include "sweep_files.hpp"

#include <eckart/io/file.hpp>
#include <eckart/io/json.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace program {

namespace {

namespace fs = std::filesystem;
using eckart::format_error;
using eckart::json_value;
using eckart::message;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view settings_name = "settings.json";

/// Keys sorted, numbers in one way: the same text after every reading.
auto canonical_text(json const& content) -> std::string {
  return content.dump();
}

void write_sealed(fs::path const& file, json const& content) {
  ordered_json const sealed{{"fingerprint", fingerprint_of_text(canonical_text(content))},
                            {"content", content}};
  eckart::write_atomically(file, [&](std::ostream& out) { out << sealed.dump(1) << '\n'; });
}

/// Throws format_error if it is not to the last digit what was written.
auto read_sealed(fs::path const& file) -> json {
  auto const sealed = eckart::read_json(file);
  auto content = json_value<json>(sealed, "content", file.string());
  if (json_value<std::string>(sealed, "fingerprint", file.string()) !=
      fingerprint_of_text(canonical_text(content))) {
    throw format_error(message(file.string(), ": its content is not what was written"), 0);
  }
  return content;
}

auto rows_json(evaluation const& result) -> json {
  auto rows = json::array();
  for (auto const& row : result.rows) {
    rows.push_back(
        {{"id", row.id}, {"prediction", row.prediction}, {"ids", row.ids}, {"rouge", row.rouge}});
  }
  return rows;
}

auto row_from(json const& j, std::string_view name) -> example_result {
  example_result row;
  row.id = json_value<std::string>(j, "id", name);
  row.prediction = json_value<std::string>(j, "prediction", name);
  row.ids = json_value<token_ids>(j, "ids", name);
  auto const rouge = json_value<std::vector<double>>(j, "rouge", name);
  if (rouge.size() != row.rouge.size()) {
    throw format_error(message(name, ": ", rouge.size(), " ROUGE measures"), 0);
  }
  std::ranges::copy(rouge, row.rouge.begin());
  return row;
}

/// Letters, digits and a few signs: safe and readable in a file name.
auto is_plain(std::string_view text) -> bool {
  return text.size() <= 80 && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("_,.-").find(c) != std::string_view::npos;
         });
}

auto is_same(sweep_step const& step, sweep_point const& point) -> bool {
  return point.method == step.method && point.targets == step.targets.name &&
         point.stored_as == step.stored_as && point.rank == step.rank;
}

template <class Object>
auto text_of(Object const& object, std::string const& key) -> std::string {
  auto const found = object.find(key);
  return found == object.end() ? "nothing" : found->dump();
}

void make_directory(fs::path const& folder) {
  std::error_code fault;
  fs::create_directories(folder, fault);
  if (fault) {
    throw eckart::io_error(
        message(folder.string(), ": cannot make this directory: ", fault.message()), fault.value());
  }
}

/// Left by a process that was killed while it wrote "X": "X.tmp-1234-0".
auto is_leftover_point(std::string const& name) -> bool {
  return name.find(".json.tmp-") != std::string::npos;
}
auto is_leftover_result(std::string const& name) -> bool {
  return name.starts_with("sweep.csv.tmp-") || name.starts_with("sweep.json.tmp-") ||
         name.starts_with("report.html.tmp-");
}

template <class Wanted>
void remove_files(fs::path const& folder, Wanted const& wanted) {
  std::vector<fs::path> files;
  for (auto const& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && wanted(entry.path().filename().string())) {
      files.push_back(entry.path());
    }
  }
  for (auto const& file : files) {
    fs::remove(file);
  }
}

}  // namespace

sweep_state::sweep_state(fs::path const& out, ordered_json const& settings, bool restart)
    : out_(out), folder_(out / "state") {
  make_directory(folder_);
  lock();
  try {
    remove_leftovers();
    if (restart) {
      remove_points();
    }
    check(settings);
    if (points() == 0) {
      write_sealed(folder_ / settings_name, settings);
    }
  } catch (...) {
    ::close(lock_);
    throw;
  }
}

sweep_state::~sweep_state() {
  ::close(lock_);
}

// The system takes the lock away when the process ends, however it ends. File systems without
// locks do without.
void sweep_state::lock() {
  auto const file = folder_ / "lock";
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) {
    auto const status = errno;
    throw eckart::io_error(
        message(file.string(), ": cannot open: ", std::generic_category().message(status)), status);
  }
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(lock_);
    throw eckart::error(message(out_.string(), ": another sweep is writing here"));
  }
}

void sweep_state::check(ordered_json const& settings) const {
  auto const file = folder_ / settings_name;
  auto const remedy = "; another --out keeps both, --restart removes what is there";
  auto const count = points();
  if (count == 0) {
    return;
  }
  if (!fs::exists(file)) {
    throw eckart::error(
        message(folder_.string(), ": ", count, " models without ", settings_name, remedy));
  }
  json there;
  try {
    there = read_sealed(file);
  } catch (format_error const& e) {
    throw eckart::error(message(e.what(), remedy));
  }
  auto const refuse = [&](std::string const& key) {
    throw eckart::error(message(out_.string(), " holds a sweep with other settings: ", key, " was ",
                                text_of(there, key), ", now ", text_of(settings, key), remedy));
  };
  for (auto const& [key, value] : settings.items()) {
    if (auto const found = there.find(key); found == there.end() || *found != json(value)) {
      refuse(key);
    }
  }
  for (auto const& [key, value] : there.items()) {
    if (!settings.contains(key)) {
      refuse(key);
    }
  }
}

auto sweep_state::points() const -> std::size_t {
  auto const is_point = [](fs::directory_entry const& entry) {
    return entry.path().extension() == ".json" && entry.path().filename() != settings_name;
  };
  return static_cast<std::size_t>(
      std::count_if(fs::directory_iterator(folder_), fs::directory_iterator(), is_point));
}

// The settings last: points without them would be nobody's.
void sweep_state::remove_points() const {
  remove_files(folder_, [](std::string const& name) {
    return name.ends_with(".json") && name != settings_name;
  });
  fs::remove(folder_ / settings_name);
}

void sweep_state::remove_leftovers() const {
  remove_files(folder_, is_leftover_point);
  remove_files(out_, is_leftover_result);
}

auto sweep_state::file_of(sweep_step const& step) const -> fs::path {
  auto const targets =
      is_plain(step.targets.name) ? step.targets.name : fingerprint_of_text(step.targets.name);
  return folder_ / fmt::format("{}_{}_{}_{}.json", step.method, targets,
                               eckart::name_of(step.stored_as), step.rank);
}

template <class Read>
auto sweep_state::load_file(fs::path const& file, Read const& read)
    -> decltype(std::optional(read(json()))) {
  if (!fs::exists(file)) {
    return std::nullopt;
  }
  try {
    return read(read_sealed(file));
  } catch (eckart::error const& e) {
    notes_.push_back(message(e.what(), "; this point is computed again"));
    return std::nullopt;
  }
}

auto sweep_state::load_dense() -> std::optional<dense_record> {
  auto const file = folder_ / "dense.json";
  return load_file(file, [&](json const& content) {
    auto const name = file.string();
    dense_record dense{point_from_json(json_value<json>(content, "point", name), name), {}};
    for (auto const& row : json_value<std::vector<json>>(content, "rows", name)) {
      dense.result.rows.push_back(row_from(row, name));
    }
    return dense;
  });
}

auto sweep_state::load(sweep_step const& step) -> std::optional<sweep_point> {
  auto const file = file_of(step);
  return load_file(file, [&](json const& content) {
    auto point = point_from_json(content, file.string());
    if (!is_same(step, point)) {
      throw format_error(message(file.string(), ": of another point than its name says"), 0);
    }
    return point;
  });
}

void sweep_state::save(dense_record const& dense) const {
  write_sealed(folder_ / "dense.json",
               {{"point", to_json(dense.point)}, {"rows", rows_json(dense.result)}});
}

void sweep_state::save(sweep_step const& step, sweep_point const& point) const {
  write_sealed(file_of(step), to_json(point));
}

}  // namespace program
