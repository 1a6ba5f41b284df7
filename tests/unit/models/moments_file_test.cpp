#include "eckart/models/moments_file.hpp"

#include "eckart/io/json.hpp"
#include "eckart/models/bart_metrics.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"
#include "unit/io/io_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace eckart;
using io_test::has;
using io_test::temporary_directory;
using support::refusal;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

auto origin() -> moments_origin {
  return {"model 1f2e", "data \"a\"\n\u00e9", 240, "references"};
}

/// Of rows with a mean far from 0.
auto moments_of(index_t rows, index_t width, std::uint32_t seed) -> input_moments {
  input_moments result(width);
  auto x = support::random_matrix<double>(rows, width, seed);
  std::ranges::for_each(x, [](double& value) { value = value / 3 + 7; });
  result.add(x);
  return result;
}

auto sample() -> bart_moments {
  return {{"model.encoder.layers.0.fc1", moments_of(7, 5, 1)},
          {"lm_head", moments_of(30, 1, 2)},
          {"odd.mean", moments_of(3, 4, 3)}};
}

auto saved(temporary_directory const& directory, bart_moments const& moments,
           dtype covariances = dtype::f64) -> std::filesystem::path {
  auto path = directory / "moments.safetensors";
  save_moments(path, moments, origin(), covariances);
  return path;
}

auto bits(std::span<double const> values) -> std::vector<std::uint64_t> {
  std::vector<std::uint64_t> result;
  std::ranges::transform(values, std::back_inserter(result),
                         [](double value) { return std::bit_cast<std::uint64_t>(value); });
  return result;
}
auto bits_of_covariance(input_moments const& moments) -> std::vector<std::uint64_t> {
  auto const c = moments.covariance();
  return bits({c.data(), c.size()});
}

/// A file of the format by hand, with one thing or another wrong.
struct handmade {
  std::map<std::string, std::string> texts{{"eckart_moments", "1"},
                                           {"model", "m"},
                                           {"data", "d"},
                                           {"examples", "2"},
                                           {"decoder_inputs", "references"}};
  std::vector<double> mean{1, -2};
  std::vector<double> covariance{4, -1, 9};
  std::vector<index_t> count{5};
  dtype mean_type = dtype::f64;
  dtype covariance_type = dtype::f64;
  dtype count_type = dtype::i64;
  std::string site = "fc1";
  std::vector<std::string> left_out;
  std::string more;

  void write(std::filesystem::path const& path) const {
    safetensors_writer writer;
    for (auto const& [key, text] : texts) {
      writer.metadata(key, text);
    }
    auto const wanted = [&](std::string const& part) {
      return std::ranges::find(left_out, part) == left_out.end();
    };
    if (wanted("mean")) {
      writer.add(site + ".mean", std::span<double const>(mean), mean_type);
    }
    if (wanted("covariance")) {
      writer.add(site + ".covariance", std::span<double const>(covariance), covariance_type);
    }
    if (wanted("count")) {
      writer.add_stored(site + ".count", count_type, {static_cast<index_t>(count.size())},
                        std::as_bytes(std::span(count)));
    }
    if (!more.empty()) {
      writer.add(more, std::span<double const>(mean));
    }
    writer.save(path);
  }
};

/// What load_moments says of a file after `change`.
template <class F>
auto told(F change) -> std::string {
  temporary_directory const directory;
  auto const path = directory / "moments.safetensors";
  handmade file;
  change(file);
  file.write(path);
  auto const what = refusal<format_error>([&] { load_moments(path); });
  CHECK((what == "nothing thrown" || what.starts_with(path.string())));
  return what;
}

/// What save_moments says; it has left nothing behind.
template <class Error>
auto unsaved(bart_moments const& moments, moments_origin const& from,
             dtype covariances = dtype::f64) -> std::string {
  temporary_directory const directory;
  auto const what = refusal<Error>(
      [&] { save_moments(directory / "moments.safetensors", moments, from, covariances); });
  CHECK(std::filesystem::is_empty(directory.path()));
  return what;
}

