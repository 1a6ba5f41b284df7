#pragma once

#include "eckart/models/bart_moments.hpp"
#include "eckart/models/bart_sites.hpp"
#include "eckart/models/calibration_walk.hpp"

#include <string>
#include <utility>

namespace eckart {
inline namespace v0 {

namespace detail {

template <real T, fit_engine Engine>
class moment_gatherer {
 public:
  moment_gatherer(index_t total, site_progress const& progress, Engine const& engine)
      : total_(total), progress_(progress), engine_(engine) {}

  void inputs(std::string const& site, matrix_view<T const> rows, matrix_view<T const>) {
    auto const known = moments.try_emplace(site, rows.cols);
    if (known.second && progress_) {
      progress_(done_++, total_, site);
    }
    known.first->second.add(rows, engine_);
  }
  void sums(std::string const&, matrix_view<T const>, matrix_view<T const>) {}
  void finish(std::string const&) {}

  bart_moments moments;

 private:
  index_t total_;
  site_progress const& progress_;
  Engine const& engine_;
  index_t done_ = 0;
};

}  // namespace detail

/// The moments of all sites of a model in one pass over the calibration tokens. The engine
/// multiplies; the model itself runs on the host.
template <real T, fit_engine Engine = host_engine>
auto gather_moments(bart<T> const& model, calibration_tokens const& data,
                    site_progress const& progress = {}, Engine const& engine = {}) -> bart_moments {
  auto const sites = static_cast<index_t>(bart_sites(model.config()).size());
  detail::moment_gatherer<T, Engine> gatherer(sites, progress, engine);
  walk(model, data, gatherer);
  return std::move(gatherer.moments);
}

}  // namespace v0
}  // namespace eckart
