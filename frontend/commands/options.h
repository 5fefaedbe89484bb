// Options that several commands share, with the checks of their values.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "frontend/commands/timer.h"
#include "passes/pass.h"

namespace heed::commands {

/// A program, and what of it.
struct ProgramOptions {
  std::string file, entry;
  std::vector<std::string> set;  ///< "NAME=NUMBER"

  void Declare(CLI::App& app);
};

/// What passes are watched at or kept from.
struct PassFlags {
  std::vector<std::string> print_after;
  int bisect = -1;
  bool time_passes = false, trace_rewrites = false;

  void Declare(CLI::App& app);
  /// `what` heads each graph that is printed: "entry loss, train".
  passes::PassOptions Make(Timer& timer, const std::string& what) const;
};

/// Names of passes, and `all`.
CLI::Validator PassName();
/// --variant: a name of passes::Variant.
void AddVariant(CLI::App& app, std::string& variant);

}  // namespace heed::commands
