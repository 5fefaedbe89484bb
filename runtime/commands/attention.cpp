// `attention`: what each word of a sentence attends to, drawn, as tables, or as numbers. Fused attention
// keeps no weights, so they are computed again by a function of their own (HeedEntry::weights). What becomes
// of them is attention_maps.h, attention_svg.h and attention_page.h.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "runtime/base/file_writer.h"
#include "runtime/base/utf8.h"
#include "runtime/commands/attention_page.h"
#include "runtime/commands/attention_svg.h"
#include "runtime/commands/end_tokens.h"
#include "runtime/commands/file_roles.h"
#include "runtime/commands/option_checks.h"
#include "runtime/commands/table.h"
#include "runtime/commands/text_lines.h"
#include "runtime/engine/packed_parameters.h"
#include "runtime/engine/program.h"
#include "runtime/text/labels.h"
#include "runtime/weights/checkpoint.h"

namespace heed {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kLinesAtOnce = 64;
constexpr int64_t kMostCells = 2'000'000;  // of a picture: some 50 MB

/// A list such as 0,2-3; checked while the command line is read.
CLI::Validator Numbers() {
  return CLI::Validator(
      [](std::string& text) {
        return NumberList::Parse(text) ? "" : "must be numbers from 0 such as 0,2-3, not `" + text + "`";
      },
      "", "");
}

/// What a line of the input, or the command line, says.
struct Sentence {
  std::string source, target;
  bool has_target = false;
  std::string where;  ///< for messages: "standard input:3: ", or empty
};

/// As short as it can be read back as the same float.
double Shortest(float value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
  return std::strtod(text, nullptr);
}

class AttentionCommand final : public Command {
 public:
  explicit AttentionCommand(const CommandLine& line) : line_(line), program_(line.program()) {}
  std::string Name() const override { return "attention"; }
  std::string Summary() const override { return "draw what the words of a sentence attend to"; }
  bool Listed() const override {
    return std::any_of(program_.entries, program_.entries + program_.entry_count,
                       [](const HeedEntry& entry) { return entry.weights != nullptr; });
  }

  void Declare(CLI::App& app) override {
    app.add_option("--weights", weights_, "checkpoint: a file, an index of files, or a folder")
        ->type_name("W");
    AddWeightsType(app, weights_type_);
    app.add_option("--entry", entry_name_, "which entry, if the program was built with several");
    app.add_option("--tokenizer", tokenizer_name_, "instead of the checkpoint's: a file, a folder, or bytes")
        ->type_name("FILE");
    const char* text = "Text (without it: each line of the input; source and target separated by a tab)";
    const auto given = [&](const char* name, std::string& value, const char* help) {
      given_.push_back(app.add_option(name, value, help)->type_name("TEXT")->group(text));
    };
    given("--text", text_, "a sentence");
    given("--source", source_, "a sentence of the source");
    given("--target", target_, "a translation of it (default: the likeliest, word by word)");
    app.add_flag("--bos", ends_.begin, "begin token before the sentence")->group(text);
    app.add_flag("--eos", ends_.end, "end token after it")->group(text);
    const char* which = "Which weights (default: all)";
    app.add_option("--site", sites_, "what attends: a name of `info`, * stands for anything")->group(which);
    const auto numbers = [&](const char* name, std::string& value, const char* help) {
      app.add_option(name, value, help)->check(Numbers())->type_name("LIST")->group(which);
    };
    numbers("--layers", layers_, "such as 0,2-3: the first number in the name of a site");
    numbers("--heads", heads_, "heads");
    numbers("--from", from_, "positions that attend");
    numbers("--to", to_, "positions attended to");
    app.add_option("--style", style_, "of the picture")
        ->check(CLI::IsMember({"heat", "lines"}))
        ->capture_default_str();
    app.add_option("-o", out_, "picture or page; - is the standard output, as SVG (default: tables on it)")
        ->type_name("MAP.svg|MAP.html");
    app.add_flag("--json", json_, "the numbers, one JSON object for each sentence");
    app.add_option("--precision", precision_, "digits after the point in tables")
        ->check(WholeNumber(0, 9))
        ->type_name("N")
        ->capture_default_str();
  }

