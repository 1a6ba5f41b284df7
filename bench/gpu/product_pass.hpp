#pragma once

#include <eckart/gpu/products.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

/// Times of y = x W^T on a GPU by CUDA events, for a matrix W and for its factors.
namespace bench {

using eckart::form;
using eckart::index_t;
using eckart::shape2;

/// What is multiplied: W in a form, of a rank (which dense ignores), with so many rows of x.
struct product {
  form stored_as = form::dense;
  shape2 w;
  index_t rank = 0;
  index_t rows = 0;
  bool layer = false;  ///< y = GELU(x W^T + b), as a model has it
};

/// Numbers of the device around 0, from which matrices are filled: power and so clocks depend on
/// them, zeros would be faster.
template <class T>
class number_source {
 public:
  explicit number_source(eckart::cublas const& backend) : backend_(backend) {
    auto host = eckart::make_matrix<float>({size / 4096, 4096});
    std::uint32_t state = 12345;
    for (auto& x : host) {
      state = state * 1664525U + 1013904223U;
      x = static_cast<float>(state >> 8U) * 0x1p-26F - 0.125F;
    }
    numbers_ = eckart::to_device<T>(host, backend);
  }

  auto operator()(index_t rows, index_t cols) -> eckart::device_matrix<T> {
    eckart::device_matrix<T> result({rows, cols});
    for (index_t done = 0; done < rows * cols;) {
      auto const count = std::min(size - used_, rows * cols - done);
      eckart::check_cuda(cudaMemcpyAsync(result.view().data + done, numbers_.view().data + used_,
                                         static_cast<std::size_t>(count) * sizeof(T),
                                         cudaMemcpyDeviceToDevice, backend_.stream()),
                         "cudaMemcpyAsync");
      done += count;
      used_ = (used_ + count) % size;
    }
    return result;
  }

 private:
  static constexpr index_t size = index_t{5} << 22;
  eckart::cublas const& backend_;
  eckart::device_matrix<T> numbers_;
  index_t used_ = 0;
};

struct destroy_cuda {
  void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
  void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
};
using event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, destroy_cuda>;

inline auto make_event() -> event {
  cudaEvent_t result = nullptr;
  eckart::check_cuda(cudaEventCreate(&result), "cudaEventCreate");
  return event(result);
}

/// A product with copies of its weights in turn, more of them than twice the L2 cache holds, as one
/// CUDA graph: what is timed is the device alone.
class product_pass {
 public:
  virtual ~product_pass() = default;

  /// Microseconds of one product, the mean of a pass over the copies.
  auto microseconds() -> double {
    if (!graph_) {
      start();
    }
    return run(replays_);
  }
  auto copies() const -> index_t { return copies_; }

 protected:
  product_pass(eckart::cublas const& backend, std::uint64_t weight_bytes) : backend_(backend) {
    int l2 = 0;
    eckart::check_cuda(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, backend.device()),
                       "cudaDeviceGetAttribute");
    auto const bytes = static_cast<index_t>(weight_bytes);
    copies_ = std::clamp<index_t>(2 * l2 / bytes + 1, 2, 512);
  }
  virtual void multiply(index_t copy) = 0;

  eckart::cublas const& backend_;

 private:
  void start() {
    multiply(0);  // what is compiled or allocated, is so before the graph
    backend_.synchronize();
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    eckart::check_cuda(cudaStreamBeginCapture(backend_.stream(), cudaStreamCaptureModeThreadLocal),
                       "cudaStreamBeginCapture");
    for (index_t i = 0; i < copies_; ++i) {
      multiply(i);
    }
    eckart::check_cuda(cudaStreamEndCapture(backend_.stream(), &graph), "cudaStreamEndCapture");
    auto const status = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    eckart::check_cuda(status, "cudaGraphInstantiate");
    graph_.reset(executable);
    run(1);
    auto const once = run(1) * static_cast<double>(copies_);
    replays_ = std::max<index_t>(1, static_cast<index_t>(1000 / once));  // a millisecond
  }

  auto run(index_t replays) -> double {
    eckart::check_cuda(cudaEventRecord(first_.get(), backend_.stream()), "cudaEventRecord");
    for (index_t i = 0; i < replays; ++i) {
      eckart::check_cuda(cudaGraphLaunch(graph_.get(), backend_.stream()), "cudaGraphLaunch");
    }
    eckart::check_cuda(cudaEventRecord(last_.get(), backend_.stream()), "cudaEventRecord");
    backend_.synchronize();
    float milliseconds = 0;
    eckart::check_cuda(cudaEventElapsedTime(&milliseconds, first_.get(), last_.get()),
                       "cudaEventElapsedTime");
    return 1000.0 * static_cast<double>(milliseconds) / static_cast<double>(replays * copies_);
  }

  index_t copies_ = 1;
  index_t replays_ = 1;
  std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, destroy_cuda> graph_;
  event first_ = make_event();
  event last_ = make_event();
};

