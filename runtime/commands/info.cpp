// `info`: what the program is: axes, constants, entries with their arguments, parameters, memory. With --fit,
// how it must be built for weights from elsewhere; with --memory, what the temporary memory holds when.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/base/file_writer.h"
#include "runtime/base/names.h"
#include "runtime/commands/attention_maps.h"
#include "runtime/commands/command.h"
#include "runtime/commands/memory_map.h"
#include "runtime/commands/option_checks.h"
#include "runtime/commands/table.h"
#include "runtime/data/arguments.h"
#include "runtime/data/batch_tensors.h"
#include "runtime/engine/arena.h"
#include "runtime/engine/program.h"
#include "runtime/text/labels.h"
#include "runtime/weights/weights.h"

namespace heed {
namespace {

using Json = nlohmann::ordered_json;

const char* KindName(int64_t kind) {
  return kind == kHeedEntryMinimize ? "minimize" : kind == kHeedEntryGenerate ? "generate" : "value";
}
const char* TypeName(int64_t dtype) {
  return dtype == kHeedFloat32 ? "f32" : dtype == kHeedInt32 ? "int" : "bool";
}

// The extents of examples of the full length of every axis: the largest that a batch of so many may have.
std::vector<int64_t> FullExtents(const HeedProgram& program, const HeedFunction& function,
                                 int64_t batch = 1) {
  std::vector<int64_t> extents;
  for (int64_t i = 0; i < function.extent_count; ++i) {
    const HeedAxis* axis = FindAxis(program, RootOf(function.extents[i]));
    extents.push_back(axis != nullptr && axis->size > 0                  ? axis->size
                      : function.extents[i] == std::string_view("batch") ? batch
                                                                         : 1);
  }
  return extents;
}

struct NamedFunction {
  const char* name;
  const HeedFunction* function;
};
std::vector<NamedFunction> Functions(const HeedEntry& entry) {
  std::vector<NamedFunction> functions;
  for (const NamedFunction& one :
       {NamedFunction{"train", entry.train}, NamedFunction{"loss", entry.loss},
        NamedFunction{"forward", entry.forward}, NamedFunction{"prefill", entry.prefill},
        NamedFunction{"step", entry.step}, NamedFunction{"weights", entry.weights}}) {
    if (one.function != nullptr) functions.push_back(one);
  }
  return functions;
}

// What a text of full length keeps while it is generated: caches and what the prefill hands over.
int64_t KeptBytes(const HeedProgram& program, const HeedEntry& entry) {
  const std::vector<int64_t> extents = FullExtents(program, *entry.step);
  int64_t bytes = 0;
  for (int64_t i = 0; i < entry.kept_count; ++i) {
    const HeedTensorInfo& info = entry.step->inputs[entry.kept[i].input];
    int64_t of_input = DTypeBytes(info.dtype);
    for (int64_t d = 0; d < info.rank; ++d) {
      const HeedDim& dim = info.dims[d];
      of_input *= dim.extent < 0 ? dim.size : extents[static_cast<size_t>(dim.extent)];
    }
    bytes += of_input;
  }
  return bytes;
}

// "[model=768, (qkv, heads, key)=3*12*64]" shows storage and factors at once.
std::string StorageText(const HeedParam& param) {
  std::string text = "[";
  for (int64_t d = 0; d < param.rank; ++d) {
    text += (d > 0 ? ", " : "") + std::string(param.dim_axes[d]) + "=" + std::to_string(param.shape[d]);
  }
  return text + "]";
}
std::string InitText(const HeedParam& param) {
  char text[128];
  switch (param.init) {
    case kHeedInitConstant:
      std::snprintf(text, sizeof text, "%g", param.a);
      return text;
    case kHeedInitNormal:
      std::snprintf(text, sizeof text, "normal(%g, %g)", param.a, param.b);
      return text;
    case kHeedInitUniform:
      std::snprintf(text, sizeof text, "uniform(%g, %g)", param.a, param.b);
      return text;
    case kHeedInitGlorot:
      std::snprintf(text, sizeof text, "glorot(%g, %g)", param.a, param.b);
      return text;
    default:
      return "none";
  }
}

// "heads=8", "src" of each dimension but the batch.
std::vector<std::string> AxesOf(const HeedTensorInfo& info) {
  std::vector<std::string> axes;
  for (int64_t d = 0; d < info.rank; ++d) {
    const HeedDim& dim = info.dims[d];
    const std::string axis = dim.axis;
    if (axis != "batch") axes.push_back(dim.extent < 0 ? axis + "=" + std::to_string(dim.size) : axis);
  }
  return axes;
}

// The command that builds the program for a fit, as a shell takes it.
std::string BuildLine(const std::string& source, const Fit& fit) {
  std::string out = source.ends_with(".heed") ? source.substr(0, source.size() - 5) : source + ".out";
  if (out.empty()) out = "program";
  const auto file = [](const std::string& name) {
    return ShellWord(name.starts_with('-') ? "./" + name : name);
  };
  std::string line = "heed build " + file(source) + " -o " + file(out);
  for (const Setting& setting : fit.settings) line += " --set " + setting.text;
  for (const std::string& bound : fit.shorten) line += " --set " + bound;
  return line;
}

class InfoCommand final : public Command {
 public:
  explicit InfoCommand(const CommandLine& line) : program_(line.program()) {}
  std::string Name() const override { return "info"; }
  std::string Summary() const override { return "entries, parameters, memory"; }
  void Declare(CLI::App& app) override {
    app.add_flag("--json", json_, "as one JSON object");
    app.add_flag("--memory", memory_, "temporary memory: who lives when, and what makes up the peak");
    app.add_option("--batch", batch_, "of --memory: examples at once, each of full length")
        ->check(WholeNumber(1, 1 << 20))
        ->capture_default_str()
        ->type_name("N");
    app.add_option("--rows", rows_, "of --memory: buffers that are listed, the largest first")
        ->check(WholeNumber(1))
        ->capture_default_str()
        ->type_name("N");
    app.add_option("-o", picture_, "of --memory: a picture, steps to the right, addresses upwards")
        ->type_name("FILE.svg");
    app.add_option("--fit", fit_, "how to build the program for the weights in this file or folder")
        ->type_name("PATH");
  }

