#pragma once

#include <cstdint>

/// Forward declarations of the types that other headers of a project may want to name.
namespace eckart {
inline namespace v0 {

enum class form;
struct shape2;
template <class T, class Memory>
struct matrix_view;

struct full_core;
struct diagonal_core;
struct two_factor;
struct pivoted;

}  // namespace v0
}  // namespace eckart
