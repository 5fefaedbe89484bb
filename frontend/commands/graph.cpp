// heed graph: drawings of a program, at any pass, or of a graph in text form.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>

#include "frontend/commands/command.h"
#include "frontend/commands/load.h"
#include "frontend/drawing/dot.h"
#include "frontend/drawing/graphviz.h"
#include "frontend/drawing/page.h"
#include "frontend/drawing/profile.h"
#include "frontend/drawing/svg.h"
#include "frontend/files.h"
#include "runtime/base/names.h"
#include "runtime/base/places.h"
#include "runtime/base/whole_file.h"

namespace heed::commands {
namespace {

using ir::Variant;

constexpr const char* kFormats[] = {"svg", "png", "pdf", "dot", "html"};

const std::map<std::string, drawing::Depth> kDepths = {{"modules", drawing::Depth::Modules},
                                                       {"one", drawing::Depth::One},

                                                       {"ops", drawing::Depth::Ops}};
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
  /// Of a profile: the function, what its graph above, that after all passes, took.
  std::optional<Variant> variant = {};
  std::optional<drawing::MeasuredGraph> measured = {};
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
    app.add_option(
           "--profile", profile_file_,
           "what `OUT profile COMMAND ... -o FILE.json` measured: draw its functions, as they were built, "
           "with the time that everything takes")
        ->type_name("FILE.json");
  }
  Result<int> Run() override;

 private:
  Result<Subject> Choose(const frontend::Entry& entry);
  /// What is drawn of a program: each entry, or each function of the profile.
  Result<std::vector<Subject>> SubjectsOf(const frontend::Program& program);
  Result<Subject> Measured(const frontend::Program& program, const drawing::ProfiledFunction& function) const;
  Status ReadProfile();

  Status Write(const std::vector<Subject>& subjects, const std::string& format) const;
  /// The graph itself and, of a program's entry, what each pass that changes it makes of it.
  std::vector<drawing::PageTab> TabsOf(const Subject& subject);
  Status WritePage(const std::vector<Subject>& subjects, const frontend::Program* program);

