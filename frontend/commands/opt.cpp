// heed opt: passes on a graph in text form, one by one, for tests of passes.
#include <CLI/CLI.hpp>
#include <iostream>
#include <optional>

#include "frontend/commands/command.h"
#include "frontend/commands/load.h"
#include "frontend/files.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace heed::commands {
namespace {

class Opt : public Command {
 public:
  std::string Name() const override { return "opt"; }
  std::string Summary() const override { return "run passes on a graph in text form (for tests)"; }
  void Declare(CLI::App& app) override {
    app.group("");
    app.add_option("FILE", file_, "a .hir file")->required();
    app.add_option("--passes", names_, "in this order")->delimiter(',')->check(PassName());
    AddVariant(app, variant_);
    app.add_option("-o", output_, "what to write (default: the standard output)")->type_name("OUT");
    passes_.Declare(app);
  }
  Result<int> Run() override;

 private:
  std::string file_, output_ = "-", variant_;
  std::vector<std::string> names_;
  PassFlags passes_;
};

Result<int> Opt::Run() {
  if (Status fine = CheckOutput(output_, file_); !fine) return fine.error();
  const Result<std::shared_ptr<ir::Graph>> graph = ReadGraph(file_);
  if (!graph) return graph.error();
  for (const std::string& complaint : ir::Verify(**graph)) return Error{file_ + ": " + complaint};
  Timer timer;
  passes::PassOptions options = passes_.Make(timer, file_);
  std::vector<passes::Remark> remarks;
  options.remarks = &remarks;
  std::optional<ir::Variant> variant;
  for (const ir::Variant each : ir::kVariants)
    if (ir::Name(each) == variant_) variant = each;
  const std::optional<ir::Graph> result = passes::RunPasses(**graph, names_, options, variant);
  if (!result.has_value()) return Error{"unknown pass in --passes"};
  for (const passes::Remark& remark : remarks) std::cout << "# remark: " << remark.Text() << "\n";
  if (passes_.time_passes) timer.Print();
  const Status written = frontend::WriteText(output_, ir::Print(*result));
  return written ? Result<int>(0) : written.error();
}

}  // namespace

std::unique_ptr<Command> MakeOpt() { return std::make_unique<Opt>(); }

}  // namespace heed::commands
