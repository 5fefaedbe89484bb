// heed build: a program into one file, whole or at an earlier stage.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <thread>

#include "backend/compile.h"
#include "backend/target/target.h"
#include "frontend/commands/command.h"
#include "frontend/commands/describe.h"
#include "frontend/commands/load.h"
#include "frontend/files.h"
#include "ir/text.h"
#include "passes/attention_weights.h"
#include "passes/remarks.h"
#include "runtime/base/temporary_folder.h"

namespace heed::commands {
namespace {

namespace fs = std::filesystem;
using ir::Variant;

/// What --emit can name, and how the file is called without -o. `graph` is made here, the rest by the back
/// end.
struct EmitName {
  const char* name;
  const char* suffix;
  std::optional<backend::Emit> emit;
};
constexpr EmitName kEmits[] = {
    {"exe", "", backend::Emit::Executable},  {"shared", ".so", backend::Emit::Shared},
    {"object", ".o", backend::Emit::Object}, {"graph", ".hir", std::nullopt},
    {"plan", ".plan", backend::Emit::Plan},  {"llvm", ".ll", backend::Emit::Llvm},
    {"asm", ".s", backend::Emit::Assembly}};

std::string CheckPrecision(const std::string& name) {
  return name == "f32" ? ""
                       : "training is in f32, not " + name +
                             "; what is built takes weights of smaller types with --weights-type";
}

class Build : public Command {
 public:
  std::string Name() const override { return "build"; }
  std::string Summary() const override { return "compile a program into one file"; }
  void Declare(CLI::App& app) override;
  Result<int> Run() override;

 private:
  Status AddFunctions(const frontend::Program& program, backend::ProgramSpec& spec);
  bool AddWeights(const frontend::Entry& entry, backend::EntrySpec& spec);
  Status ChooseWeights(const frontend::Program& program, backend::ProgramSpec& spec);
  std::string Graphs(const frontend::Program& program, const backend::ProgramSpec& spec) const;
  Status Compile(const backend::ProgramSpec& spec, const std::string& output, const std::string& stem);

