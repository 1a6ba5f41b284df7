#pragma once

#include <eckart/eckart.hpp>

auto first_singular_value(eckart::matrix<double> const& a) -> double;
auto rank_one(eckart::matrix<double> const& a) -> eckart::low_rank<double, eckart::diagonal_core>;
