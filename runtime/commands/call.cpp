// `call`: an entry on raw tensors, for tests; and the entries that no other command serves, by their own
// names, which take the same files. What a call computes is tensor_call.cpp's business.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

#include "runtime/commands/command.h"
#include "runtime/commands/end_tokens.h"
#include "runtime/commands/file_roles.h"
#include "runtime/commands/optimizer_options.h"
#include "runtime/commands/option_checks.h"
#include "runtime/commands/table.h"
#include "runtime/commands/tensor_call.h"
#include "runtime/commands/value_lines.h"
#include "runtime/engine/packed_parameters.h"
#include "runtime/engine/program.h"

namespace heed {
namespace {

class CallCommand final : public Command {
 public:
  /// `entry` null: `call`, which asks for the entry's name.
  CallCommand(const CommandLine& line, const HeedEntry* entry) : line_(line), entry_(entry) {}
  std::string Name() const override { return entry_ != nullptr ? entry_->name : "call"; }
  std::string Summary() const override {
    if (entry_ == nullptr) return "call an entry on tensors of a file";
    return entry_->kind == kHeedEntryValue && TextArguments(line_.program(), *entry_)
               ? "compute this entry on lines of text, or on tensors of a file"
               : "compute this entry on tensors of a file";
  }

  void Declare(CLI::App& app) override {
    if (entry_ == nullptr) app.add_option("entry", name_, "which entry")->required()->type_name("ENTRY");
    if (entry_ != nullptr && entry_->kind == kHeedEntryValue) DeclareTexts(app);
    app.add_option("--weights", weights_,
                   "checkpoint: a file, an index of files, or a folder (not needed without parameters)")
        ->type_name("W");
    AddWeightsType(app, weights_type_);
    app.add_option("--inputs", inputs_, "arguments by name, batch first; NAME.length: I32 [batch]")
        ->type_name("I.safetensors");
    app.add_option("--outputs", outputs_, "where the results go")->type_name("O.safetensors");
    if (entry_ == nullptr || entry_->kind == kHeedEntryGenerate) {
      app.add_option("--seed", seed_, "of sampling")
          ->check(WholeNumber(0))
          ->capture_default_str()
          ->type_name("N");
    }
    if (entry_ == nullptr || entry_->kind == kHeedEntryMinimize) DeclareTraining(app);
  }

  Result<int> Run() override {
    const HeedProgram& program = line_.program();
    const HeedEntry* entry = entry_;
    if (entry == nullptr) {
      const Result<const HeedEntry*> found = FindEntry(program, name_);
      if (!found) return found.error();
      entry = *found;
    }
    if (std::any_of(texts_.begin(), texts_.end(), [](const std::string& path) { return !path.empty(); })) {
      return RunOnText();
    }
    if (outputs_.empty()) return UsageError("name the file for the results with --outputs O.safetensors");
    if (inputs_.empty() && entry->argument_count > 0) {
      return UsageError("name the file with the arguments with --inputs I.safetensors");
    }
    if (entry->kind != kHeedEntryMinimize && (gradients_ || steps_ > 0)) {
      return UsageError(std::string("--grad and --steps need a `minimize` entry; `") + entry->name +
                        "` is none");
    }
    FileRoles roles;
    roles.ReadsWeights("--weights", weights_);
    roles.Reads("--inputs", inputs_);
    roles.Writes("--outputs", outputs_);
    if (Status ok = roles.Check(); !ok) return ok.error();
    RawOptions options;
    options.gradients = gradients_;
    options.steps = steps_;
    const Result<OptimizerOptions> optimizer = optimizer_.Read(std::max<int64_t>(steps_, 1));
    if (!optimizer) return optimizer.error();
    options.optimizer = *optimizer;
    options.seed = seed_;
    const bool trains = Trains(*entry, options);
    if (trains && !weights_type_.empty()) return UsageError("--weights-type is for calls that do not train");
    ThreadPool threads(line_.threads());
    Engine engine(program, threads, line_.profiler());
    std::optional<ParameterBlock> block;
    std::optional<PackedParameters> packed;
    if (trains) {
      block.emplace(program);
      if (Status status = LoadWeights(weights_, program, *block); !status) return status.error();
    } else {
      Result<PackedParameters> loaded =
          LoadPacked(weights_, program, {entry->loss, entry->forward, entry->prefill, entry->step},
                     weights_type_, threads);
      if (!loaded) return loaded.error();
      packed.emplace(std::move(*loaded));
      if (entry->kind == kHeedEntryGenerate) {
        Result<std::vector<int32_t>> ends = EndsBeside(weights_, program, *entry);
        if (!ends) return ends.error();
        options.ends = std::move(*ends);
      }
    }
    RawInputs inputs;
    if (!inputs_.empty()) {
      const Result<SafetensorsFile> file = SafetensorsFile::Open(inputs_);
      if (!file) return file.error();
      Result<RawInputs> read = ReadInputs(*file, program, *entry);
      if (!read) return Error{inputs_ + ": " + read.error().message};
      if (Status unchanged = file->CheckUnchanged(); !unchanged) return unchanged.error();
      inputs = std::move(*read);
    }
    const Result<RawResults> results = trains ? CallRawTraining(engine, *entry, inputs, *block, options)
                                              : CallRaw(engine, *entry, inputs, *packed, options);
    if (!results) return results.error();
    std::vector<NamedTensor> tensors;
    for (const RawResults::Tensor& tensor : results->tensors) {
      const char* const dtype = tensor.data.dtype() == kHeedFloat32 ? "F32"
                                : tensor.data.dtype() == kHeedInt32 ? "I32"
                                                                    : "U8";
      tensors.push_back({tensor.name, dtype, tensor.shape, tensor.data.data()});
    }
    if (Status status = WriteSafetensors(outputs_, tensors, {}); !status) return status.error();
    return kExitDone;
  }