  Result<int> Run() override {
    if (Status ok = ChooseEntry(); !ok) return ok.error();
    if (Status ok = CheckOptions(); !ok) return ok.error();
    if (weights_.empty() && program_.param_count > 0)
      return UsageError("name the checkpoint with --weights W.safetensors");
    if (weights_.empty() && tokenizer_name_.empty())
      return UsageError("name a tokenizer with --tokenizer FILE");
    if (out_ != "-") {
      FileRoles roles;
      roles.ReadsWeights("--weights", weights_);
      roles.ReadsTokenizer("--tokenizer", tokenizer_name_);
      roles.Writes("-o", out_);
      if (Status ok = roles.Check(); !ok) return ok.error();
    }
    ThreadPool threads(line_.threads());
    std::vector<const HeedFunction*> functions{entry_->weights};
    for (const HeedEntry* entry : EntriesOfKind(program_, kHeedEntryGenerate))
      if (texts_.size() == 2) functions.insert(functions.end(), {entry->prefill, entry->step});
    const Result<PackedParameters> parameters =
        LoadPacked(weights_, program_, functions, weights_type_, threads);
    if (!parameters) return parameters.error();
    const Result<TokenizerPtr> tokenizer = TokenizerFor(tokenizer_name_, weights_);
    if (!tokenizer) return tokenizer.error();
    tokenizer_ = *tokenizer;
    if (Status ok = CheckTokenizer(*tokenizer_, texts_); !ok) return ok.error();
    if (!out_.empty() && out_ != "-") {
      if (Status ok = CheckCanWrite(out_); !ok) return ok.error();
    }
    Engine engine(program_, threads, line_.profiler());
    std::vector<AttentionMap> drawn;
    const auto each = [&](const Sentence& sentence) { return Look(engine, *parameters, sentence, drawn); };
    if (Status ok = ForEachSentence(each); !ok) return ok.error();
    if (out_.empty()) return kExitDone;
    if (drawn.empty()) return Error{"there is no sentence to draw"};
    const std::string picture =
        out_.ends_with(".html")
            ? AttentionPage(drawn)
            : AttentionSvg(drawn, style_ == "lines" ? AttentionStyle::Lines : AttentionStyle::Heat);
    if (out_ == "-") {
      std::fwrite(picture.data(), 1, picture.size(), stdout);
    } else if (Status ok = WriteWholeFile(out_, picture); !ok) {
      return ok.error();
    }
    return kExitDone;
  }

 private:
  Status ChooseEntry() {
    std::vector<std::string> names;
    for (int64_t i = 0; i < program_.entry_count; ++i) {
      const HeedEntry& entry = program_.entries[i];
      if (entry.weights == nullptr) continue;
      names.push_back(entry.name);
      if (entry_ == nullptr && (entry_name_.empty() || entry_name_ == entry.name)) entry_ = &entry;
    }
    if (names.empty()) {
      return Error{
          std::string(program_.source_name) +
          ": no attention to look at; that takes an entry with a softmax over positions whose arguments"
          " are texts, and a build without --attention none"};
    }
    if (entry_ == nullptr) {
      const Result<const HeedEntry*> found = FindEntry(program_, entry_name_);
      if (!found) return found.error();
      return UsageError("the attention of `" + entry_name_ + "` was not built in, that of " +
                        ListNames(names) + " was; add `heed build --attention " + entry_name_ + "`");
    }
    // The texts that the weights depend on; what is generated is the last.
    for (int64_t a = 0; a < entry_->argument_count; ++a) AddText(AsText(program_, entry_->arguments[a]));
    if (entry_->kind == kHeedEntryGenerate && entry_->indexes != nullptr) {
      const HeedAxis* vocabulary = FindAxis(program_, entry_->indexes);
      AddText(TextArgument{entry_->variable, entry_->axis, entry_->bound, entry_->indexes,
                           vocabulary != nullptr ? vocabulary->size : 0});
    }
    if (texts_.size() > 2) {
      return Error{"entry `" + std::string(entry_->name) + "` takes " + std::to_string(texts_.size()) +
                   " texts; attention can be looked at for one or two"};
    }
    return Done{};
  }
  void AddText(const std::optional<TextArgument>& text) {
    if (!text) return;
    for (int64_t i = 0; i < entry_->weights->input_count; ++i)
      if (text->name == entry_->weights->inputs[i].name) texts_.push_back(*text);
  }

