// The program heed: its commands, and what any of them may run into (signals, no memory, faults of our own, a
// reader that has gone). What a command does is in its file.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <new>
#include <stdexcept>

#include "backend/compile.h"
#include "backend/target/target.h"
#include "frontend/commands/command.h"
#include "frontend/commands/manual.h"
#include "runtime/base/process.h"
#include "runtime/base/stack.h"
#include "runtime/base/unfinished.h"

namespace heed::commands {
namespace {

constexpr const char* kNotices =
#include "heed_notices.inc"
    ;

int Main(int argc, char** argv) {
  // As --help lists them; opt, the last, is not listed.
  std::unique_ptr<Command> commands[] = {MakeBuild(),  MakeCheck(), MakeFmt(), MakeGraph(),
                                         MakePasses(), MakeOps(),   MakeOpt()};
  CLI::App app{"heed: a compiler for Transformers", "heed"};
  app.set_version_flag("--version", [] {
    std::string levels;
    for (const std::string& level : backend::CpuLevels()) levels += (levels.empty() ? "" : ", ") + level;
    return "heed " HEED_VERSION "\nLLVM " + backend::LlvmVersion() + "; levels " + levels;
  });
  app.add_flag_callback(
      "--licences",
      [] {
        std::cout << kNotices << std::flush;
        throw CLI::Success();
      },
      "print the notices of what is linked in");
  std::string shell;
  app.add_option("--completions", shell, "print completions for bash, zsh or fish")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");
  bool manual = false;
  app.add_flag("--manual", manual, "print a page of the manual, for man");
  app.require_subcommand(0, 1);
  app.failure_message([&](const CLI::App* failed, const CLI::Error& error) {
    if (failed == &app && argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty()) {
      std::string names;
      for (size_t i = 0; i + 1 < std::size(commands); ++i)
        names += (i == 0 ? "" : ", ") + commands[i]->Name();
      return "heed: no command `" + std::string(argv[1]) + "`; there are " + names + "\nsee heed --help\n";
    }
    std::string command;
    for (const CLI::App* used : app.get_subcommands()) command = used->get_name() + " ";
    return "heed: " + std::string(error.what()) + "\nsee heed " + command + "--help\n";
  });
  for (const auto& command : commands)
    command->Declare(*app.add_subcommand(command->Name(), command->Summary()));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (manual || !shell.empty()) {
    std::cout << (manual ? ManualPage(app) : Completions(app, shell));
    return 0;
  }
  if (app.get_subcommands().empty()) {
    std::cerr << "heed: a command is missing\nsee heed --help\n";
    return 2;
  }
  for (const auto& command : commands) {
    if (!app.get_subcommand(command->Name())->parsed()) continue;
    const Result<int> status = command->Run();
    if (status) return *status;
    std::cerr << "heed: error: " << status.error().message << '\n';
    return status.error().usage ? 2 : 1;
  }
  return 2;
}

void EndBySignal(int number) {
  EndUnfinished();
  _exit(128 + number);
}

/// Without memory (no message), or by a message of the code generator.
void EndLost(const char* message) {
  if (message != nullptr) EndAtOnce({"heed: internal error: ", message, "\n"});
  EndAtOnce({"heed: error: out of memory; use -j 1, a smaller program, or a machine with more\n"});
}

int RunCommand(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const std::bad_alloc&) {
    EndLost(nullptr);
  } catch (const std::length_error&) {  // more than any memory
    EndLost(nullptr);
  } catch (const std::exception& error) {
    std::cerr << "heed: internal error: " << error.what() << "\n"
              << "this is a bug in heed " HEED_VERSION
                 "; please report it with the program and this command:\n ";
    for (int i = 0; i < argc; ++i) std::cerr << " " << argv[i];
    std::cerr
        << "\nwith --print-after all the last graph printed is the one before the bug; if results are wrong\n"
           "instead, --bisect N finds the rewrite that breaks them\n";
  }
  return 1;
}

/// What was printed counts when it has arrived. A pipe whose reader has gone had enough: no message.
int WithOutput(int status) {
  if (std::cout.flush() && std::fflush(stdout) == 0) return status;
  if (status != 0) return status;
  if (!ReaderIsGone()) std::cerr << "heed: error: cannot write to the standard output\n";
  return 1;
}

}  // namespace
}  // namespace heed::commands

int main(int argc, char** argv) {
  using namespace heed;
  PrepareProcess(commands::EndBySignal);
  backend::OnLostCompile(commands::EndLost);
  return OnLargeStack([&] { return commands::WithOutput(commands::RunCommand(argc, argv)); },
                      [] { commands::EndLost(nullptr); });
}
