// The commands of heed: a command is a class in a file of its own; main.cpp lists them in the order of
// --help. Exit status: 0 done; 1 something wrong with a program or file; 2 wrong command line.
#pragma once

#include <memory>
#include <string>

#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace heed::commands {

/// Lives from registration to the end of the process, so options may be bound to members.
class Command {
 public:
  virtual ~Command() = default;
  virtual std::string Name() const = 0;
  virtual std::string Summary() const = 0;  ///< one line for --help
  /// Adds options, bound to members.
  virtual void Declare(CLI::App& app) = 0;
  /// The exit status, or an error, which is printed; the status is then 1, or 2 for UsageError(...).
  virtual Result<int> Run() = 0;
};

std::unique_ptr<Command> MakeBuild();   ///< build
std::unique_ptr<Command> MakeCheck();   ///< check
std::unique_ptr<Command> MakeFmt();     ///< fmt
std::unique_ptr<Command> MakeGraph();   ///< graph
std::unique_ptr<Command> MakePasses();  ///< passes
std::unique_ptr<Command> MakeOps();     ///< ops
std::unique_ptr<Command> MakeOpt();     ///< opt, not listed by --help

}  // namespace heed::commands
