// The command line of heed: build, check, fmt, graph (and opt, for tests of passes). The only file that sees
// the front end, the passes and the back end; it joins them and turns what goes wrong into messages. Exit
// status: 0 done; 1 something wrong with a program or file; 2 wrong command line.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "backend/compile.h"
#include "frontend/draw.h"
#include "frontend/files.h"
#include "frontend/parser.h"
#include "frontend/program.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/attention_weights.h"
#include "passes/pass.h"
#include "passes/remarks.h"
#include "runtime/abi.h"
#include "runtime/base/places.h"
#include "runtime/base/process.h"
#include "runtime/base/stack.h"
#include "runtime/base/temporary_folder.h"
#include "runtime/base/unfinished.h"

namespace heed {
namespace {

namespace fs = std::filesystem;
using frontend::DiagnosticKind;
using frontend::Diagnostics;
using frontend::Loc;
using frontend::SourceFile;
using passes::Variant;

#ifndef HEED_VERSION
#define HEED_VERSION "0.1.0"
#endif

/// Something wrong with a file: prints, and is the status.
int Fail(const std::string& message) {
  std::cerr << "heed: error: " << message << '\n';
  return 1;
}

// ---- Files

bool IsHir(const std::string& name) { return fs::path(name).extension() == ".hir"; }

/// Prints and returns nothing if it cannot.
std::optional<std::string> ReadFile(const std::string& name) {
  std::string error;
  std::optional<std::string> text = frontend::ReadText(name, error);
  if (!text.has_value()) Fail(error);
  return text;
}

/// Null, after a message, if it cannot.
std::shared_ptr<ir::Graph> ReadGraph(const std::string& name) {
  const std::optional<std::string> text = ReadFile(name);
  if (!text.has_value()) return nullptr;
  ir::ParseResult result = ir::ParseGraph(*text);
  if (result.graph == nullptr) Fail(name + ": " + result.error);
  return result.graph;
}

/// The status.
int WriteFile(const std::string& name, const std::string& text) {
  const std::optional<std::string> problem = frontend::WriteText(name, text);
  return problem.has_value() ? Fail(*problem) : 0;
}

// ---- Messages

bool ColorsWanted() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) && std::getenv("NO_COLOR") == nullptr && terminal != nullptr &&
         std::strcmp(terminal, "dumb") != 0;
}

void Print(const Diagnostics& diagnostics) { std::cerr << diagnostics.Render(ColorsWanted()) << std::flush; }

/// The places of an Origin::where, innermost first.
std::vector<Loc> Places(const frontend::Program& program, const std::string& where) {
  std::vector<Loc> places;
  for (size_t begin = 0; begin < where.size();) {
    const size_t end = std::min(where.find(" < ", begin), where.size());
    const std::string place = where.substr(begin, end - begin);
    begin = end + 3;
    const size_t column_at = place.rfind(':');
    const size_t line_at =
        column_at == std::string::npos || column_at == 0 ? column_at : place.rfind(':', column_at - 1);
    if (line_at == std::string::npos) continue;
    const int line = std::atoi(place.c_str() + line_at + 1),
              column = std::atoi(place.c_str() + column_at + 1);
    for (const auto& file : program.files) {
      if (file->base_name() != place.substr(0, line_at) || file->Line(line).data() == nullptr) continue;
      const uint32_t offset =
          static_cast<uint32_t>(file->Line(line).data() - file->text().data()) + column - 1;
      uint32_t length = 0;
      while (offset + length < file->text().size() &&
             (std::isalnum(static_cast<unsigned char>(file->text()[offset + length])) ||
              std::strchr("_'", file->text()[offset + length]) != nullptr)) {
        ++length;
      }
      places.push_back({file.get(), offset, std::max(length, 1u)});
      break;
    }
  }
  return places;
}

DiagnosticKind KindOf(const std::string& name) {
  for (const DiagnosticKind kind : frontend::AllKinds()) {
    if (frontend::KindName(kind) == name) return kind;
  }
  throw ir::InternalError("no diagnostic " + name + " in diagnostics.def");
}

