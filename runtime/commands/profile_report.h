// A profile for people and for programs: rows by kernel, by module and by line of the program, as tables; and
// everything as JSON that is a Chrome trace too.
#pragma once

#include <string>
#include <vector>

#include "runtime/engine/machine_peak.h"
#include "runtime/engine/profiler.h"

namespace heed {

/// What was profiled, where.
struct Profile {
  const HeedProgram* program = nullptr;
  std::string command;  ///< "train"
  int threads = 1;
  MachinePeak peak;
  std::vector<FunctionProfile> functions;
  const Profiler* profiler = nullptr;  ///< spans, wall and events
};

enum class ProfileBy { Kernel, Module, Line };

/// Sums over steps of a function, all its counted calls.
struct ProfileRow {
  std::string name;
  int64_t depth = 0;  ///< of a module: those of its parts are part of it
  int64_t steps = 0;
  StepProfile sum;
};
/// The longest first; modules as a tree, each before its parts.
std::vector<ProfileRow> RowsOf(const FunctionProfile& function, ProfileBy by);

/// Tables of each function that took part of the time, `rows` of each at most.
std::string ProfileText(const Profile& profile, const std::vector<ProfileBy>& by, int64_t rows);
/// docs/commands.md describes it.
std::string ProfileJson(const Profile& profile);

}  // namespace heed
