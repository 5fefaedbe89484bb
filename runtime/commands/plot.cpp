// `plot`: the curves of training, from logs of `train --log`, also of runs that go on. What is drawn is
// curves.h's business.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "runtime/base/file_writer.h"
#include "runtime/base/running_curve.h"
#include "runtime/commands/command.h"
#include "runtime/commands/curves.h"
#include "runtime/commands/file_roles.h"
#include "runtime/commands/table.h"
#include "runtime/engine/program.h"

namespace heed {
namespace {

class PlotCommand final : public Command {
 public:
  std::string Name() const override { return "plot"; }
  std::string Summary() const override { return "draw the curves of training, from its logs"; }

  void Declare(CLI::App& app) override {
    app.add_option("logs", logs_, "what train --log wrote; several share a picture")
        ->type_name("F.jsonl")
        ->required();
    app.add_option("-o", out_,
                   "picture or page; - is the standard output, as SVG (default: the loss, in text)")
        ->type_name("CURVES.svg|CURVES.html");
  }

  Result<int> Run() override {
    if (Status ok = CheckOptions(); !ok) return ok.error();
    std::vector<TrainingLog> logs;
    for (const std::string& path : logs_) {
      Result<TrainingLog> log = ReadTrainingLog(path);
      if (!log) return log.error();
      if (log->last_step == 0) {
        if (logs_.size() == 1) return Error{path + ": there is no step yet; try again in a while"};
        PrintWarning(path + ": there is no step yet");
        continue;
      }
      logs.push_back(std::move(*log));
    }
    if (logs.empty()) return Error{"there is no step in any of the logs yet; try again in a while"};
    const std::vector<std::string> names = NamesOf(logs);
    if (out_.empty()) {
      PrintTexts(logs, names);
    } else if (out_ == "-") {
      const std::string svg = CurvesSvg(logs, names);
      std::fwrite(svg.data(), 1, svg.size(), stdout);
    } else if (Status ok = WriteWholeFile(
                   out_, out_.ends_with(".html") ? CurvesPage(logs, names) : CurvesSvg(logs, names));
               !ok) {
      return ok.error();
    }
    return kExitDone;
  }

 private:
  Status CheckOptions() const {
    if (!out_.empty() && out_ != "-" && !out_.ends_with(".svg") && !out_.ends_with(".html"))
      return UsageError("-o " + out_ + ": curves are SVG or a page; the name must end in .svg or .html");
    if (logs_.size() > kMostLogs) {
      return UsageError("one picture tells at most " + std::to_string(kMostLogs) + " logs apart, not " +
                        std::to_string(logs_.size()));
    }
    FileRoles roles;
    for (const std::string& path : logs_) roles.Reads("a log", path);
    if (out_ != "-") roles.Writes("-o", out_);
    return roles.Check();
  }

  static void PrintTexts(const std::vector<TrainingLog>& logs, const std::vector<std::string>& names) {
    constexpr int64_t kRows = 10;
    for (size_t i = 0; i < logs.size(); ++i) {
      RunningCurve curve;
      for (const double loss : logs[i].loss.values) curve.Add(loss);
      std::printf("%s%s: loss to step %s\n", i > 0 ? "\n" : "", names[i].c_str(),
                  WithCommas(logs[i].last_step).c_str());
      for (const std::string& line : curve.Lines(std::min<int64_t>(TerminalWidth(), 100), kRows))
        std::printf("%s\n", line.c_str());
    }
  }

  std::vector<std::string> logs_;
  std::string out_;
};

}  // namespace

void RegisterPlot(CommandLine& line) {
  if (EntriesOfKind(line.program(), kHeedEntryMinimize).empty()) return;
  line.Add(std::make_unique<PlotCommand>());
}

}  // namespace heed
