#pragma once

/// Linear algebra, low-rank factors and the transformer blocks that take them: everything of the
/// target eckart::eckart.
#include "eckart/backend/counting.hpp"
#include "eckart/backend/openblas.hpp"
#include "eckart/backend/reference.hpp"
#include "eckart/factor/apply.hpp"
#include "eckart/factor/factorize.hpp"
#include "eckart/linalg/cholesky.hpp"
#include "eckart/linalg/eigh.hpp"
#include "eckart/linalg/rsvd.hpp"
#include "eckart/nn/attention.hpp"
#include "eckart/nn/embedding.hpp"
#include "eckart/nn/feed_forward.hpp"
#include "eckart/nn/layer_norm.hpp"
#include "eckart/version.hpp"
