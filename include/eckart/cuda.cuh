#pragma once

/// A BART on a GPU. Needs the target eckart::cuda and nvcc; the file that loads a model includes
/// eckart/bart.hpp as well.
#include "eckart/gpu/bart/generate.cuh"
