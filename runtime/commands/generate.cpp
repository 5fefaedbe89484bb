// One command for each `generate` entry: with a source text it translates lines, else it continues a prompt,
// the lines of the input, or what is typed at a terminal; with other arguments it answers examples.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>

#include "runtime/base/names.h"
#include "runtime/base/utf8.h"
#include "runtime/commands/argument_files.h"
#include "runtime/commands/end_tokens.h"
#include "runtime/commands/example_answers.h"
#include "runtime/commands/option_checks.h"
#include "runtime/commands/text_lines.h"
#include "runtime/engine/packed_parameters.h"
#include "runtime/engine/program.h"

namespace heed {
namespace {

constexpr size_t kLinesAtOnce = 512;
constexpr int64_t kWidestBeam = 4096;  // as in the language

class GenerateCommand final : public Command {
 public:
  GenerateCommand(const CommandLine& line, const HeedEntry& entry) : line_(line), entry_(entry) {
    for (int64_t i = 0; i < entry.argument_count; ++i) {
      if (entry.prompt && std::strcmp(entry.arguments[i].name, entry.prompt) == 0) continue;
      ++sources_;
      takes_lines_ = takes_lines_ && AsText(line.program(), entry.arguments[i]);
    }
    takes_lines_ = takes_lines_ && sources_ <= 1;
  }
  std::string Name() const override { return entry_.name; }
  std::string Summary() const override {
    if (!takes_lines_) return "a text for each example";
    return sources_ > 0 ? "one line of text in, one line out" : "continue a text";
  }

  void Declare(CLI::App& app) override {
    app.add_option("--weights", weights_, "checkpoint: a file, an index of files, or a folder")
        ->type_name("W");
    AddWeightsType(app, weights_type_);
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
    alpha_option_ = app.add_option("--alpha", alpha_, "length penalty of scores")->check(NumberFromZero());
    temperature_option_ =
        app.add_option("--temperature", temperature_, "0: always the likeliest")->check(NumberFromZero());
    top_k_option_ =
        app.add_option("--top-k", top_k_, "choose among the k likeliest; 0: all")->check(WholeNumber(0));
    top_p_option_ =
        app.add_option("--top-p", top_p_, "choose among the likeliest that have probability p together")
            ->check(NumberThat("from 0 to 1", [](double p) { return p >= 0 && p <= 1; }));
    penalty_option_ = app.add_option("--repetition-penalty", penalty_,
                                     "divides the logits of what the text already has; 1: off")
                          ->check(NumberAboveZero());
    app.add_flag("--greedy", greedy_, "always the likeliest, whatever the program says");
    app.add_option("--seed", seed_, "of random choices")->check(WholeNumber(0))->capture_default_str();
    app.add_option("--n-best", best_, "so many results: of beam search the best, else random ones")
        ->check(WholeNumber(1, kWidestBeam));
    app.add_flag("--scores", scores_, "the score and a tab before each result");
    app.add_option("--batch", batch_, "rows x tokens of a batch; the result does not depend on it")
        ->capture_default_str()
        ->check(WholeNumber(1));
    if (sources_ > 0)
      app.add_flag("--skip-long", skip_long_, "a line over the axis' bound gives an empty line");
    app.add_flag("--timings", timings_, "tokens a second of each batch, on the standard error");
    app.add_flag("--skip-invalid", skip_invalid_, "a line that is not valid UTF-8 gives an empty line");
    const HeedEntry* const entry = &entry_;
    if (sources_ > 0) files_.Declare(app, line_.program(), {&entry, 1}, "Arguments");
  }

