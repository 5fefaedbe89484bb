// Beam search. Hypotheses are rows of the session. A hypothesis goes on in its parent's row if it is the
// first to want it; others get rows that nothing needs any more, to which the parent's is copied. So rows
// hardly ever move, and no row is kept twice.
#include <algorithm>
#include <cmath>

#include "runtime/decode/decode.h"
#include "runtime/engine/profiler.h"

namespace heed {
namespace {

struct Hypothesis {
  int64_t row = -1;
  std::vector<int32_t> ids;
  double log_probability = 0;
};

struct Candidate {
  double log_probability;
  size_t hypothesis;
  int32_t id;
  /// The likeliest first; of equals the first hypothesis, of its elements the first.
  friend bool operator<(const Candidate& a, const Candidate& b) {
    if (a.log_probability != b.log_probability) return a.log_probability > b.log_probability;
    return a.hypothesis != b.hypothesis ? a.hypothesis < b.hypothesis : a.id < b.id;
  }
};

/// Of a row: its likeliest elements, and what makes log-probabilities of its logits.
struct RowChoices {
  const Hypothesis* hypothesis = nullptr;
  std::vector<int32_t> ids;
  double normalizer = 0;
  bool broken = false;
};

/// A hypothesis that needs a row of its own, a copy of its parent's.
struct Move {
  Hypothesis* hypothesis;
  int64_t parent;
};

/// The search of one request.
struct Search {
  size_t request;
  size_t width;
  std::vector<Hypothesis> alive;
  std::vector<Decoded> ended;  ///< the best few, best first

  /// A text that ends in several ways counts once, by the best of them.
  void Offer(std::vector<int32_t> ids, double score) {
    const auto same =
        std::find_if(ended.begin(), ended.end(), [&](const Decoded& e) { return e.ids == ids; });
    if (same != ended.end()) {
      if (same->score >= score) return;
      ended.erase(same);
    }
    const auto place =
        std::find_if(ended.begin(), ended.end(), [&](const Decoded& e) { return score > e.score; });
    ended.insert(place, {std::move(ids), score});
    if (ended.size() > width) ended.pop_back();
  }
};

}  // namespace

/// The searches of a batch of requests over the rows of a decoder's session.
class Decoder::BeamSearch {
 public:
  BeamSearch(Decoder& decoder, std::span<const DecodeRequest> requests, const DecodeOptions& options)
      : decoder_(decoder),
        session_(decoder.session_),
        requests_(requests),
        options_(options),
        width_(static_cast<size_t>(options.beam)),
        considered_(options.beam * (1 + std::max<int64_t>(1, static_cast<int64_t>(decoder.ends_.size())))) {}
  Status Run(Results& results);

 private:
  /// A search with one hypothesis for every request that has place for a new element; the others are done.
  void Open(Results& results);
  /// What every row of logits offers.
  void ChooseInRows(int64_t rows);
  /// The elements that the rows of a search offer, as its hypotheses would go on with them.
  Status Collect(const Search& search, std::vector<Candidate>& candidates) const;
  /// One more element for every hypothesis of a search.
  Status Extend(Search& search) const;
  /// The best candidates that go on; what ends among them is offered to the search.
  std::vector<Hypothesis> GoOn(Search& search, std::vector<Candidate>& candidates) const;
  /// The hypotheses that are worth going on with, if any; at the limit all of them end.
  std::vector<Hypothesis> UnlessDone(Search& search, std::vector<Hypothesis> next) const;
  /// How many hypotheses there are; each claims its parent's row, or is noted for a move if that is taken.
  int64_t ClaimRows(int64_t rows);
  /// Rows of their own for `wanted` hypotheses, the first of the session.
  void PlaceRows(int64_t rows, int64_t wanted);
  int64_t NextFreeRow();
  /// The newest element of every hypothesis goes to the session.
  Status AddNewest(int64_t wanted);
  void TakeResults(Results& results);

  bool Interrupted() const { return decoder_.interrupted && decoder_.interrupted(); }
  size_t NewElements(size_t request, const std::vector<int32_t>& ids) const {
    return ids.size() - requests_[request].prefix.size();
  }
  double Score(const Search& search, const Hypothesis& hypothesis) const {
    return hypothesis.log_probability /
           LengthPenalty(NewElements(search.request, hypothesis.ids), options_.alpha);
  }

