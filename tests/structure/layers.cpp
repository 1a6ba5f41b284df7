#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The layer list of docs/design.md as a check: reads every header and refuses an `#include` that
// points up, a cycle, and a foreign library outside the one header that may name it.

namespace {

namespace fs = std::filesystem;

constexpr int umbrella_layer = 9;  // eckart/NAME.hpp: includes others, is included by none
constexpr int max_lines = 400;

// Layer of a header, given by its path below include/eckart; -1 for a folder that is in no layer.
auto layer_of(std::string const& header) -> int {
  if (header == "version.hpp" || header == "fwd.hpp") {
    return 0;
  }
  auto const slash = header.find('/');
  if (slash == std::string::npos) {
    return umbrella_layer;
  }
  static auto const layers = std::map<std::string, int, std::less<>>{
      {"core", 1}, {"backend", 2}, {"linalg", 3}, {"factor", 4}, {"nn", 5}, {"compress", 5},
      {"io", 6},   {"text", 6},    {"eval", 6},   {"models", 7}, {"gpu", 8}};
  auto const found = layers.find(header.substr(0, slash));
  return found == layers.end() ? -1 : found->second;
}

auto folder_of(std::string const& header) -> std::string {
  auto const slash = header.find('/');
  return slash == std::string::npos ? "" : header.substr(0, slash);
}

// Is this one of the headers that a build without CUDA does not have: the folder gpu, the device
// files of the backends, and the umbrellas over them?
auto needs_cuda(std::string const& header) -> bool {
  static auto const pattern =
      std::regex(R"(^(gpu/|backend/(cublas|cuda|cusolver|device)|(cublas|cuda)\.))");
  return std::regex_search(header, pattern);
}

// Why `from` may not include `to`, or nothing.
auto refusal(std::string const& from, std::string const& to) -> std::string {
  auto const lower = layer_of(to);
  auto const upper = layer_of(from);
  if (needs_cuda(to) && !needs_cuda(from)) {
    return "it needs CUDA, and the header that includes it does not say so";
  }
  if (to.ends_with(".cuh") && !from.ends_with(".cuh")) {
    return "a header for the host's compiler includes one for nvcc";
  }
  if (lower == umbrella_layer) {
    return "no header includes an umbrella header";
  }
  if (lower > upper) {
    return "layer " + std::to_string(upper) + " includes layer " + std::to_string(lower);
  }
  auto const a = folder_of(from);
  auto const b = folder_of(to);
  if (upper == 5 && lower == 5 && a == "nn" && b == "compress") {
    return "nn includes compress";
  }
  if (upper == 6 && lower > 1 && a != b && b != "io") {
    return "layer 6 includes " + b + ", it may include layers 0 and 1 and io";
  }
  return "";
}

// Position behind a string, raw string or character literal that starts at `at`.
auto skip_literal(std::string_view code, std::size_t at) -> std::size_t {
  if (code[at] == '"' && at > 0 && code[at - 1] == 'R') {
    auto const open = code.find('(', at);
    auto const close = ")" + std::string(code.substr(at + 1, open - at - 1)) + "\"";
    auto const end = code.find(close, open);
    return end == std::string_view::npos ? code.size() : end + close.size();
  }
  auto const quote = code[at];
  for (++at; at < code.size() && code[at] != quote && code[at] != '\n'; ++at) {
    at += code[at] == '\\' ? 1 : 0;
  }
  return std::min(at + 1, code.size());
}

// Is the quote at `at` the separator of 1'000?
auto separates_digits(std::string_view code, std::size_t at) -> bool {
  auto const is_digit = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  return code[at] == '\'' && at > 0 && at + 1 < code.size() && is_digit(code[at - 1]) &&
         is_digit(code[at + 1]);
}

// The code with every comment blanked; lines keep their numbers, literals their text.
auto without_comments(std::string_view code) -> std::string {
  std::string result;
  for (std::size_t i = 0; i < code.size();) {
    if (code.substr(i, 2) == "//") {
      i = std::min(code.find('\n', i), code.size());
    } else if (code.substr(i, 2) == "/*") {
      auto const end = std::min(code.find("*/", i + 2), code.size());
      result.append(static_cast<std::size_t>(
                        std::count(code.begin() + static_cast<std::ptrdiff_t>(i),
                                   code.begin() + static_cast<std::ptrdiff_t>(end), '\n')),
                    '\n');
      i = std::min(end + 2, code.size());
    } else if ((code[i] == '"' || code[i] == '\'') && !separates_digits(code, i)) {
      auto const end = skip_literal(code, i);
      result += code.substr(i, end - i);
      i = end;
    } else {
      result += code[i++];
    }
  }
  return result;
}

auto read_lines(std::string const& text) -> std::vector<std::string> {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
  }
  return lines;
}