auto one_site(index_t count, std::vector<double> const& mean_values,
              std::vector<double> const& covariance) -> bart_moments {
  auto const n = static_cast<index_t>(mean_values.size());
  auto mean = make_vector<double>(n);
  std::ranges::copy(mean_values, mean.begin());
  auto full = make_matrix<double>({n, n});
  std::ranges::copy(covariance, full.begin());
  return {{"site", input_moments(count, std::move(mean), std::move(full))}};
}

}  // namespace

TEST_CASE("what is loaded is what was saved, to the last bit") {
  temporary_directory const directory;
  auto const moments = sample();
  auto const got = load_moments(saved(directory, moments));
  CHECK(got.origin == origin());
  REQUIRE(got.moments.size() == moments.size());
  for (auto const& named : moments) {
    CAPTURE(named.first);
    auto const& one = named.second;
    auto const& other = got.moments.at(named.first);
    CHECK(other.count() == one.count());
    CHECK(bits(as_span(other.mean())) == bits(as_span(one.mean())));
    CHECK(bits_of_covariance(other) == bits_of_covariance(one));
  }
}

TEST_CASE("covariances come back to the last bit for any number of rows") {
  // They are kept as sums: c n / n must be c, which holds for every c that is a rounded sum / n.
  std::vector<index_t> counts{1, 2, 3, 5, 7, 10, 49, 1000, 12345, 999983, 1234567891};
  for (index_t n = 11; n < 48; ++n) {
    counts.push_back(n);
  }
  temporary_directory const directory;
  for (auto const n : counts) {
    CAPTURE(n);
    auto values = support::random_matrix<double>(12, 12, static_cast<std::uint32_t>(n));
    auto const v = as_view(values);
    for (index_t i = 0; i < 12; ++i) {
      for (index_t j = i; j < 12; ++j) {
        v(i, j) = v(j, i) = i == j ? std::abs(v(i, j)) : v(i, j) / 3;
      }
    }
    auto const before = one_site(n, std::vector<double>(12, 0.1),
                                 std::vector<double>(values.begin(), values.end()));
    auto const after = load_moments(saved(directory, before));
    CHECK(bits_of_covariance(after.moments.at("site")) == bits_of_covariance(before.at("site")));
  }
}

TEST_CASE("a file that is loaded and saved again is the same file") {
  temporary_directory const directory;
  auto const first = saved(directory, sample());
  auto const content = io_test::get(first);
  auto const got = load_moments(first);
  auto const second = directory / "again.safetensors";
  save_moments(second, got.moments, got.origin);
  CHECK(io_test::get(second) == content);
}

TEST_CASE("loaded moments go on counting") {
  temporary_directory const directory;
  auto got = load_moments(saved(directory, {{"site", moments_of(20, 3, 4)}})).moments.at("site");
  auto expected = moments_of(20, 3, 4);
  auto const more = support::random_matrix<double>(9, 3, 5);
  got.add(more);
  expected.add(more);
  CHECK(got.count() == 29);
  // Sums of 20 squares of at most (7.4)², a few roundings each.
  CHECK(support::distance(got.covariance(), expected.covariance()) <=
        64 * support::epsilon<double> * 9 * 56);
}

TEST_CASE("covariances as F32 are rounded once and take half, means stay as they are") {
  temporary_directory const directory;
  auto const moments = sample();
  auto const wide = std::filesystem::file_size(saved(directory, moments));
  auto const path = saved(directory, moments, dtype::f32);
  // 15, 1 and 10 entries; the header is shorter or longer by a few bytes of offsets and padding.
  auto const narrow = std::filesystem::file_size(path);
  CHECK(wide - narrow >= 26 * 4 - 16);
  CHECK(wide - narrow <= 26 * 4 + 16);
  auto const got = load_moments(path);
  for (auto const& [site, one] : moments) {
    auto const& other = got.moments.at(site);
    CHECK(bits(as_span(other.mean())) == bits(as_span(one.mean())));
    auto expected = one.covariance();
    std::ranges::for_each(
        expected, [](double& value) { value = static_cast<double>(static_cast<float>(value)); });
    auto const c = other.covariance();
    for (std::size_t i = 0; i < c.size(); ++i) {
      // The rounded value, but for that of c n / n.
      CHECK(std::abs(c.data()[i] - expected.data()[i]) <=
            2 * support::epsilon<double> * std::abs(expected.data()[i]));
    }
  }
}