  Decoder& decoder_;
  Session& session_;
  const std::span<const DecodeRequest> requests_;
  const DecodeOptions& options_;
  const size_t width_;
  /// Twice as many as the beam: if all of the best half end, as many go on. A text may end in several ways.
  const int64_t considered_;
  std::vector<Search> searches_;
  std::vector<size_t> open_;
  std::vector<char> seen_;
  std::vector<RowChoices> choices_;
  std::vector<char> claimed_;  ///< of each row whether a hypothesis has it
  std::vector<Move> moves_;
  int64_t free_row_ = 0;  ///< all before it are claimed
  std::vector<int32_t> next_ids_;
};

Status Decoder::BeamSearch::Run(Results& results) {
  Open(results);
  const bool stop = Interrupted();
  if (!open_.empty() && !stop)
    if (Status ok = decoder_.Start(requests_, open_, options_, options_.beam); !ok) return ok;

  seen_.assign(static_cast<size_t>(decoder_.variable_.vocabulary), 0);
  while (!stop && !open_.empty()) {
    const int64_t rows = session_.rows();
    ChooseInRows(rows);
    for (Search& search : searches_)
      if (Status ok = Extend(search); !ok) return ok;
    const int64_t wanted = ClaimRows(rows);
    if (wanted == 0) break;
    if (Interrupted()) break;
    PlaceRows(rows, wanted);
    if (Status ok = AddNewest(wanted); !ok) return ok;
  }

  TakeResults(results);
  return Done{};
}

void Decoder::BeamSearch::Open(Results& results) {
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (static_cast<int64_t>(requests_[i].prefix.size()) >= decoder_.Limit(requests_[i], options_)) {
      results[i] = {{requests_[i].prefix, 0}};
      continue;
    }
    Search search{i, width_, {}, {}};
    search.alive.push_back({static_cast<int64_t>(open_.size()), requests_[i].prefix, 0});
    searches_.push_back(std::move(search));
    open_.push_back(i);
  }
}

void Decoder::BeamSearch::ChooseInRows(int64_t rows) {
  const ProfileSpan span(decoder_.engine_->profiler(), "choosing tokens");
  choices_.resize(static_cast<size_t>(rows));
  for (const Search& search : searches_)
    for (const Hypothesis& hypothesis : search.alive)
      choices_[static_cast<size_t>(hypothesis.row)].hypothesis = &hypothesis;
  if (options_.repetition_penalty != 1)
    for (int64_t row = 0; row < rows; ++row)
      PenalizeRepetition(session_.logits(row), choices_[static_cast<size_t>(row)].hypothesis->ids,
                         options_.repetition_penalty, seen_);
  ParallelFor(decoder_.engine_->threads(), rows, [&](int64_t row) {
    RowChoices& of_row = choices_[static_cast<size_t>(row)];
    const std::span<float> logits = session_.logits(row);
    of_row.normalizer = LogSumExp(logits);
    decoder_.Exclude(logits);
    of_row.broken = !CanChoose(logits);
    if (of_row.broken) return;
    Largest(logits, considered_, of_row.ids);
  });
}

Status Decoder::BeamSearch::Collect(const Search& search, std::vector<Candidate>& candidates) const {
  for (size_t h = 0; h < search.alive.size(); ++h) {
    const Hypothesis& hypothesis = search.alive[h];
    const RowChoices& of_row = choices_[static_cast<size_t>(hypothesis.row)];
    if (of_row.broken) return LogitsAreNotNumbers();
    const std::span<const float> logits = session_.logits(hypothesis.row);
    const double base = hypothesis.log_probability - of_row.normalizer;
    for (const int32_t id : of_row.ids) {
      const float logit = logits[static_cast<size_t>(id)];
      const double total = std::isinf(of_row.normalizer)
                               ? hypothesis.log_probability + LogProbability(logit, of_row.normalizer)
                               : base + static_cast<double>(logit);
      if (std::isfinite(total)) candidates.push_back({total, h, id});
    }
  }
  return Done{};
}

Status Decoder::BeamSearch::Extend(Search& search) const {
  std::vector<Candidate> candidates;
  if (Status ok = Collect(search, candidates); !ok) return ok;
  std::vector<Hypothesis> next = GoOn(search, candidates);
  search.alive = UnlessDone(search, std::move(next));
  return Done{};
}