auto read_file(fs::path const& path) -> std::string {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) {
    throw std::runtime_error("cannot read " + path.string());
  }
  return text.str();
}

// Which headers alone may do this, and what a line looks like that does it.
struct reserved {
  std::regex pattern;
  std::string owner;  // empty: nobody; "cuda": those that need CUDA
  std::string what;

  auto allows(std::string const& header) const -> bool {
    return owner == "cuda" ? needs_cuda(header) : header == owner;
  }
};

auto reserved_names() -> std::vector<reserved> const& {
  static auto const list = std::vector<reserved>{
      {std::regex(R"(^\s*#\s*include\s*[<"](xtensor|xtl)/)"), "core/xtensor.hpp",
       "an xtensor header"},
      {std::regex(R"(\b(xflens|cxxblas)\b|[<"]xtensor-blas/)"), "backend/openblas.hpp",
       "xtensor-blas"},
      {std::regex(R"([<"](cu[A-Za-z0-9_/]+|nvrtc|mma|cooperative_groups)\.(h|hpp|cuh)[>"])"),
       "cuda", "a header of CUDA"},
      {std::regex(R"(\blapacke\.h\b|\bLAPACKE_\w+)"), "backend/lapack.hpp", "LAPACKE"},
      {std::regex(R"(\bcblas(-openblas)?\.h\b)"), "", "cblas.h, it conflicts with xtensor-blas"},
      {std::regex(R"(\bxlinalg\.hpp\b)"), "", "xlinalg.hpp, it costs two seconds a unit"}};
  return list;
}

// header -> (included header, line)
using include_graph = std::map<std::string, std::vector<std::pair<std::string, int>>>;

struct checker {
  fs::path root;  // the folder include/eckart
  std::vector<std::string> violations;
  include_graph graph;

  void report(std::string const& header, int line, std::string const& what) {
    violations.push_back("include/eckart/" + header + ":" + std::to_string(line) + ": " + what);
  }

  void check_include(std::string const& header, int line, std::string const& text) {
    static auto const pattern = std::regex(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
    std::smatch match;
    if (!std::regex_search(text, match, pattern)) {
      return;
    }
    auto const target = match[2].str();
    if (!target.starts_with("eckart/")) {
      if (match[1] == "\"") {
        report(header, line, "\"" + target + "\" is not written as \"eckart/...\"");
      }
      return;
    }
    auto const included = target.substr(7);
    if (match[1] == "<") {
      report(header, line, "<" + target + "> is the project's own, it is written with quotes");
    }
    if (!fs::exists(root / included)) {
      report(header, line, "includes \"" + target + "\", which does not exist");
    } else if (auto const why = refusal(header, included); !why.empty()) {
      report(header, line, why + " (\"" + target + "\")");
    }
    graph[header].emplace_back(included, line);
  }

  void check_header(std::string const& header) {
    if (layer_of(header) < 0) {
      report(header, 1, "its folder is in no layer");
    }
    graph[header];
    auto const lines = read_lines(without_comments(read_file(root / header)));
    auto once = false;
    for (auto number = 1; auto const& line : lines) {
      once = once || line.starts_with("#pragma once");
      for (auto const& name : reserved_names()) {
        if (!name.allows(header) && std::regex_search(line, name.pattern)) {
          report(header, number, "names " + name.what);
        }
      }
      check_include(header, number, line);
      ++number;
    }
    if (!once) {
      report(header, 1, "has no #pragma once");
    }
    if (lines.size() > max_lines) {
      report(
          header, max_lines + 1,
          "has " + std::to_string(lines.size()) + " lines, more than " + std::to_string(max_lines));
    }
  }

  // Depth-first: an include of a header that is still on the path closes a cycle.
  void check_cycles(std::string const& header, std::vector<std::string>& path,
                    std::map<std::string, bool>& done) {
    path.push_back(header);
    for (auto const& [included, line] : graph[header]) {
      if (std::find(path.begin(), path.end(), included) != path.end()) {
        report(header, line, "closes a cycle through \"eckart/" + included + "\"");
      } else if (!done[included] && graph.contains(included)) {
        check_cycles(included, path, done);
      }
    }
    path.pop_back();
    done[header] = true;
  }
};

// All headers below include/eckart, by their path below it.
auto headers_below(fs::path const& root) -> std::vector<std::string> {
  std::vector<std::string> headers;
  for (auto const& entry : fs::recursive_directory_iterator(root)) {
    auto const extension = entry.path().extension();
    if (extension == ".hpp" || extension == ".h" || extension == ".cuh") {
      headers.push_back(entry.path().lexically_relative(root).generic_string());
    }
  }
  std::sort(headers.begin(), headers.end());
  return headers;
}

// What is wrong in the folder include/eckart, one line each: FILE:LINE: REASON.
auto layer_violations(fs::path const& root) -> std::vector<std::string> {
  auto check = checker{root, {}, {}};
  auto const headers = headers_below(root);
  for (auto const& header : headers) {
    check.check_header(header);
  }
  std::map<std::string, bool> done;
  std::vector<std::string> path;
  for (auto const& header : headers) {
    if (!done[header]) {
      check.check_cycles(header, path, done);
    }
  }
  return check.violations;
}

// A tree of headers in a folder of its own, removed at the end.
class synthetic_tree {
 public:
  synthetic_tree() {
    static std::atomic<int> count = 0;
    do {
      root_ = fs::temp_directory_path() /
              ("eckart-layers-" + std::to_string(std::hash<std::string>{}(ECKART_SOURCE_DIR)) +
               "-" + std::to_string(++count));
    } while (!fs::create_directory(root_));
  }
  synthetic_tree(synthetic_tree const&) = delete;
  auto operator=(synthetic_tree const&) -> synthetic_tree& = delete;
  ~synthetic_tree() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  auto add(std::string const& header, std::string const& body) -> synthetic_tree& {
    fs::create_directories((root_ / header).parent_path());
    std::ofstream(root_ / header) << "#pragma once\n" << body << "\n";
    return *this;
  }
  auto add_raw(std::string const& header, std::string const& body) -> synthetic_tree& {
    fs::create_directories((root_ / header).parent_path());
    std::ofstream(root_ / header) << body;
    return *this;
  }
  auto violations() const -> std::vector<std::string> { return layer_violations(root_); }