  ProgramOptions program_;
  PassFlags passes_;
  std::string output_, cpu_ = "native", precision_ = "f32", emit_ = "exe", attention_;
  int jobs_ = 0;
  bool quiet_ = false;
  Timer timer_;
};

void Build::Declare(CLI::App& app) {
  app.add_option("FILE", program_.file, "the program")->required();
  app.add_option("-o", output_, "what to write (default: the program's name); - is the standard output")
      ->type_name("OUT");
  program_.Declare(app);
  app.add_option("--cpu", cpu_, "native; or a level such as x86-64-v3; or a processor such as znver4")
      ->type_name("LEVEL")
      ->check(CLI::Validator(
          [](std::string& cpu) {
            const Status known = backend::CheckCpu(cpu);
            return known ? std::string() : known.error().message;
          },
          "", ""))
      ->capture_default_str();
  app.add_option("--precision", precision_, "of training; only f32")
      ->type_name("f32")
      ->check(CLI::Validator(CheckPrecision, "", ""));
  std::vector<std::string> emits;
  for (const EmitName& each : kEmits) emits.emplace_back(each.name);
  app.add_option("--emit", emit_, "what to make")->check(CLI::IsMember(emits))->capture_default_str();
  app.add_option("--attention", attention_,
                 "whose weights the command `attention` draws, or none (default: one that takes texts)")
      ->type_name("ENTRY[,ENTRY...]");
  passes_.Declare(app);
  app.add_option("-j", jobs_, "threads that generate code (default: all cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app.add_flag("-q", quiet_, "no messages but errors");
}

/// The graphs of all entries, through the passes.
Status Build::AddFunctions(const frontend::Program& program, backend::ProgramSpec& spec) {
  for (const frontend::Entry& entry : program.entries) {
    backend::EntrySpec& described = spec.entries.emplace_back(Describe(program, entry));
    for (const Variant variant : Variants(entry.kind)) {
      passes::PassOptions options = passes_.Make(timer_, Title(entry, variant));
      std::vector<passes::Remark> remarks;
      options.remarks = &remarks;
      described.graphs[variant] =
          std::make_shared<const ir::Graph>(passes::RunPipeline(Source(entry, variant), variant, options));
      spec.remarks[std::string(ir::Name(variant)) + "/" + entry.name] = passes::OnceEach(remarks);
    }
  }
  return ChooseWeights(program, spec);
}

/// Adds to an entry the function that recomputes its weights of attention. False: it has none, or takes more
/// than texts.
bool Build::AddWeights(const frontend::Entry& entry, backend::EntrySpec& spec) {
  auto graph = std::make_shared<const ir::Graph>(
      passes::RunPipeline(Source(entry, Variant::Weights), Variant::Weights,
                          passes_.Make(timer_, Title(entry, Variant::Weights))));
  if (graph->outputs.empty() || !passes::TakesTexts(*graph)) return false;
  for (const auto& [name, weights] : graph->outputs)
    spec.weight_axes.emplace_back(name, passes::OrderOfWeights(*graph, name, weights));
  spec.graphs[Variant::Weights] = std::move(graph);
  return true;
}

/// Weights of attention for the entries of --attention; an error if one of them has none. Without it a
/// runnable program gets those of one entry: the first that can be given as text, one that computes a value
/// before one that minimizes or generates, since all of them usually share one model.
Status Build::ChooseWeights(const frontend::Program& program, backend::ProgramSpec& spec) {
  if (attention_ == "none") return Done{};
  for (size_t begin = 0; begin < attention_.size();) {
    const size_t end = std::min(attention_.find(',', begin), attention_.size());
    const std::string name = attention_.substr(begin, end - begin);
    begin = end + 1;
    const auto found = std::find_if(program.entries.begin(), program.entries.end(),
                                    [&](const frontend::Entry& entry) { return entry.name == name; });
    if (found == program.entries.end()) return Error{"--attention " + name + ": there is no such entry"};
    if (!AddWeights(*found, spec.entries[found - program.entries.begin()])) {
      return Error{"--attention " + name +
                   ": it has no softmax over positions, or takes more than texts, each along a dynamic axis "
                   "of its own"};
    }
  }
  const bool runs = emit_ == "exe" || emit_ == "shared" || emit_ == "object";
  if (!attention_.empty() || !runs) return Done{};
  using Kind = frontend::EntryKind;
  for (const Kind kind : {Kind::Value, Kind::Minimize, Kind::Generate})
    for (size_t i = 0; i < program.entries.size(); ++i)
      if (program.entries[i].kind == kind && AddWeights(program.entries[i], spec.entries[i])) return Done{};
  return Done{};
}

/// All functions as text; those of weights last.
std::string Build::Graphs(const frontend::Program& program, const backend::ProgramSpec& spec) const {
  std::string text, weights;
  for (size_t i = 0; i < spec.entries.size(); ++i) {
    for (const Variant variant : ir::kVariants) {
      const auto& graph = spec.entries[i].graphs[variant];
      if (graph == nullptr) continue;
      (variant == Variant::Weights ? weights : text) +=
          "# " + Title(program.entries[i], variant) + "\n" + ir::Print(*graph) + "\n";
    }
  }
  return text + weights;
}

Status Build::Compile(const backend::ProgramSpec& spec, const std::string& output, const std::string& stem) {
  backend::CompileOptions options;
  options.cpu = cpu_;
  options.jobs = jobs_ > 0 ? jobs_ : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  options.times = &timer_.times;
  for (const EmitName& each : kEmits)
    if (emit_ == each.name) options.emit = *each.emit;
  if (output != "-") return backend::Compile(spec, options, output);
  // The linker wants a file; a copy of it goes to the standard output.
  const TemporaryFolder folder;
  if (folder.path().empty()) return Error{"cannot make a temporary folder"};
  const std::string file = folder.path() + "/" + stem;
  if (Status compiled = backend::Compile(spec, options, file); !compiled) return compiled;
  std::ifstream in(file, std::ios::binary);
  return frontend::WriteText(output, {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
}

Result<int> Build::Run() {
  const std::string stem = fs::path(program_.file).stem().string();
  std::string output = output_;
  for (const EmitName& each : kEmits)
    if (output_.empty() && emit_ == each.name) output = stem + each.suffix;
  std::error_code error;
  if (fs::is_directory(output, error)) return Error{output + ": is a folder; name a file with -o"};
  if (Status fine = CheckOutput(output, program_.file); !fine) return fine.error();
  if (IsHir(program_.file)) {
    if (emit_ != "graph") return Error{program_.file + ": a .hir file can only be built with --emit graph"};
    const Result<std::shared_ptr<ir::Graph>> graph = ReadGraph(program_.file);
    if (!graph) return graph.error();
    const Status written = frontend::WriteText(output, ir::Print(**graph));
    return written ? Result<int>(0) : written.error();
  }
  const Result<std::unique_ptr<frontend::Program>> loaded = Load(program_, timer_);
  if (!loaded) return loaded.error();
  if (*loaded == nullptr) return 1;
  const frontend::Program& program = **loaded;
  if (Status fine = CheckOutput(output, program); !fine) return fine.error();
  if (program.entries.empty()) {
    return Error{program_.file +
                 ": has no entry, so there is nothing to build; add one, such as `entry NAME(...) = ...`"};
  }
  backend::ProgramSpec spec = Describe(program, program_);
  if (Status added = AddFunctions(program, spec); !added) return added.error();
  const Status made =
      emit_ == "graph" ? frontend::WriteText(output, Graphs(program, spec)) : Compile(spec, output, stem);
  if (!made) return made.error();
  if (passes_.time_passes) timer_.Print();
  if (!quiet_ && emit_ == "exe" && output != "-") {
    std::cerr << "wrote " << output
              << "; its commands: " << (output.find('/') == std::string::npos ? "./" : "") << output
              << " --help\n";
  }
  return 0;
}

}  // namespace

std::unique_ptr<Command> MakeBuild() { return std::make_unique<Build>(); }

}  // namespace heed::commands
