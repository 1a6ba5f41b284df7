#pragma once

#include "eckart/compress/fit_engine.hpp"

#include <type_traits>
#include <utility>

namespace support {

/// The host's engine, which counts what it is asked for.
class counted_engine {
 public:
  struct counts {
    int decompositions = 0;
    int factors = 0;
    int solutions = 0;
    int grams = 0;
    int products = 0;
  };

  explicit counted_engine(counts& seen) : seen_(&seen) {}

  template <class A>
  auto decompose(A const& a) const {
    ++seen_->decompositions;
    return host_.decompose(a);
  }
  auto factors(eckart::matrix<double> a, eckart::matrix<double> const& c,
               eckart::output_metric const& metric) const -> eckart::fit_factors {
    ++seen_->factors;
    return host_.factors(std::move(a), c, metric);
  }
  void solve(eckart::matrix<double> const& c, eckart::matrix_view<double> rows) const {
    ++seen_->solutions;
    host_.solve(c, rows);
  }
  template <class T>
  void upper_gram(eckart::matrix_view<T const> x, eckart::matrix_view<T> product) const {
    ++seen_->grams;
    host_.upper_gram(x, product);
  }
  template <class T>
  void product_of_transpose(eckart::matrix_view<T const> x,
                            std::type_identity_t<eckart::matrix_view<T const>> y,
                            eckart::matrix_view<T> product) const {
    ++seen_->products;
    host_.product_of_transpose(x, y, product);
  }

 private:
  counts* seen_;
  eckart::host_engine host_;
};

}  // namespace support