 private:
  // Options and defaults are those of `train`.
  void DeclareTraining(CLI::App& app) {
    const char* const group = "Of a `minimize` entry";
    app.add_flag("--grad", gradients_, "add grad.PARAMETER, the gradient of `loss`")->group(group);
    app.add_option("--steps", steps_, "run N steps of the optimizer; adds `losses` and after.PARAMETER")
        ->check(WholeNumber(0))
        ->type_name("N")
        ->group(group);
    optimizer_.Declare(app, group);
  }

  // One file for each argument, if all are text; no option has their names (option_names.h).
  void DeclareTexts(CLI::App& app) {
    const Result<std::vector<TextArgument>> texts = TextArguments(line_.program(), *entry_);
    if (!texts) return;
    text_arguments_ = *texts;
    texts_.resize(texts->size());
    const char* const group = "On text: one example a line";
    for (size_t t = 0; t < texts->size(); ++t) {
      app.add_option("--" + (*texts)[t].name, texts_[t], "lines of text; - is the standard input")
          ->type_name("FILE")
          ->group(group);
    }
    app.add_option("--tokenizer", tokenizer_, "instead of the checkpoint's: a file, a folder, or bytes")
        ->type_name("FILE")
        ->group(group);
    app.add_flag("--json", lines_.json, "one JSON value a line, instead of tables")->group(group);
    app.add_option("--precision", lines_.precision, "digits after the point (2 in tables)")
        ->check(WholeNumber(0, 9))
        ->type_name("N")
        ->group(group);
    app.add_flag("--bos", lines_.ends.begin, "begin token before each line")->group(group);
    app.add_flag("--eos", lines_.ends.end, "end token after each line")->group(group);
  }

  Result<int> RunOnText() {
    for (size_t t = 0; t < texts_.size(); ++t) {
      if (texts_[t].empty()) return UsageError("name the text `" + text_arguments_[t].name + "` as well");
    }
    if (!inputs_.empty() || !outputs_.empty())
      return UsageError("give either text or --inputs and --outputs");
    const HeedProgram& program = line_.program();
    ThreadPool threads(line_.threads());
    const Result<PackedParameters> parameters =
        LoadPacked(weights_, program, {entry_->forward}, weights_type_, threads);
    if (!parameters) return parameters.error();
    if (weights_.empty() && tokenizer_.empty()) return UsageError("name a tokenizer with --tokenizer FILE");
    const Result<TokenizerPtr> tokenizer = TokenizerFor(tokenizer_, weights_);
    if (!tokenizer) return tokenizer.error();
    if (Status status = CheckTokenizer(**tokenizer, text_arguments_); !status) return status.error();
    Engine engine(program, threads, line_.profiler());
    lines_.width = TerminalWidth();
    const Status status =
        ComputeOnLines(engine, *entry_, text_arguments_, texts_, **tokenizer, *parameters, lines_, stdout);
    if (!status) return status.error();
    return kExitDone;
  }

  const CommandLine& line_;
  const HeedEntry* entry_;
  std::vector<TextArgument> text_arguments_;  // with texts_: their files
  std::vector<std::string> texts_;
  std::string tokenizer_;
  LinesOptions lines_;
  std::string name_, weights_, weights_type_, inputs_, outputs_;
  bool gradients_ = false;
  int64_t steps_ = 0;
  uint64_t seed_ = 0;
  OptimizerChoice optimizer_;
};

}  // namespace

void RegisterCall(CommandLine& line) {
  line.Add(std::make_unique<CallCommand>(line, nullptr));
  for (int64_t i = 0; i < line.program().entry_count; ++i) {
    line.Add(std::make_unique<CallCommand>(line, &line.program().entries[i]));
  }
}

}  // namespace heed
