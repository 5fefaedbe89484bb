// The command line of a generated program: a command is a class; main.cpp calls one RegisterXxx function a
// file, in the order in which --help lists the commands. What is common (--threads, exit codes, messages,
// Ctrl-C) is here; what a command does is in a file of its name. Nothing here computes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/abi.h"
#include "runtime/base/names.h"
#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace heed {

class Profiler;

enum ExitCode : int { kExitDone = 0, kExitError = 1, kExitUsage = 2, kExitInterrupted = 130 };

/// One sub-command. Lives from registration to the end of the program, so options may be bound to members.
class Command {
 public:
  virtual ~Command() = default;
  virtual std::string Name() const = 0;
  virtual std::string Summary() const = 0;  ///< one line for --help
  /// False: --help leaves it out; called all the same, it says why there is nothing to do.
  virtual bool Listed() const { return true; }
  /// Adds options, bound to members. --threads and --help are there already. An option group may serve
  /// several commands (see OptimizerChoice in optimizer_options.h).
  virtual void Declare(CLI::App& app) = 0;
  /// The exit code, or an error, which is printed; the exit code is then 1, or 2 for UsageError(...).
  virtual Result<int> Run() = 0;
};

/// The commands of one program.
class CommandLine {
 public:
  /// `profiler`: of what the commands compute, or null.
  explicit CommandLine(const HeedProgram& program, Profiler* profiler = nullptr)
      : program_(program), profiler_(profiler) {}
  const HeedProgram& program() const { return program_; }
  Profiler* profiler() const { return profiler_; }
  /// --threads, or the number of cores this process may use; valid from Run on.
  int threads() const { return threads_; }
  /// A name that is taken already is skipped. Entries go before commands of their names, but for info and
  /// call, whose names no entry has.
  void Add(std::unique_ptr<Command> command);
  bool Has(const std::string& name) const;
  /// Makes the commands sub-commands of `app`.
  void Declare(CLI::App& app);
  void UseThreads(int threads) { threads_ = threads; }
  /// The command that was parsed, and its app; null before.
  struct Chosen {
    CLI::App* app = nullptr;
    Command* command = nullptr;
  };
  Chosen chosen() const;
  /// Parses, runs the command, prints its error. Returns the exit code.
  int Run(int argc, const char* const* argv);

 private:
  const HeedProgram& program_;
  int threads_ = 0;
  std::vector<std::unique_ptr<Command>> commands_;
  std::vector<Chosen> declared_;
  Profiler* const profiler_;
};

void RegisterInfo(CommandLine& line);  ///< info
/// train, if the program has a `minimize` entry, and no other entry of that name
void RegisterTrain(CommandLine& line);
void RegisterInit(CommandLine& line);       ///< init
void RegisterProfile(CommandLine& line);    ///< profile, before any of the commands that compute
void RegisterAttention(CommandLine& line);  ///< attention
void RegisterPlot(CommandLine& line);       ///< plot, if the program has a `minimize` entry
void RegisterScore(CommandLine& line);      ///< score, unless an entry of that name is no value of texts
void RegisterGenerate(CommandLine& line);   ///< one command for each `generate` entry, by its name
void RegisterQuantize(CommandLine& line);   ///< quantize, if the program multiplies by parameters
void RegisterCall(CommandLine& line);       ///< call, and one command for each other entry, by its name

/// Everything main() does.
int Main(const HeedProgram& program, int argc, const char* const* argv);

/// Without it, Ctrl-C ends the process with 130 at once. After it, the first Ctrl-C (or SIGTERM, or a lost
/// terminal) only makes Interrupted() true, and the second ends the process; the command should then stop at
/// a good place and return kExitInterrupted.
void StopGently();
/// True after Ctrl-C, see StopGently.
bool Interrupted();
/// From now on Ctrl-C only makes Interrupted() true, as often as it is pressed: for talking at a terminal.
/// Other signals end the process.
void CatchInterrupts();
/// Forgets a Ctrl-C.
void ForgetInterrupt();
/// Sends on what was printed on the standard output. Where that fails, an error that ends the command:
/// without a message if the reader of a pipe has gone, as `head` does when it has enough.
Status FlushOutput();
/// "error: MESSAGE" or "warning: MESSAGE" or "note: MESSAGE" on stderr, in colour on a terminal.
void PrintError(const std::string& message);
void PrintWarning(const std::string& message);
void PrintNote(const std::string& message);

class PackedParameters;
class SafetensorsFile;
struct LoadReport;
struct ModelConfig;
struct ParameterSource;
class ParameterBlock;
class ThreadPool;
class Weights;
/// What is published beside weights; nothing beside a checkpoint of Heed's own.
ModelConfig ConfigOf(const SafetensorsFile& file, const std::string& path);
/// Notes and warnings about weights that were found.
void PrintReport(const std::string& path, const LoadReport& report);
/// Finds --weights for a command that reads them: a file, an index of files, or a folder. Announces the
/// prefix and what is tied, warns of tensors the program does not have and of what a config.json beside the
/// file contradicts, unless `announce` is false. An empty path is a usage error.
Result<Weights> FindWeights(const std::string& path, const HeedProgram& program, bool announce = true);
/// FindWeights, and copies them. An empty path is fine for a program without parameters.
Status LoadWeights(const std::string& path, const HeedProgram& program, ParameterBlock& parameters);
/// FindWeights, and keeps what `functions` read (null ones are skipped), matrices in the type named as in
/// packed_parameters.h; an empty name: in the file's. An empty path is fine for a program without parameters.
Result<PackedParameters> LoadPacked(const std::string& path, const HeedProgram& program,
                                    const std::vector<const HeedFunction*>& functions,
                                    const std::string& type, ThreadPool& threads, bool announce = true);
/// Reads from `weights`, which must outlive it.
ParameterSource SourceOf(const Weights& weights);
/// Option --weights-type of the commands that only read weights.
void AddWeightsType(CLI::App& app, std::string& type);

}  // namespace heed
