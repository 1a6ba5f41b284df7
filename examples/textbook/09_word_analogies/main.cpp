// king - man + woman = ? Words as vectors: counts of neighbours, pointwise mutual information,
// truncated SVD. No network is trained.
#include "corpus.hpp"
#include "exam.hpp"

#include "eckart/eval/cosine.hpp"
#include "eckart/factor/factorize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

using namespace textbook;
using eckart::index_t;
using matrix = eckart::matrix<double>;

constexpr index_t shown_rank = 80;

// Row of a word in the sorted vocabulary.
auto row_of(std::string const& word, words const& vocabulary) -> index_t {
  return std::ranges::lower_bound(vocabulary, word) - vocabulary.begin();
}

// M(w, c) = max(0, log p(w, c) / (p(w) p(c))) for words that stand at most 4 apart.
auto mutual_information(std::vector<words> const& corpus, words const& vocabulary) -> matrix {
  matrix count = xt::zeros<double>({vocabulary.size(), vocabulary.size()});
  for (auto const& s : corpus) {
    for (std::size_t i = 0; i < s.size(); ++i) {
      for (auto j = i + 1; j < std::min(i + 5, s.size()); ++j) {
        count(row_of(s[i], vocabulary), row_of(s[j], vocabulary)) += 1;
        count(row_of(s[j], vocabulary), row_of(s[i], vocabulary)) += 1;
      }
    }
  }
  matrix const of_word = xt::sum(count, {1}, xt::keep_dims);
  matrix const of_context = xt::sum(count, {0}, xt::keep_dims);
  auto const all = xt::sum(count)();
  return xt::log(xt::maximum(all * count / (of_word * of_context), 1.0));
}

// One vector a word: the rows of U_k sqrt(S_k), made of length 1.
auto embedding(eckart::svd_result<double> const& f, index_t k) -> matrix {
  auto const factors = to_two_factor(truncate(f, eckart::at_rank{k}), eckart::absorb::split);
  auto e = eckart::to_matrix(factors.left());  // (words, k)
  matrix const square = xt::sum(e * e, {1}, xt::keep_dims);
  e /= xt::sqrt(square);
  return e;
}

// a is to b as c is to ...: all other words by their cosine with b - a + c, falling.
auto solve(matrix const& e, words const& vocabulary, words const& abc) -> std::vector<candidate> {
  auto const vector = [&](std::string const& word) {
    return eckart::as_view(e).row(row_of(word, vocabulary));
  };
  auto const a = vector(abc[0]), b = vector(abc[1]), c = vector(abc[2]);
  std::vector<double> query;
  for (std::size_t i = 0; i < a.size(); ++i) {
    query.push_back(b[i] - a[i] + c[i]);
  }
  std::vector<candidate> result;
  for (auto const& word : vocabulary) {
    if (std::ranges::find(abc, word) == abc.end()) {
      result.push_back({word, eckart::cosine<double>(query, vector(word))});
    }
  }
  std::ranges::sort(result, std::greater<>{}, &candidate::cosine);
  return result;
}

int main() {
  auto const corpus = speak(3000);
  auto const vocabulary = vocabulary_of(corpus);
  auto const f = eckart::svd(mutual_information(corpus, vocabulary));
  fmt::print("{} sentences of {} words, such as \"{}\"\n\n", corpus.size(), vocabulary.size(),
             fmt::join(corpus[2], " "));

  fmt::print("right answers to \"a is to b as c is to ...\", lead of the wanted word in cosine\n");
  fmt::print("rank");
  for (auto const& r : grammar) {
    fmt::print("{:>17}", r.name);
  }
  fmt::print("{:>8}\n", "lead");
  auto const solver_of_rank = [&](index_t k) {
    return [&, e = embedding(f, k)](words const& abc) { return solve(e, vocabulary, abc); };
  };
  std::vector<score> means;
  for (index_t const k : {10, 20, 40, 60, 80, 100, 120, 160}) {
    auto const solver = solver_of_rank(k);
    fmt::print("{:4}", k);
    score mean;
    for (auto const& r : grammar) {
      auto const s = examine(solver, r);
      fmt::print("{:16.0f}%", 100 * s.share);
      mean.share += s.share / std::size(grammar);
      mean.lead += s.lead / std::size(grammar);
    }
    fmt::print("{:8.2f}\n", std::round(100 * mean.lead) / 100 + 0.0);  // + 0.0: never "-0.00"
    means.push_back(mean);
  }

  fmt::print("\nat rank {}, with the cosine and the runner-up\n", shown_rank);
  bool const all_right = solve_examples(solver_of_rank(shown_rank));

  auto const most = std::ranges::max(means, {}, &score::lead).lead;
  if (!all_right || means[4].share < 0.95 || means[0].share > 0.5 ||
      means.back().lead > 0.8 * most) {
    fmt::print("refuted: right at rank {}, worse with few and with many dimensions\n", shown_rank);
    return 1;
  }
}