TEST_CASE("the tensors stand in the file as the format says") {
  temporary_directory const directory;
  auto const path = saved(directory, one_site(2, {1, 2}, {5, 6, 6, 8}));
  safetensors_reader const file(path);
  CHECK(file.names() == std::vector<std::string>{"site.count", "site.covariance", "site.mean"});
  auto const packed = file.vector<double>("site.covariance");
  CHECK(std::vector<double>(packed.begin(), packed.end()) == std::vector<double>{5, 6, 8});
  CHECK(file.info("site.count").type == dtype::i64);
  CHECK(file.metadata().at("eckart_moments") == "1");
  CHECK(file.metadata().at("examples") == "240");
  CHECK(file.metadata().at("model") == origin().model);
}

TEST_CASE("a sound file made by hand is read, covariances mirrored") {
  temporary_directory const directory;
  handmade().write(directory / "m.safetensors");
  auto const got = load_moments(directory / "m.safetensors");
  CHECK(got.origin == moments_origin{"m", "d", 2, "references"});
  auto const& one = got.moments.at("fc1");
  CHECK(one.count() == 5);
  auto const c = one.covariance();
  CHECK(std::vector<double>(c.begin(), c.end()) == std::vector<double>{4, -1, -1, 9});
  CHECK(told([](handmade&) {}) == "nothing thrown");
}

TEST_CASE("another version and missing or senseless texts are refused") {
  CHECK(has(told([](handmade& f) { f.texts["eckart_moments"] = "2"; }),
            "moments of version \"2\", not \"1\""));
  for (std::string const key : {"eckart_moments", "model", "data", "examples", "decoder_inputs"}) {
    CAPTURE(key);
    CHECK(has(told([&](handmade& f) { f.texts.erase(key); }),
              message("the metadata have no \"", key, "\"")));
    CHECK(told([&](handmade& f) { f.texts[key] = ""; }) != "nothing thrown");
  }
  for (std::string const text : {"x", "-1", "2x", " 2", "2.0", "99999999999999999999999"}) {
    CHECK(has(told([&](handmade& f) { f.texts["examples"] = text; }),
              message("examples: \"", text, "\" is no number")));
  }
  CHECK(has(told([](handmade& f) { f.texts["examples"] = "0"; }), "no examples"));
}

TEST_CASE("missing, unknown, misshapen and mistyped tensors are refused by their names") {
  for (std::string const part : {"mean", "covariance", "count"}) {
    CAPTURE(part);
    CHECK(has(told([&](handmade& f) { f.left_out = {part}; }),
              message("has no tensor \"fc1.", part, "\"")));
  }
  CHECK(has(told([](handmade& f) {
              f.left_out = {"mean", "covariance", "count"};
            }),
            "there are no moments"));
  CHECK(has(told([](handmade& f) { f.more = "fc1.median"; }), "\"fc1.median\""));
  CHECK(has(told([](handmade& f) { f.more = "mean"; }), "tensor \"mean\""));
  CHECK(has(told([](handmade& f) { f.site = ""; }), "tensor \".count\""));
  CHECK(has(told([](handmade& f) { f.covariance.push_back(1); }),
            "\"fc1.covariance\": F64 of shape [4], expected [3]"));
  CHECK(has(told([](handmade& f) { f.mean.push_back(1); }), "\"fc1.covariance\""));
  CHECK(has(told([](handmade& f) {
              f.mean.clear();
              f.covariance.clear();
            }),
            "\"fc1.mean\": F64 of shape [0]"));
  CHECK(has(told([](handmade& f) { f.count.push_back(1); }), "\"fc1.count\""));
  CHECK(has(told([](handmade& f) { f.mean_type = dtype::f32; }), "\"fc1.mean\": F32"));
  CHECK(has(told([](handmade& f) { f.covariance_type = dtype::f16; }), "\"fc1.covariance\": F16"));
  CHECK(has(told([](handmade& f) { f.count_type = dtype::u64; }), "\"fc1.count\": U64"));
}

