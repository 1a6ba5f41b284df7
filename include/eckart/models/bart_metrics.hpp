#pragma once

#include "eckart/compress/whiten.hpp"
#include "eckart/models/bart_moments.hpp"
#include "eckart/models/bart_sites.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// What errors of the layers' outputs cost, by the name of the layer; the identity where none is.
using layer_metrics = std::map<std::string, output_metric>;

namespace detail {

template <real T>
auto dense_in_double(linear<T> const& layer) -> matrix<double> {
  auto const weight = layer.dense_weight();
  return in_double(matrix_view<T const>(as_view(weight)));
}

/// The covariance of y = W x + b or E[y y^T] within each group of so many outputs, one after
/// another. 2 m n² FLOPs.
template <real T>
auto output_moments(linear<T> const& layer, input_moments const& inputs, bool centred,
                    index_t group) -> std::vector<matrix<double>> {
  auto const w = dense_in_double(layer);
  auto const wc = matmul(w, inputs.covariance());
  auto mean = times(w, inputs.mean());
  for (std::size_t i = 0; layer.has_bias() && i < mean.size(); ++i) {
    mean(i) += static_cast<double>((*layer.bias())(i));
  }
  std::vector<matrix<double>> result;
  for (index_t first = 0; first < as_view(w).rows; first += group) {
    auto& moment = result.emplace_back(make_matrix<double>({group, group}));
    auto const m = as_view(moment);
    matmul(op::none, as_view(wc).row_range(first, group), op::transpose,
           as_view(w).row_range(first, group), m);
    for (index_t i = 0; !centred && i < group; ++i) {
      for (index_t j = 0; j < group; ++j) {
        m(i, j) +=
            mean(static_cast<std::size_t>(first + i)) * mean(static_cast<std::size_t>(first + j));
      }
    }
  }
  return result;
}

/// What an error of one side of the scores costs: the moments of the other side, a block for each
/// head, for a query meets no keys of another, times the squared scale.
template <real T>
auto score_metric(multi_head_attention<T> const& a, linear<T> const& other,
                  input_moments const& inputs, bool centred) -> output_metric {
  output_metric result;
  result.blocks = output_moments(other, inputs, centred, a.head_width());
  auto const factor = static_cast<double>(a.scale) * static_cast<double>(a.scale);
  for (auto& block : result.blocks) {
    for (auto& value : block) {
      value *= factor;
    }
  }
  return result;
}

/// W^T W of the layer that reads the outputs.
template <real T>
auto reader_gram(linear<T> const& reader) -> matrix<double> {
  auto const w = dense_in_double(reader);
  return matmul(op::transpose, w, op::none, w);
}

/// Mean and variance of f'(h) for a normal h, by the midpoint rule over six deviations.
inline auto slope_moments(activation f, double mean, double deviation)
    -> std::pair<double, double> {
  constexpr int points = 48;
  constexpr double step = 1e-3;
  auto const value = [f](double x) {
    return f == activation::relu ? relu(x) : f == activation::gelu ? gelu(x) : gelu_tanh(x);
  };
  double weight = 0;
  double first = 0;
  double second = 0;
  for (int i = 0; i < points; ++i) {
    auto const z = -6 + 12 * (i + 0.5) / points;
    auto const p = std::exp(-z * z / 2);
    auto const h = mean + z * deviation;
    auto const slope = (value(h + step) - value(h - step)) / (2 * step);
    weight += p;
    first += p * slope;
    second += p * slope * slope;
  }
  first /= weight;
  return {first, std::max(0.0, second / weight - first * first)};
}

/// M = E[D W^T W D] for the slopes D of the activation, taken as independent: fc2 reads f(fc1(x)).
template <real T>
auto hidden_metric(feed_forward<T> const& ffn, input_moments const& inputs) -> matrix<double> {
  auto const w = dense_in_double(ffn.fc1);
  auto const wc = matmul(w, inputs.covariance());
  auto const mean = times(w, inputs.mean());
  auto gram = reader_gram(ffn.fc2);
  auto const g = as_view(gram);
  std::vector<double> slope(static_cast<std::size_t>(g.rows));
  std::vector<double> spread(slope.size());
  for (index_t i = 0; i < g.rows; ++i) {
    auto const at = static_cast<std::size_t>(i);
    auto const row = as_view(w).row(i);
    auto const variance =
        std::inner_product(row.begin(), row.end(), as_view(wc).row(i).begin(), 0.0);
    auto const bias = ffn.fc1.has_bias() ? static_cast<double>((*ffn.fc1.bias())(at)) : 0.0;
    auto const [first, second] =
        slope_moments(ffn.f, mean(at) + bias, std::sqrt(std::max(0.0, variance)));
    slope[at] = first;
    spread[at] = second;
  }
  for (index_t i = 0; i < g.rows; ++i) {
    for (index_t j = 0; j < g.cols; ++j) {
      auto const both = slope[static_cast<std::size_t>(i)] * slope[static_cast<std::size_t>(j)];
      g(i, j) *= i == j ? both + spread[static_cast<std::size_t>(i)] : both;
    }
  }
  return gram;
}

}  // namespace detail

/// What an error of each layer's output costs to first order in what reads it: of a query the
/// spread of the keys of its head that it meets, of a key the queries, of a value the output layer,
/// of a hidden unit the slope of the activation and the second layer. Covariances of keys, for a
/// shift of all scores of a query changes nothing; they are pooled over all texts, and of values it
/// is left out how attention averages them. Outputs that join the residual cost alike.
template <real T>
auto bart_metrics(bart<T> const& model, bart_moments const& moments) -> layer_metrics {
  layer_metrics result;
  auto const full = [&](std::string const& name, matrix<double> m) {
    result[name].blocks.push_back(std::move(m));
  };
  auto const attention = [&](std::string const& name, multi_head_attention<T> const& a,
                             input_moments const& queries, input_moments const& memory) {
    result[name + ".q_proj"] = detail::score_metric(a, *a.k_proj, memory, true);
    result[name + ".k_proj"] = detail::score_metric(a, *a.q_proj, queries, false);
    full(name + ".v_proj", detail::reader_gram(a.out_proj));
  };
  auto const layer = [&](std::string const& name, auto const& one) {
    auto const& qkv = moments.at(name + ".self_attn.qkv_proj");
    attention(name + ".self_attn", one.self_attn, qkv, qkv);
    full(name + ".fc1", detail::hidden_metric(one.ffn, moments.at(name + ".fc1")));
  };
  for (std::size_t i = 0; i < model.encoder().layers.size(); ++i) {
    layer(layer_name("encoder", static_cast<index_t>(i)), model.encoder().layers[i]);
  }
  for (std::size_t i = 0; i < model.decoder().layers.size(); ++i) {
    auto const name = layer_name("decoder", static_cast<index_t>(i));
    auto const& one = model.decoder().layers[i];
    layer(name, one);
    attention(name + ".encoder_attn", one.encoder_attn, moments.at(name + ".encoder_attn.q_proj"),
              moments.at(std::string(cross_kv_name)));
  }
  return result;
}

}  // namespace v0
}  // namespace eckart
