#include "eckart/gpu/kernels/attention.cuh"
#include "eckart/gpu/kernels/search_steps.cuh"
#include "eckart/gpu/kernels/step_attention.cuh"

#include "gpu/kernel_fixture.cuh"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace eckart;
using fixture::attend;
using fixture::entries;
using fixture::on_device;
using fixture::random_numbers;
using fixture::unit;

namespace {

/// How far an attention in float may be off: scores are sums of d products, of the size of the
/// largest score; a score off by e makes its probability off by a factor e; sums of `keys` terms;
/// probabilities and the result rounded to T.
template <class T>
auto bound_of(fixture::attended const& want, index_t keys, index_t d) -> double {
  auto const of_scores = 2 * static_cast<double>(d + 4) * unit<float> * (1 + want.largest_score) *
                         static_cast<double>(d);
  return (of_scores + 2 * unit<T> + static_cast<double>(keys) * unit<float>)*2 * want.largest_value;
}

template <class T, class F>
void check_attention(F run, index_t sentences, index_t tokens, index_t heads, index_t d,
                     std::vector<int> const& lengths, bool causal) {
  CAPTURE(tokens);
  CAPTURE(d);
  CAPTURE(causal);
  cublas const backend;
  auto const stream = backend.stream();
  auto const width = heads * d;
  auto const rows = sentences * tokens;
  auto const qkv = random_numbers<T>(rows * 3 * width, 21);
  auto const there = on_device<T>(qkv, rows, 3 * width, stream);
  auto const lengths_there = fixture::values_on_device(lengths, stream);
  device_matrix<T> out(shape2{rows, width});
  gpu::attention_operands<T> a;
  a.q = there.view().data;
  a.k = a.q + width;
  a.v = a.k + width;
  a.ld = 3 * width;
  a.out = out.view().data;
  a.tokens = static_cast<int>(tokens);
  a.heads = static_cast<int>(heads);
  a.head_width = static_cast<int>(d);
  a.key_lengths = lengths.empty() ? nullptr : lengths_there.data();
  a.scale = 0.3F;
  a.causal = causal;
  run(a, sentences, stream);
  auto const got = entries(out.view(), stream);
  auto const number = [&](index_t s, index_t t, index_t column) {
    return qkv[static_cast<std::size_t>((s * tokens + t) * 3 * width + column)];
  };
  for (index_t s = 0; s < sentences; ++s) {
    auto const length = lengths.empty() ? tokens : lengths[static_cast<std::size_t>(s)];
    for (index_t t = 0; t < tokens; t += 7) {
      for (index_t h = 0; h < heads; ++h) {
        auto const keys = causal ? std::min<index_t>(length, t + 1) : length;
        auto const want = attend(
            keys, d, static_cast<double>(a.scale),
            [&](index_t c) { return number(s, t, h * d + c); },
            [&](index_t j, index_t c) { return number(s, j, width + h * d + c); },
            [&](index_t j, index_t c) { return number(s, j, 2 * width + h * d + c); });
        auto const bound = bound_of<T>(want, keys, d);
        for (index_t c = 0; c < d; ++c) {
          auto const at = static_cast<std::size_t>((s * tokens + t) * width + h * d + c);
          REQUIRE(std::abs(got[at] - want.out[static_cast<std::size_t>(c)]) <= bound);
        }
      }
    }
  }
}

/// q (sentences * beams, width), keys | values (sentences * tokens, 2 width).
template <class T, class F>
void check_cross_attention(F run, index_t tokens, index_t heads, index_t d, index_t beams,
                           std::vector<int> const& lengths) {
  CAPTURE(tokens);
  CAPTURE(d);
  CAPTURE(beams);
  cublas const backend;
  auto const stream = backend.stream();
  auto const sentences = static_cast<index_t>(lengths.size());
  auto const width = heads * d;
  auto const q = random_numbers<T>(sentences * beams * width, 31);
  auto const kv = random_numbers<T>(sentences * tokens * 2 * width, 32);
  auto const lengths_there = fixture::values_on_device(lengths, stream);
  auto const q_there = on_device<T>(q, sentences * beams, width, stream);
  auto const kv_there = on_device<T>(kv, sentences * tokens, 2 * width, stream);
  device_matrix<T> out(shape2{sentences * beams, width});
  auto const cache =
      gpu::cross_cache_view<T>{kv_there.view().data, kv_there.view().data + width, 2 * width,
                               static_cast<int>(tokens), lengths_there.data()};
  run(device_view<T const>(q_there.view()), sentences, heads, 0.4F, cache, out.view(), stream);
  auto const got = entries(out.view(), stream);
  for (index_t r = 0; r < sentences * beams; ++r) {
    auto const s = r / beams;
    auto const keys = static_cast<index_t>(lengths[static_cast<std::size_t>(s)]);
    auto const number = [&](index_t j, index_t column) {
      return kv[static_cast<std::size_t>((s * tokens + j) * 2 * width + column)];
    };
    for (index_t h = 0; h < heads; ++h) {
      auto const want = attend(
          keys, d, static_cast<double>(0.4F),
          [&](index_t c) { return q[static_cast<std::size_t>(r * width + h * d + c)]; },
          [&](index_t j, index_t c) { return number(j, h * d + c); },
          [&](index_t j, index_t c) { return number(j, width + h * d + c); });
      auto const bound = bound_of<T>(want, keys, d);
      for (index_t c = 0; c < d; ++c) {
        auto const at = static_cast<std::size_t>(r * width + h * d + c);
        REQUIRE(std::abs(got[at] - want.out[static_cast<std::size_t>(c)]) <= bound);
      }
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("tiled attention equals plain loops, with key lengths and causal", T, float,
                   half, bfloat16) {
  auto const run = [](gpu::attention_operands<T> const& a, index_t sentences, cudaStream_t stream) {
    gpu::tiled_attention(a, sentences, stream);
  };
  for (bool const causal : {false, true}) {
    check_attention<T>(run, 2, 130, 2, 64, {130, 65}, causal);
    check_attention<T>(run, 1, 1, 1, 4, {1}, causal);
    check_attention<T>(run, 2, 64, 3, 16, {}, causal);
    check_attention<T>(run, 1, 70, 1, 100, {3}, causal);
  }
}

TEST_CASE_TEMPLATE("fused attention equals plain loops, with key lengths and causal", T, half,
                   bfloat16) {
  auto const run = [](gpu::attention_operands<T> const& a, index_t sentences, cudaStream_t stream) {
    REQUIRE(gpu::fits_fused_attention(a));
    gpu::fused_attention(a, sentences, stream);
  };
  for (bool const causal : {false, true}) {
    check_attention<T>(run, 1, 1, 1, 64, {1}, causal);
    check_attention<T>(run, 2, 64, 2, 64, {}, causal);
    check_attention<T>(run, 2, 130, 2, 64, {130, 65}, causal);
    check_attention<T>(run, 3, 512, 2, 64, {512, 1, 449}, causal);
    check_attention<T>(run, 24, 200, 6, 64, {}, causal);  // blocks of 128 queries
  }
}

TEST_CASE_TEMPLATE("a step of self-attention reads its row's own history", T, float, half,
                   bfloat16) {
  cublas const backend;
  auto const stream = backend.stream();
  constexpr int rows = 3;
  constexpr int capacity = 70;
  // At every position, the row that each row continues: rows change places and die out.
  auto const parent = [](int position, int row) { return (row + position) % 2 + position % 2; };
  for (auto const& [heads, d] : {std::pair<index_t, index_t>{2, 64}, {3, 4}, {2, 24}, {1, 100}}) {
    CAPTURE(d);
    auto const width = heads * d;
    device_buffer<T> cache(capacity * rows * 2 * width);
    device_buffer<int> ancestors(2 * rows * capacity);
    device_buffer<token_id> written(rows * capacity);
    auto const history = gpu::history_view{ancestors.data(), rows, capacity};
    std::vector<std::vector<double>> steps;                        // (rows, 3 width) each
    std::vector<std::vector<int>> line(rows, std::vector<int>{});  // ancestors of each row
    device_matrix<T> out(shape2{rows, width});
    for (int now = 0; now < capacity; ++now) {
      steps.push_back(random_numbers<T>(rows * 3 * width, static_cast<unsigned>(100 + now)));
      auto const qkv = on_device<T>(steps.back(), rows, 3 * width, stream);
      std::vector<int> parents;
      auto const before = line;
      for (int r = 0; r < rows; ++r) {
        parents.push_back(now == 0 ? r : parent(now, r));
        line[static_cast<std::size_t>(r)] = before[static_cast<std::size_t>(parents.back())];
        line[static_cast<std::size_t>(r)].push_back(r);
      }
      auto const parents_there = fixture::values_on_device(parents, stream);
      auto const position = fixture::values_on_device(std::vector<int>{now}, stream);
      gpu::follow_parents(parents_there.data(), parents_there.data(), ancestors.data(),
                          written.data(), rows, capacity, position.data(), stream);
      gpu::step_self_attention<T>(qkv.view(), heads, 0.4F, {cache.data(), history}, position.data(),
                                  out.view(), stream);
      auto const got = entries(out.view(), stream);
      for (index_t r = 0; r < rows; ++r) {
        auto const number = [&](index_t p, index_t part, index_t column) {
          auto const from = line[static_cast<std::size_t>(r)][static_cast<std::size_t>(p)];
          return steps[static_cast<std::size_t>(p)]
                      [static_cast<std::size_t>((from * 3 + part) * width + column)];
        };
        for (index_t h = 0; h < heads; ++h) {
          auto const want = attend(
              now + 1, d, static_cast<double>(0.4F),
              [&](index_t c) { return number(now, 0, h * d + c); },
              [&](index_t j, index_t c) { return number(j, 1, h * d + c); },
              [&](index_t j, index_t c) { return number(j, 2, h * d + c); });
          auto const bound = bound_of<T>(want, now + 1, d);
          for (index_t c = 0; c < d; ++c) {
            auto const at = static_cast<std::size_t>(r * width + h * d + c);
            REQUIRE(std::abs(got[at] - want.out[static_cast<std::size_t>(c)]) <= bound);
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("a step of cross-attention reads its sentence's keys, for any number of beams",
                   T, float, half, bfloat16) {
  auto const run = [](auto&&... operands) { gpu::step_cross_attention<T>(operands...); };
  for (index_t const beams : {1, 3, 4, 6}) {
    for (auto const& [heads, d] : {std::pair<index_t, index_t>{2, 64}, {3, 4}, {1, 100}}) {
      check_cross_attention<T>(run, 150, heads, d, beams, {150, 33});
    }
  }
  // So many heads that another kernel is faster.
  check_cross_attention<T>(run, 20, 34, 64, 2, {20, 3, 1, 19});
}

TEST_CASE_TEMPLATE("fused cross-attention equals plain loops, for any number of beams and keys", T,
                   half, bfloat16) {
  auto const run = [](auto&&... operands) { gpu::fused_cross_attention<T>(operands...); };
  for (index_t const beams : {1, 4, 9, 16, 17, 35}) {
    check_cross_attention<T>(run, 150, 2, 64, beams, {150, 33, 64, 1});
    check_cross_attention<T>(run, 513, 1, 64, beams, {513, 256, 449});
  }
}
