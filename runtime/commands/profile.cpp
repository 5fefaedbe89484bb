// `profile COMMAND ...`: runs another command of the program and says where its time went. The commands are
// of a command line of their own, which has a profiler; each takes the options that it has without.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "runtime/base/file_writer.h"
#include "runtime/commands/command.h"
#include "runtime/commands/file_roles.h"
#include "runtime/commands/option_checks.h"
#include "runtime/commands/profile_report.h"

namespace heed {
namespace {

class ProfileCommand final : public Command {
 public:
  explicit ProfileCommand(const CommandLine& line) : line_(line), commands_(line.program(), &profiler_) {
    RegisterTrain(commands_);
    RegisterScore(commands_);
    RegisterGenerate(commands_);
    RegisterCall(commands_);
    RegisterAttention(commands_);
  }
  std::string Name() const override { return "profile"; }
  std::string Summary() const override { return "run a command; where its time goes"; }

  void Declare(CLI::App& app) override {
    app.require_subcommand(1);
    app.add_option("-o", out_, "everything as JSON, which trace viewers (Perfetto) read too")
        ->type_name("FILE.json");
    app.add_option("--by", by_, "only this table (default: all three)")
        ->check(CLI::IsMember({"kernel", "module", "line"}))
        ->type_name("kernel|module|line");
    app.add_option("--rows", rows_, "of a table, the longest first")
        ->check(WholeNumber(1))
        ->capture_default_str()
        ->type_name("N");
    app.add_option("--skip", skip_, "first calls of a function that do not count, if there are more")
        ->check(WholeNumber(0))
        ->capture_default_str()
        ->type_name("N");
    commands_.Declare(app);
    // Options of this command may stand behind the other's.
    for (CLI::App* command : app.get_subcommands({})) command->fallthrough();
  }

  Result<int> Run() override {
    const CommandLine::Chosen chosen = commands_.chosen();
    if (Status ok = CheckFiles(*chosen.app); !ok) return ok.error();
    commands_.UseThreads(line_.threads());
    profiler_.Skip(skip_);
    const Result<int> code = chosen.command->Run();
    if (!code) return code;
    Profile profile{&line_.program(), chosen.command->Name(), line_.threads(), {}, profiler_.functions(),
                    &profiler_};
    if (profile.functions.empty()) {
      PrintNote("nothing was computed: there is nothing to say");
      return code;
    }
    {
      ThreadPool pool(line_.threads());
      profile.peak = MeasurePeak(line_.program(), pool);
    }
    const std::vector<ProfileBy> all = {ProfileBy::Kernel, ProfileBy::Module, ProfileBy::Line};
    const auto chosen_tables = by_.empty()       ? all
                               : by_ == "line"   ? std::vector{ProfileBy::Line}
                               : by_ == "module" ? std::vector{ProfileBy::Module}
                                                 : std::vector{ProfileBy::Kernel};
    std::printf("%s", ProfileText(profile, chosen_tables, rows_).c_str());
    if (!out_.empty()) {
      if (Status written = WriteWholeFile(out_, ProfileJson(profile)); !written) return written.error();
    }
    return code;
  }

 private:
  /// The output is no file that the profiled command names.
  Status CheckFiles(const CLI::App& command) const {
    if (out_.empty()) return Done{};
    FileRoles roles;
    for (const CLI::Option* option : command.get_options()) {
      if (option->get_type_name().empty()) continue;
      for (const std::string& value : option->results()) roles.ReadsWeights(option->get_name(), value);
    }
    roles.Writes("-o", out_);
    if (Status ok = roles.Check(); !ok) return ok;
    return CheckCanWrite(out_);
  }

  const CommandLine& line_;
  Profiler profiler_;
  CommandLine commands_;
  std::string out_, by_;
  int64_t rows_ = 12, skip_ = 1;
};

}  // namespace

void RegisterProfile(CommandLine& line) { line.Add(std::make_unique<ProfileCommand>(line)); }

}  // namespace heed
