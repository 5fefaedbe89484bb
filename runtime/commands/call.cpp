// `call`: an entry on raw tensors, for tests; and the entries that no other command serves, by their own
// names, which take the same files. What a call computes is tensor_call.cpp's business.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

#include "runtime/commands/argument_files.h"
#include "runtime/commands/command.h"
#include "runtime/commands/end_tokens.h"
#include "runtime/commands/file_roles.h"
#include "runtime/commands/optimizer_options.h"
#include "runtime/commands/option_checks.h"
#include "runtime/commands/table.h"
#include "runtime/commands/tensor_call.h"
#include "runtime/commands/value_examples.h"
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
    if (entry_->kind != kHeedEntryValue) return "compute this entry on tensors of a file";
    return TextArguments(line_.program(), *entry_) ? "compute this entry on lines of text, or on other data"
                                                   : "compute this entry on data";
  }

  void Declare(CLI::App& app) override {
    if (entry_ == nullptr) app.add_option("entry", name_, "which entry")->required()->type_name("ENTRY");
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
    if (entry_ != nullptr && entry_->kind == kHeedEntryValue) DeclareArguments(app);
  }

  Result<int> Run() override {
    const HeedProgram& program = line_.program();
    const HeedEntry* entry = entry_;
    if (entry == nullptr) {
      const Result<const HeedEntry*> found = FindEntry(program, name_);
      if (!found) return found.error();
      entry = *found;
    }
    if (entry_ != nullptr && entry_->kind == kHeedEntryValue &&
        (files_.Given() || results_.mean || !results_.outputs.empty()))
      return RunOnExamples();
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

  // On examples; no option has the name of a text (option_names.h).
  void DeclareArguments(CLI::App& app) {
    const char* const group = "On examples, one after the other";
    app.add_option("--tokenizer", tokenizer_, "instead of the checkpoint's: a file, a folder, or bytes")
        ->type_name("FILE")
        ->group(group);
    app.add_flag("--json", lines_.json, "one JSON value a line, instead of tables")->group(group);
    app.add_option("--precision", lines_.precision, "digits after the point (2 in tables)")
        ->check(WholeNumber(0, 9))
        ->type_name("N")
        ->group(group);
    app.add_flag("--bos", lines_.ends.begin, "begin token before each text")->group(group);
    app.add_flag("--eos", lines_.ends.end, "end token after each text")->group(group);
    app.add_flag("--mean", results_.mean, "only the mean over the examples")->group(group);
    app.add_option("-o", results_.outputs,
                   "the results as tensors, under the entry's name, instead of printing")
        ->type_name("O.safetensors")
        ->group(group);
    files_.Declare(app, line_.program(), {&entry_, 1}, group);
  }

  Result<int> RunOnExamples() {
    if (!inputs_.empty() || !outputs_.empty())
      return UsageError("give either arguments (--data and their names) or --inputs and --outputs");
    if (results_.mean && !results_.outputs.empty()) return UsageError("--mean and -o exclude each other");
    const HeedProgram& program = line_.program();
    FileRoles roles;
    roles.ReadsWeights("--weights", weights_);
    roles.ReadsTokenizer("--tokenizer", tokenizer_);
    files_.AddRoles(roles);
    roles.Writes("-o", results_.outputs);
    if (Status ok = roles.Check(); !ok) return ok.error();
    ThreadPool threads(line_.threads());
    const Result<PackedParameters> parameters =
        LoadPacked(weights_, program, {entry_->forward}, weights_type_, threads);
    if (!parameters) return parameters.error();
    Engine engine(program, threads, line_.profiler());
    lines_.width = TerminalWidth();
    const Result<std::vector<TextArgument>> texts = TextArguments(program, *entry_);
    // Lines of texts alone are worked on as they come.
    if (texts && files_.GivenByLines(*texts) && !results_.mean && results_.outputs.empty())
      return RunOnLines(engine, *texts, *parameters);
    TokenizerPtr tokenizer;
    const auto need = [&]() -> Result<TokenizerPtr> {
      if (tokenizer) return tokenizer;
      Result<TokenizerPtr> found = FindTokenizer(TokensOf(program));
      if (found) tokenizer = *found;
      return found;
    };
    if (Status ok = files_.Open(*entry_, DataArguments(program, *entry_), false); !ok) return ok.error();
    const Result<ArgumentExamples> examples =
        files_.Read(EncoderFor(program, *entry_, need, lines_.ends), {});
    if (!examples) return examples.error();
    static_cast<ResultOptions&>(results_) = lines_;
    const Status status =
        ComputeOnExamples(engine, *entry_, *examples, tokenizer.get(), *parameters, results_, stdout);
    if (!status) return status.error();
    return kExitDone;
  }

  Result<int> RunOnLines(Engine& engine, const std::vector<TextArgument>& texts,
                         const Parameters& parameters) {
    const Result<TokenizerPtr> tokenizer = FindTokenizer(texts);
    if (!tokenizer) return tokenizer.error();
    std::vector<std::string> paths;
    for (const TextArgument& text : texts) paths.push_back(files_.FileOf(text.name));
    const Status status =
        ComputeOnLines(engine, *entry_, texts, paths, **tokenizer, parameters, lines_, stdout);
    if (!status) return status.error();
    return kExitDone;
  }

  Result<TokenizerPtr> FindTokenizer(const std::vector<TextArgument>& texts) const {
    if (weights_.empty() && tokenizer_.empty()) return UsageError("name a tokenizer with --tokenizer FILE");
    Result<TokenizerPtr> tokenizer = TokenizerFor(tokenizer_, weights_);
    if (!tokenizer) return tokenizer;
    if (Status status = CheckTokenizer(**tokenizer, texts); !status) return status.error();
    return tokenizer;
  }

  /// The vocabulary, as CheckTokenizer asks for it.
  std::vector<TextArgument> TokensOf(const HeedProgram& program) const {
    const HeedAxis* const vocabulary = VocabularyOf(program);
    if (vocabulary == nullptr) return {};
    return {{"", "", 0, vocabulary->name, vocabulary->size}};
  }

  const CommandLine& line_;
  const HeedEntry* entry_;
  ArgumentFiles files_;
  std::string tokenizer_;
  LinesOptions lines_;
  ExamplesOptions results_;
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
