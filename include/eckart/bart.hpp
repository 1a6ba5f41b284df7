#pragma once

/// Loading and running BART, and its tokenizer. compress.hpp has what makes a model smaller,
/// evaluate.hpp what tells how good it is.
#include "eckart/io/json.hpp"
#include "eckart/models/bart/config_json.hpp"
#include "eckart/models/bart/load.hpp"
#include "eckart/models/bart/module_tree.hpp"
#include "eckart/models/generate.hpp"
#include "eckart/text/bpe_tokenizer.hpp"