  ProgramOptions program_;
  std::string output_, after_, variant_, depth_, theme_ = "auto", profile_file_;
  bool unroll_ = false;
  std::optional<drawing::MeasuredProfile> profile_;
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

Status Graph::ReadProfile() {
  if (profile_file_.empty()) return Done{};
  if (IsHir(program_.file)) return UsageError("a profile is of a program: --profile is not for a .hir file");
  if (!after_.empty())
    return UsageError("what was measured is what all passes made: leave out --after, or --profile");
  if (!program_.set.empty())
    return UsageError("a profile says what its program was built with: leave out --set, or --profile");
  if (output_ != "-" && SameFile(output_, profile_file_))
    return UsageError(output_ + ": would overwrite the profile; name the output with -o");
  constexpr int64_t kMostBytes = 64 << 20;
  const Result<std::string> text = ReadWholeFile(profile_file_, kMostBytes);
  if (!text) return text.error();
  Result<drawing::MeasuredProfile> profile = drawing::ReadProfile(*text);
  if (!profile) return Error{profile_file_ + ": " + profile.error().message};
  profile_ = std::move(*profile);
  for (const auto& [name, value] : profile_->set) {
    std::ostringstream number;
    number << std::setprecision(17) << value;
    program_.set.push_back(name + "=" + number.str());
  }
  return Done{};
}

Result<std::vector<Subject>> Graph::SubjectsOf(const frontend::Program& program) {
  std::vector<Subject> subjects;
  if (!profile_) {
    if (program.entries.empty()) return Error{program_.file + ": has no entry to draw"};
    for (const frontend::Entry& entry : program.entries) {
      Result<Subject> subject = Choose(entry);
      if (!subject) return subject.error();
      subjects.push_back(std::move(*subject));
      subjects.back().words = &program.words;
      subjects.back().entry = &entry;
    }
    return subjects;
  }
  std::vector<std::string> names;
  for (const drawing::ProfiledFunction& function : profile_->functions) {
    names.push_back(function.variant + "/" + function.entry);
    if (!program_.entry.empty() && function.entry != program_.entry) continue;
    if (!variant_.empty() && function.variant != variant_) continue;
    Result<Subject> subject = Measured(program, function);
    if (!subject) return Error{profile_file_ + ": " + subject.error().message};
    subjects.push_back(std::move(*subject));
  }
  if (subjects.empty())
    return Error{profile_file_ + ": has nothing of what --entry and --variant ask for; it has " +
                 ListNames(names)};
  return subjects;
}

Result<Subject> Graph::Measured(const frontend::Program& program,
                                const drawing::ProfiledFunction& function) const {
  const std::string name = "`" + function.variant + "/" + function.entry + "`";
  const auto entry = std::find_if(program.entries.begin(), program.entries.end(),
                                  [&](const frontend::Entry& each) { return each.name == function.entry; });
  if (entry == program.entries.end()) {
    std::vector<std::string> entries;
    for (const frontend::Entry& each : program.entries) entries.push_back(each.name);
    return Error{"is of " + name + ", and " + program_.file + " has no such entry" +
                 (entries.empty() ? "" : ", but " + ListNames(entries))};
  }
  std::vector<Variant> variants = Variants(entry->kind);
  variants.push_back(Variant::Weights);
  const auto variant = std::find_if(variants.begin(), variants.end(),
                                    [&](Variant each) { return ir::Name(each) == function.variant; });
  if (variant == variants.end())
    return Error{"is of " + name + ", which is nothing that entry `" + entry->name + "` becomes in " +
                 program_.file};
  Subject subject{std::make_shared<const ir::Graph>(
                      passes::RunPipeline(Source(*entry, *variant), *variant, passes::PassOptions{})),
                  Title(*entry, *variant), &program.words, &*entry, *variant};
  Result<drawing::MeasuredGraph> measured = drawing::Measure(*subject.graph, function);
  if (!measured) return measured.error();
  subject.measured = std::move(*measured);
  subject.title += ", " + drawing::CallsText(function.scale);
  return subject;
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
  if (Status fine = ReadProfile(); !fine) return fine.error();
  std::unique_ptr<frontend::Program> program;  // subjects use its words
  std::vector<Subject> subjects;
  if (IsHir(program_.file)) {
    const Result<std::shared_ptr<ir::Graph>> graph = ReadGraph(program_.file);
    if (!graph) return graph.error();
    subjects.push_back({*graph, std::filesystem::path(program_.file).filename().string()});
  } else {
    Result<std::unique_ptr<frontend::Program>> loaded = Load(program_, timer_);
    if (!loaded) return loaded.error();
    if (*loaded == nullptr) {
      if (!program_.set.empty() && profile_)
        std::cerr << profile_file_ << ": the profile is of a program that was built with these --set\n";
      return 1;
    }
    program = std::move(*loaded);
    if (Status fine = CheckOutput(output_, *program); !fine) return fine.error();
    Result<std::vector<Subject>> chosen = SubjectsOf(*program);
    if (!chosen) return chosen.error();
    subjects = std::move(*chosen);
  }
  const Status written = format == "html" ? WritePage(subjects, program.get()) : Write(subjects, format);
  return written ? Result<int>(0) : written.error();
}

std::vector<drawing::PageTab> Graph::TabsOf(const Subject& subject) {
  std::vector<drawing::PageTab> tabs;
  const auto describe = [&](const ir::Graph& graph, const drawing::MeasuredGraph* measured) {
    return drawing::Describe(graph, subject.words, subject.title, drawing::Depth::Ops, unroll_, measured);
  };
  const auto add = [&](std::string_view name, std::string_view says, const ir::Graph& graph) {
    tabs.push_back({std::string(name), std::string(says), describe(graph, nullptr)});
  };
  const Variant variant = subject.variant            ? *subject.variant
                          : subject.entry != nullptr ? ChooseVariant(subject.entry->kind, variant_, "")
                                                     : Variant::Forward;
  add(after_.empty() ? "program" : after_, "",
      subject.measured ? Source(*subject.entry, variant) : *subject.graph);
  if (subject.entry == nullptr || !after_.empty()) return tabs;
  passes::PassOptions options = PassFlags().Make(timer_, subject.title);
  for (const std::string_view name : passes::PassNames()) options.print_after.emplace_back(name);
  options.print = [&](std::string_view name, const ir::Graph& graph, bool changed) {
    if (!changed) return;
    for (const passes::PassText& pass : passes::AllPasses())
      if (pass.name == name) add(name, std::string(name) + " " + std::string(pass.what), graph);
  };
  passes::RunPipeline(Source(*subject.entry, variant), variant, options);
  if (subject.measured) tabs.back().model = describe(*subject.graph, &*subject.measured);
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
  const bool work = IsHir(program_.file) || !after_.empty() || (!variant_.empty() && !profile_);
  const drawing::Depth depth = !depth_.empty() ? kDepths.at(depth_)
                               : work          ? drawing::Depth::Ops
                                               : drawing::Depth::Modules;
  std::vector<drawing::Model> models;
  for (const Subject& subject : subjects)
    models.push_back(drawing::Describe(*subject.graph, subject.words, subject.title, depth, unroll_,
                                       subject.measured ? &*subject.measured : nullptr));
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