 private:
  fs::path root_;
};

auto including(std::string const& header) -> std::string {
  return "#include \"eckart/" + header + "\"";
}

// The only violation of a tree in which `from` includes `to`.
auto sole_violation(std::string const& from, std::string const& to) -> std::string {
  synthetic_tree tree;
  auto const found = tree.add(to, "").add(from, including(to)).violations();
  return found.size() == 1 ? found.front() : std::to_string(found.size()) + " violations";
}

auto contains(std::string const& text, std::string const& part) -> bool {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every include of the library points to a lower layer, and no rule of design is broken") {
  auto const root = fs::path(ECKART_SOURCE_DIR) / "include" / "eckart";
  REQUIRE(headers_below(root).size() > 5);
  for (auto const& violation : layer_violations(root)) {
    FAIL_CHECK(violation);
  }
}

TEST_CASE("arrows that point down the list are allowed") {
  synthetic_tree tree;
  tree.add("version.hpp", "").add("fwd.hpp", "");
  tree.add("core/view.hpp", including("fwd.hpp"));
  tree.add("backend/openblas.hpp", including("core/view.hpp"));
  tree.add("linalg/svd.hpp", including("backend/openblas.hpp") + "\n#include <vector>");
  tree.add("factor/low_rank.hpp", including("linalg/svd.hpp"));
  tree.add("nn/linear.hpp", including("factor/low_rank.hpp"));
  tree.add("compress/whiten.hpp", including("nn/linear.hpp"));
  tree.add("io/file.hpp", including("core/view.hpp"));
  tree.add("io/safetensors.hpp", including("io/file.hpp"));
  tree.add("text/tokenizer.hpp", including("io/file.hpp"));
  tree.add("eval/rouge.hpp", including("io/file.hpp") + "\n" + including("version.hpp"));
  tree.add("models/bart/config.hpp", including("io/safetensors.hpp"));
  tree.add("models/generate.hpp", including("models/bart/config.hpp"));
  tree.add("eckart.hpp",
           including("compress/whiten.hpp") + "\n" + including("models/generate.hpp"));
  for (auto const& violation : tree.violations()) {
    FAIL_CHECK(violation);
  }
}

TEST_CASE("an arrow from any layer to a higher one is refused with its file and line") {
  auto const ladder = std::vector<std::string>{"version.hpp",  "core/a.hpp",   "backend/b.hpp",
                                               "linalg/c.hpp", "factor/d.hpp", "compress/e.hpp",
                                               "io/f.hpp",     "models/g.hpp", "gpu/h.hpp"};
  for (std::size_t low = 0; low < ladder.size(); ++low) {
    for (std::size_t high = low + 1; high < ladder.size(); ++high) {
      auto const found = sole_violation(ladder[low], ladder[high]);
      CAPTURE(found);
      auto const why =
          ladder[high].starts_with("gpu/")
              ? std::string("it needs CUDA")
              : "layer " + std::to_string(low) + " includes layer " + std::to_string(high);
      CHECK(contains(found, "include/eckart/" + ladder[low] + ":2: " + why));
    }
  }
}

TEST_CASE("compress may include nn, nn may not include compress") {
  CHECK(contains(sole_violation("nn/a.hpp", "compress/b.hpp"), "nn includes compress"));
  CHECK(sole_violation("compress/b.hpp", "nn/a.hpp") == "0 violations");
}

TEST_CASE("files, text and scores know nothing of linear algebra") {
  for (auto const* from : {"io/a.hpp", "text/a.hpp", "eval/a.hpp"}) {
    for (auto const* to :
         {"backend/b.hpp", "linalg/b.hpp", "factor/b.hpp", "nn/b.hpp", "compress/b.hpp"}) {
      CHECK(contains(sole_violation(from, to), "layer 6 includes"));
    }
    CHECK(sole_violation(from, "core/b.hpp") == "0 violations");
  }
}

TEST_CASE("text and scores include files, and none of the three includes another") {
  CHECK(sole_violation("text/a.hpp", "io/b.hpp") == "0 violations");
  CHECK(sole_violation("eval/a.hpp", "io/b.hpp") == "0 violations");
  CHECK(contains(sole_violation("io/a.hpp", "text/b.hpp"), "layer 6 includes text"));
  CHECK(contains(sole_violation("io/a.hpp", "eval/b.hpp"), "layer 6 includes eval"));
  CHECK(contains(sole_violation("text/a.hpp", "eval/b.hpp"), "layer 6 includes eval"));
  CHECK(contains(sole_violation("eval/a.hpp", "text/b.hpp"), "layer 6 includes text"));
}

TEST_CASE("no header includes an umbrella header") {
  CHECK(contains(sole_violation("models/a.hpp", "eckart.hpp"), "umbrella"));
  CHECK(contains(sole_violation("eckart.hpp", "bart.hpp"), "umbrella"));
  CHECK(contains(sole_violation("gpu/a.hpp", "cublas.hpp"), "umbrella"));
}

TEST_CASE("what needs CUDA is included by what needs CUDA, and so is CUDA itself") {
  for (auto const* device :
       {"backend/cublas.hpp", "backend/cublas_status.hpp", "backend/cuda_status.hpp",
        "backend/cusolver_status.hpp", "backend/device_matrix.hpp", "gpu/products.hpp"}) {
    CAPTURE(device);
    CHECK(contains(sole_violation("models/a.hpp", device), "it needs CUDA"));
    CHECK(contains(sole_violation("eckart.hpp", device), "it needs CUDA"));
    CHECK(sole_violation("gpu/a.hpp", device) == "0 violations");
    CHECK(sole_violation("cublas.hpp", device) == "0 violations");
  }
  for (auto const* line : {"#include <cublas_v2.h>", "#include <cuda_runtime_api.h>",
                           "#include <cusolverDn.h>", "#include <nvrtc.h>", "#include <mma.h>"}) {
    CAPTURE(line);
    CHECK(synthetic_tree().add("gpu/a.cuh", line).violations().empty());
    CHECK(synthetic_tree().add("backend/device_matrix.hpp", line).violations().empty());
    auto const found = synthetic_tree().add("nn/a.hpp", line).violations();
    REQUIRE(found.size() == 1);
    CHECK(contains(found[0], "names a header of CUDA"));
  }
}

TEST_CASE("what the host's compiler reads includes nothing for nvcc") {
  CHECK(contains(sole_violation("gpu/a.hpp", "gpu/b.cuh"), "one for nvcc"));
  CHECK(sole_violation("gpu/b.cuh", "gpu/a.hpp") == "0 violations");
}

TEST_CASE("a cycle inside one layer is refused") {
  synthetic_tree tree;
  tree.add("core/a.hpp", including("core/b.hpp"));
  tree.add("core/b.hpp", including("core/c.hpp"));
  tree.add("core/c.hpp", including("core/a.hpp"));
  auto const found = tree.violations();
  REQUIRE(found.size() == 1);
  CHECK(contains(found[0], "core/c.hpp:2: closes a cycle through \"eckart/core/a.hpp\""));
}

TEST_CASE("two ways to one header are no cycle") {
  synthetic_tree tree;
  tree.add("core/a.hpp", "");
  tree.add("core/b.hpp", including("core/a.hpp"));
  tree.add("core/c.hpp", including("core/a.hpp"));
  tree.add("core/d.hpp", including("core/b.hpp") + "\n" + including("core/c.hpp"));
  CHECK(tree.violations().empty());
}

TEST_CASE("a foreign library is named by the header that owns it and by no other") {
  struct foreign {
    char const* line;
    char const* owner;
  };
  for (auto const& name :
       {foreign{"#include <xtensor/xtensor.hpp>", "core/xtensor.hpp"},
        foreign{"#  include <xtensor/containers/xadapt.hpp>", "core/xtensor.hpp"},
        foreign{"#include <xtensor-blas/xblas_config.hpp>", "backend/openblas.hpp"},
        foreign{"#include <xflens/cxxblas/cxxblas.cxx>", "backend/openblas.hpp"},
        foreign{"inline void f() { cxxblas::gemm(); }", "backend/openblas.hpp"},
        foreign{"#include <lapacke.h>", "backend/lapack.hpp"},
        foreign{"inline int f() { return LAPACKE_dgesdd(); }", "backend/lapack.hpp"}}) {
    CAPTURE(name.line);
    CHECK(synthetic_tree().add(name.owner, name.line).violations().empty());
    auto const found = synthetic_tree().add("linalg/other.hpp", name.line).violations();
    REQUIRE(found.size() == 1);
    CHECK(contains(found[0], "linalg/other.hpp:2: names "));
  }
}

TEST_CASE("cblas.h and xlinalg.hpp are named nowhere") {
  for (auto const* header : {"core/xtensor.hpp", "backend/openblas.hpp", "models/a.hpp"}) {
    CHECK(synthetic_tree().add(header, "#include <cblas.h>").violations().size() == 1);
    CHECK_FALSE(
        synthetic_tree().add(header, "#include <xtensor-blas/xlinalg.hpp>").violations().empty());
  }
}

TEST_CASE("comments are not code, and literals do not start comments") {
  synthetic_tree tree;
  tree.add("core/a.hpp",
           "// #include \"eckart/models/b.hpp\"\n"
           "/* #include <cblas.h>\n   #include \"eckart/models/b.hpp\" */\n"
           "/// why <cblas.h> and LAPACKE_dgesdd are not used");
  CHECK(tree.violations().empty());

  tree.add("core/a.hpp",
           "inline auto url = \"http://a/*\";\ninline auto n = 1'000;\n"
           "inline auto raw = R\"(/* \" )\";\n#include <cblas.h>");
  auto const found = tree.violations();
  REQUIRE(found.size() == 1);
  CHECK(contains(found[0], "core/a.hpp:5: names cblas.h"));
}

TEST_CASE("a header without #pragma once is refused") {
  auto const found = synthetic_tree().add_raw("core/a.hpp", "int f();\n").violations();
  REQUIRE(found.size() == 1);
  CHECK(contains(found[0], "no #pragma once"));
}

TEST_CASE("a header may have 400 lines and no more") {
  auto const lines = [](int n) { return "#pragma once\n" + std::string(std::size_t(n - 1), '\n'); };
  CHECK(synthetic_tree().add_raw("core/a.hpp", lines(400)).violations().empty());
  auto const found = synthetic_tree().add_raw("core/a.hpp", lines(401)).violations();
  REQUIRE(found.size() == 1);
  CHECK(contains(found[0], "core/a.hpp:401: has 401 lines"));
}

TEST_CASE("own headers are included by their full name, with quotes, and exist") {
  auto const relative = synthetic_tree().add("core/a.hpp", "#include \"b.hpp\"").violations();
  REQUIRE(relative.size() == 1);
  CHECK(contains(relative[0], "not written as \"eckart/"));

  CHECK(contains(synthetic_tree()
                     .add("core/b.hpp", "")
                     .add("core/a.hpp", "#include <eckart/core/b.hpp>")
                     .violations()
                     .at(0),
                 "written with quotes"));
  CHECK(contains(synthetic_tree().add("core/a.hpp", including("core/b.hpp")).violations().at(0),
                 "does not exist"));
}

TEST_CASE("a folder that is in no layer is refused") {
  auto const found = synthetic_tree().add("utils/a.hpp", "").violations();
  REQUIRE(found.size() == 1);
  CHECK(contains(found[0], "in no layer"));
}