  Status CheckOptions() {
    const bool pair = texts_.size() == 2;
    const auto is_given = [&](size_t i) { return given_[i]->count() > 0; };
    const std::string name = std::string("entry `") + entry_->name + "`";
    if (pair && (is_given(0) || (is_given(2) && !is_given(1))))
      return UsageError(name + " takes two texts: use --source TEXT, and --target TEXT");
    if (!pair && (is_given(1) || is_given(2))) return UsageError(name + " takes one text: use --text TEXT");
    if (pair && (ends_.begin || ends_.end))
      return UsageError("--bos and --eos are for a single text; a pair has its ends as in training");
    for (const std::string* text : {&text_, &source_, &target_})
      if (FindInvalidUtf8(*text)) return UsageError("the text is not valid UTF-8");
    if (json_ && !out_.empty()) return UsageError("--json and -o exclude each other");
    if (!out_.empty() && out_ != "-" && !out_.ends_with(".svg") && !out_.ends_with(".html"))
      return UsageError("-o " + out_ + ": maps are SVG or a page; the name must end in .svg or .html" +
                        (line_.profiler() ? "; the -o of a profile stands before `attention`" : ""));
    if (style_ == "lines" && out_.ends_with(".html"))
      return UsageError("--style lines is for .svg; a page shows rows and columns");
    AttentionChoice choice;
    choice.sites = sites_;
    if (!layers_.empty()) choice.layers = *NumberList::Parse(layers_);
    if (!heads_.empty()) choice.heads = *NumberList::Parse(heads_);
    if (!from_.empty()) rows_ = *NumberList::Parse(from_);
    if (!to_.empty()) columns_ = *NumberList::Parse(to_);
    Result<std::vector<AttentionSite>> chosen = ChooseSites(AttentionSites(*entry_->weights), choice);
    if (!chosen) return chosen.error();
    chosen_ = std::move(*chosen);
    chosen_heads_ = choice.heads;
    return Done{};
  }

  template <typename Each>
  Status ForEachSentence(const Each& each) {
    const bool pair = texts_.size() == 2;
    if (given_[pair ? 1 : 0]->count() > 0)
      return each(Sentence{pair ? source_ : text_, target_, given_[2]->count() > 0, ""});
    LineReader reader(STDIN_FILENO);
    for (int64_t number = 1;;) {
      const Result<std::vector<InputLine>> lines = reader.Read(kLinesAtOnce, /*skip_invalid=*/false);
      if (!lines) return lines.error();
      if (lines->empty()) return Done{};
      for (const InputLine& valid : *lines) {
        const std::string& line = *valid;
        Sentence sentence{line, "", false, "standard input:" + std::to_string(number++) + ": "};
        if (line.empty()) continue;
        if (const size_t tab = line.find('\t'); pair && tab != std::string::npos) {
          sentence.source = line.substr(0, tab);
          sentence.target = line.substr(tab + 1);
          sentence.has_target = true;
        }
        if (Status ok = each(sentence); !ok)
          return Error{sentence.where + ok.error().message, ok.error().usage};
        if (std::fflush(stdout) != 0) return Error{"cannot write the output"};
      }
    }
  }

