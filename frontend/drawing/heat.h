// Time in drawings: what boxes took of a profiled function, as colours and as words.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace heed::drawing {

struct Model;

/// Measured amounts, summed over calls.
struct Work {
  double nanoseconds = 0, flops = 0, bytes = 0;
  void Add(const Work& other) {
    nanoseconds += other.nanoseconds;
    flops += other.flops;
    bytes += other.bytes;
  }
};

/// What amounts are parts of.
struct Scale {
  double calls = 0, nanoseconds = 0;
  double peak_flops = 0, peak_bytes = 0;  ///< a second; 0: not known
};

/// A function's work, by the values of its graph.
struct MeasuredGraph {
  Scale scale;
  std::map<ir::NodeId, Work> work;
};

/// A colour of the scale: for shares of the time below a bound, and not below that of the colour before.
struct HeatStep {
  std::string_view role;  ///< in theme.h
  double below;
  std::string_view words;
};
std::span<const HeatStep> HeatSteps();

/// The role of the colour for an amount of work; that of no work is "cold".
std::string_view HeatRole(const Work& work, const Scale& scale);
/// "12.3 %", "< 0.1 %"; "" for no time.
std::string ShareText(const Work& work, const Scale& scale);
/// "12.3 % of the time, 1.234 ms a call; 4.5 MFLOP a call: 12.0 GFLOP/s, 20 % of peak; 1.0 MB a call: ...".
std::string WorkText(const Work& work, const Scale& scale);

/// "4 calls of 12.345 ms".
std::string CallsText(const Scale& scale);

/// Work in a module, at any depth: of its gradient or of the rest; of both if nothing is said.
Work WorkIn(const Model& model, int module, std::optional<bool> gradient = {});

}  // namespace heed::drawing
