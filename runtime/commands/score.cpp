// `score`: how well the weights predict a text, in nats for each predicted token, without dropout.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/commands/option_checks.h"
#include "runtime/commands/text_lines.h"
#include "runtime/commands/token_report.h"
#include "runtime/engine/packed_parameters.h"
#include "runtime/engine/program.h"
#include "runtime/train/train.h"

namespace heed {
namespace {

class ScoreCommand final : public Command {
 public:
  /// `entry` is the value entry `score` (the log-probability of an example), or a minimize entry.
  ScoreCommand(const CommandLine& line, const HeedEntry* entry) : line_(line), entry_(entry) {}
  std::string Name() const override { return "score"; }
  std::string Summary() const override { return "negative log-likelihood and perplexity of a text"; }

  void Declare(CLI::App& app) override {
    app.add_option("--weights", weights_, "checkpoint: a file, an index of files, or a folder")
        ->type_name("W");
    AddWeightsType(app, weights_type_);
    app.add_option("--compare", compare_,
                   "also with weights of this type, and how much the perplexity differs")
        ->check(CLI::IsMember({"f32", "bf16", "int8", "int4"}))
        ->type_name("TYPE");
    const TextCounts counts = CountTexts(line_.program(), {&entry_, 1});
    const auto text = [&](const char* name, std::string& value, const char* help, bool listed) {
      CLI::Option* option = app.add_option(name, value, help)->type_name("FILE");
      if (!listed) option->group("");  // given all the same, Run says what to give
    };
    text("--source", source_, "source text, one line an example", counts.pair);
    text("--target", target_, "its translations, line by line", counts.pair);
    text("--text", text_, "one text", counts.single);
    app.add_option("--tokenizer", tokenizer_, "instead of the checkpoint's: a file, a folder, or bytes")
        ->type_name("FILE");
    app.add_flag("--show-tokens", show_tokens_,
                 "each token first: id, piece and negative log-likelihood, between tabs");
    app.add_option("--batch", batch_, "tokens of a batch; the result does not depend on it")
        ->capture_default_str()
        ->check(WholeNumber(1));
    app.add_flag("--skip-invalid", skip_invalid_, "leave out lines that are not valid UTF-8");
    app.add_flag("--json", json_,
                 "one JSON object: nll, perplexity, tokens, examples, skipped, entry and more");
  }

  Result<int> Run() override {
    const HeedProgram& program = line_.program();
    Result<std::vector<TextArgument>> texts = TextArguments(program, *entry_);
    if (!texts) return texts.error();
    if (texts->size() > 2)
      return Error{"entry `" + std::string(entry_->name) + "` takes more than two texts"};
    const bool parallel = texts->size() == 2;
    if (parallel && (source_.empty() || target_.empty() || !text_.empty())) {
      return UsageError("give the text with --source F --target F");
    }
    if (!parallel && (text_.empty() || !source_.empty() || !target_.empty())) {
      return UsageError("give the text with --text F");
    }
    if (weights_.empty() && program.param_count > 0)
      return UsageError("name the checkpoint with --weights W");
    ThreadPool pool(line_.threads());
    Engine engine(program, pool, line_.profiler());
    Result<PackedParameters> parameters = Load(*texts, weights_type_, show_tokens_, pool, /*announce=*/true);
    if (!parameters) return parameters.error();
    Result<TokenizerPtr> tokenizer = TokenizerFor(tokenizer_, weights_);
    if (!tokenizer) return tokenizer.error();
    if (Status ok = CheckTokenizer(**tokenizer, *texts); !ok) return ok.error();

    std::vector<TextFile> files;
    for (const std::string& path : parallel ? std::vector{source_, target_} : std::vector{text_}) {
      Result<TextFile> file = ReadText(path, skip_invalid_);
      if (!file) return file.error();
      files.push_back(std::move(*file));
    }
    const int64_t window = (*texts)[0].bound > 1 ? (*texts)[0].bound : 256;
    Result<Dataset> data = parallel ? ParallelData(files[0], files[1], **tokenizer, (*texts)[0].bound,
                                                   (*texts)[1].bound, BeginOf(program, (*texts)[1]))
                                    : WindowData(files[0], **tokenizer, window);
    if (!data) return data.error();
    if (const std::string skipped = SkippedNotice(*data, "pairs"); !skipped.empty()) PrintWarning(skipped);

    if (!Exact()) {
      PrintNote("the program has no value entry `score`: this is the loss of entry `" +
                std::string(entry_->name) + "`, with its label smoothing if it has any");
    }
    const TextExamples examples(std::move(*data), *texts);
    const auto evaluate = [&] {
      return Exact() ? EvaluateScore(*entry_, examples, batch_, engine, *parameters, {})
                     : Evaluate(*entry_, examples, batch_, engine, *parameters, {});
    };
    const auto result = evaluate();
    if (!result) return result.error();
    weights_type_ = NameOf(parameters->type());
    if (show_tokens_) {
      if (Status ok = ShowTokens(*texts, **tokenizer, examples.data(), **result, engine, *parameters); !ok)
        return ok.error();
    }
    std::optional<Evaluation> compared;
    if (!compare_.empty()) {
      parameters = Error{""};  // one copy of the weights is enough
      parameters = Load(*texts, compare_, false, pool, /*announce=*/false);
      if (!parameters) return parameters.error();
      const auto other = evaluate();
      if (!other) return other.error();
      compared = **other;
    }
    Print(**result, compared, examples.data());
    return kExitDone;
  }

