#pragma once

/// Reading and writing tensors: safetensors_reader (one file), safetensors_archive (a file or the
/// shards of a directory), safetensors_writer. Opening a file needs io/json.hpp besides.
#include "eckart/io/dtype.hpp"
#include "eckart/io/safetensors_archive.hpp"
#include "eckart/io/safetensors_format.hpp"
#include "eckart/io/safetensors_parser.hpp"
#include "eckart/io/safetensors_reader.hpp"
#include "eckart/io/safetensors_writer.hpp"
#include "eckart/io/tensor_batch.hpp"
#include "eckart/io/tensor_reads.hpp"
