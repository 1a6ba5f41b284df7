#pragma once

#include "eckart/models/bart/bart.hpp"

#include <string>
#include <utility>
#include <variant>

namespace eckart {
inline namespace v0 {

/// The layer with its dense weight in 8 bits a number; as it is where the weight is in factors or
/// in 8 bits already. Throws numerical_error for a number that is not finite.
template <real T>
auto in_int8(linear<T> const& layer) -> linear<T> {
  auto const* const dense = std::get_if<matrix<T>>(&layer.stored_weight());
  return dense == nullptr ? layer : layer.with_weight(int8_rows<T>(as_view(*dense)));
}

/// Stores every dense linear layer in 8 bits a number, and the output table as a layer `lm_head` of
/// such numbers (the words of the inputs are still read from the table of floats, if they share
/// it). A quarter of the bytes that a decoder reads for each token; W is off by at most 1/254 of
/// the largest number of each row, inputs of a layer by as much of theirs. Throws numerical_error.
template <real T>
void use_int8(bart<T>& model) {
  model.visit_linears([](std::string const&, linear<T>& layer) { layer = in_int8(layer); });
  if (!model.lm_head()) {
    model.replace(lm_head_name, linear<T>(int8_rows<T>(model.output_table())));
  }
}

}  // namespace v0
}  // namespace eckart
