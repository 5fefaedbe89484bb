// Requests in, texts out: greedily or by chance here, by beam search in beam.cpp. A text that ends gives its
// row to the last open one, so that open texts are the first rows of the session.
#include "runtime/decode/decode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/engine/profiler.h"
#include "runtime/engine/program.h"

namespace heed {
namespace {

std::string EntryName(const HeedEntry& entry) { return "entry `" + std::string(entry.name) + "`"; }

/// These rows of a tensor.
HostTensor RowsOf(const HostTensor& tensor, std::span<const int64_t> rows) {
  std::vector<int64_t> shape = tensor.shape();
  const int64_t bytes = tensor.bytes() / shape[0];
  shape[0] = static_cast<int64_t>(rows.size());
  HostTensor chosen = HostTensor::Unset(tensor.dtype(), shape);
  for (size_t r = 0; r < rows.size(); ++r) {
    std::memcpy(static_cast<char*>(chosen.data()) + static_cast<int64_t>(r) * bytes,
                static_cast<const char*>(tensor.data()) + rows[r] * bytes, static_cast<size_t>(bytes));
  }
  return chosen;
}

}  // namespace

double LengthPenalty(size_t length, double alpha) {
  return std::pow((5.0 + static_cast<double>(length)) / 6.0, alpha);
}

Result<DecodeOptions> ProgramOptions(const HeedEntry& entry) {
  DecodeOptions options;
  for (int64_t i = 0; i < entry.option_count; ++i) {
    const std::string name = entry.options[i].name;
    const double value = entry.options[i].value;
    const auto bad = [&](const char* range) {
      return Error{EntryName(entry) + ": option " + name + " must be " + range};
    };
    if (name == "beam") {
      if (value < 1) return bad("at least 1");
      options.beam = static_cast<int64_t>(value);
    } else if (name == "alpha") {
      options.alpha = value;
    } else if (name == "temperature") {
      if (value < 0) return bad("at least 0");
      options.temperature = value;
      options.sample = value > 0;
    } else if (name == "top_k") {
      if (value < 0) return bad("at least 0");
      options.top_k = static_cast<int64_t>(value);
      options.sample = true;
    } else if (name == "top_p") {
      if (value < 0 || value > 1) return bad("from 0 to 1");
      options.top_p = value;
      options.sample = true;
    } else if (name == "repetition_penalty") {
      if (!(value > 0)) return bad("over 0");
      options.repetition_penalty = value;
    } else if (name == "max_length") {
      if (value < 1) return bad("at least 1");
      options.max_new = static_cast<int64_t>(value);
    } else {
      return Error{EntryName(entry) + " has the option `" + name +
                   "`, which is not known; there are beam, alpha, temperature, top_k, top_p, "
                   "repetition_penalty and max_length"};
    }
  }
  if (options.temperature <= 0) options.sample = false;
  return options;
}

Result<Decoder> Decoder::OnTensors(const HeedEntry& entry, Engine& engine, const Parameters& parameters,
                                   std::map<std::string, HostTensor> arguments) {
  Result<Session> session = Session::Make(entry, engine, parameters);
  if (!session) return session.error();
  Decoder decoder(entry, std::move(*session));
  decoder.engine_ = &engine;
  decoder.ends_.assign(entry.until, entry.until + entry.until_count);
  const HeedAxis* vocabulary = FindAxis(engine.program(), entry.indexes);
  decoder.variable_ = {entry.variable, entry.axis, entry.bound, entry.indexes,
                       vocabulary ? vocabulary->size : 0};
  decoder.arguments_ = std::move(arguments);
  return decoder;
}

Result<Decoder> Decoder::Make(const HeedEntry& entry, Engine& engine, const Parameters& parameters) {
  Result<Decoder> made = OnTensors(entry, engine, parameters, {});
  if (!made) return made.error();
  Decoder& decoder = *made;
  const HeedProgram& program = engine.program();
  for (int64_t i = 0; i < entry.argument_count; ++i) {
    const HeedArgument& argument = entry.arguments[i];
    if (entry.prompt && std::string_view(argument.name) == entry.prompt) continue;
    const auto text = AsText(program, argument);
    if (!text) {
      return Error{EntryName(entry) + " takes `" + ArgumentText(argument) +
                   "`, which is not text; only text can be given on the command line"};
    }
    decoder.sources_.push_back(*text);
  }
  return made;
}

void Decoder::EndAlsoAt(std::span<const int32_t> elements) {
  for (const int32_t element : elements)
    if (!Ends(element)) ends_.push_back(element);
}

int64_t Decoder::Limit(const DecodeRequest& request, const DecodeOptions& options) const {
  int64_t limit = entry_->bound > 0 ? entry_->bound : INT64_MAX;
  const int64_t wanted = request.max_new > 0 ? request.max_new : options.max_new;
  const auto given = static_cast<int64_t>(request.prefix.size());
  if (wanted > 0 && wanted < limit - given) limit = given + wanted;
  return limit;
}

Status Decoder::Start(std::span<const DecodeRequest> requests, std::span<const size_t> which,
                      const DecodeOptions& options, int64_t copies) {
  std::vector<TextArgument> texts = sources_;
  texts.push_back(variable_);
  std::vector<Rows> columns(texts.size());
  std::vector<int64_t> numbers, rows;
  int64_t longest = 0;
  bool known = true;  // how long texts may get is known, and worth its memory at once
  for (const size_t i : which) {
    const DecodeRequest& request = requests[i];
    for (size_t s = 0; s < sources_.size(); ++s) columns[s].push_back(request.sources[s]);
    columns.back().push_back(request.prefix);
    numbers.push_back(request.number);
    rows.push_back(request.row);
    longest = std::max(longest, Limit(request, options));
    known = known && (request.max_new > 0 || options.max_new > 0);
  }
  const auto start = Clock::now();
  std::map<std::string, HostTensor> inputs = TextInputs(*entry_->prefill, texts, columns, numbers);
  for (const auto& [name, tensor] : arguments_) inputs.emplace(name, RowsOf(tensor, rows));
  Status ok = session_.Start(inputs, copies * static_cast<int64_t>(which.size()), known ? longest : 0);
  times_.read_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  times_.rows = static_cast<int64_t>(which.size());
  for (const Rows& column : columns)
    for (const auto& row : column) times_.read_tokens += static_cast<int64_t>(row.size());
  return ok;
}

Result<std::vector<std::vector<Decoded>>> Decoder::Decode(std::span<const DecodeRequest> requests,
                                                          const DecodeOptions& options,
                                                          const OnToken& on_token) {
  times_ = {};
  const auto start = Clock::now();
  Results results(requests.size());
  const bool beam = options.beam > 1 && !options.sample;
  Status ok = beam ? Beam(requests, options, results) : Sample(requests, options, on_token, results);
  if (!ok) return ok.error();
  times_.make_seconds = std::chrono::duration<double>(Clock::now() - start).count() - times_.read_seconds;
  if (on_times && times_.rows > 0) on_times(times_);
  return results;
}

void Decoder::ChooseOnly(const std::function<bool(int32_t id)>& may) {
  excluded_.clear();
  for (int32_t id = 0; id < variable_.vocabulary; ++id)
    if (!may(id)) excluded_.push_back(id);
}

void Decoder::Exclude(std::span<float> logits) const {
  for (const int32_t id : excluded_)
    if (!Ends(id)) logits[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
}

Status Decoder::Add(std::span<const int32_t> ids) {
  Status ok = session_.Add(ids);
  times_.made_tokens += static_cast<int64_t>(ids.size());
  return ok;
}

/// The texts of a batch of requests, chosen greedily or by chance, over the rows of a decoder's session.
class Decoder::Sampling {
 public:
  Sampling(Decoder& decoder, std::span<const DecodeRequest> requests, const DecodeOptions& options,
           const OnToken& on_token, Results& results)
      : decoder_(decoder),
        session_(decoder.session_),
        requests_(requests),
        options_(options),
        on_token_(on_token),
        results_(results),
        copies_(options.sample ? std::max<int64_t>(1, options.best) : 1),
        streams_(on_token && copies_ == 1) {}
  Status Run();

 private:
  struct Row {
    size_t request;
    int64_t sample;
    std::vector<int32_t> ids;
    double log_probability = 0;
    int32_t chosen = -1;
    double chosen_log_probability = 0;
  };
  /// Finds the requests that have place for a new element; the others are their prefixes.
  void Open();
  /// A row for every sample of the open requests.
  void MakeRows();
  /// Penalties, what is never chosen, and normalizers.
  void PrepareLogits(size_t logits_rows);
  void ChooseInRows();
  /// Adds what was chosen to its rows; those that end give theirs to the last one.
  Status TakeChosen();
  /// Adds what was chosen to the row's text; true if that ends it.
  bool Take(Row& row);
  void Finish(const Row& row);
  /// The newest element of every row goes to the session.
  Status AddNewest();
  bool Interrupted() const { return decoder_.interrupted && decoder_.interrupted(); }

  Decoder& decoder_;
  Session& session_;
  const std::span<const DecodeRequest> requests_;
  const DecodeOptions& options_;
  const OnToken& on_token_;
  Results& results_;
  const int64_t copies_;
  const bool streams_;
  std::vector<size_t> open_;
  std::vector<Row> rows_;
  std::vector<char> seen_;
  bool first_ = true;  // the first choice of every sample is made from the logits of its prompt
  std::vector<int32_t> next_;
  std::vector<double> normalizers_;  // of the rows of logits, if scores are wanted
};

Status Decoder::Sampling::Run() {
  Open();
  if (open_.empty() || Interrupted()) {
    for (const size_t i : open_)
      for (Decoded& decoded : results_[i]) decoded.ids = requests_[i].prefix;
    return Done{};
  }
  if (Status ok = decoder_.Start(requests_, open_, options_, copies_); !ok) return ok;

  MakeRows();
  for (;;) {
    {
      const ProfileSpan span(decoder_.engine_->profiler(), "choosing tokens");
      PrepareLogits(first_ ? open_.size() : rows_.size());
      ChooseInRows();
    }
    if (first_)
      for (size_t r = open_.size(); r < rows_.size(); ++r)
        session_.Copy(static_cast<int64_t>(r % open_.size()), static_cast<int64_t>(r));
    first_ = false;
    if (Status ok = TakeChosen(); !ok) return ok;
    if (rows_.empty()) break;
    if (Interrupted()) {
      for (Row& row : rows_) Finish(row);
      break;
    }
    if (Status ok = AddNewest(); !ok) return ok;
  }
  if (copies_ > 1 && options_.scores)
    for (std::vector<Decoded>& all : results_)
      std::stable_sort(all.begin(), all.end(),
                       [](const Decoded& a, const Decoded& b) { return a.score > b.score; });
  return Done{};
}

void Decoder::Sampling::Open() {
  for (size_t i = 0; i < requests_.size(); ++i) {
    results_[i].resize(static_cast<size_t>(copies_));
    if (static_cast<int64_t>(requests_[i].prefix.size()) < decoder_.Limit(requests_[i], options_)) {
      open_.push_back(i);
    } else {
      for (Decoded& decoded : results_[i]) decoded.ids = requests_[i].prefix;
    }
  }
}

void Decoder::Sampling::MakeRows() {
  for (int64_t sample = 0; sample < copies_; ++sample)
    for (const size_t i : open_) rows_.push_back({i, sample, requests_[i].prefix});
  session_.Resize(static_cast<int64_t>(rows_.size()));
  seen_.assign(static_cast<size_t>(decoder_.variable_.vocabulary), 0);
}

void Decoder::Sampling::PrepareLogits(size_t logits_rows) {
  normalizers_.resize(logits_rows);
  if (options_.repetition_penalty != 1)
    for (size_t r = 0; r < logits_rows; ++r)
      PenalizeRepetition(session_.logits(static_cast<int64_t>(r)), rows_[r].ids, options_.repetition_penalty,
                         seen_);
  if (options_.scores || !decoder_.excluded_.empty())
    ParallelFor(decoder_.engine_->threads(), static_cast<int64_t>(logits_rows), [&](int64_t r) {
      const std::span<float> logits = session_.logits(r);
      if (options_.scores) normalizers_[static_cast<size_t>(r)] = LogSumExp(logits);
      decoder_.Exclude(logits);
    });
}

void Decoder::Sampling::ChooseInRows() {
  ParallelFor(decoder_.engine_->threads(), static_cast<int64_t>(rows_.size()), [&](int64_t r) {
    Row& row = rows_[static_cast<size_t>(r)];
    const int64_t logits_row = first_ ? r % static_cast<int64_t>(open_.size()) : r;
    const std::span<const float> logits = session_.logits(logits_row);
    row.chosen = Choose(logits, options_, requests_[row.request].number, static_cast<int64_t>(row.ids.size()),
                        row.sample);
    if (options_.scores && row.chosen >= 0)
      row.chosen_log_probability = LogProbability(logits[static_cast<size_t>(row.chosen)],
                                                  normalizers_[static_cast<size_t>(logits_row)]);
  });
}

Status Decoder::Sampling::TakeChosen() {
  for (size_t r = 0; r < rows_.size();) {
    Row& row = rows_[r];
    if (row.chosen < 0) return LogitsAreNotNumbers();
    if (!Take(row)) {
      ++r;
      continue;
    }
    Finish(row);
    const size_t last = rows_.size() - 1;
    if (r != last) {
      session_.Copy(static_cast<int64_t>(last), static_cast<int64_t>(r));
      rows_[r] = std::move(rows_[last]);
    }
    rows_.pop_back();
    session_.Resize(static_cast<int64_t>(last));
  }
  return Done{};
}

bool Decoder::Sampling::Take(Row& row) {
  row.log_probability += row.chosen_log_probability;
  if (decoder_.Ends(row.chosen)) return true;
  row.ids.push_back(row.chosen);
  if (streams_) on_token_(row.request, row.ids);
  return static_cast<int64_t>(row.ids.size()) >= decoder_.Limit(requests_[row.request], options_);
}

void Decoder::Sampling::Finish(const Row& row) {
  const size_t before = requests_[row.request].prefix.size();
  const bool ended = row.chosen >= 0 && decoder_.Ends(row.chosen);
  const double penalty = LengthPenalty(row.ids.size() - before + (ended ? 1 : 0), options_.alpha);
  results_[row.request][static_cast<size_t>(row.sample)] = {
      row.ids, options_.scores ? row.log_probability / penalty : 0};
}

Status Decoder::Sampling::AddNewest() {
  next_.clear();
  for (const Row& row : rows_) next_.push_back(row.ids.back());
  return decoder_.Add(next_);
}

Status Decoder::Sample(std::span<const DecodeRequest> requests, const DecodeOptions& options,
                       const OnToken& on_token, Results& results) {
  return Sampling(*this, requests, options, on_token, results).Run();
}

}  // namespace heed