 private:
  /// The likelihoods themselves, not a loss.
  bool Exact() const { return entry_->kind == kHeedEntryValue; }

  Result<PackedParameters> Load(std::span<const TextArgument> texts, const std::string& type, bool tokens,
                                ThreadPool& pool, bool announce) const {
    std::vector<const HeedFunction*> functions = {Exact() ? entry_->forward : entry_->loss};
    if (const HeedEntry* entry = tokens ? LogitsEntry(line_.program(), texts) : nullptr)
      functions.push_back(entry->forward);
    return LoadPacked(weights_, line_.program(), functions, type, pool, announce);
  }

  Status ShowTokens(std::span<const TextArgument> texts, const Tokenizer& tokenizer, const Dataset& data,
                    const Evaluation& result, Engine& engine, const Parameters& parameters) const {
    const HeedEntry* logits = LogitsEntry(line_.program(), texts);
    const Result<std::optional<double>> nats =
        ReportTokens({logits, texts, &tokenizer, json_}, data, engine, parameters, stdout);
    if (!nats) return nats.error();
    const double total = result.loss * result.count;
    if (*nats && std::abs(**nats - total) > 1e-3 * std::abs(total)) {
      PrintNote("the likelihoods of tokens are those of entry `" + std::string(logits->name) +
                "`, which computes something else than `" + entry_->name + "`");
    }
    return Done{};
  }

  void Print(const Evaluation& result, const std::optional<Evaluation>& compared, const Dataset& data) const {
    if (json_) {
      nlohmann::ordered_json row = {{"nll", result.loss},
                                    {"perplexity", std::exp(result.loss)},
                                    {"tokens", static_cast<int64_t>(std::llround(result.count))},
                                    {"examples", data.size()},
                                    {"skipped", data.empty + data.too_long},
                                    {"entry", entry_->name},
                                    {"weights_type", weights_type_}};
      if (compared) {
        row["compared"] = {
            {"weights_type", compare_}, {"nll", compared->loss}, {"perplexity", std::exp(compared->loss)}};
      }
      std::printf("%s\n", row.dump().c_str());
      return;
    }
    std::printf("%.6f nats per token, perplexity %.4f (%.0f tokens)\n", result.loss, std::exp(result.loss),
                result.count);
    if (compared) {
      std::printf("%.6f nats per token, perplexity %.4f with %s: %s has %+.3f %%\n", compared->loss,
                  std::exp(compared->loss), compare_.c_str(), weights_type_.c_str(),
                  100 * std::expm1(result.loss - compared->loss));
    }
  }

  const CommandLine& line_;
  const HeedEntry* entry_;
  std::string weights_, weights_type_, compare_, source_, target_, text_, tokenizer_;
  int64_t batch_ = 4096;
  bool skip_invalid_ = false, json_ = false, show_tokens_ = false;
};

}  // namespace

void RegisterScore(CommandLine& line) {
  const HeedProgram& program = line.program();
  if (const auto own = FindEntry(program, "score"); own && (*own)->kind != kHeedEntryMinimize) {
    if ((*own)->kind == kHeedEntryValue && TextArguments(program, **own))
      line.Add(std::make_unique<ScoreCommand>(line, *own));
    return;
  }
  const auto minimized = EntriesOfKind(program, kHeedEntryMinimize);
  if (!minimized.empty()) line.Add(std::make_unique<ScoreCommand>(line, minimized[0]));
}

}  // namespace heed
