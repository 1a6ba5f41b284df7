#pragma once

#include "spectra.hpp"

#include <eckart/linalg/rsvd.hpp>

#include <chrono>
#include <iostream>

namespace textbook {

/// To stderr: times differ from run to run.
inline void show_times() {
  auto const a = orthonormal(800, 600, 3);
  auto const seconds = [](auto&& work) {
    auto const start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::cerr << "800 x 600: svd " << seconds([&] { svd(a); }) << " s, rsvd of rank 20 "
            << seconds([&] { rsvd(a, 20); }) << " s\n";
}

}  // namespace textbook