void Report(const passes::Complaint& complaint, const frontend::Program& program,
            const frontend::Entry& entry, Diagnostics& diagnostics) {
  const std::vector<Loc> places = Places(program, complaint.where);
  const SourceFile* prelude = program.files.front().get();
  Loc at = entry.loc;
  for (const Loc& place : places) {
    if (place.file == prelude) continue;
    at = place;
    break;
  }
  const bool generates = complaint.kind == "NotCausal" && entry.graph->generate != nullptr;
  std::string message = complaint.message;
  if (generates)
    message = "`" + entry.name + "` cannot be generated along " + entry.graph->generate->axis.text();
  frontend::Diagnostic& diagnostic = diagnostics.Report(KindOf(complaint.kind), at, message);
  if (generates && !places.empty()) diagnostic.labels.push_back({places.front(), complaint.message});
  if (generates && places.empty()) diagnostic.notes.push_back(complaint.message);
  for (size_t i = 0; i < places.size(); ++i) {
    if (i == 0 && generates) continue;
    const bool is_at = places[i].file == at.file && places[i].offset == at.offset;
    diagnostic.labels.push_back({places[i], is_at    ? (i == 0 ? "" : "called here")
                                            : i == 0 ? "here"
                                                     : "called here"});
  }
  diagnostic.notes.insert(diagnostic.notes.end(), complaint.notes.begin(), complaint.notes.end());
}

// ---- The stages

struct Options {
  std::string file, output, entry, precision = "f32", cpu = "native", emit = "exe", after, variant, attention;
  std::vector<std::string> files, set, print_after, pass_names;
  int bisect = -1, jobs = 0;
  bool quiet = false, time_passes = false, check_only = false, parens = false, unroll = false,
       remarks = false;
};

struct Timer {
  std::vector<std::pair<std::string, double>> times;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  void Lap(const std::string& what) {
    const auto now = std::chrono::steady_clock::now();
    times.emplace_back(what, std::chrono::duration<double>(now - start).count());
    start = now;
  }
  void Print() const {
    std::vector<std::pair<std::string, double>> sums;
    double total = 0;
    for (const auto& [name, seconds] : times) {
      auto known = std::find_if(sums.begin(), sums.end(), [&](const auto& sum) { return sum.first == name; });
      if (known == sums.end()) {
        sums.emplace_back(name, seconds);
      } else {
        known->second += seconds;
      }
      total += seconds;
    }
    for (const auto& [name, seconds] : sums) std::fprintf(stderr, "%9.3f s  %s\n", seconds, name.c_str());
    std::fprintf(stderr, "%9.3f s  sum\n", total);
  }
};

/// False, after a message, if there is no such entry.
bool SelectEntry(frontend::Program& program, const Options& options) {
  if (options.entry.empty()) return true;
  std::string names;
  for (const frontend::Entry& entry : program.entries) names += (names.empty() ? "" : ", ") + entry.name;
  std::erase_if(program.entries, [&](const frontend::Entry& entry) { return entry.name != options.entry; });
  if (program.entries.empty()) {
    Fail(options.file + ": no entry `" + options.entry + "`" + (names.empty() ? "" : "; it has " + names));
    return false;
  }
  std::set<std::string> used;
  for (const frontend::Entry& entry : program.entries) {
    for (const ir::NodeId id : entry.graph->Order()) {
      const ir::Node& node = (*entry.graph)[id];
      if (node.op == ir::OpKind::Param) used.insert(node.attributes.name);
    }
  }
  std::erase_if(program.parameters, [&](const frontend::Parameter& p) { return used.count(p.name) == 0; });
  return true;
}

/// Compiles and checks, and keeps the entry that was asked for; null (and messages) if there were errors.
std::unique_ptr<frontend::Program> Load(const Options& options, Timer& timer) {
  std::optional<std::string> text = ReadFile(options.file);
  if (!text.has_value()) return nullptr;
  auto file = std::make_unique<SourceFile>(options.file, std::move(*text));
  frontend::Overrides overrides;
  for (const std::string& set : options.set) {
    const size_t equals = set.find('=');
    overrides.values[set.substr(0, equals)] = std::strtod(set.c_str() + equals + 1, nullptr);
  }
  Diagnostics diagnostics;
  timer.start = std::chrono::steady_clock::now();
  std::unique_ptr<frontend::Program> program = frontend::Compile(std::move(file), overrides, diagnostics);
  timer.Lap("frontend");
  if (program != nullptr && !diagnostics.HasErrors()) {
    for (const frontend::Entry& entry : program->entries) {
      for (const passes::Complaint& complaint : passes::CheckEntry(*entry.infer)) {
        Report(complaint, *program, entry, diagnostics);
      }
    }
    timer.Lap("checks");
  }
  Print(diagnostics);
  if (program == nullptr || diagnostics.HasErrors() || !SelectEntry(*program, options)) return nullptr;
  return program;
}

