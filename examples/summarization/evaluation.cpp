#include "evaluation.hpp"

#include "terminal.hpp"

#include <eckart/backend/blas_info.hpp>
#include <eckart/eval/rouge.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <cstddef>
#include <exception>
#include <mutex>
#include <numeric>
#include <utility>

namespace program {

namespace {

using eckart::message;
using eckart::shape_error;

constexpr std::string_view white_space = " \t\n\v\f\r";

auto stripped(std::string_view text) -> std::string {
  auto const first = text.find_first_not_of(white_space);
  return first == std::string_view::npos
             ? std::string()
             : std::string(text.substr(first, text.find_last_not_of(white_space) + 1 - first));
}

/// White space behind '.', '!' or '?' becomes a line break: `([.!?])\s+` to "$1\n". ROUGE-Lsum
/// wants sentences on lines of their own; to the other measures every white space is the same.
auto sentences_on_lines(std::string_view text) -> std::string {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    result += text[i++];
    if (std::string_view(".!?").find(result.back()) != std::string_view::npos) {
      auto const next = std::min(text.find_first_not_of(white_space, i), text.size());
      if (next > i) {
        result += '\n';
        i = next;
      }
    }
  }
  return result;
}

/// Every product of BLAS on one thread, while this lives. Inside an OpenMP region of several
/// threads OpenBLAS does so by itself, in one of a single thread it would take all processors.
class single_threaded_products {
 public:
  single_threaded_products() : blas_(eckart::blas_info().threads) {
#ifdef _OPENMP
    openmp_ = omp_get_max_threads();
#endif
    eckart::set_threads(1);
  }
  single_threaded_products(single_threaded_products const&) = delete;
  auto operator=(single_threaded_products const&) -> single_threaded_products& = delete;
  ~single_threaded_products() {
    openblas_set_num_threads(blas_);
#ifdef _OPENMP
    omp_set_num_threads(openmp_);
#endif
  }