  Status Look(Engine& engine, const Parameters& parameters, Sentence sentence,
              std::vector<AttentionMap>& drawn) {
    std::vector<std::vector<int32_t>> ids;
    AxisLabels labels;
    Json words = Json::object();
    for (size_t t = 0; t < texts_.size(); ++t) {
      const bool made = t == 1 && !sentence.has_target;
      if (made) {
        if (Status ok = Translate(engine, parameters, sentence); !ok) return ok;
      }
      const Result<std::vector<int32_t>> encoded =
          Encode(texts_[t], t == 0 ? sentence.source : sentence.target, made);
      if (!encoded) return encoded.error();
      ids.push_back(*encoded);
      for (int32_t id : ids[t]) labels[texts_[t].axis].push_back(TokenLabel(*tokenizer_, id));
      words[texts_[t].name] = labels[texts_[t].axis];
    }
    std::vector<Rows> rows;
    for (const auto& one : ids) rows.push_back({one});
    constexpr int64_t kNumber = 0;
    const auto results =
        engine.Call(*entry_->weights, TextInputs(*entry_->weights, texts_, rows, std::span(&kNumber, 1)),
                    parameters, nullptr, {});
    if (!results) return results.error();
    std::vector<AttentionMap> maps = AttentionMaps(program_, chosen_, chosen_heads_, *results, labels);
    if (Status ok = ChoosePositions(maps); !ok) return ok;
    if (json_) {
      PrintJson(words, maps);
    } else if (out_.empty()) {
      PrintTables(maps);
    } else {
      for (AttentionMap& map : maps) {
        cells_ += static_cast<int64_t>(map.weights.size());
        drawn.push_back(std::move(map));
      }
      if (cells_ > kMostCells) {
        return Error{"the picture would have more than " + WithCommas(kMostCells) +
                     " weights; choose with --site, --layers, --heads, --from and --to, or take --json"};
      }
    }
    return Done{};
  }

  /// `made` by the program: whatever it is, cut to what fits.
  Result<std::vector<int32_t>> Encode(const TextArgument& text, const std::string& line, bool made) const {
    const TextEnds ends = EndsOf(program_, text).With(ends_);
    if (!made && tokenizer_->Encode(line).empty())
      return Error{"`" + text.name + "` is empty: there is nothing to look at"};
    std::vector<int32_t> ids = LineIds(*tokenizer_, line, ends);
    const auto count = static_cast<int64_t>(ids.size());
    if (made && text.bound > 0 && count > text.bound) ids.resize(static_cast<size_t>(text.bound));
    if (!made && text.bound > 0 && count > text.bound) {
      return Error{"`" + text.name + "` has " + std::to_string(count) + " tokens, but `" + text.axis +
                   "` takes at most " + std::to_string(text.bound) + "; shorten it"};
    }
    return ids;
  }

  /// The likeliest translation, by an entry that generates along the second text's axis from the first.
  Status Translate(Engine& engine, const Parameters& parameters, Sentence& sentence) {
    for (const HeedEntry* entry : EntriesOfKind(program_, kHeedEntryGenerate)) {
      Result<Decoder> decoder = Decoder::Make(*entry, engine, parameters);
      if (!decoder || decoder->sources().size() != 1 || decoder->sources()[0].axis != texts_[0].axis ||
          decoder->variable().axis != texts_[1].axis)
        continue;
      const Result<std::vector<int32_t>> ends = EndsBeside(weights_, program_, *entry);
      if (!ends) return ends.error();
      decoder->EndAlsoAt(*ends);
      LineJob job;
      job.entry = entry;
      job.tokenizer = tokenizer_.get();
      job.limit_by_source = true;
      KeepToPieces(*decoder, tokenizer_);
      const InputLine source = sentence.source;
      const LineAnswers answers = TranslateLines(*decoder, job, std::span(&source, 1), 1);
      if (answers.problem) return *answers.problem;
      sentence.target = answers.lines[0][0].text;
      PrintNote("target, by `" + std::string(entry->name) + "`: " + sentence.target);
      return Done{};
    }
    return UsageError("no entry of " + std::string(program_.source_name) +
                      " makes a target of a source; give one with --target TEXT");
  }