constexpr Variant kAllVariants[] = {Variant::Train,   Variant::Loss, Variant::Forward,
                                    Variant::Prefill, Variant::Step, Variant::Weights};

std::vector<Variant> Variants(frontend::EntryKind kind) {
  switch (kind) {
    case frontend::EntryKind::Minimize:
      return {Variant::Train, Variant::Loss};
    case frontend::EntryKind::Value:
      return {Variant::Forward};
    case frontend::EntryKind::Generate:
      return {Variant::Forward, Variant::Prefill, Variant::Step};
  }
  return {};
}

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
    if (name.empty() ? !has_pass(chosen) && has_pass(*it) : passes::Name(*it) == name) chosen = *it;
  return chosen;
}

const ir::Graph& Source(const frontend::Entry& entry, Variant variant) {
  return variant == Variant::Train ? *entry.graph : *entry.infer;
}

passes::PassOptions MakePassOptions(const Options& options, Timer& timer, const std::string& what) {
  passes::PassOptions result;
  result.print_after = options.print_after;
  result.bisect = options.bisect;
  result.times = &timer.times;
  result.print = [what](std::string_view pass, const ir::Graph& graph) {
    std::cout << "# " << what << " after " << pass << "\n" << ir::Print(graph) << std::flush;
  };
  return result;
}

std::string Title(const frontend::Entry& entry, Variant variant) {
  return "entry " + entry.name + ", " + std::string(passes::Name(variant));
}

backend::EntrySpec Describe(const frontend::Program& program, const frontend::Entry& entry) {
  backend::EntrySpec spec;
  spec.name = entry.name;
  spec.kind = entry.kind == frontend::EntryKind::Minimize   ? kHeedEntryMinimize
              : entry.kind == frontend::EntryKind::Generate ? kHeedEntryGenerate
                                                            : kHeedEntryValue;
  for (const frontend::Argument& argument : entry.arguments)
    spec.arguments.push_back({argument.name, argument.type});
  spec.result_axes = entry.result_axes;
  if (entry.kind == frontend::EntryKind::Value)
    spec.indexes = entry.graph->type(entry.graph->Output("value")).indexes.text();
  if (entry.graph->generate == nullptr) return spec;
  const ir::Graph& graph = *entry.graph;
  const ir::GenerateInfo& generate = *graph.generate;
  const auto constant = [&](ir::NodeId id) {
    return id ? static_cast<int64_t>(graph[id].op == ir::OpKind::Const
                                         ? graph[id].attributes.number
                                         : static_cast<double>(graph[id].attributes.index))
              : int64_t{-1};
  };
  spec.variable = generate.variable;
  spec.axis = generate.axis.text();
  spec.prompt = generate.prompt;
  spec.bound = program.axes->Bound(generate.axis);
  spec.from = constant(generate.from);
  for (const ir::NodeId end : generate.until) spec.until.push_back(constant(end));
  spec.options.assign(generate.options.begin(), generate.options.end());
  spec.indexes = entry.result_axes.at(1).text();  // [axis, vocabulary]
  return spec;
}

backend::ProgramSpec Describe(const frontend::Program& program, const Options& options) {
  backend::ProgramSpec spec;
  spec.source_name = fs::path(options.file).filename().string();
  spec.axes = program.axes;
  spec.consts = program.consts;
  spec.stacks = program.stacks;
  for (const std::string& set : options.set) spec.set.push_back(set.substr(0, set.find('=')));
  for (const frontend::Parameter& parameter : program.parameters) {
    backend::ParamSpec& param = spec.params.emplace_back();
    param.name = parameter.name;
    param.axes = parameter.axes;
    param.groups = parameter.groups;
    param.shape = parameter.shape;
    param.a = parameter.init.a;
    param.b = parameter.init.b;
    switch (parameter.init.kind) {
      case frontend::Initializer::Kind::Constant:
        param.init = kHeedInitConstant;
        break;
      case frontend::Initializer::Kind::Normal:
        param.init = kHeedInitNormal;
        break;
      case frontend::Initializer::Kind::Uniform:
        param.init = kHeedInitUniform;
        break;
      case frontend::Initializer::Kind::Glorot:
        param.init = kHeedInitGlorot;
        break;
      case frontend::Initializer::Kind::Missing:
        param.init = kHeedInitMissing;
        break;
    }
  }
  return spec;
}

