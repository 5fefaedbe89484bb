// One command for each `generate` entry: with a source text it translates lines, else it continues a prompt.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>

#include "runtime/option_checks.h"
#include "runtime/text_command.h"
#include "runtime/utf8.h"

namespace heed {
namespace {

constexpr size_t kLinesAtOnce = 512;
constexpr int64_t kWidestBeam = 4096;  // as in the language

class GenerateCommand final : public Command {
 public:
  GenerateCommand(const CommandLine& line, const HeedEntry& entry) : line_(line), entry_(entry) {
    for (int64_t i = 0; i < entry.argument_count; ++i) {
      if (!entry.prompt || std::strcmp(entry.arguments[i].name, entry.prompt) != 0) ++sources_;
    }
  }
  std::string Name() const override { return entry_.name; }
  std::string Summary() const override {
    return sources_ > 0 ? "one line of text in, one line out" : "continue a text";
  }

  void Declare(CLI::App& app) override {
    app.add_option("--weights", weights_, "checkpoint: a file, an index of files, or a folder")
        ->type_name("W");
    app.add_option("--tokenizer", tokenizer_name_, "instead of the checkpoint's: a file, a folder, or bytes")
        ->type_name("FILE");
    if (entry_.prompt) {
      prompt_option_ =
          app.add_option("--prompt", prompt_, "what the text starts with; otherwise each line of the input");
      app.add_flag("--bos", bos_, "begin token before the prompt");
    }
    if (sources_ == 0) app.add_flag("--no-echo", no_echo_, "leave out the prompt in the output");
    app.add_option("--max-length", max_length_, "most new tokens")->check(WholeNumber(1));
    beam_option_ = app.add_option("--beam", beam_, "width of beam search; 1: greedy")
                       ->check(WholeNumber(1, kWidestBeam));
    alpha_option_ =
        app.add_option("--alpha", alpha_, "length penalty of beam search")->check(NumberFromZero());
    temperature_option_ =
        app.add_option("--temperature", temperature_, "0: always the likeliest")->check(NumberFromZero());
    top_k_option_ =
        app.add_option("--top-k", top_k_, "choose among the k likeliest; 0: all")->check(WholeNumber(0));
    top_p_option_ =
        app.add_option("--top-p", top_p_, "choose among the likeliest that have probability p together")
            ->check(NumberThat("above 0 and at most 1", [](double p) { return p > 0 && p <= 1; }));
    app.add_flag("--greedy", greedy_, "always the likeliest, whatever the program says");
    app.add_option("--seed", seed_, "of random choices")->check(WholeNumber(0))->capture_default_str();
    if (sources_ > 0) {
      app.add_option("--batch", batch_, "rows x tokens of a batch; the result does not depend on it")
          ->capture_default_str()
          ->check(WholeNumber(1));
      app.add_flag("--skip-long", skip_long_, "a line over the axis' bound gives an empty line");
    }
    app.add_flag("--skip-invalid", skip_invalid_, "a line that is not valid UTF-8 counts as empty");
  }

  Result<int> Run() override {
    const HeedProgram& program = line_.program();
    Result<DecodeOptions> options = Options();
    if (!options) return options.error();
    if (weights_.empty() && program.param_count > 0)
      return UsageError("name the checkpoint with --weights W");
    ParameterBlock parameters(program);
    if (Status ok = LoadWeights(weights_, program, parameters); !ok) return ok.error();
    Result<TokenizerPtr> tokenizer = TokenizerFor(tokenizer_name_, weights_);
    if (!tokenizer) return tokenizer.error();
    tokenizer_ = *tokenizer;
    ThreadPool pool(line_.threads());
    Engine engine(program, pool);
    Result<Decoder> decoder = Decoder::Make(entry_, engine, parameters);
    if (!decoder) return decoder.error();
    std::vector<TextArgument> texts = decoder->sources();
    texts.push_back(decoder->variable());
    if (Status ok = CheckTokenizer(*tokenizer_, texts); !ok) return ok.error();
    if (sources_ > 1) {
      return Error{"entry `" + std::string(entry_.name) +
                   "` takes several texts; only one can be given as lines"};
    }
    return sources_ == 1 ? Translate(*decoder, *options) : Complete(*decoder, *options);
  }

 private:
  /// The program's, overridden by the command line's.
  Result<DecodeOptions> Options() const {
    Result<DecodeOptions> options = ProgramOptions(entry_);
    if (!options) return options;
    if (beam_option_->count() > 0) {
      options->beam = beam_;
      options->sample = false;
    }
    if (alpha_option_->count() > 0) options->alpha = alpha_;
    if (top_k_option_->count() > 0) options->top_k = top_k_;
    if (top_p_option_->count() > 0) options->top_p = top_p_;
    if (top_k_option_->count() + top_p_option_->count() > 0) options->sample = true;
    if (temperature_option_->count() > 0) {
      options->temperature = temperature_;
      options->sample = temperature_ > 0;
    }
    if (greedy_) {
      options->sample = false;
      options->beam = 1;
    }
    if (beam_option_->count() > 0 && options->sample) {
      return UsageError("--beam and --temperature, --top-k or --top-p exclude each other");
    }
    if (max_length_ > 0) options->max_new = max_length_;
    options->seed = seed_;
    return options;
  }

