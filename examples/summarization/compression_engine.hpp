#pragma once

#include "device_choice.hpp"

#include <eckart/compress/fit_engine.hpp>

#include <memory>
#include <utility>

namespace program {

/// A fit_engine of floats whose device is chosen when the program runs.
class compression_engine {
 public:
  compression_engine() = default;
  compression_engine(compression_engine const&) = delete;
  auto operator=(compression_engine const&) -> compression_engine& = delete;
  virtual ~compression_engine() = default;

  virtual auto decompose(eckart::matrix<float> const& a) const -> eckart::svd_result<float> = 0;
  virtual auto factors(eckart::matrix<double> a, eckart::matrix<double> const& c,
                       eckart::output_metric const& metric) const -> eckart::fit_factors = 0;
  virtual void solve(eckart::matrix<double> const& c, eckart::matrix_view<double> rows) const = 0;
  virtual void upper_gram(eckart::matrix_view<float const> x,
                          eckart::matrix_view<float> product) const = 0;
  virtual void product_of_transpose(eckart::matrix_view<float const> x,
                                    eckart::matrix_view<float const> y,
                                    eckart::matrix_view<float> product) const = 0;
};

/// The calls of an engine of the library, with what that needs to live.
template <eckart::fit_engine Engine>
class engine_of : public compression_engine {
 public:
  explicit engine_of(Engine engine, std::shared_ptr<void const> backend = {})
      : backend_(std::move(backend)), engine_(std::move(engine)) {}

  auto decompose(eckart::matrix<float> const& a) const -> eckart::svd_result<float> override {
    return engine_.decompose(a);
  }
  auto factors(eckart::matrix<double> a, eckart::matrix<double> const& c,
               eckart::output_metric const& metric) const -> eckart::fit_factors override {
    return engine_.factors(std::move(a), c, metric);
  }
  void solve(eckart::matrix<double> const& c, eckart::matrix_view<double> rows) const override {
    engine_.solve(c, rows);
  }
  void upper_gram(eckart::matrix_view<float const> x,
                  eckart::matrix_view<float> product) const override {
    engine_.upper_gram(x, product);
  }
  void product_of_transpose(eckart::matrix_view<float const> x, eckart::matrix_view<float const> y,
                            eckart::matrix_view<float> product) const override {
    engine_.product_of_transpose(x, y, product);
  }

 private:
  std::shared_ptr<void const> backend_;
  Engine engine_;
};

/// The engine of the chosen device. Throws as device_choice::name.
auto make_engine(device_choice const& choice) -> std::unique_ptr<compression_engine>;

/// What of it needs CUDA.
auto make_cuda_engine(device_choice const& choice) -> std::unique_ptr<compression_engine>;

}  // namespace program