  Result<int> Run() override {
    const HeedProgram& program = line_.program();
    Result<DecodeOptions> options = Options();
    if (!options) return options.error();
    if (FindInvalidUtf8(prompt_)) return UsageError("--prompt is not valid UTF-8");
    if (weights_.empty() && program.param_count > 0)
      return UsageError("name the checkpoint with --weights W");
    ThreadPool pool(line_.threads());
    const Result<PackedParameters> parameters =
        LoadPacked(weights_, program, {entry_.prefill, entry_.step}, weights_type_, pool);
    if (!parameters) return parameters.error();
    Result<TokenizerPtr> tokenizer = TokenizerFor(tokenizer_name_, weights_);
    if (!tokenizer) return tokenizer.error();
    tokenizer_ = *tokenizer;
    Engine engine(program, pool, line_.profiler());
    const bool on_examples = files_.Given();
    if (!on_examples && !takes_lines_) return NoArguments();
    Result<Decoder> decoder = on_examples ? Decoder::OnTensors(entry_, engine, *parameters, {})
                                          : Decoder::Make(entry_, engine, *parameters);
    if (!decoder) return decoder.error();
    const Result<std::vector<int32_t>> ends = EndsBeside(weights_, program, entry_);
    if (!ends) return ends.error();
    decoder->EndAlsoAt(*ends);
    if (Status ok = NoteChoices(weights_); !ok) return ok.error();
    if (timings_) decoder->on_times = PrintTimes;
    KeepToPieces(*decoder, tokenizer_);
    decoder->interrupted = [] { return std::ferror(stdout) != 0; };  // nobody would see the rest
    std::vector<TextArgument> texts = decoder->sources();
    texts.push_back(decoder->variable());
    if (Status ok = CheckTokenizer(*tokenizer_, texts); !ok) return ok.error();
    LineJob job;
    job.entry = &entry_;
    job.tokenizer = tokenizer_.get();
    job.options = *options;
    job.budget = batch_;
    job.long_is_empty = skip_long_;
    job.begin_token = bos_;
    job.echo = !no_echo_;
    const bool prompted = prompt_option_ && prompt_option_->count() > 0;
    if (on_examples) {
      if (prompted) job.prompt = tokenizer_->Encode(prompt_);
      return AnswerData(*decoder, job);
    }
    if (sources_ == 1) {
      if (prompted) job.prompt = tokenizer_->Encode(prompt_);
      return AnswerLines(*decoder, job);
    }
    if (prompted || !entry_.prompt) return CompleteOne(*decoder, job, prompt_, 0);
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) return Talk(*decoder, job);
    return AnswerLines(*decoder, job);
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
    if (penalty_option_->count() > 0) options->repetition_penalty = penalty_;
    if (greedy_) {
      options->sample = false;
      options->beam = 1;
    }
    if (beam_option_->count() > 0 && options->sample) {
      return UsageError("--beam and --temperature, --top-k or --top-p exclude each other");
    }
    if (max_length_ > 0) options->max_new = max_length_;
    options->seed = seed_;
    options->best = best_;
    options->scores = scores_;
    if (!options->sample && best_ > options->beam) {
      return UsageError("--n-best " + std::to_string(best_) + " needs --beam " + std::to_string(best_) +
                        " or more, or random choice (--temperature, --top-k, --top-p); here " +
                        (options->beam > 1 ? "the beam is " + std::to_string(options->beam) + " wide"
                                           : "always the likeliest token is taken"));
    }
    return options;
  }

  static void PrintTimes(const DecodeTimes& times) {
    const auto rate = [](int64_t tokens, double seconds) {
      return static_cast<double>(tokens) / std::max(seconds, 1e-9);
    };
    std::fprintf(stderr,
                 "%lld %s: %lld tokens read in %.4f s (%.1f a second), %lld made in %.4f s (%.1f a second)\n",
                 static_cast<long long>(times.rows), times.rows == 1 ? "text" : "texts",
                 static_cast<long long>(times.read_tokens), times.read_seconds,
                 rate(times.read_tokens, times.read_seconds), static_cast<long long>(times.made_tokens),
                 times.make_seconds, rate(times.made_tokens, times.make_seconds));
  }

