#pragma once

/// Linear algebra on a GPU: products, factors and decompositions. Needs the target eckart::cublas.
#include "eckart/gpu/decompositions.hpp"
#include "eckart/gpu/device_engine.hpp"
#include "eckart/gpu/products.hpp"