/// Adds to an entry the function that recomputes its weights of attention. False: it has none, or takes more
/// than texts.
bool AddWeights(const frontend::Entry& entry, backend::EntrySpec& spec, const Options& options,
                Timer& timer) {
  auto graph = std::make_shared<const ir::Graph>(
      passes::RunPipeline(Source(entry, Variant::Weights), Variant::Weights,
                          MakePassOptions(options, timer, Title(entry, Variant::Weights))));
  if (graph->outputs.empty() || !passes::TakesTexts(*graph)) return false;
  for (const auto& [name, weights] : graph->outputs)
    spec.weight_axes.emplace_back(name, passes::OrderOfWeights(*graph, name, weights));
  spec.weights = std::move(graph);
  return true;
}

/// Weights of attention for the entries of --attention. Without it a runnable program gets those of one
/// entry: the first that can be given as text, one that computes a value before one that minimizes or
/// generates, since all of them usually share one model. False, after a message, if an entry that was named
/// has none.
bool ChooseWeights(const frontend::Program& program, backend::ProgramSpec& spec, const Options& options,
                   Timer& timer) {
  if (options.attention == "none") return true;
  for (size_t begin = 0; begin < options.attention.size();) {
    const size_t end = std::min(options.attention.find(',', begin), options.attention.size());
    const std::string name = options.attention.substr(begin, end - begin);
    begin = end + 1;
    const auto found = std::find_if(program.entries.begin(), program.entries.end(),
                                    [&](const frontend::Entry& entry) { return entry.name == name; });
    const std::string why =
        found == program.entries.end() ? "there is no such entry"
        : AddWeights(*found, spec.entries[found - program.entries.begin()], options, timer)
            ? ""
            : "it has no softmax over positions, or takes more than texts, each along a dynamic axis of its "
              "own";
    if (!why.empty()) {
      Fail("--attention " + name + ": " + why);
      return false;
    }
  }
  const bool runs = options.emit == "exe" || options.emit == "shared" || options.emit == "object";
  if (!options.attention.empty() || !runs) return true;
  using Kind = frontend::EntryKind;
  for (const Kind kind : {Kind::Value, Kind::Minimize, Kind::Generate})
    for (size_t i = 0; i < program.entries.size(); ++i)
      if (program.entries[i].kind == kind && AddWeights(program.entries[i], spec.entries[i], options, timer))
        return true;
  return true;
}

// ---- Commands

/// True, after a message, if the output is the program itself.
bool Overwrites(const std::string& output, const Options& options) {
  if (output == "-" || !SameFile(output, options.file)) return false;
  Fail(output + ": would overwrite the program itself; name the output with -o");
  return true;
}