  /// A score as it is printed: the same digits for the same number.
  void PrintScore(double score) const {
    if (scores_) std::printf("%.6f\t", score);
  }
  static void PrintLine(const std::string& text) {
    for (const char c : text) {
      if (c == '\n') {
        std::fputs("\\n", stdout);
      } else {
        std::fputc(c, stdout);
      }
    }
    std::fputc('\n', stdout);
  }
  void PrintLines(const std::vector<std::vector<LineResult>>& results) const {
    for (const std::vector<LineResult>& of_line : results) {
      for (const LineResult& result : of_line) {
        PrintScore(result.score);
        PrintLine(result.text);
      }
    }
  }

  /// The arguments but the prompt, which is no input.
  std::vector<DataArgument> Inputs() const {
    std::vector<DataArgument> arguments = DataArguments(line_.program(), entry_);
    std::erase_if(arguments,
                  [&](const DataArgument& one) { return entry_.prompt && one.name == entry_.prompt; });
    return arguments;
  }
  Error NoArguments() const {
    std::vector<std::string> forms;
    for (const DataArgument& argument : Inputs())
      forms.push_back("`" + argument.name + "` (" + FormOf(argument) + ")");
    return UsageError(std::string("entry `") + entry_.name + "` takes " + ListNames(forms) +
                      "; give them with --data F, or each with an option of its name (see --help)");
  }

  /// One example in, one line out.
  Result<int> AnswerData(Decoder& decoder, const LineJob& job) {
    if (Status ok = files_.Open(entry_, Inputs(), skip_invalid_); !ok) return ok.error();
    const auto tokenizer = [this]() -> Result<TokenizerPtr> { return tokenizer_; };
    const Result<ArgumentExamples> examples = files_.Read(EncoderFor(line_.program(), entry_, tokenizer), {});
    if (!examples) return examples.error();
    for (int64_t first = 0; first < examples->size();) {
      const Batch batch = NextExamples(*examples, first, batch_);
      const auto results = AnswerExamples(decoder, job, *examples, batch);
      if (!results) return results.error();
      PrintLines(*results);
      if (Status ok = FlushOutput(); !ok) return ok.error();
      first += static_cast<int64_t>(batch.size());
    }
    return kExitDone;
  }

  /// Lines of the input, in groups as they come: what they are depends on who writes them, what is printed
  /// does not.
  Result<int> AnswerLines(Decoder& decoder, const LineJob& job) {
    LineReader reader(STDIN_FILENO);
    reader.remedy += ", or leave such lines empty with --skip-invalid";
    for (int64_t first = 1;;) {
      Result<std::vector<InputLine>> lines = reader.Read(kLinesAtOnce, skip_invalid_);
      if (!lines) return lines.error();
      if (lines->empty()) break;
      const LineAnswers answers = sources_ > 0 ? TranslateLines(decoder, job, *lines, first)
                                               : CompleteLines(decoder, job, *lines, first);
      PrintLines(answers.lines);
      if (Status ok = FlushOutput(); !ok) return ok.error();
      if (answers.problem) return *answers.problem;
      first += static_cast<int64_t>(lines->size());
    }
    if (reader.skipped() > 0) PrintWarning(std::to_string(reader.skipped()) + " lines were not valid UTF-8");
    return kExitDone;
  }

  /// At a terminal: a line in, its continuation out. Ctrl-C stops an answer, Ctrl-D ends.
  Result<int> Talk(Decoder& decoder, const LineJob& job) {
    CatchInterrupts();
    decoder.interrupted = [] { return Interrupted() || std::ferror(stdout) != 0; };
    LineReader reader(STDIN_FILENO);
    const auto ask = [] {
      std::fputs("> ", stdout);
      std::fflush(stdout);
    };
    reader.on_interrupt = [&] {
      ForgetInterrupt();
      std::fputc('\n', stdout);
      ask();
    };
    for (int64_t number = 0;; ++number) {
      ForgetInterrupt();  // it stopped the answer
      ask();
      Result<std::vector<InputLine>> line = reader.Read(1, true);
      if (!line) return line.error();
      if (line->empty()) break;
      const std::string prompt = (*line)[0].value_or("");
      if (prompt.empty()) continue;
      Result<int> done = CompleteOne(decoder, job, prompt, number);
      // A prompt that is too long is no reason to end.
      if (!done) PrintError(done.error().message);
    }
    std::fputc('\n', stdout);
    if (Status ok = FlushOutput(); !ok) return ok.error();
    return kExitDone;
  }

