#pragma once

#include "eckart/core/allocator.hpp"

/// The only file that names an xtensor header: 0.24 and 0.25 keep them flat, 0.26 and later in
/// folders.
#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif

namespace eckart {
inline namespace v0 {

template <class T>
using matrix = xt::xtensor<T, 2, xt::layout_type::row_major, allocator<T>>;  ///< owning, row-major

template <class T>
using vector = xt::xtensor<T, 1, xt::layout_type::row_major, allocator<T>>;  ///< owning

}  // namespace v0
}  // namespace eckart