int Build(const Options& options) {
  std::string output = options.output;
  const std::string stem = fs::path(options.file).stem().string();
  if (output.empty()) {
    const std::pair<const char*, const char*> suffixes[] = {
        {"exe", ""},       {"shared", ".so"}, {"object", ".o"}, {"graph", ".hir"},
        {"plan", ".plan"}, {"llvm", ".ll"},   {"asm", ".s"}};
    for (const auto& [emit, suffix] : suffixes) {
      if (options.emit == emit) output = stem + suffix;
    }
  }
  std::error_code error;
  if (fs::is_directory(output, error)) return Fail(output + ": is a folder; name a file with -o");
  if (Overwrites(output, options)) return 1;
  if (IsHir(options.file)) {
    if (options.emit != "graph")
      return Fail(options.file + ": a .hir file can only be built with --emit graph");
    const std::shared_ptr<ir::Graph> graph = ReadGraph(options.file);
    return graph == nullptr ? 1 : WriteFile(output, ir::Print(*graph));
  }
  Timer timer;
  std::unique_ptr<frontend::Program> program = Load(options, timer);
  if (program == nullptr) return 1;
  if (program->entries.empty()) {
    return Fail(options.file +
                ": has no entry, so there is nothing to build; add one, such as `entry NAME(...) = ...`");
  }

  backend::ProgramSpec spec = Describe(*program, options);
  std::string graphs;
  for (const frontend::Entry& entry : program->entries) {
    backend::EntrySpec entry_spec = Describe(*program, entry);
    for (const Variant variant : Variants(entry.kind)) {
      const std::string title = Title(entry, variant);
      passes::PassOptions pass_options = MakePassOptions(options, timer, title);
      pass_options.remarks = &spec.remarks[std::string(passes::Name(variant)) + "/" + entry.name];
      auto graph = std::make_shared<const ir::Graph>(
          passes::RunPipeline(Source(entry, variant), variant, pass_options));
      *pass_options.remarks = passes::OnceEach(*pass_options.remarks);
      if (options.emit == "graph") graphs += "# " + title + "\n" + ir::Print(*graph) + "\n";
      switch (variant) {
        case Variant::Train:
          entry_spec.train = graph;
          break;
        case Variant::Loss:
          entry_spec.loss = graph;
          break;
        case Variant::Forward:
          entry_spec.forward = graph;
          break;
        case Variant::Prefill:
          entry_spec.prefill = graph;
          break;
        case Variant::Step:
          entry_spec.step = graph;
          break;
        case Variant::Weights:  // below
          break;
      }
    }
    spec.entries.push_back(std::move(entry_spec));
  }
  if (!ChooseWeights(*program, spec, options, timer)) return 1;
  for (size_t i = 0; i < spec.entries.size() && options.emit == "graph"; ++i)
    if (spec.entries[i].weights != nullptr)
      graphs += "# " + Title(program->entries[i], Variant::Weights) + "\n" +
                ir::Print(*spec.entries[i].weights) + "\n";
  if (options.emit == "graph") {
    if (WriteFile(output, graphs) != 0) return 1;
  } else {
    backend::CompileOptions compile;
    compile.cpu = options.cpu;
    compile.jobs =
        options.jobs > 0 ? options.jobs : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    compile.times = &timer.times;
    compile.emit = options.emit == "shared"   ? backend::Emit::Shared
                   : options.emit == "object" ? backend::Emit::Object
                   : options.emit == "plan"   ? backend::Emit::Plan
                   : options.emit == "llvm"   ? backend::Emit::Llvm
                   : options.emit == "asm"    ? backend::Emit::Assembly
                                              : backend::Emit::Executable;
    // The linker wants a file; a copy of it goes to the standard output.
    std::optional<TemporaryFolder> folder;
    if (output == "-" && folder.emplace().path().empty()) return Fail("cannot make a temporary folder");
    const std::string file = folder ? folder->path() + "/" + stem : output;
    std::optional<std::string> problem = backend::Compile(spec, compile, file);
    if (folder && !problem.has_value()) {
      std::ifstream in(file, std::ios::binary);
      problem =
          frontend::WriteText(output, {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
    }
    if (problem.has_value()) return Fail(*problem);
  }
  if (options.time_passes) timer.Print();
  if (!options.quiet && options.emit == "exe" && output != "-") {
    std::cerr << "wrote " << output
              << "; its commands: " << (output.find('/') == std::string::npos ? "./" : "") << output
              << " --help\n";
  }
  return 0;
}

int Check(const Options& options) {
  Timer timer;
  std::unique_ptr<frontend::Program> program = Load(options, timer);
  if (program == nullptr) return 1;
  for (const frontend::Entry& entry : program->entries) {
    std::vector<std::pair<std::string, std::string>> said;  // a remark, and the variants it is about
    for (const Variant variant : Variants(entry.kind)) {
      passes::PassOptions pass_options = MakePassOptions(options, timer, Title(entry, variant));
      std::vector<std::string> remarks;
      if (options.remarks) pass_options.remarks = &remarks;
      passes::RunPipeline(Source(entry, variant), variant, pass_options);
      for (const std::string& remark : passes::OnceEach(remarks)) {
        const auto known =
            std::find_if(said.begin(), said.end(), [&](auto& one) { return one.first == remark; });
        const std::string name(passes::Name(variant));
        if (known == said.end()) {
          said.emplace_back(remark, name);
        } else {
          known->second += " and " + name;
        }
      }
    }
    for (const auto& [remark, variants] : said)
      std::cout << "entry " << entry.name << ", " << variants << ": " << remark << "\n";
  }
  if (options.time_passes) timer.Print();
  if (options.quiet) return 0;
  int64_t numbers = 0;
  for (const frontend::Parameter& parameter : program->parameters) {
    int64_t count = 1;
    for (const int64_t size : parameter.shape) count *= size;
    numbers += count;
  }
  std::cout << options.file << ": " << program->entries.size()
            << (program->entries.size() == 1 ? " entry, " : " entries, ") << program->parameters.size()
            << " parameters (" << numbers << " numbers), no errors\n";
  return 0;
}

int Fmt(const Options& options) {
  int status = 0;
  for (const std::string& name : options.files) {
    std::optional<std::string> text = ReadFile(name);
    if (!text.has_value()) {
      status = 1;
      continue;
    }
    const SourceFile file(name, std::move(*text));
    Diagnostics diagnostics;
    const frontend::SyntaxTree tree = frontend::Parse(file, diagnostics);
    Print(diagnostics);
    if (diagnostics.HasErrors()) {
      status = 1;
      continue;
    }
    const std::string formatted = frontend::Format(tree, options.parens);
    if (options.parens) {
      std::cout << formatted << std::flush;
      continue;
    }
    // Never write what does not say the same.
    const SourceFile again(name, formatted);
    Diagnostics none;
    if (frontend::Format(frontend::Parse(again, none)) != formatted || none.HasErrors()) {
      throw ir::InternalError("the formatter changes the meaning of " + name);
    }
    if (formatted == file.text()) continue;
    if (options.check_only) {
      std::cout << name << ": would change\n";
      status = 1;
    } else {
      if (const std::optional<std::string> problem = frontend::ReplaceText(name, formatted)) {
        status = Fail(*problem);
        continue;
      }
      if (!options.quiet) std::cerr << name << ": formatted\n";
    }
  }
  return status;
}

int Graph(const Options& options) {
  static constexpr const char* kFormats[] = {"svg", "png", "pdf", "dot"};
  std::string format = fs::path(options.output).extension().string();
  if (!format.empty()) format.erase(0, 1);
  if (std::find(std::begin(kFormats), std::end(kFormats), format) == std::end(kFormats)) {
    if (options.output != "-")
      return Fail(options.output + ": the name must end in .svg, .png, .pdf or .dot");
    format = "dot";
  }
  if (Overwrites(options.output, options)) return 1;
  ir::DrawOptions draw;
  draw.unroll = options.unroll;
  std::vector<std::pair<std::string, std::string>> drawings;
  if (IsHir(options.file)) {
    draw.title = fs::path(options.file).filename().string();
    const std::shared_ptr<ir::Graph> graph = ReadGraph(options.file);
    if (graph == nullptr) return 1;
    drawings.emplace_back(draw.title, ir::Dot(*graph, draw));
  } else {
    Timer timer;
    std::unique_ptr<frontend::Program> program = Load(options, timer);
    if (program == nullptr) return 1;
    if (program->entries.empty()) return Fail(options.file + ": has no entry to draw");
    for (const frontend::Entry& entry : program->entries) {
      const Variant variant = ChooseVariant(entry.kind, options.variant, options.after);
      draw.title = "entry " + entry.name;
      if (options.after.empty()) {
        drawings.emplace_back(draw.title, ir::Dot(Source(entry, variant), draw));
        continue;
      }
      // Passes that run twice in the pipeline are drawn as of their last run.
      std::string dot;
      passes::PassOptions pass_options = MakePassOptions(options, timer, draw.title);
      pass_options.print_after = {options.after};
      pass_options.print = [&](std::string_view, const ir::Graph& graph) {
        ir::DrawOptions titled = draw;
        titled.title = Title(entry, variant) + " after " + options.after;
        dot = ir::Dot(graph, titled);
      };
      passes::RunPipeline(Source(entry, variant), variant, pass_options);
      if (dot.empty()) {
        return Fail("pass `" + options.after + "` is not part of the pipeline of " + Title(entry, variant));
      }
      drawings.emplace_back(Title(entry, variant) + " after " + options.after, std::move(dot));
    }
  }
  const std::string dot = frontend::JoinDrawings(drawings);
  if (format == "dot") return WriteFile(options.output, dot);
  const std::optional<std::string> problem = frontend::RunGraphviz(dot, format, options.output);
  return problem.has_value() ? Fail(*problem) : 0;
}

int Opt(const Options& options) {
  if (!options.output.empty() && Overwrites(options.output, options)) return 1;
  const std::shared_ptr<ir::Graph> graph = ReadGraph(options.file);
  if (graph == nullptr) return 1;
  for (const std::string& complaint : ir::Verify(*graph)) return Fail(options.file + ": " + complaint);
  Timer timer;
  passes::PassOptions pass_options = MakePassOptions(options, timer, options.file);
  std::vector<std::string> remarks;
  pass_options.remarks = &remarks;
  std::optional<Variant> variant;
  for (const Variant other : kAllVariants)
    if (passes::Name(other) == options.variant) variant = other;
  const std::optional<ir::Graph> result =
      passes::RunPasses(*graph, options.pass_names, pass_options, variant);
  if (!result.has_value()) return Fail("unknown pass in --passes");
  for (const std::string& remark : remarks) std::cout << "# remark: " << remark << "\n";
  if (options.time_passes) timer.Print();
  return WriteFile(options.output.empty() ? "-" : options.output, ir::Print(*result));
}

// ---- The command line

std::string CheckSet(const std::string& text) {
  const size_t equals = text.find('=');
  const char* number = text.c_str() + (equals == std::string::npos ? text.size() : equals + 1);
  char* end = nullptr;
  std::strtod(number, &end);
  const bool good = equals != std::string::npos && equals > 0 && *number != '\0' && *end == '\0';
  return good ? "" : "--set needs NAME=NUMBER, not " + text;
}

std::string CheckPrecision(const std::string& name) {
  return name == "f32" ? ""
                       : "training is in f32, not " + name +
                             "; what is built takes weights of smaller types with --weights-type";
}

std::string CheckPass(const std::string& name) {
  std::string names;
  for (const std::string_view pass : passes::PassNames()) {
    if (pass == name) return "";
    names += (names.empty() ? "" : ", ") + std::string(pass);
  }
  return name == "all" ? "" : "no pass `" + name + "`; there are " + names;
}

int Run(int argc, char** argv) {
  Options options;
  CLI::App app{"heed: a compiler for Transformers", "heed"};
  app.set_version_flag("--version", std::string("heed ") + HEED_VERSION);
  app.require_subcommand(1);
  app.failure_message([&](const CLI::App* failed, const CLI::Error& error) {
    if (failed == &app && argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty()) {
      return "heed: no command `" + std::string(argv[1]) +
             "`; there are build, check, fmt and graph\nsee heed --help\n";
    }
    std::string command;
    for (const CLI::App* used : app.get_subcommands()) command = used->get_name() + " ";
    return "heed: " + std::string(error.what()) + "\nsee heed " + command + "--help\n";
  });
  const auto program_options = [&](CLI::App* command) {
    command->add_option("--set", options.set, "size of an axis or value of a constant; repeatable")
        ->type_name("NAME=N")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(CheckSet, "", ""));
    command->add_option("--entry", options.entry, "only this entry")->type_name("NAME");
  };
  const auto pass_options = [&](CLI::App* command) {
    command
        ->add_option("--print-after", options.print_after,
                     "print the graph after this pass, or `all`; repeatable")
        ->type_name("PASS")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(CheckPass, "", ""));
    command->add_flag("--time-passes", options.time_passes, "print how long each pass and phase took");
    command->add_option("--bisect", options.bisect, "only the first N optional rewrites, to find a wrong one")
        ->type_name("N")
        ->check(CLI::Range(0, 2147483647));
  };

  CLI::App* build = app.add_subcommand("build", "compile a program into one file");
  build->add_option("FILE", options.file, "the program")->required();
  build
      ->add_option("-o", options.output,
                   "what to write (default: the program's name); - is the standard output")
      ->type_name("OUT");
  program_options(build);
  build
      ->add_option("--cpu", options.cpu,
                   "native; or a level such as x86-64-v3; or a processor such as znver4")
      ->type_name("LEVEL")
      ->check(CLI::Validator([](std::string& cpu) { return backend::CheckCpu(cpu).value_or(""); }, "", ""))
      ->capture_default_str();
  build->add_option("--precision", options.precision, "of training; only f32")
      ->type_name("f32")
      ->check(CLI::Validator(CheckPrecision, "", ""));
  build->add_option("--emit", options.emit, "what to make")
      ->check(CLI::IsMember({"exe", "shared", "object", "graph", "plan", "llvm", "asm"}))
      ->capture_default_str();
  build
      ->add_option("--attention", options.attention,
                   "whose weights the command `attention` draws, or none (default: one that takes texts)")
      ->type_name("ENTRY[,ENTRY...]");
  pass_options(build);
  build->add_option("-j", options.jobs, "threads that generate code (default: all cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  build->add_flag("-q", options.quiet, "no messages but errors");

  CLI::App* check =
      app.add_subcommand("check", "everything up to code generation, causality of generate included");
  check->add_option("FILE", options.file, "the program")->required();
  program_options(check);
  pass_options(check);
  check->add_flag("--remarks", options.remarks,
                  "say of each softmax whether it was fused, and why not; of equal layers once");
  check->add_flag("-q", options.quiet, "no messages but errors");

  CLI::App* fmt = app.add_subcommand("fmt", "format programs in place");
  fmt->add_option("FILE", options.files, "the programs")->required();
  fmt->add_flag("--check", options.check_only, "only say which would change (status 1 if any)");
  fmt->add_flag("--parens", options.parens, "print with all grouping written out; the file stays");
  fmt->add_flag("-q", options.quiet, "no messages but errors");

  CLI::App* graph = app.add_subcommand("graph", "draw the program, or a .hir file");
  graph->add_option("FILE", options.file, "the program")->required();
  graph->add_option("-o", options.output, "drawing: ends in .svg, .png, .pdf or .dot; - writes dot")
      ->type_name("OUT")
      ->required();
  program_options(graph);
  graph->add_option("--after", options.after, "after this pass")
      ->type_name("PASS")
      ->check(CLI::Validator(CheckPass, "", ""));
  const auto variant_option = [&](CLI::App* command) {
    std::vector<std::string> names;
    for (const Variant variant : kAllVariants) names.emplace_back(passes::Name(variant));
    command->add_option("--variant", options.variant, "what is derived from the entry")
        ->check(CLI::IsMember(names));
  };
  variant_option(graph);
  graph->add_flag("--unroll", options.unroll, "draw equal layers one by one");

  CLI::App* opt = app.add_subcommand("opt", "run passes on a graph in text form (for tests)")->group("");
  opt->add_option("FILE", options.file, "a .hir file")->required();
  opt->add_option("--passes", options.pass_names, "in this order")
      ->delimiter(',')
      ->check(CLI::Validator(CheckPass, "", ""));
  variant_option(opt);
  opt->add_option("-o", options.output, "what to write (default: the standard output)")->type_name("OUT");
  pass_options(opt);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (build->parsed()) return Build(options);
  if (check->parsed()) return Check(options);
  if (fmt->parsed()) return Fmt(options);
  if (graph->parsed()) return Graph(options);
  return Opt(options);
}

}  // namespace
}  // namespace heed

namespace {

void EndBySignal(int number) {
  heed::EndUnfinished();
  _exit(128 + number);
}

/// Without memory (no message), or by a message of the code generator.
void EndLost(const char* message) {
  if (message != nullptr) heed::EndAtOnce({"heed: internal error: ", message, "\n"});
  heed::EndAtOnce({"heed: error: out of memory; use -j 1, a smaller program, or a machine with more\n"});
}

int RunCommand(int argc, char** argv) {
  try {
    return heed::Run(argc, argv);
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
  if (!heed::ReaderIsGone()) std::cerr << "heed: error: cannot write to the standard output\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  heed::PrepareProcess(EndBySignal);
  heed::backend::OnLostCompile(EndLost);
  return heed::OnLargeStack([&] { return WithOutput(RunCommand(argc, argv)); }, [] { EndLost(nullptr); });
}