 private:
  int blas_;
  [[maybe_unused]] int openmp_ = 1;
};

/// work(i) for all i < count, `jobs` of them at a time; then finished(i), one at a time. `stop` is
/// asked before each, one at a time, too; the answer is false if it said yes. After an exception no
/// further work begins; thrown is that of the least i.
template <class Work, class Finished>
auto run_jobs(std::size_t count, [[maybe_unused]] int jobs, std::function<bool()> const& stop,
              Work const& work, Finished const& finished) -> bool {
  std::mutex lock;  // of all variables that follow
  bool stopped = false;
  auto failed = count;
  std::exception_ptr failure;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(jobs)
#endif
  for (std::size_t i = 0; i < count; ++i) {
    try {
      {
        std::scoped_lock const alone(lock);
        stopped = stopped || (!failure && stop && stop());
        if (stopped || failure) {
          continue;
        }
      }
      work(i);
      std::scoped_lock const alone(lock);
      finished(i);
    } catch (...) {  // must not leave the parallel region
      std::scoped_lock const alone(lock);
      if (i < failed) {
        failed = i;
        failure = std::current_exception();
      }
    }
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
  return !stopped;
}

/// All examples as ids, cut to the model's positions, and the batches that they are run in.
class encoded_examples {
 public:
  encoded_examples(text_side const& text, std::span<example const> examples, eckart::index_t batch)
      : examples_(examples), batch_(static_cast<std::size_t>(batch)), order_(examples.size()) {
    eckart::encode_options const fitting{.max_length = text.max_positions};
    for (auto const& one : examples) {
      sources_.push_back(text.tokenizer.encode(one.dialogue, fitting));
      labels_.push_back(text.tokenizer.encode(one.references.front(), fitting));
    }
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::ranges::stable_sort(order_, [&](std::size_t a, std::size_t b) {
      return sources_[a].size() > sources_[b].size();
    });
  }

  auto batches() const -> std::size_t { return (order_.size() + batch_ - 1) / batch_; }

  /// Places of the examples in batch b.
  auto places(std::size_t b) const -> std::span<std::size_t const> {
    auto const first = b * batch_;
    return std::span(order_).subspan(first, std::min(batch_, order_.size() - first));
  }

  auto sources(std::size_t b) const -> std::vector<token_ids> { return some(sources_, b); }
  auto labels(std::size_t b) const -> std::vector<token_ids> { return some(labels_, b); }

  /// Calls work() for batch b; tells in an error of the numbers which examples they were.
  template <class Work>
  void run(std::size_t b, Work const& work) const {
    try {
      work();
    } catch (eckart::numerical_error const& e) {
      std::string names;
      for (auto const place : places(b)) {
        names += message(names.empty() ? "'" : ", '", examples_[place].id, "'");
      }
      throw eckart::numerical_error(message("examples ", names, ": ", e.what()), e.info);
    }
  }

 private:
  auto some(std::vector<token_ids> const& all, std::size_t b) const -> std::vector<token_ids> {
    std::vector<token_ids> result;
    for (auto const place : places(b)) {
      result.push_back(all[place]);
    }
    return result;
  }

  std::span<example const> examples_;
  std::size_t batch_;
  std::vector<std::size_t> order_;  // places, longest source first
  std::vector<token_ids> sources_;
  std::vector<token_ids> labels_;
};

void check(std::span<example const> examples, evaluation_options const& options) {
  if (examples.empty() || options.batch_size() < 1 || options.jobs < 0) {
    throw shape_error(message("evaluate: ", examples.size(), " examples, ", options.batch_size(),
                              " in a batch, ", options.jobs, " jobs"));
  }
}

/// Predictions and their ROUGE, from the ids.
void decode_and_score(text_side const& text, std::span<example const> examples, bool stem,
                      std::vector<example_result>& rows) {
  std::vector<eckart::rouge_metric> metrics;
  for (auto const name : rouge_names) {
    metrics.push_back(eckart::parse_rouge_metric(name));
  }
  eckart::rouge_scorer const scorer(metrics, {.stem = stem});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto& row = rows[i];
    row.id = examples[i].id;
    row.prediction = stripped(text.tokenizer.decode(row.ids));
    std::vector<std::string> references;
    for (auto const& reference : examples[i].references) {
      references.push_back(sentences_on_lines(reference));
    }
    auto const scores = scorer.score_best(references, sentences_on_lines(row.prediction));
    std::ranges::transform(scores, row.rouge.begin(),
                           [](eckart::rouge_score const& score) { return 100 * score.f; });
  }
}

auto column(evaluation const& result, std::size_t measure) -> std::vector<double> {
  std::vector<double> values;
  for (auto const& row : result.rows) {
    values.push_back(row.rouge[measure]);
  }
  return values;
}

void check_pairs(evaluation const& a, evaluation const& b) {
  auto const same_id = [](example_result const& x, example_result const& y) {
    return x.id == y.id;
  };
  if (!std::ranges::equal(a.rows, b.rows, same_id)) {
    throw shape_error(message("evaluations of different examples: ", a.rows.size(), " and ",
                              b.rows.size(), " rows"));
  }
}

}  // namespace

auto evaluation_options::jobs_at_a_time() const -> int {
  if (device.is_cuda()) {
    return 1;
  }
#ifdef _OPENMP
  return jobs > 0 ? jobs : omp_get_max_threads();
#else
  return std::max(jobs, 1);  // not used
#endif
}

