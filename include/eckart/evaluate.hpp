#pragma once

/// How good a model's summaries and states are: ROUGE with intervals, teacher-forced loss, cosines
/// to another model.
#include "eckart/eval/bootstrap.hpp"
#include "eckart/eval/cosine.hpp"
#include "eckart/eval/rouge.hpp"
#include "eckart/models/compare_models.hpp"
#include "eckart/models/teacher_forcing.hpp"