  Result<int> Run() override {
    if (!fit_.empty()) return PrintFit();
    if (memory_) return PrintMemory();
    if (!picture_.empty()) return UsageError("-o goes with --memory");
    const Json info = Describe();
    if (json_) {
      std::printf("%s\n", info.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    } else {
      PrintText();
    }
    return kExitDone;
  }

 private:
  Result<int> PrintMemory() const {
    std::vector<MemoryMap> maps;
    for (int64_t i = 0; i < program_.entry_count; ++i) {
      for (const auto& [name, function] : Functions(program_.entries[i])) {
        Result<MemoryMap> map = MapMemory(*function, FullExtents(program_, *function, batch_));
        if (!map) return map.error();
        maps.push_back(std::move(*map));
      }
    }
    if (!picture_.empty()) {
      if (Status written = WriteWholeFile(picture_, MemorySvg(maps)); !written) return written.error();
      return kExitDone;
    }
    const char* between = "";
    for (const MemoryMap& map : maps) {
      std::printf("%s%s", between, MemoryText(map, rows_, TerminalWidth()).c_str());
      between = "\n";
    }
    return kExitDone;
  }

  Result<int> PrintFit() const {
    Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(fit_);
    if (!file) return file.error();
    const ModelConfig config = ConfigOf(*file, fit_);
    const Result<FittedWeights> fitted = FitWeights(*file, program_, config);
    if (!fitted) return Error{fit_ + ": " + fitted.error().message};
    const Fit& fit = fitted->fit;
    std::printf("%s\n", BuildLine(program_.source_name, fit).c_str());
    PrintReport(fit_, fitted->report);
    if (config.path.empty() && config.damage.empty() && !file->metadata().contains("heed"))
      PrintNote("there is no config.json beside the weights: shapes alone decided");
    if (!fit.unique) PrintNote("other sizes of the same products would fit as well");
    for (const Setting& setting : fit.settings) {
      if (setting.absent && setting.changes)
        PrintNote(config.path + " has no " + setting.field + ", which means " + setting.text);
    }
    for (const std::string& note : fit.notes) PrintNote(note);
    return kExitDone;
  }

  int64_t ParameterCount() const {
    int64_t count = 0;
    for (int64_t i = 0; i < program_.param_count; ++i) count += program_.params[i].count;
    return count;
  }

  Json Describe() const {
    Json info = {{"program", program_.source_name},
                 {"heed", program_.heed_version},
                 {"cpu", program_.cpu_level},
                 {"axes", Json::array()},
                 {"constants", Json::object()},
                 {"entries", Json::array()},
                 {"parameters", Json::array()},
                 {"parameter_count", ParameterCount()},
                 {"parameter_bytes", 4 * ParameterCount()}};
    if (program_.import_count > 0)
      info["imports"] = std::vector<std::string>(program_.imports, program_.imports + program_.import_count);
    for (int64_t i = 0; i < program_.axis_count; ++i) {
      const HeedAxis& axis = program_.axes[i];
      Json row = {{"name", axis.name}, {"size", axis.size}, {"dynamic", axis.dynamic != 0}};
      for (int64_t e = 0; e < axis.enumerator_count; ++e) row["enumerators"].push_back(axis.enumerators[e]);
      info["axes"].push_back(row);
    }
    for (int64_t i = 0; i < program_.const_count; ++i)
      info["constants"][program_.consts[i].name] = program_.consts[i].value;
    for (int64_t i = 0; i < program_.entry_count; ++i)
      info["entries"].push_back(DescribeEntry(program_.entries[i]));
    for (int64_t i = 0; i < program_.param_count; ++i) {
      const HeedParam& param = program_.params[i];
      Json row = {{"name", param.name},
                  {"shape", std::vector<int64_t>(param.shape, param.shape + param.rank)},
                  {"storage", std::vector<std::string>(param.dim_axes, param.dim_axes + param.rank)},
                  {"axes", Json::array()},
                  {"count", param.count},
                  {"init", InitText(param)}};
      for (int64_t a = 0; a < param.axis_count; ++a) {
        row["axes"].push_back({{"name", param.axes[a]}, {"size", param.axis_sizes[a]}});
      }
      info["parameters"].push_back(row);
    }
    return info;
  }

  Json DescribeEntry(const HeedEntry& entry) const {
    Json row = {{"name", entry.name}, {"kind", KindName(entry.kind)}, {"arguments", Json::array()}};
    if (entry.sees_batch) row["sees_batch"] = true;
    const std::vector<DataArgument> forms = DataArguments(program_, entry);
    for (int64_t a = 0; a < entry.argument_count; ++a) {
      const HeedArgument& argument = entry.arguments[a];
      Json one = {{"name", argument.name}, {"type", TypeName(argument.dtype)}, {"axes", Json::array()}};
      if (argument.indexes != nullptr) one["indexes"] = argument.indexes;
      one["takes"] = FormOf(forms[static_cast<size_t>(a)]);
      for (int64_t d = 0; d < argument.rank; ++d) {
        one["axes"].push_back({{"name", argument.dims[d].axis},
                               {"size", argument.dims[d].size},
                               {"dynamic", argument.dynamic[d] != 0}});
      }
      row["arguments"].push_back(one);
    }
    if (const HeedTensorInfo* value = ValueOf(entry)) {
      Json& result = row["result"] = {{"type", TypeName(value->dtype)}, {"axes", Json::array()}};
      if (entry.indexes != nullptr) result["indexes"] = entry.indexes;
      for (int64_t d = 1; d < value->rank; ++d) {
        result["axes"].push_back({{"name", value->dims[d].axis},
                                  {"size", value->dims[d].size},
                                  {"dynamic", value->dims[d].extent >= 0}});
      }
    }
    if (entry.kind == kHeedEntryGenerate) {
      row["generates"] = {{"name", entry.variable}, {"axis", entry.axis}, {"bound", entry.bound}};
      if (entry.indexes != nullptr) row["generates"]["indexes"] = entry.indexes;
      if (entry.prompt != nullptr) row["prompt"] = entry.prompt;
      if (entry.from >= 0) row["from"] = entry.from;
      if (entry.until_count > 0)
        row["until"] = std::vector<int64_t>(entry.until, entry.until + entry.until_count);
      row["options"] = Json::object();
      for (int64_t o = 0; o < entry.option_count; ++o)
        row["options"][entry.options[o].name] = entry.options[o].value;
    }
    if (entry.step != nullptr) row["kept"] = KeptBytes(program_, entry);
    // Temporary memory for one example of full length; it grows in proportion to the batch.
    row["memory"] = Json::object();
    for (const auto& [name, function] : Functions(entry)) {
      row["memory"][name] = PlaceArena(*function, FullExtents(program_, *function)).bytes;
    }
    if (entry.weights == nullptr) return row;
    for (const AttentionSite& site : AttentionSites(*entry.weights))
      row["attention"].push_back({{"site", site.name}, {"axes", AxesOf(*site.info)}});
    return row;
  }

  void PrintText() const {
    std::printf("%s, compiled by Heed %s for %s\n", program_.source_name, program_.heed_version,
                program_.cpu_level);
    if (program_.import_count > 0) std::printf("imports %s\n", ImportsText(program_).c_str());
    std::printf("\naxes\n ");
    for (int64_t i = 0; i < program_.axis_count; ++i) {
      const HeedAxis& axis = program_.axes[i];
      std::printf(" %s%s%lld", axis.name, axis.dynamic ? "<=" : "=", static_cast<long long>(axis.size));
    }
    if (program_.const_count > 0) std::printf("\n\nconstants\n ");
    for (int64_t i = 0; i < program_.const_count; ++i) {
      std::printf(" %s=%g", program_.consts[i].name, program_.consts[i].value);
    }
    std::printf("\n\nentries\n");
    for (int64_t i = 0; i < program_.entry_count; ++i) PrintEntry(program_.entries[i]);
    std::printf("\nparameters: %lld tensors, %s numbers, %s\n", static_cast<long long>(program_.param_count),
                WithCommas(ParameterCount()).c_str(), BytesText(4 * ParameterCount()).c_str());
    size_t width = 0;
    for (int64_t i = 0; i < program_.param_count; ++i) {
      width = std::max(width, std::string_view(program_.params[i].name).size());
    }
    for (int64_t i = 0; i < program_.param_count; ++i) {
      const HeedParam& param = program_.params[i];
      std::printf("  %-*s  %s\n", static_cast<int>(width), param.name, StorageText(param).c_str());
    }
  }

  /// What an entry that computes a value gives: batch first, then the axes in the order of files. Null for
  /// others.
  static const HeedTensorInfo* ValueOf(const HeedEntry& entry) {
    return entry.kind == kHeedEntryValue ? &entry.forward->outputs[0] : nullptr;
  }

  static std::string ResultText(const HeedEntry& entry) {
    const HeedTensorInfo* value = ValueOf(entry);
    if (value == nullptr) return "";
    std::string text;
    if (value->dtype == kHeedInt32) text = entry.indexes != nullptr ? entry.indexes : "int";
    if (value->dtype == kHeedBool8) text = "bool";
    std::string axes;
    for (int64_t d = 1; d < value->rank; ++d)
      axes += (axes.empty() ? "" : ", ") + std::string(value->dims[d].axis);
    return " -> " + text + (axes.empty() && !text.empty() ? "" : "[" + axes + "]");
  }

  void PrintEntry(const HeedEntry& entry) const {
    std::printf("  %s(", entry.name);
    for (int64_t a = 0; a < entry.argument_count; ++a) {
      std::printf("%s%s", a > 0 ? ", " : "", ArgumentText(entry.arguments[a]).c_str());
    }
    std::printf(")%s  %s%s", ResultText(entry).c_str(), KindName(entry.kind),
                entry.sees_batch ? ", sees its batch" : "");
    if (entry.kind == kHeedEntryGenerate) {
      std::printf(" %s[%s], at most %lld", entry.variable, entry.axis, static_cast<long long>(entry.bound));
      for (int64_t o = 0; o < entry.option_count; ++o) {
        std::printf("%s %s = %g", o > 0 ? "," : " with", entry.options[o].name, entry.options[o].value);
      }
    }
    std::printf("\n");
    for (const DataArgument& argument : DataArguments(program_, entry))
      std::printf("    %-8s %s\n", argument.name.c_str(), FormOf(argument).c_str());
    if (entry.kept_count > 0)
      std::printf("    %-8s %s for each text of full length\n", "keeps",
                  BytesText(KeptBytes(program_, entry)).c_str());
    for (const auto& [name, function] : Functions(entry)) {
      std::printf("    %-8s %s of temporary memory for one example of full length\n", name,
                  BytesText(PlaceArena(*function, FullExtents(program_, *function)).bytes).c_str());
    }
    if (entry.weights == nullptr) return;
    std::printf("    attention");
    int64_t column = 13;
    for (const AttentionSite& site : AttentionSites(*entry.weights)) {
      std::string text = " " + site.name + "[";
      for (const std::string& axis : AxesOf(*site.info)) text += (text.ends_with("[") ? "" : ", ") + axis;
      text += "]";
      if (column > 13 && column + DisplayWidth(text) > 100) {
        std::printf("\n%13s", "");
        column = 13;
      }
      std::printf("%s", text.c_str());
      column += DisplayWidth(text);
    }
    std::printf("\n");
  }

  const HeedProgram& program_;
  std::string fit_, picture_;
  int64_t batch_ = 1, rows_ = 8;
  bool json_ = false, memory_ = false;
};

}  // namespace

void RegisterInfo(CommandLine& line) { line.Add(std::make_unique<InfoCommand>(line)); }

}  // namespace heed