/// The same for weights of one kind. `multiply_by(weights, x, y)` is the product.
template <class T, class Weights, class Multiply>
class pass_of final : public product_pass {
 public:
  template <class Make>
  pass_of(product const& p, eckart::cublas const& backend, number_source<T>& numbers, Make make,
          Multiply multiply_by)
      : product_pass(backend, sizeof(T) * eckart::cost::parameters(p.stored_as, p.w, p.rank)),
        x_(numbers(p.rows, p.w.cols)),
        y_({p.rows, p.w.rows}),
        multiply_by_(std::move(multiply_by)) {
    for (index_t i = 0; i < copies(); ++i) {
      weights_.push_back(make());
    }
  }

 private:
  void multiply(index_t copy) override {
    multiply_by_(weights_[static_cast<std::size_t>(copy)], x_.view(), y_.view());
  }

  std::vector<Weights> weights_;
  eckart::device_matrix<T> x_;
  eckart::device_matrix<T> y_;
  Multiply multiply_by_;
};

/// A pass through two factors. `by` is the last argument of apply_work.
template <class T, class Backend>
auto make_two_factor_pass(product const& p, eckart::cublas const& backend,
                          number_source<T>& numbers, Backend const& by)
    -> std::unique_ptr<product_pass> {
  using factors = eckart::device_low_rank<T, eckart::two_factor>;
  auto const scratch = std::make_shared<eckart::device_workspace<T>>();
  auto const make = [&] { return factors(numbers(p.w.rows, p.rank), numbers(p.rank, p.w.cols)); };
  auto const multiply = [&by, scratch](factors const& w, auto x, auto y) {
    scratch->reserve(eckart::apply_worksize(w, x.rows));
    apply_work(x, w, y, *scratch, by);  // that of its namespace which takes `by`
  };
  return std::make_unique<pass_of<T, factors, decltype(multiply)>>(p, backend, numbers, make,
                                                                   multiply);
}

/// The same by what the build has: fused_cublas with nvcc (two_factor_pass.cu), else cublas
/// (two_factor_pass.cpp).
auto make_two_factor_pass(product const& p, eckart::cublas const& backend,
                          number_source<float>& numbers) -> std::unique_ptr<product_pass>;
auto make_two_factor_pass(product const& p, eckart::cublas const& backend,
                          number_source<eckart::half>& numbers) -> std::unique_ptr<product_pass>;

/// A pass of a layer with bias and GELU, dense or of two factors, by the code of a model on the
/// device; without nvcc there is none, and it throws shape_error.
auto make_layer_pass(product const& p, eckart::cublas const& backend, number_source<float>& numbers)
    -> std::unique_ptr<product_pass>;
auto make_layer_pass(product const& p, eckart::cublas const& backend,
                     number_source<eckart::half>& numbers) -> std::unique_ptr<product_pass>;

/// A pass of the product p in numbers of type T.
template <class T>
auto make_pass(product const& p, eckart::cublas const& backend, number_source<T>& numbers)
    -> std::unique_ptr<product_pass> {
  auto const started = [&]<class Weights>(auto make, std::type_identity<Weights>,
                                          auto multiply) -> std::unique_ptr<product_pass> {
    return std::make_unique<pass_of<T, Weights, decltype(multiply)>>(p, backend, numbers, make,
                                                                     std::move(multiply));
  };
  auto const [m, n] = p.w;
  if (p.layer) {
    return make_layer_pass(p, backend, numbers);
  }
  if (p.stored_as == form::dense) {
    return started(
        [&] { return numbers(p.w.rows, p.w.cols); }, std::type_identity<eckart::device_matrix<T>>{},
        [&backend](auto const& w, auto x, auto y) {
          eckart::matmul(eckart::op::none, x, eckart::op::transpose, w.view(), y, backend);
        });
  }
  auto scratch = std::make_shared<eckart::device_workspace<T>>();
  auto const k = p.rank;
  if (p.stored_as == form::two_factor) {
    return make_two_factor_pass(p, backend, numbers);
  }
  // Kept rows all over the matrix, as pivots are.
  std::vector<index_t> places(static_cast<std::size_t>(m));
  std::iota(places.begin(), places.end(), index_t{0});
  std::ranges::shuffle(places, std::minstd_rand(7));
  std::sort(places.begin(), places.begin() + k);
  std::sort(places.begin() + k, places.end());
  using factors = eckart::device_low_rank<T, eckart::pivoted>;
  return started(
      [&, m = m, n = n] {
        return factors(numbers(k, n), numbers(m - k, k), places, backend.stream());
      },
      std::type_identity<factors>{},
      [&backend, scratch](auto const& w, auto x, auto y) {
        scratch->reserve(eckart::apply_worksize(w, x.rows));
        eckart::apply_work(x, w, y, *scratch, backend);
      });
}

}  // namespace bench
