// `init`: a checkpoint of initial parameters, with a tokenizer made from a text. What `train` starts from,
// for entries that are not trained on text, and for looking at a program before it is trained.
#include <CLI/CLI.hpp>

#include "runtime/base/base64.h"
#include "runtime/base/file_writer.h"
#include "runtime/base/names.h"
#include "runtime/commands/command.h"
#include "runtime/commands/file_roles.h"
#include "runtime/commands/option_checks.h"
#include "runtime/commands/text_lines.h"
#include "runtime/engine/program.h"
#include "runtime/weights/checkpoint.h"

namespace heed {
namespace {

class InitCommand final : public Command {
 public:
  explicit InitCommand(const CommandLine& line) : program_(line.program()) {}
  std::string Name() const override { return "init"; }
  std::string Summary() const override { return "write initial parameters, as training starts from"; }

  void Declare(CLI::App& app) override {
    app.add_option("--out", out_, "checkpoint to write")->required()->type_name("W.safetensors");
    app.add_option("--seed", seed_, "of the parameters")->check(WholeNumber(0))->capture_default_str();
    app.add_option("--text", texts_, "what to make a tokenizer from; repeatable")
        ->type_name("FILE")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_flag("--skip-invalid", skip_invalid_, "leave out lines that are not valid UTF-8");
    app.add_option("--tokenizer", tokenizer_,
                   "bpe (the default), chars, bytes, or a file; none without texts")
        ->type_name("NAME|FILE");
  }

  Result<int> Run() override {
    std::map<std::string, std::string> metadata = ProgramMetadata(program_);
    FileRoles roles;
    for (const std::string& path : texts_) roles.Reads("--text", path);
    roles.ReadsTokenizer("--tokenizer", tokenizer_);
    roles.Writes("--out", out_);
    if (Status ok = roles.Check(); !ok) return ok.error();
    if (Status ok = CheckCanWrite(out_); !ok) return ok.error();
    if (!texts_.empty() || !tokenizer_.empty()) {
      const Result<TokenizerPtr> tokenizer = Tokenizer();
      if (!tokenizer) return tokenizer.error();
      metadata["tokenizer"] = EncodeBase64((*tokenizer)->Serialize());
    }
    ParameterBlock parameters(program_);
    if (Status ok = Initialize(parameters, program_, seed_); !ok) return ok.error();
    if (Status ok = SaveCheckpoint(out_, program_, parameters, {}, metadata); !ok) return ok.error();
    return kExitDone;
  }

 private:
  Result<TokenizerPtr> Tokenizer() const {
    TokenizerSource source;
    const std::optional<TextArgument> text = FirstText(source.lines);
    if (!text) return Error{std::string(program_.source_name) + " has no entry that takes text"};
    source.axis = text->indexes;
    source.vocabulary = text->vocabulary;
    if (texts_.empty() && (tokenizer_ == "bpe" || tokenizer_ == "chars"))
      return UsageError("--tokenizer " + tokenizer_ + " is made from a text; give one with --text FILE");
    std::vector<TextFile> files;
    for (const std::string& path : texts_) {
      Result<TextFile> file = ReadText(path, skip_invalid_);
      if (!file) return file.error();
      files.push_back(std::move(*file));
    }
    std::vector<std::string_view> views;
    for (const TextFile& file : files) views.emplace_back(file.text());
    source.texts = views;
    const Result<MadeTokenizer> made = MakeTokenizer(tokenizer_, source);
    if (!made) return made.error();
    if (Status ok = CheckTokenizer(*made->tokenizer, std::span(&*text, 1)); !ok) return ok.error();
    PrintNote("tokenizer: " + std::string(made->tokenizer->kind()) + ", " +
              std::to_string(made->tokenizer->size()) + " pieces " + made->how);
    return made->tokenizer;
  }

  /// The first argument of the program that is text; `lines`: no entry is trained on one stream of it.
  std::optional<TextArgument> FirstText(bool& lines) const {
    std::optional<TextArgument> first;
    lines = true;
    for (int64_t i = 0; i < program_.entry_count; ++i) {
      const HeedEntry& entry = program_.entries[i];
      for (int64_t a = 0; a < entry.argument_count && !first; ++a)
        first = AsText(program_, entry.arguments[a]);
      const Result<std::vector<TextArgument>> texts = TextArguments(program_, entry);
      if (entry.kind == kHeedEntryMinimize && texts && texts->size() == 1) lines = false;
    }
    return first;
  }

  const HeedProgram& program_;
  std::string out_, tokenizer_;
  std::vector<std::string> texts_;
  bool skip_invalid_ = false;
  uint64_t seed_ = 1;
};

}  // namespace

void RegisterInit(CommandLine& line) { line.Add(std::make_unique<InitCommand>(line)); }

}  // namespace heed
