#pragma once

/// Reading JSON: parse_json and read_json (strict), json_value and json_value_or (members,
/// checked). The only header that includes the parser of nlohmann::json; json_fwd.hpp says why.
#include "eckart/io/json_parser.hpp"
#include "eckart/io/json_value.hpp"

#include <nlohmann/json.hpp>
