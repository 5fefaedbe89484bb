// The command line of a generated program: registration, parsing (CLI11), exit codes, messages, Ctrl-C. What
// a command does is in NAME.cpp.
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

#include "runtime/base/process.h"
#include "runtime/base/stack.h"
#include "runtime/base/unfinished.h"
#include "runtime/commands/command.h"
#include "runtime/commands/option_checks.h"
#include "runtime/engine/cpu.h"

namespace heed {
namespace {

constexpr const char* kNotices =
#include "program_notices.inc"
    ;

volatile sig_atomic_t interrupted = 0;
volatile sig_atomic_t stops_gently = 0;
volatile sig_atomic_t catches_interrupts = 0;

void OnSignal(int number) {
  if (catches_interrupts && number == SIGINT) {
    interrupted = 1;
    return;
  }
  if (stops_gently && !interrupted) {
    interrupted = 1;
    constexpr char kNote[] = "\nstopping after this step; once more stops at once\n";
    const int code = errno;
    if (isatty(STDERR_FILENO)) {
      [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, kNote, sizeof kNote - 1);
    }
    errno = code;
    return;
  }
  EndUnfinished();
  _exit(128 + number);
}

// No memory for a message either, nor for going back to where one would be printed.
void EndWithoutMemory() {
  EndAtOnce({"error: out of memory; use smaller batches, or a machine with more\n"});
}

int DefaultThreads() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

void Print(const char* kind, const char* colour, const std::string& message) {
  const bool colours = isatty(STDERR_FILENO) && std::getenv("NO_COLOR") == nullptr;
  std::fflush(stdout);
  if (colours) {
    std::fprintf(stderr, "\033[1;%sm%s:\033[0m %s\n", colour, kind, message.c_str());
  } else {
    std::fprintf(stderr, "%s: %s\n", kind, message.c_str());
  }
}

// The exit code after this, which is printed if it says anything: whoever closed the output knows.
int Ended(const Status& status) {
  if (status) return kExitDone;
  if (!status.error().message.empty()) PrintError(status.error().message);
  return kExitError;
}

std::string BaseName(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

}  // namespace

void StopGently() { stops_gently = 1; }
bool Interrupted() { return interrupted != 0; }
void CatchInterrupts() { catches_interrupts = 1; }
void ForgetInterrupt() { interrupted = 0; }
Status FlushOutput() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return Done{};
  return Error{ReaderIsGone() ? "" : "cannot write to standard output"};
}
void PrintError(const std::string& message) { Print("error", "31", message); }
void PrintWarning(const std::string& message) { Print("warning", "35", message); }
void PrintNote(const std::string& message) { Print("note", "36", message); }

void CommandLine::Add(std::unique_ptr<Command> command) {
  if (!Has(command->Name())) commands_.push_back(std::move(command));
}
bool CommandLine::Has(const std::string& name) const {
  return std::any_of(commands_.begin(), commands_.end(), [&](const auto& c) { return c->Name() == name; });
}

void CommandLine::Declare(CLI::App& app) {
  for (const auto& command : commands_) {
    CLI::App* sub = app.add_subcommand(command->Name(), command->Summary());
    sub->get_formatter()->column_width(34);
    if (!command->Listed()) sub->group("");
    command->Declare(*sub);
    declared_.push_back({sub, command.get()});
  }
}

CommandLine::Chosen CommandLine::chosen() const {
  for (const Chosen& each : declared_)
    if (each.app->parsed()) return each;
  return {};
}

int CommandLine::Run(int argc, const char* const* argv) {
  const std::string self = argc > 0 ? BaseName(argv[0]) : "program";
  CLI::App app{std::string(program_.source_name) + ", compiled by Heed " + program_.heed_version + " for " +
                   program_.cpu_level,
               self};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string(program_.source_name) + " compiled by Heed " +
                                        program_.heed_version + " for " + program_.cpu_level);
  app.add_flag_callback(
      "--licences",
      [] {
        std::fputs(kNotices, stdout);
        throw CLI::Success();
      },
      "print the notices of what is linked in");
  app.set_help_flag("-h,--help", "show this");
  app.get_formatter()->column_width(34);
  int threads = 0;
  const auto add_threads = [&](CLI::App& to) {
    to.add_option("--threads", threads, "threads to use (default: the machine's cores)")
        ->check(WholeNumber(1, 1024))
        ->type_name("N");
  };
  add_threads(app);
  Declare(app);
  for (const Chosen& each : declared_) add_threads(*each.app);
  try {
    app.parse(argc, const_cast<char**>(argv));
  } catch (const CLI::Success& success) {
    app.exit(success);  // --help, --version
    return Ended(FlushOutput());
  } catch (const CLI::ParseError& error) {
    const Chosen parsed = chosen();
    const std::string name = parsed.command ? " " + parsed.command->Name() : "";
    std::string message = error.what();
    // Without a command, the list of commands is what is wanted; a misspelt one is named.
    if (name.empty() && argc > 1 && argv[1][0] != '-') {
      std::vector<std::string> names;
      for (const auto& command : commands_)
        if (command->Listed()) names.push_back(command->Name());
      const std::string closest = ClosestName(argv[1], names);
      message = std::string("there is no command `") + argv[1] + "`; " +
                (closest.empty() ? "there are: " + ListNames(names, 32) : "did you mean `" + closest + "`?");
    } else if (name.empty() && error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) &&
               argc > 1) {
      message = "a command is missing";
    } else if (argc <= 1) {
      std::fprintf(stderr, "%s", app.help().c_str());
      message = "a command is missing";
    }
    PrintError(message + "\n  see `" + self + name + " --help`");
    return kExitUsage;
  }
  threads_ = threads > 0 ? threads : DefaultThreads();
  Command* const command = chosen().command;
  if (command == nullptr) return kExitUsage;
  const Result<int> result = command->Run();
  if (result) {
    const int flushed = Ended(FlushOutput());
    return *result == kExitDone ? flushed : *result;
  }
  if (result.error().usage) {
    PrintError(result.error().message + "\n  see `" + self + " " + command->Name() + " --help`");
    return kExitUsage;
  }
  return Ended(result.error());
}

namespace {
int RunCommands(const HeedProgram& program, int argc, const char* const* argv) {
  if (program.abi_version != kHeedAbiVersion) {
    PrintError("the compiled program and its runtime are of different versions of Heed; compile it again");
    return kExitError;
  }
  const char* forced = std::getenv("HEED_TARGET");
  if (Status status = CheckCpu(program.cpu_level, forced != nullptr ? forced : ""); !status) {
    PrintError(status.error().message);
    return kExitError;
  }
  try {
    CommandLine line(program);
    RegisterInfo(line);
    RegisterTrain(line);
    RegisterScore(line);
    RegisterGenerate(line);
    RegisterCall(line);
    RegisterQuantize(line);
    RegisterAttention(line);
    RegisterInit(line);
    RegisterProfile(line);
    RegisterPlot(line);
    return line.Run(argc, argv);
  } catch (const std::bad_alloc&) {
    EndWithoutMemory();
  } catch (const std::exception& exception) {
    PrintError(std::string("internal error: ") + exception.what());
  }
  return kExitError;
}
}  // namespace

int Main(const HeedProgram& program, int argc, const char* const* argv) {
  PrepareProcess(OnSignal);
  std::set_new_handler(EndWithoutMemory);
  return OnLargeStack([&] { return RunCommands(program, argc, argv); }, EndWithoutMemory);
}

}  // namespace heed
