#pragma once

/// A BART on a GPU, and products through two factors in one kernel. Needs the target eckart::cuda
/// and nvcc; the file that loads a model includes eckart/bart.hpp as well.
#include "eckart/gpu/bart/generate.cuh"
#include "eckart/gpu/bart/teacher_forcing.cuh"
#include "eckart/gpu/fused_products.cuh"