  /// One prompt; prints tokens as they come where there is one result and no score before it.
  Result<int> CompleteOne(Decoder& decoder, const LineJob& job, const std::string& prompt, int64_t number) {
    const DecodeOptions& options = job.options;
    Result<std::vector<int32_t>> prefix = PromptTokens(decoder, job, prompt);
    if (!prefix) return prefix.error();
    const DecodeRequest request{{}, std::move(*prefix), number, 0};
    const size_t hidden = job.echo ? 0 : tokenizer_->Decode(request.prefix).size();
    size_t printed = hidden;
    const auto print = [&](std::span<const int32_t> ids, bool last) {
      const std::string text = tokenizer_->Decode(ids);
      // The first bytes of a character look like damage until the others are there.
      constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
      size_t end = text.size();
      while (!last && std::string_view(text).substr(0, end).ends_with(kReplacement))
        end -= kReplacement.size();
      if (end <= printed) return;
      std::fwrite(text.data() + printed, 1, end - printed, stdout);
      printed = end;
      std::fflush(stdout);
    };
    const bool streams = (options.sample || options.beam <= 1) && options.best == 1 && !scores_;
    if (streams) print(request.prefix, false);
    Decoder::OnToken on_token;
    if (streams) on_token = [&](size_t, std::span<const int32_t> ids) { print(ids, false); };
    const auto results = decoder.Decode(std::span(&request, 1), options, on_token);
    if (!results) {
      std::fflush(stdout);
      return results.error();
    }
    const std::vector<Decoded>& texts = (*results)[0];
    if (streams || (options.best == 1 && !scores_)) {
      print(texts[0].ids, true);
      std::fputc('\n', stdout);
    } else {
      for (const Decoded& one : texts) {
        const std::string text = tokenizer_->Decode(one.ids);
        PrintScore(one.score);
        PrintLine(text.substr(std::min(hidden, text.size())));
      }
    }
    if (Status ok = FlushOutput(); !ok) return ok.error();
    return kExitDone;
  }

  const CommandLine& line_;
  const HeedEntry& entry_;
  int64_t sources_ = 0;
  bool takes_lines_ = true;  // of its one source, or of prompts
  ArgumentFiles files_;
  TokenizerPtr tokenizer_;
  std::string weights_, weights_type_, tokenizer_name_, prompt_;
  int64_t max_length_ = 0, beam_ = 1, top_k_ = 0, batch_ = 4096, best_ = 1;
  double alpha_ = 0, temperature_ = 1, top_p_ = 1, penalty_ = 1;
  uint64_t seed_ = 1;
  bool bos_ = false, no_echo_ = false, greedy_ = false, scores_ = false, skip_long_ = false,
       skip_invalid_ = false, timings_ = false;
  CLI::Option *prompt_option_ = nullptr, *beam_option_ = nullptr, *alpha_option_ = nullptr,
              *temperature_option_ = nullptr, *top_k_option_ = nullptr, *top_p_option_ = nullptr,
              *penalty_option_ = nullptr;
};

}  // namespace

void RegisterGenerate(CommandLine& line) {
  for (const HeedEntry* entry : EntriesOfKind(line.program(), kHeedEntryGenerate)) {
    line.Add(std::make_unique<GenerateCommand>(line, *entry));
  }
}

}  // namespace heed