void evaluation_options::add_to(CLI::App& command, std::string const& group) {
  device.add_to(command,
                "On a GPU summaries are written and losses measured there; reading the model, "
                "compressing it, the cosines of states and ROUGE stay on the processor");
  command
      .add_option("--batch", batch,
                  "examples generated together (default: 8, on a GPU 64); in 16 bits the "
                  "summaries may depend on it")
      ->check(CLI::Range(1, 1'000'000))
      ->group(group);
  command
      .add_option("--jobs", jobs,
                  "batches at a time, each on one thread; changes the time alone (default: "
                  "--threads); not on a GPU, which has one batch at a time")
      ->check(CLI::Range(1, 10'000))
      ->group(group);
  command.add_flag("--stem", stem, "ROUGE on Porter stems")->group(group);
}

void evaluation_options::check() const {
  if (device.is_cuda() && jobs > 0) {
    throw eckart::error("--jobs goes with --device cpu: a GPU has one batch at a time");
  }
  device.name();
}

// Of what the jobs touch, model, text and `encoded` are const, and the library's const functions
// write nothing that is shared. Buffers belong to the call, and each batch has its own rows.
auto evaluate(eckart::bart<float> const& model, text_side const& text,
              std::span<example const> examples, evaluation_options const& options,
              std::function<void(std::size_t, std::size_t)> const& progress,
              std::function<bool()> const& stop) -> std::optional<evaluation> {
  check(examples, options);
  encoded_examples const encoded(text, examples, options.batch_size());
  auto const jobs = options.jobs_at_a_time();
  auto const runner = make_runner(model, options.device);
  single_threaded_products const guard;
  evaluation result{std::vector<example_result>(examples.size()), 0};

  auto const measure_losses = [&](std::size_t b) {
    encoded.run(b, [&] {
      auto const losses = runner.token_loss(encoded.sources(b), encoded.labels(b));
      for (std::size_t i = 0; i < losses.size(); ++i) {
        result.rows[encoded.places(b)[i]].loss = losses[i];
      }
    });
  };
  if (!run_jobs(encoded.batches(), jobs, stop, measure_losses, [](std::size_t) {})) {
    return std::nullopt;
  }

  auto const write = [&](std::size_t b) {
    encoded.run(b, [&] {
      auto found = runner.generate(encoded.sources(b), text.options);
      for (std::size_t i = 0; i < found.size(); ++i) {
        result.rows[encoded.places(b)[i]].ids = std::move(found[i].front().ids);
      }
    });
  };
  std::size_t done = 0;
  auto const tell = [&](std::size_t b) {
    done += encoded.places(b).size();
    if (progress) {
      progress(done, examples.size());
    }
  };
  stopwatch const watch;
  if (!run_jobs(encoded.batches(), jobs, stop, write, tell)) {
    return std::nullopt;
  }
  result.seconds = watch.seconds();
  decode_and_score(text, examples, options.stem, result.rows);
  return result;
}

auto figures_of(evaluation const& result, evaluation_options const& options) -> quality_figures {
  quality_figures figures;
  for (std::size_t i = 0; i < rouge_names.size(); ++i) {
    figures.rouge[i] = eckart::mean_interval(column(result, i), options.intervals);
  }
  std::vector<double> lengths;
  eckart::token_loss loss;
  for (auto const& row : result.rows) {
    auto const written = row.ids.size() - 1;  // the decoder's start is given
    lengths.push_back(static_cast<double>(written));
    figures.generated_tokens += written;
    loss += row.loss;
  }
  figures.length = eckart::mean_interval(lengths, options.intervals);
  figures.loss = loss.mean();
  figures.perplexity = loss.perplexity();
  return figures;
}

auto identical_share(evaluation const& a, evaluation const& b) -> double {
  check_pairs(a, b);
  std::size_t identical = 0;
  for (std::size_t i = 0; i < a.rows.size(); ++i) {
    identical += a.rows[i].ids == b.rows[i].ids ? 1U : 0U;
  }
  return static_cast<double>(identical) / static_cast<double>(a.rows.size());
}

auto rouge_differences(evaluation const& dense, evaluation const& other,
                       eckart::bootstrap_options const& options)
    -> std::array<eckart::difference_estimate, 4> {
  check_pairs(dense, other);
  std::array<eckart::difference_estimate, 4> result;
  for (std::size_t i = 0; i < rouge_names.size(); ++i) {
    result[i] = eckart::paired_difference(column(other, i), column(dense, i), options);
  }
  return result;
}

}  // namespace program
