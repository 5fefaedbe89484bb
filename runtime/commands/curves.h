// The curves of training as a picture or a page: loss, BLEU, rate, norm of the gradient and speed of one or
// several logs over their steps, on light and dark pages.
#pragma once

#include <span>
#include <string>

#include "runtime/commands/training_log.h"

namespace heed {

/// Logs that one picture can tell apart by colour.
constexpr size_t kMostLogs = 8;

/// The logs, called `names`, as one SVG. Charts without any number are left out.
std::string CurvesSvg(std::span<const TrainingLog> logs, std::span<const std::string> names);
/// The same as a page that needs nothing else and says the numbers of a step that is pointed at.
std::string CurvesPage(std::span<const TrainingLog> logs, std::span<const std::string> names);

}  // namespace heed
