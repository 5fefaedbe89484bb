// heed graph: drawings of a program, at any pass, or of a graph in text form.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>

#include "frontend/commands/command.h"
#include "frontend/commands/load.h"
#include "frontend/drawing/dot.h"
#include "frontend/drawing/graphviz.h"
#include "frontend/drawing/page.h"
#include "frontend/drawing/svg.h"
#include "frontend/files.h"

namespace heed::commands {
namespace {

using ir::Variant;

constexpr const char* kFormats[] = {"svg", "png", "pdf", "dot", "html"};

const std::map<std::string, drawing::Depth> kDepths = {
    {"modules", drawing::Depth::Modules}, {"one", drawing::Depth::One}, {"ops", drawing::Depth::Ops}};
const std::map<std::string, drawing::Theme> kThemes = {
    {"auto", drawing::Theme::Auto}, {"light", drawing::Theme::Light}, {"dark", drawing::Theme::Dark}};

template <typename T>
std::vector<std::string> Names(const std::map<std::string, T>& table) {
  std::vector<std::string> names;
  for (const auto& [name, value] : table) names.push_back(name);
  return names;
}

/// A graph to be drawn, and what the program calls things; null: not known.
struct Subject {
  std::shared_ptr<const ir::Graph> graph;
  std::string title;
  const frontend::ProgramWords* words = nullptr;
  const frontend::Entry* entry = nullptr;  ///< of a program
};

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
    app.add_option("-o", output_,
                   "drawing: ends in .svg, .png, .pdf or .dot; .html: a page with all passes; - writes dot")
        ->type_name("OUT")
        ->required();
    program_.Declare(app);
    app.add_option("--after", after_, "after this pass")->type_name("PASS")->check(PassName());
    AddVariant(app, variant_);
    app.add_option("--depth", depth_,
                   "what is open: `modules`, layers and their parts; `one`, a level more; `ops`, everything "
                   "(the default with --after or --variant)")
        ->type_name("DEPTH")
        ->check(CLI::IsMember(Names(kDepths)));
    app.add_option("--theme", theme_, "`light`, `dark`, or `auto`: as the reader's system asks (SVG only)")
        ->type_name("THEME")
        ->check(CLI::IsMember(Names(kThemes)));
    app.add_flag("--unroll", unroll_, "draw equal layers one by one");
  }
  Result<int> Run() override;

 private:
  Result<Subject> Choose(const frontend::Entry& entry);

  Status Write(const std::vector<Subject>& subjects, const std::string& format) const;
  /// The graph itself and, of a program's entry, what each pass that changes it makes of it.
  std::vector<drawing::PageTab> TabsOf(const Subject& subject);
  Status WritePage(const std::vector<Subject>& subjects, const frontend::Program* program);

  ProgramOptions program_;
  std::string output_, after_, variant_, depth_, theme_ = "auto";
  bool unroll_ = false;
  Timer timer_;
};

Result<Subject> Graph::Choose(const frontend::Entry& entry) {
  const Variant variant = ChooseVariant(entry.kind, variant_, after_);
  const std::string title = "entry " + entry.name;
  if (after_.empty()) return Subject{variant == Variant::Train ? entry.graph : entry.infer, title};
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
  return Subject{drawn, Title(entry, variant) + " after " + after_};
}