std::vector<Hypothesis> Decoder::BeamSearch::GoOn(Search& search, std::vector<Candidate>& candidates) const {
  const size_t keep = std::min(candidates.size(), static_cast<size_t>(considered_));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<int64_t>(keep), candidates.end());
  std::vector<Hypothesis> next;
  for (size_t c = 0; c < keep && next.size() < width_; ++c) {
    const Candidate& candidate = candidates[c];
    const Hypothesis& parent = search.alive[candidate.hypothesis];
    if (decoder_.Ends(candidate.id)) {
      if (c < width_) {
        search.Offer(parent.ids,
                     candidate.log_probability /
                         LengthPenalty(NewElements(search.request, parent.ids) + 1, options_.alpha));
      }
      continue;
    }
    next.push_back({parent.row, parent.ids, candidate.log_probability});
    next.back().ids.push_back(candidate.id);
  }
  return next;
}

std::vector<Hypothesis> Decoder::BeamSearch::UnlessDone(Search& search, std::vector<Hypothesis> next) const {
  // Done when what is open could not enter the list even if it ended now. At the limit all count as they
  // are: all hypotheses of a request are equally long.
  if (!next.empty() && search.ended.size() == width_ && Score(search, next[0]) <= search.ended.back().score)
    next.clear();
  if (!next.empty() &&
      static_cast<int64_t>(next[0].ids.size()) >= decoder_.Limit(requests_[search.request], options_)) {
    for (Hypothesis& hypothesis : next) {
      const double value = Score(search, hypothesis);
      search.Offer(std::move(hypothesis.ids), value);
    }
    next.clear();
  }
  return next;
}

int64_t Decoder::BeamSearch::ClaimRows(int64_t rows) {
  claimed_.assign(static_cast<size_t>(rows), 0);
  moves_.clear();
  int64_t wanted = 0;
  for (Search& search : searches_) {
    for (Hypothesis& hypothesis : search.alive) {
      ++wanted;
      char& taken = claimed_[static_cast<size_t>(hypothesis.row)];
      if (taken) moves_.push_back({&hypothesis, hypothesis.row});
      taken = 1;
    }
  }
  return wanted;
}

// Rows: parents' first, then what nobody needs.
void Decoder::BeamSearch::PlaceRows(int64_t rows, int64_t wanted) {
  const ProfileSpan span(decoder_.engine_->profiler(), "moving beams");
  session_.Resize(std::max(rows, wanted));
  claimed_.resize(static_cast<size_t>(std::max(rows, wanted)), 0);
  free_row_ = 0;
  for (const Move& move : moves_) {
    move.hypothesis->row = NextFreeRow();
    session_.Copy(move.parent, move.hypothesis->row);
  }
  // Rows beyond those wanted move down, so that the open ones are the first.
  for (Search& search : searches_) {
    for (Hypothesis& hypothesis : search.alive) {
      if (hypothesis.row < wanted) continue;
      const int64_t to = NextFreeRow();
      session_.Copy(hypothesis.row, to);
      hypothesis.row = to;
    }
  }
  session_.Resize(wanted);
}

int64_t Decoder::BeamSearch::NextFreeRow() {
  while (claimed_[static_cast<size_t>(free_row_)]) ++free_row_;
  claimed_[static_cast<size_t>(free_row_)] = 1;
  return free_row_;
}

Status Decoder::BeamSearch::AddNewest(int64_t wanted) {
  next_ids_.resize(static_cast<size_t>(wanted));
  for (const Search& search : searches_)
    for (const Hypothesis& hypothesis : search.alive)
      next_ids_[static_cast<size_t>(hypothesis.row)] = hypothesis.ids.back();
  return decoder_.Add(next_ids_);
}

void Decoder::BeamSearch::TakeResults(Results& results) {
  for (Search& search : searches_) {
    std::vector<Decoded>& of_request = results[search.request];
    of_request = std::move(search.ended);
    if (of_request.empty() && !search.alive.empty())  // interrupted
      of_request.push_back({std::move(search.alive[0].ids), 0});
    if (of_request.size() > static_cast<size_t>(std::max<int64_t>(1, options_.best)))
      of_request.resize(static_cast<size_t>(std::max<int64_t>(1, options_.best)));
  }
}

Status Decoder::Beam(std::span<const DecodeRequest> requests, const DecodeOptions& options,
                     Results& results) {
  return BeamSearch(*this, requests, options).Run(results);
}

}  // namespace heed
