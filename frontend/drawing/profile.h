// What `profile` of a built program measured, from the JSON that it writes with -o: for heat in drawings.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/drawing/heat.h"
#include "runtime/base/result.h"

namespace heed::drawing {

/// A step of a compiled function: the value that it is made for, and what all counted calls took for it.
struct ProfiledStep {
  std::string op, instance, where;  ///< "contract", "h.0.attn", "lm.heed:13:10 < lm.heed:29:19"
  bool gradient = false;
  Work work;
};
struct ProfiledFunction {
  std::string variant, entry;  ///< "step", "complete"
  Scale scale;
  std::vector<ProfiledStep> steps;
};
struct MeasuredProfile {
  /// Axes and constants that were set when the program was built, with their values.
  std::vector<std::pair<std::string, double>> set;
  std::vector<ProfiledFunction> functions;  ///< those that have calls that count
};

/// An error says what is wrong with the text: no JSON, no profile, damaged.
Result<MeasuredProfile> ReadProfile(std::string_view text);

/// Finds the values that a function's steps are made for, in the graph that it was planned from; an error if
/// a step is of none: then the profile is of another program.
Result<MeasuredGraph> Measure(const ir::Graph& graph, const ProfiledFunction& function);

}  // namespace heed::drawing