Result<int> Graph::Run() {
  std::string format = std::filesystem::path(output_).extension().string();
  if (!format.empty()) format.erase(0, 1);
  if (std::find(std::begin(kFormats), std::end(kFormats), format) == std::end(kFormats)) {
    if (output_ != "-") return Error{output_ + ": the name must end in .svg, .png, .pdf, .dot or .html"};
    format = "dot";
  }
  if (format == "html" && (!depth_.empty() || theme_ != "auto"))
    return UsageError(
        "a page has every depth and follows the reader's system: leave out --depth and --theme");
  if (Status fine = CheckOutput(output_, program_.file); !fine) return fine.error();
  std::unique_ptr<frontend::Program> program;  // subjects use its words
  std::vector<Subject> subjects;
  if (IsHir(program_.file)) {
    const Result<std::shared_ptr<ir::Graph>> graph = ReadGraph(program_.file);
    if (!graph) return graph.error();
    subjects.push_back({*graph, std::filesystem::path(program_.file).filename().string()});
  } else {
    Result<std::unique_ptr<frontend::Program>> loaded = Load(program_, timer_);
    if (!loaded) return loaded.error();
    if (*loaded == nullptr) return 1;
    program = std::move(*loaded);
    if (Status fine = CheckOutput(output_, *program); !fine) return fine.error();
    if (program->entries.empty()) return Error{program_.file + ": has no entry to draw"};
    for (const frontend::Entry& entry : program->entries) {
      Result<Subject> subject = Choose(entry);
      if (!subject) return subject.error();
      subject->words = &program->words;
      subject->entry = &entry;
      subjects.push_back(std::move(*subject));
    }
  }
  const Status written = format == "html" ? WritePage(subjects, program.get()) : Write(subjects, format);
  return written ? Result<int>(0) : written.error();
}

std::vector<drawing::PageTab> Graph::TabsOf(const Subject& subject) {
  std::vector<drawing::PageTab> tabs;
  const auto add = [&](std::string_view name, std::string_view says, const ir::Graph& graph) {
    tabs.push_back({std::string(name), std::string(says),
                    drawing::Describe(graph, subject.words, subject.title, drawing::Depth::Ops, unroll_)});
  };
  add(after_.empty() ? "program" : after_, "", *subject.graph);
  if (subject.entry == nullptr || !after_.empty()) return tabs;
  const Variant variant = ChooseVariant(subject.entry->kind, variant_, "");
  passes::PassOptions options = PassFlags().Make(timer_, subject.title);
  for (const std::string_view name : passes::PassNames()) options.print_after.emplace_back(name);
  options.print = [&](std::string_view name, const ir::Graph& graph, bool changed) {
    if (!changed) return;
    for (const passes::PassText& pass : passes::AllPasses())
      if (pass.name == name) add(name, std::string(name) + " " + std::string(pass.what), graph);
  };
  passes::RunPipeline(Source(*subject.entry, variant), variant, options);
  return tabs;
}

Status Graph::WritePage(const std::vector<Subject>& subjects, const frontend::Program* program) {
  std::vector<drawing::PageGraph> graphs;
  for (const Subject& subject : subjects) graphs.push_back({subject.title, TabsOf(subject)});
  std::vector<drawing::PageSource> sources;
  if (program != nullptr) {
    // The program first, the prelude last.
    for (const auto& file : program->files) sources.push_back({file->short_name(), file->text()});
    std::stable_partition(sources.begin(), sources.end(),
                          [](const drawing::PageSource& source) { return source.name != "prelude"; });
  }
  const Result<std::string> page =
      drawing::Page(std::filesystem::path(program_.file).filename().string(), graphs, sources);
  return page ? frontend::WriteText(output_, *page) : page.error();
}

Status Graph::Write(const std::vector<Subject>& subjects, const std::string& format) const {
  const bool work = IsHir(program_.file) || !after_.empty() || !variant_.empty();
  const drawing::Depth depth = !depth_.empty() ? kDepths.at(depth_)
                               : work          ? drawing::Depth::Ops
                                               : drawing::Depth::Modules;
  std::vector<drawing::Model> models;
  for (const Subject& subject : subjects)
    models.push_back(drawing::Describe(*subject.graph, subject.words, subject.title, depth, unroll_));
  if (format == "dot") return frontend::WriteText(output_, drawing::Dot(models));
  std::vector<drawing::Drawing> drawings;
  for (drawing::Model& model : models) {
    Result<drawing::Layout> layout = drawing::LayOut(model);
    if (!layout) return layout.error();
    for (const std::string& remark : layout->remarks) std::cerr << output_ << ": " << remark << "\n";
    drawings.push_back({std::move(model), std::move(*layout)});
  }
  const std::string svg = drawing::Svg(drawings, kThemes.at(theme_));
  return format == "svg" ? frontend::WriteText(output_, svg) : drawing::ConvertSvg(svg, format, output_);
}

}  // namespace

std::unique_ptr<Command> MakeGraph() { return std::make_unique<Graph>(); }

}  // namespace heed::commands
