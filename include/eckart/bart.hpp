#pragma once

/// Loading, compressing and running BART, and its tokenizer: everything of the target eckart::bart
/// that eckart.hpp does not have.
#include "eckart/eval/bootstrap.hpp"
#include "eckart/eval/cosine.hpp"
#include "eckart/eval/rouge.hpp"
#include "eckart/io/json.hpp"
#include "eckart/io/safetensors.hpp"
#include "eckart/models/bart/config_json.hpp"
#include "eckart/models/bart/module_tree.hpp"
#include "eckart/models/bart/save.hpp"
#include "eckart/models/compare_models.hpp"
#include "eckart/models/compress_bart.hpp"
#include "eckart/models/compress_sequentially.hpp"
#include "eckart/models/fold_bart.hpp"
#include "eckart/models/generate.hpp"
#include "eckart/models/layer_timing.hpp"
#include "eckart/models/low_rank_tensors.hpp"
#include "eckart/models/moments_file.hpp"
#include "eckart/models/sensitivity.hpp"
#include "eckart/models/teacher_forcing.hpp"
#include "eckart/text/bpe_tokenizer.hpp"
