// Beam search. Hypotheses are rows of the session. A hypothesis goes on in its parent's row if it is the
// first to want it; others get rows that nothing needs any more, to which the parent's is copied. So rows
// hardly ever move, and no row is kept twice.
#include <algorithm>
#include <cmath>

#include "runtime/decode/decode.h"

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

Status Decoder::Beam(std::span<const DecodeRequest> requests, const DecodeOptions& options,
                     Results& results) {
  const auto width = static_cast<size_t>(options.beam);
  // Twice as many as the beam: if all of the best half end, as many go on. A text may end in several ways.
  const int64_t considered = options.beam * (1 + std::max<int64_t>(1, static_cast<int64_t>(ends_.size())));
  const auto new_elements = [&](size_t request, const std::vector<int32_t>& ids) {
    return ids.size() - requests[request].prefix.size();
  };
  std::vector<Search> searches;
  std::vector<size_t> open;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (static_cast<int64_t>(requests[i].prefix.size()) >= Limit(requests[i], options)) {
      results[i] = {{requests[i].prefix, 0}};
      continue;
    }
    Search search{i, width, {}, {}};
    search.alive.push_back({static_cast<int64_t>(open.size()), requests[i].prefix, 0});
    searches.push_back(std::move(search));
    open.push_back(i);
  }
  const bool stop = interrupted && interrupted();
  if (!open.empty() && !stop)
    if (Status ok = Start(requests, open, options, options.beam); !ok) return ok;

  const auto vocabulary = static_cast<size_t>(variable_.vocabulary);
  std::vector<char> seen(vocabulary, 0);
  // Of each row: its likeliest elements, and what makes log-probabilities of its logits.
  struct RowChoices {
    const Hypothesis* hypothesis = nullptr;
    std::vector<int32_t> ids;
    double normalizer = 0;
    bool broken = false;
  };
  std::vector<RowChoices> choices;
  std::vector<int32_t> next_ids;
  while (!stop && !open.empty()) {
    const int64_t rows = session_.rows();
    choices.resize(static_cast<size_t>(rows));
    for (const Search& search : searches)
      for (const Hypothesis& hypothesis : search.alive)
        choices[static_cast<size_t>(hypothesis.row)].hypothesis = &hypothesis;
    if (options.repetition_penalty != 1)
      for (int64_t row = 0; row < rows; ++row)
        PenalizeRepetition(session_.logits(row), choices[static_cast<size_t>(row)].hypothesis->ids,
                           options.repetition_penalty, seen);
    ParallelFor(engine_->threads(), rows, [&](int64_t row) {
      RowChoices& of_row = choices[static_cast<size_t>(row)];
      const std::span<float> logits = session_.logits(row);
      of_row.normalizer = LogSumExp(logits);
      Exclude(logits);
      of_row.broken = !CanChoose(logits);
      if (of_row.broken) return;
      Largest(logits, considered, of_row.ids);
    });

    std::vector<char> claimed(static_cast<size_t>(rows), 0);
    struct Move {
      Hypothesis* hypothesis;
      int64_t parent;
    };
    std::vector<Move> moves;
    for (Search& search : searches) {
      std::vector<Candidate> candidates;
      for (size_t h = 0; h < search.alive.size(); ++h) {
        const Hypothesis& hypothesis = search.alive[h];
        const RowChoices& of_row = choices[static_cast<size_t>(hypothesis.row)];
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
      const size_t keep = std::min(candidates.size(), static_cast<size_t>(considered));
      std::partial_sort(candidates.begin(), candidates.begin() + static_cast<int64_t>(keep),
                        candidates.end());
      std::vector<Hypothesis> next;
      for (size_t c = 0; c < keep && next.size() < width; ++c) {
        const Candidate& candidate = candidates[c];
        const Hypothesis& parent = search.alive[candidate.hypothesis];
        if (Ends(candidate.id)) {
          if (c < width) {
            search.Offer(parent.ids,
                         candidate.log_probability /
                             LengthPenalty(new_elements(search.request, parent.ids) + 1, options.alpha));
          }
          continue;
        }
        next.push_back({parent.row, parent.ids, candidate.log_probability});
        next.back().ids.push_back(candidate.id);
      }
      const auto score = [&](const Hypothesis& hypothesis) {
        return hypothesis.log_probability /
               LengthPenalty(new_elements(search.request, hypothesis.ids), options.alpha);
      };
      // Done when what is open could not enter the list even if it ended now. At the limit all count as they
      // are: all hypotheses of a request are equally long.
      if (!next.empty() && search.ended.size() == width && score(next[0]) <= search.ended.back().score)
        next.clear();
      if (!next.empty() &&
          static_cast<int64_t>(next[0].ids.size()) >= Limit(requests[search.request], options)) {
        for (Hypothesis& hypothesis : next) {
          const double value = score(hypothesis);
          search.Offer(std::move(hypothesis.ids), value);
        }
        next.clear();
      }
      search.alive = std::move(next);
    }

    // Rows: parents' first, then what nobody needs.
    int64_t wanted = 0;
    for (Search& search : searches) {
      for (Hypothesis& hypothesis : search.alive) {
        ++wanted;
        char& taken = claimed[static_cast<size_t>(hypothesis.row)];
        if (taken) moves.push_back({&hypothesis, hypothesis.row});
        taken = 1;
      }
    }
    if (wanted == 0) break;
    if (interrupted && interrupted()) break;
    session_.Resize(std::max(rows, wanted));
    claimed.resize(static_cast<size_t>(std::max(rows, wanted)), 0);
    int64_t free_row = 0;
    const auto next_free = [&] {
      while (claimed[static_cast<size_t>(free_row)]) ++free_row;
      claimed[static_cast<size_t>(free_row)] = 1;
      return free_row;
    };
    for (const Move& move : moves) {
      move.hypothesis->row = next_free();
      session_.Copy(move.parent, move.hypothesis->row);
    }
    // Rows beyond those wanted move down, so that the open ones are the first.
    for (Search& search : searches) {
      for (Hypothesis& hypothesis : search.alive) {
        if (hypothesis.row < wanted) continue;
        const int64_t to = next_free();
        session_.Copy(hypothesis.row, to);
        hypothesis.row = to;
      }
    }
    session_.Resize(wanted);
    next_ids.resize(static_cast<size_t>(wanted));
    for (const Search& search : searches)
      for (const Hypothesis& hypothesis : search.alive)
        next_ids[static_cast<size_t>(hypothesis.row)] = hypothesis.ids.back();
    if (Status ok = Add(next_ids); !ok) return ok;
  }

  for (Search& search : searches) {
    std::vector<Decoded>& of_request = results[search.request];
    of_request = std::move(search.ended);
    if (of_request.empty() && !search.alive.empty())  // interrupted
      of_request.push_back({std::move(search.alive[0].ids), 0});
    if (of_request.size() > static_cast<size_t>(std::max<int64_t>(1, options.best)))
      of_request.resize(static_cast<size_t>(std::max<int64_t>(1, options.best)));
  }
  return Done{};
}

}  // namespace heed
