#include "eckart/gpu/device_linear.cuh"
#include "eckart/gpu/kernels/activation.cuh"
#include "eckart/gpu/kernels/embedding.cuh"
#include "eckart/gpu/kernels/few_rows.cuh"
#include "eckart/gpu/kernels/layer_norm.cuh"

#include "gpu/kernel_fixture.cuh"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace eckart;
using fixture::entries;
using fixture::on_device;
using fixture::random_numbers;
using fixture::unit;

namespace {

auto at(std::vector<double> const& m, index_t cols, index_t i, index_t j) -> double {
  return m[static_cast<std::size_t>(i * cols + j)];
}

struct norm_weights {
  std::vector<double> weight;
  std::vector<double> bias;
  device_buffer<float> weight_there;
  device_buffer<float> bias_there;

  norm_weights(index_t width, cudaStream_t stream)
      : weight(random_numbers<float>(width, 1)), bias(random_numbers<float>(width, 2)) {
    std::vector<float> const w(weight.begin(), weight.end());
    std::vector<float> const b(bias.begin(), bias.end());
    weight_there = gpu::upload<float>(std::span(w), stream);
    bias_there = gpu::upload<float>(std::span(b), stream);
  }
  auto view() const -> gpu::layer_norm_view {
    return {weight_there.data(), bias_there.data(), static_cast<int>(weight.size()), 1e-5F};
  }
};

/// The LayerNorm of a row in double, and checks what came of it: sums of n floats in float are off
/// by n units of the largest, the result is rounded to T.
template <class T>
void check_normalized(std::vector<double> const& row, norm_weights const& norm,
                      std::vector<double> const& got, std::size_t first) {
  auto const n = static_cast<double>(row.size());
  double mean = 0;
  for (auto const x : row) {
    mean += x / n;
  }
  double variance = 0;
  double largest = 0;
  for (auto const x : row) {
    variance += (x - mean) * (x - mean) / n;
    largest = std::max(largest, std::abs(x - mean));
  }
  auto const scale = 1 / std::sqrt(variance + 1e-5);
  for (std::size_t j = 0; j < row.size(); ++j) {
    auto const product = (row[j] - mean) * scale * norm.weight[j];
    auto const want = product + norm.bias[j];
    auto const in_float =
        (n + 8) * unit<float> * (largest * scale * std::abs(norm.weight[j]) + std::abs(want));
    REQUIRE(std::abs(got[first + j] - want) <= in_float + unit<T> * std::abs(want) + 1e-7);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("add_and_normalize is the LayerNorm of the sum", T, float, half, bfloat16) {
  cublas const backend;
  auto const stream = backend.stream();
  constexpr index_t rows = 5;
  for (index_t const width : {1, 30, 64, 384, 768, 1000, 1024, 2048}) {
    CAPTURE(width);
    auto const x = random_numbers<T>(rows * width, 3);
    auto const update = random_numbers<T>(rows * width, 4);
    norm_weights const norm(width, stream);
    auto x_there = on_device<T>(x, rows, width, stream);
    auto const update_there = on_device<T>(update, rows, width, stream);
    gpu::add_and_normalize<T>(update_there.view(), norm.view(), x_there.view(), stream);
    auto const got = entries(x_there.view(), stream);
    for (index_t i = 0; i < rows; ++i) {
      std::vector<double> row;
      for (index_t j = 0; j < width; ++j) {
        row.push_back(at(x, width, i, j) + at(update, width, i, j));
      }
      check_normalized<T>(row, norm, got, static_cast<std::size_t>(i * width));
    }
  }
}

TEST_CASE("a row that no block holds, or another shape, is refused") {
  cublas const backend;
  device_matrix<float> x(shape2{1, 4098});
  norm_weights const norm(4098, backend.stream());
  CHECK_THROWS_AS(gpu::add_and_normalize<float>(x.view(), norm.view(), x.view(), backend.stream()),
                  shape_error);
  device_matrix<float> other(shape2{2, 4098});
  CHECK_THROWS_AS(
      gpu::add_and_normalize<float>(other.view(), norm.view(), x.view(), backend.stream()),
      shape_error);
}

TEST_CASE_TEMPLATE("activations are those of the host in double", T, float, half, bfloat16) {
  cublas const backend;
  for (index_t const size : {1, 8, 1000, 4096}) {
    for (auto const f : {activation::relu, activation::gelu, activation::gelu_tanh}) {
      auto const x = random_numbers<T>(size, 5, 3);
      auto there = on_device<T>(x, 1, size, backend.stream());
      gpu::activate(f, there.view(), backend.stream());
      auto const got = entries(there.view(), backend.stream());
      for (std::size_t i = 0; i < x.size(); ++i) {
        auto const want = f == activation::relu   ? relu(x[i])
                          : f == activation::gelu ? gelu(x[i])
                                                  : gelu_tanh(x[i]);
        // 3e-7 |x| is the bound of the host's float gelu, tanhf and erff are within 2 units.
        REQUIRE(std::abs(got[i] - want) <=
                unit<T> * std::abs(want) + 5e-7 * std::abs(x[i]) + 0x1p-25);
      }
    }
  }
}

TEST_CASE_TEMPLATE("GELU of what is large, infinite or no number", T, float, half, bfloat16) {
  cublas const backend;
  std::vector<double> const x{NAN, INFINITY, 60000, -60000, 0, 12, -12, -5};
  auto there = on_device<T>(x, 1, static_cast<index_t>(x.size()), backend.stream());
  gpu::activate(activation::gelu, there.view(), backend.stream());
  auto const got = entries(there.view(), backend.stream());
  CHECK(std::isnan(got[0]));
  CHECK(got[1] == INFINITY);
  CHECK(got[2] == doctest::Approx(60000).epsilon(unit<T>));
  for (std::size_t const i : {3, 4, 6}) {
    CHECK(std::abs(got[i]) <= 0x1p-24);
  }
  CHECK(got[5] == doctest::Approx(12).epsilon(unit<T>));
  CHECK(got[7] == doctest::Approx(gelu(-5.0)).epsilon(0.5));  // a few units of half's smallest
}

TEST_CASE_TEMPLATE("an embedding is token and position, normalized", T, float, half, bfloat16) {
  cublas const backend;
  auto const stream = backend.stream();
  constexpr index_t vocabulary = 11;
  constexpr index_t positions = 9;
  for (index_t const width : {32, 50, 768}) {
    auto const tokens = random_numbers<T>(vocabulary * width, 6);
    auto const places = random_numbers<T>(positions * width, 7);
    auto const tokens_there = on_device<T>(tokens, vocabulary, width, stream);
    auto const places_there = on_device<T>(places, positions, width, stream);
    norm_weights const norm(width, stream);
    auto const table =
        gpu::embedding_view<T>{tokens_there.view(), places_there.view(), 2, 3.0F, norm.view()};
    std::vector<token_id> const ids{3, 0, 10, 7, 7, 1};
    auto const ids_there = fixture::values_on_device(ids, stream);
    auto const first = fixture::values_on_device(std::vector<int>{4}, stream);
    device_matrix<T> x(shape2{6, width});
    for (bool const from_memory : {false, true}) {
      gpu::embed(ids_there.data(), 3, from_memory ? first.data() : nullptr, table, x.view(),
                 stream);
      auto const got = entries(x.view(), stream);
      for (index_t i = 0; i < 6; ++i) {
        std::vector<double> row;
        for (index_t j = 0; j < width; ++j) {
          auto const place = 2 + i % 3 + (from_memory ? 4 : 0);
          row.push_back(3 * at(tokens, width, ids[static_cast<std::size_t>(i)], j) +
                        at(places, width, place, j));
        }
        check_normalized<T>(row, norm, got, static_cast<std::size_t>(i * width));
      }
    }
  }
}

TEST_CASE_TEMPLATE("few_rows_product is f(x w^T + b), also into floats", T, float, half, bfloat16) {
  cublas const backend;
  auto const stream = backend.stream();
  for (auto const& [m, n] : {std::pair<index_t, index_t>{1, 8}, {97, 32}, {768, 768}, {9001, 64}}) {
    for (index_t const rows : {1, 2, 4, 5, 8}) {
      CAPTURE(m);
      CAPTURE(rows);
      auto const x = random_numbers<T>(rows * n, 8);
      auto const w = random_numbers<T>(m * n, 9);
      auto const b = random_numbers<T>(m, 10);
      auto const x_there = on_device<T>(x, rows, n, stream);
      auto const w_there = on_device<T>(w, m, n, stream);
      auto const b_there = on_device<T>(b, 1, m, stream);
      device_matrix<T> y(shape2{rows, m});
      device_matrix<float> plain(shape2{rows, m});
      gpu::few_rows_product(x_there.view(), w_there.view(), b_there.view().data,
                            std::optional(activation::relu), y.view(), stream);
      gpu::few_rows_product(x_there.view(), w_there.view(), static_cast<T const*>(nullptr),
                            std::nullopt, plain.view(), stream);
      auto const got = entries(y.view(), stream);
      auto const got_plain = entries(plain.view(), stream);
      for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < m; ++j) {
          double sum = 0;
          double magnitude = 0;
          for (index_t c = 0; c < n; ++c) {
            sum += at(x, n, i, c) * at(w, n, j, c);
            magnitude += std::abs(at(x, n, i, c) * at(w, n, j, c));
          }
          auto const bound = static_cast<double>(n) * unit<float> * magnitude;
          REQUIRE(std::abs(at(got_plain, m, i, j) - sum) <= bound);
          auto const biased = sum + b[static_cast<std::size_t>(j)];
          auto const want = biased > 0 ? biased : 0.0;
          REQUIRE(std::abs(at(got, m, i, j) - want) <=
                  bound + 2 * (unit<T> + unit<float>)*std::abs(biased));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("a device_linear is the host's layer in every form, for few and many rows", T,
                   float, half, bfloat16) {
  cublas const backend;
  cublaslt const products(backend);
  constexpr index_t m = 48;
  constexpr index_t n = 40;
  constexpr index_t k = 13;
  auto const random = [](index_t rows, index_t cols, unsigned seed) {
    auto const numbers = random_numbers<bfloat16>(rows * cols, seed);
    auto result = make_matrix<float>({rows, cols});
    std::copy(numbers.begin(), numbers.end(), result.begin());
    return result;
  };
  auto const factors = low_rank<float, two_factor>(random(m, k, 11), random(k, n, 12));
  vector<float> bias = make_vector<float>(m);
  for (index_t j = 0; j < m; ++j) {
    bias(static_cast<std::size_t>(j)) = static_cast<float>(j % 5);
  }
  std::vector<linear<float>> const layers{
      linear<float>(random(m, n, 13), bias), linear<float>(factors, bias),
      linear<float>(to_diagonal_core(factors)), linear<float>(to_full_core(factors), bias),
      linear<float>(to_pivoted(factors))};
  for (auto const& layer : layers) {
    CAPTURE(name_of(layer.stored_as()));
    device_linear<T> const there(layer, backend);
    auto const w = layer.dense_weight();
    for (index_t const rows : {1, 3, 8, 9, 70}) {
      CAPTURE(rows);
      auto const x = random_numbers<T>(rows * n, 14);
      auto const x_there = on_device<T>(x, rows, n, backend.stream());
      device_matrix<T> y(shape2{rows, m});
      device_buffer<T> inner(rows * there.inner_width());
      there(x_there.view(), y.view(), inner.data(), products);
      auto const got = entries(y.view(), backend.stream());
      double largest_x = 0;
      for (auto const value : x) {
        largest_x = std::max(largest_x, std::abs(value));
      }
      // Both factors, what is between them and the result are rounded to T; sums of n and k terms.
      double const between = frobenius_norm(factors.left()) * frobenius_norm(factors.right());
      for (index_t i = 0; i < rows; ++i) {
        double norm_x = 0;
        for (index_t c = 0; c < n; ++c) {
          norm_x += at(x, n, i, c) * at(x, n, i, c);
        }
        auto const bound = (4 * unit<T> + static_cast<double>(n + k + 8) *
                                              unit<float>)*(between * std::sqrt(norm_x) + 4);
        for (index_t j = 0; j < m; ++j) {
          double want = layer.has_bias() ? static_cast<double>(j % 5) : 0.0;
          for (index_t c = 0; c < n; ++c) {
            want += at(x, n, i, c) * static_cast<double>(as_view(w)(j, c));
          }
          REQUIRE(std::abs(at(got, m, i, j) - want) <= bound);
        }
      }
    }
  }
  auto const dense = random(m, n, 15);
  auto const bytes = linear<float>(int8_rows<float>(as_view(dense)));
  CHECK_THROWS_AS(device_linear<T>(bytes, backend), shape_error);
}

TEST_CASE_TEMPLATE("layers side by side in one device_projection are the layers one by one", T,
                   float, half, bfloat16) {
  cublas const backend;
  cublaslt const products(backend);
  constexpr index_t m = 24;
  constexpr index_t n = 40;
  auto const random = [](index_t rows, index_t cols, unsigned seed) {
    auto const numbers = random_numbers<bfloat16>(rows * cols, seed);
    auto result = make_matrix<float>({rows, cols});
    std::copy(numbers.begin(), numbers.end(), result.begin());
    return result;
  };
  auto const factors = [&](index_t k, unsigned seed) {
    vector<float> bias = make_vector<float>(m);
    bias.fill(static_cast<float>(seed % 7));
    return linear<float>(low_rank<float, two_factor>(random(m, k, seed), random(k, n, seed + 1)),
                         bias);
  };
  // Ranks 13 and 16 are one after padding, 3 is not; dense layers stand between.
  std::vector<linear<float>> const layers{factors(13, 61),
                                          factors(16, 63),
                                          factors(16, 65),
                                          factors(3, 67),
                                          linear<float>(random(m, n, 69)),
                                          linear<float>(random(m, n, 70))};
  std::vector<linear<float> const*> all;
  for (auto const& layer : layers) {
    all.push_back(&layer);
  }
  device_projection<T> const joint(all, backend);
  CHECK(joint.outputs() == 6 * m);
  for (index_t const rows : {1, 8, 9, 70}) {
    auto const x = on_device<T>(random_numbers<T>(rows * n, 71), rows, n, backend.stream());
    device_matrix<T> y(shape2{rows, joint.outputs()});
    device_buffer<T> inner(rows * joint.inner_width());
    joint(x.view(), y.view(), inner.data(), products);
    auto const got = entries(y.view(), backend.stream());
    for (index_t l = 0; l < 6; ++l) {
      device_linear<T> const one(layers[static_cast<std::size_t>(l)], backend);
      device_matrix<T> alone(shape2{rows, m});
      device_buffer<T> own(rows * one.inner_width());
      one(x.view(), alone.view(), own.data(), products);
      auto const want = entries(alone.view(), backend.stream());
      // The same numbers in perhaps another order: n and rank terms of size 16 at most, sums in
      // float; what is between the factors, up to 100, and the result may round the other way.
      auto const bound = 2 * (unit<T> + 60 * unit<float>)*16 * 100;
      for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < m; ++j) {
          REQUIRE(std::abs(at(got, 6 * m, i, l * m + j) - at(want, m, i, j)) <= bound);
        }
      }
    }
  }
}
