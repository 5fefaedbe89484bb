// heed graph: drawings of a program, at any pass, or of a graph in text form.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iterator>

#include "frontend/commands/command.h"
#include "frontend/commands/load.h"
#include "frontend/draw.h"
#include "frontend/files.h"
#include "ir/text.h"

namespace heed::commands {
namespace {

using ir::Variant;

constexpr const char* kFormats[] = {"svg", "png", "pdf", "dot"};

/// The variant called `name`; "": the first whose pipeline has the pass `after`, the step before the prefill.
Variant ChooseVariant(frontend::EntryKind kind, const std::string& name, const std::string& after) {
  std::vector<Variant> variants = Variants(kind);
  variants.push_back(Variant::Weights);
  const auto has_pass = [&](Variant variant) {
    const std::vector<std::string_view> names = passes::Pipeline(variant);
    return after.empty() || std::find(names.begin(), names.end(), after) != names.end();
  };
  Variant chosen = variants.front();
  for (auto it = variants.rbegin(); it != variants.rend(); ++it)
    if (name.empty() ? !has_pass(chosen) && has_pass(*it) : ir::Name(*it) == name) chosen = *it;
  return chosen;
}

class Graph : public Command {
 public:
  std::string Name() const override { return "graph"; }
  std::string Summary() const override { return "draw the program, or a .hir file"; }
  void Declare(CLI::App& app) override {
    app.add_option("FILE", program_.file, "the program")->required();
    app.add_option("-o", output_, "drawing: ends in .svg, .png, .pdf or .dot; - writes dot")
        ->type_name("OUT")
        ->required();
    program_.Declare(app);
    app.add_option("--after", after_, "after this pass")->type_name("PASS")->check(PassName());
    AddVariant(app, variant_);
    app.add_flag("--unroll", unroll_, "draw equal layers one by one");
  }
  Result<int> Run() override;

 private:
  Result<ir::Picture> Draw(const frontend::Entry& entry);

  ProgramOptions program_;
  std::string output_, after_, variant_;
  bool unroll_ = false;
  Timer timer_;
};

Result<ir::Picture> Graph::Draw(const frontend::Entry& entry) {
  const Variant variant = ChooseVariant(entry.kind, variant_, after_);
  const std::string title = "entry " + entry.name;
  if (after_.empty()) return ir::Picture{variant == Variant::Train ? entry.graph : entry.infer, title};
  // Passes that run twice in the pipeline are drawn as of their last run.
  std::shared_ptr<const ir::Graph> drawn;
  passes::PassOptions options = PassFlags().Make(timer_, title);
  options.print_after = {after_};
  options.print = [&](std::string_view, const ir::Graph& graph, bool) {
    drawn = std::make_shared<ir::Graph>(graph);
  };
  passes::RunPipeline(Source(entry, variant), variant, options);
  if (drawn == nullptr)
    return Error{"pass `" + after_ + "` is not part of the pipeline of " + Title(entry, variant)};
  return ir::Picture{drawn, Title(entry, variant) + " after " + after_};
}

Result<int> Graph::Run() {
  std::string format = std::filesystem::path(output_).extension().string();
  if (!format.empty()) format.erase(0, 1);
  if (std::find(std::begin(kFormats), std::end(kFormats), format) == std::end(kFormats)) {
    if (output_ != "-") return Error{output_ + ": the name must end in .svg, .png, .pdf or .dot"};
    format = "dot";
  }
  if (Status fine = CheckOutput(output_, program_.file); !fine) return fine.error();
  std::vector<ir::Picture> pictures;
  if (IsHir(program_.file)) {
    const Result<std::shared_ptr<ir::Graph>> graph = ReadGraph(program_.file);
    if (!graph) return graph.error();
    pictures.push_back({*graph, std::filesystem::path(program_.file).filename().string()});
  } else {
    const Result<std::unique_ptr<frontend::Program>> program = Load(program_, timer_);
    if (!program) return program.error();
    if (*program == nullptr) return 1;
    if (Status fine = CheckOutput(output_, **program); !fine) return fine.error();
    if ((*program)->entries.empty()) return Error{program_.file + ": has no entry to draw"};
    for (const frontend::Entry& entry : (*program)->entries) {
      Result<ir::Picture> picture = Draw(entry);
      if (!picture) return picture.error();
      pictures.push_back(std::move(*picture));
    }
  }
  const std::string dot = ir::Dot(pictures, unroll_);
  const Status written =
      format == "dot" ? frontend::WriteText(output_, dot) : frontend::RunGraphviz(dot, format, output_);
  return written ? Result<int>(0) : written.error();
}

}  // namespace

std::unique_ptr<Command> MakeGraph() { return std::make_unique<Graph>(); }

}  // namespace heed::commands