  Result<int> Translate(Decoder& decoder, const DecodeOptions& options) {
    LineJob job;
    job.entry = &entry_;
    job.tokenizer = tokenizer_.get();
    job.options = options;
    job.budget = batch_;
    job.long_is_empty = skip_long_;
    if (prompt_option_ && prompt_option_->count() > 0) job.prompt = tokenizer_->Encode(prompt_);
    LineReader reader(STDIN_FILENO);
    for (int64_t first = 1;;) {
      Result<std::vector<std::string>> lines = reader.Read(kLinesAtOnce, skip_invalid_);
      if (!lines) return lines.error();
      if (lines->empty()) break;
      Result<std::vector<std::string>> results = TranslateLines(decoder, job, *lines, first);
      if (!results) return results.error();
      for (const std::string& line : *results) std::printf("%s\n", line.c_str());
      if (Status ok = Flush(); !ok) return ok.error();
      first += static_cast<int64_t>(lines->size());
    }
    if (reader.skipped() > 0) PrintWarning(std::to_string(reader.skipped()) + " lines were not valid UTF-8");
    return kExitDone;
  }

  Result<int> Complete(Decoder& decoder, const DecodeOptions& options) {
    std::vector<std::string> prompts;
    const bool given = prompt_option_ && prompt_option_->count() > 0;
    if (FindInvalidUtf8(prompt_)) return UsageError("--prompt is not valid UTF-8");
    if (given || !entry_.prompt) {
      prompts.push_back(prompt_);
    } else {
      LineReader reader(STDIN_FILENO);
      for (;;) {
        Result<std::vector<std::string>> lines = reader.Read(kLinesAtOnce, skip_invalid_);
        if (!lines) return lines.error();
        if (lines->empty()) break;
        prompts.insert(prompts.end(), lines->begin(), lines->end());
      }
    }
    for (size_t i = 0; i < prompts.size(); ++i) {
      if (prompts[i].empty() && !given && entry_.prompt) {
        std::printf("\n");
        continue;
      }
      if (Status ok = CompleteOne(decoder, options, prompts[i], static_cast<int64_t>(i), prompts.size() > 1);
          !ok) {
        std::fflush(stdout);
        return given ? ok.error()
                     : Error{"standard input:" + std::to_string(i + 1) + ": " + ok.error().message};
      }
    }
    return kExitDone;
  }

  Status CompleteOne(Decoder& decoder, const DecodeOptions& options, const std::string& prompt,
                     int64_t number, bool one_line) {
    DecodeRequest request;
    request.number = number;
    request.prefix = EncodeFromStart(*tokenizer_, prompt);
    if ((bos_ && tokenizer_->before().empty()) || request.prefix.empty()) {
      const std::vector<int32_t> start = StartTokens(entry_, *tokenizer_);
      if (start.empty()) return Error{"nothing to start from: give a prompt"};
      request.prefix.insert(request.prefix.begin(), start.begin(), start.end());
    }
    const int64_t bound = decoder.variable().bound;
    if (bound > 0 && static_cast<int64_t>(request.prefix.size()) > bound) {
      return Error{"the prompt has " + std::to_string(request.prefix.size()) + " tokens, but `" +
                   decoder.variable().axis + "` takes at most " + std::to_string(bound) + "; shorten it"};
    }
    size_t printed = no_echo_ ? tokenizer_->Decode(request.prefix).size() : 0;
    const auto print = [&](std::span<const int32_t> ids, bool last) {
      std::string text = tokenizer_->Decode(ids);
      // The first bytes of a character look like damage until the others are there.
      constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
      size_t end = text.size();
      while (!last && std::string_view(text).substr(0, end).ends_with(kReplacement))
        end -= kReplacement.size();
      for (; printed < end; ++printed) {
        if (one_line && text[printed] == '\n') {
          std::fputs("\\n", stdout);
        } else {
          std::fputc(text[printed], stdout);
        }
      }
    };
    const bool stream = options.sample || options.beam <= 1;
    if (stream) {
      print(request.prefix, false);
      std::fflush(stdout);
    }
    const auto result =
        decoder.Decode(std::span(&request, 1), options, [&](size_t, std::span<const int32_t> ids) {
          print(ids, false);
          std::fflush(stdout);
        });
    if (!result) return result.error();
    print((*result)[0], true);
    std::fputc('\n', stdout);
    return Flush();
  }

  static Status Flush() {
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) return Error{"cannot write the output"};
    return Done{};
  }

  const CommandLine& line_;
  const HeedEntry& entry_;
  int64_t sources_ = 0;
  TokenizerPtr tokenizer_;
  std::string weights_, tokenizer_name_, prompt_;
  int64_t max_length_ = 0, beam_ = 1, top_k_ = 0, batch_ = 4096;
  double alpha_ = 0, temperature_ = 1, top_p_ = 1;
  uint64_t seed_ = 1;
  bool bos_ = false, no_echo_ = false, greedy_ = false, skip_long_ = false, skip_invalid_ = false;
  CLI::Option *prompt_option_ = nullptr, *beam_option_ = nullptr, *alpha_option_ = nullptr,
              *temperature_option_ = nullptr, *top_k_option_ = nullptr, *top_p_option_ = nullptr;
};

}  // namespace

void RegisterGenerate(CommandLine& line) {
  for (const HeedEntry* entry : EntriesOfKind(line.program(), kHeedEntryGenerate)) {
    line.Add(std::make_unique<GenerateCommand>(line, *entry));
  }
}

}  // namespace heed