  Status ChoosePositions(std::vector<AttentionMap>& maps) const {
    const auto check = [&](const char* option, const NumberList& list, auto size) -> Status {
      int64_t most = 0;
      for (const AttentionMap& map : maps) most = std::max(most, static_cast<int64_t>(size(map)));
      const auto beyond = list.Beyond(most);
      if (!beyond) return Done{};
      return UsageError(std::string(option) + ": there is no position " + std::to_string(*beyond) +
                        "; the text has " + std::to_string(most) + " tokens, 0 to " +
                        std::to_string(most - 1));
    };
    if (Status ok = check("--from", rows_, [](const AttentionMap& map) { return map.rows.size(); }); !ok)
      return ok;
    if (Status ok = check("--to", columns_, [](const AttentionMap& map) { return map.columns.size(); }); !ok)
      return ok;
    for (AttentionMap& map : maps) {
      if (style_ == "lines" && !out_.empty()) {
        HideOthers(map, rows_, columns_);
      } else {
        KeepOnly(map, rows_, columns_);
      }
    }
    std::erase_if(maps, [](const AttentionMap& map) { return map.weights.empty(); });
    return Done{};
  }

  void PrintJson(const Json& words, const std::vector<AttentionMap>& maps) const {
    Json object = {{"entry", entry_->name}, {"texts", words}, {"maps", Json::array()}};
    for (const AttentionMap& map : maps) {
      Json weights = Json::array();
      for (size_t r = 0; r < map.rows.size(); ++r) {
        Json row = Json::array();
        for (size_t c = 0; c < map.columns.size(); ++c)
          row.push_back(Shortest(map.weights[r * map.columns.size() + c]));
        weights.push_back(std::move(row));
      }
      Json one = {{"site", map.site}, {"head", map.head}, {"title", map.title},    {"query", map.query},
                  {"key", map.key},   {"rows", map.rows}, {"columns", map.columns}};
      if (map.layer >= 0) one["layer"] = map.layer;
      one["weights"] = std::move(weights);
      object["maps"].push_back(std::move(one));
    }
    std::printf("%s\n", object.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  }

  void PrintTables(const std::vector<AttentionMap>& maps) {
    for (const AttentionMap& map : maps) {
      const auto rows = static_cast<int64_t>(map.rows.size()),
                 columns = static_cast<int64_t>(map.columns.size());
      std::printf("%s%s  %s%s%s\n%s", tables_++ > 0 ? "\n" : "", map.title.c_str(), map.query.c_str(),
                  map.query.empty() ? "" : " -> ", map.key.c_str(),
                  TableText(
                      {{map.query.empty() ? map.key : map.query, rows, columns, map.rows, true},
                       {map.key, columns, 1, map.columns, true}},
                      [&](int64_t at) {
                        const float weight = map.weights[static_cast<size_t>(at)];
                        return weight == 0 ? "." : CellText(static_cast<double>(weight), precision_);
                      },
                      TerminalWidth())
                      .c_str());
    }
  }

  const CommandLine& line_;
  const HeedProgram& program_;
  std::string weights_, weights_type_, entry_name_, tokenizer_name_, text_, source_, target_, sites_, layers_,
      heads_, from_, to_, style_ = "heat", out_;
  std::vector<CLI::Option*> given_;  // --text, --source, --target
  TextEnds ends_;
  bool json_ = false;
  int precision_ = 2;

  const HeedEntry* entry_ = nullptr;
  std::vector<TextArgument> texts_;
  TokenizerPtr tokenizer_;
  std::vector<AttentionSite> chosen_;
  NumberList chosen_heads_, rows_, columns_;
  int64_t cells_ = 0, tables_ = 0;
};

}  // namespace

void RegisterAttention(CommandLine& line) { line.Add(std::make_unique<AttentionCommand>(line)); }

}  // namespace heed
