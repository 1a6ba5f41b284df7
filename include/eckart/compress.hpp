#pragma once

/// From a BART and calibration texts to a smaller one: moments, plan, fit, files. Files of JSON
/// need bart.hpp or io/json.hpp besides.
#include "eckart/models/bart/save.hpp"
#include "eckart/models/bart_metrics.hpp"
#include "eckart/models/compress_bart.hpp"
#include "eckart/models/compress_sequentially.hpp"
#include "eckart/models/compression_plan_file.hpp"
#include "eckart/models/end_bias.hpp"
#include "eckart/models/fold_bart.hpp"
#include "eckart/models/gather_moments.hpp"
#include "eckart/models/latency_table.hpp"
#include "eckart/models/layer_timing.hpp"
#include "eckart/models/low_rank_file.hpp"
#include "eckart/models/moments_file.hpp"
#include "eckart/models/sensitivity.hpp"