TEST_CASE("counts below 1, numbers that are not finite and negative variances are refused") {
  for (index_t const count : {index_t{0}, index_t{-3}}) {
    CHECK(has(told([&](handmade& f) { f.count = {count}; }),
              message("\"fc1.count\": I64 of shape [1], a count of ", count)));
  }
  auto const nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(has(told([&](handmade& f) { f.mean[1] = nan; }), "\"fc1\": the mean of input 1 is nan"));
  CHECK(has(told([&](handmade& f) { f.mean[0] = -infinity; }), "the mean of input 0 is -inf"));
  CHECK(has(told([&](handmade& f) { f.covariance[1] = infinity; }),
            "the covariance of inputs 0 and 1 is inf"));
  CHECK(has(told([&](handmade& f) { f.covariance[2] = nan; }), "of inputs 1 and 1 is nan"));
  CHECK(has(told([](handmade& f) { f.covariance[2] = -9; }), "of inputs 1 and 1 is -9"));
  CHECK(has(told([](handmade& f) { f.covariance[0] = 1e308; }), "is 1e+308 over 5 rows"));
}

TEST_CASE("a file that is cut off or no file is refused") {
  temporary_directory const directory;
  auto const whole = io_test::get(saved(directory, sample()));
  for (std::size_t const size :
       {std::size_t{0}, std::size_t{7}, whole.size() / 2, whole.size() - 1}) {
    CAPTURE(size);
    auto const path = directory.put("cut.safetensors", whole.substr(0, size));
    CHECK_THROWS_AS(load_moments(path), format_error);
  }
  CHECK_THROWS_AS(load_moments(directory / "none.safetensors"), io_error);
}

TEST_CASE("moments that a reader would refuse are not written") {
  auto const good = one_site(2, {1}, {4});
  CHECK(has(unsaved<shape_error>({}, origin()), "there are none"));
  CHECK(has(unsaved<shape_error>({{"site", input_moments(3)}}, origin()),
            "site \"site\": 0 rows of 3"));
  CHECK(has(unsaved<shape_error>({{"", moments_of(2, 2, 1)}}, origin()), "site \"\""));
  CHECK(has(unsaved<shape_error>(
                {{"site", input_moments(1, make_vector<double>(0), make_matrix<double>({0, 0}))}},
                origin()),
            "1 rows of 0"));
  CHECK(has(unsaved<shape_error>(good, {"", "d", 1, "x"}), "one is empty"));
  CHECK(has(unsaved<shape_error>(good, {"m", "", 1, "x"}), "one is empty"));
  CHECK(has(unsaved<shape_error>(good, {"m", "d", 1, ""}), "one is empty"));
  CHECK(has(unsaved<shape_error>(good, {"m", "d", 0, "x"}), "no examples"));
  CHECK(has(unsaved<shape_error>(good, origin(), dtype::f16), "covariances as F16"));
  CHECK(has(unsaved<numerical_error>(one_site(2, {1}, {1e308}), origin()),
            "site \"site\": the covariance of inputs 0 and 0 is inf"));
  CHECK(has(unsaved<numerical_error>(one_site(2, {1}, {-4}), origin()),
            "the covariance of inputs 0 and 0 is -4"));
  CHECK(has(unsaved<numerical_error>(one_site(2, {1}, {1e300}), origin(), dtype::f32),
            "site.covariance"));
  CHECK(has(unsaved<format_error>(good, {"\xff", "d", 1, "x"}), "UTF-8"));
}

TEST_CASE("a file that cannot be written leaves the old one") {
  temporary_directory const directory;
  auto const path = saved(directory, sample());
  auto const before = io_test::get(path);
  CHECK_THROWS_AS(save_moments(path, one_site(2, {1}, {1e300}), origin(), dtype::f32),
                  numerical_error);
  CHECK(io_test::get(path) == before);
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("an origin is refused by the fingerprints that differ") {
  auto const from = origin();
  CHECK_NOTHROW(check_origin(from, from.model, from.data));
  CHECK(refusal<format_error>([&] {
          check_origin(from, "model 77", from.data, "m.safetensors");
        }) == "m.safetensors: gathered from the model \"model 1f2e\", not from \"model 77\"");
  auto const other = refusal<format_error>([&] { check_origin(from, from.model, "z"); });
  CHECK(has(other, "moments: gathered from the data \"data "));
  CHECK(has(other, "not from \"z\""));
}
