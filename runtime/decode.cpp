// Generation by recomputing the prefix for every token. Sums over the vocabulary run in id order in double
// precision, so that a choice depends on the logits alone.
#include "runtime/decode.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/random.h"

namespace heed {
namespace {

std::string EntryName(const HeedEntry& entry) { return "entry `" + std::string(entry.name) + "`"; }

double LogSumExp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

bool HasNan(std::span<const float> logits) {
  return std::any_of(logits.begin(), logits.end(), [](float x) { return std::isnan(x); });
}

double Penalty(size_t length, double alpha) {
  return std::pow((5.0 + static_cast<double>(length)) / 6.0, alpha);
}

const Error& NotANumber() {
  static const Error error{"the model gives logits that are not numbers; are these the right --weights?"};
  return error;
}

}  // namespace

int32_t Choose(std::span<const float> logits, const DecodeOptions& options, int64_t number,
               int64_t position) {
  if (logits.empty() || HasNan(logits)) return -1;
  const auto largest = std::max_element(logits.begin(), logits.end());
  if (!options.sample || options.temperature <= 0 || options.top_k == 1) {
    return static_cast<int32_t>(largest - logits.begin());
  }
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  if (options.top_k > 0 && options.top_k < static_cast<int64_t>(order.size())) {
    std::partial_sort(order.begin(), order.begin() + options.top_k, order.end(), before);
    order.resize(static_cast<size_t>(options.top_k));
  } else if (options.top_p < 1) {
    std::sort(order.begin(), order.end(), before);
  }
  std::vector<double> weights;
  weights.reserve(order.size());
  double total = 0;
  for (int32_t id : order) {
    const double logit = static_cast<double>(logits[static_cast<size_t>(id)]) - static_cast<double>(*largest);
    weights.push_back(std::exp(logit / options.temperature));
    total += weights.back();
  }
  if (options.top_p < 1) {
    double kept = 0;
    size_t count = 0;
    while (count < weights.size() && (count == 0 || kept < options.top_p * total)) kept += weights[count++];
    weights.resize(count);
    total = kept;
  }
  constexpr char kSite[] = "sample";
  const uint32_t bits = RandomBits(RandomKey(options.seed, static_cast<uint64_t>(position)),
                                   static_cast<uint32_t>(number), SiteHash(kSite, sizeof kSite - 1), 0);
  double left = (static_cast<double>(bits) + 0.5) / 4294967296.0 * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0) return order[i];
  }
  return order[weights.size() - 1];
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
      if (value < 1) return bad("at least 1");
      options.top_k = static_cast<int64_t>(value);
      options.sample = true;
    } else if (name == "top_p") {
      if (value <= 0 || value > 1) return bad("over 0 and at most 1");
      options.top_p = value;
      options.sample = true;
    } else if (name == "max_length") {
      if (value < 1) return bad("at least 1");
      options.max_new = static_cast<int64_t>(value);
    } else {
      return Error{EntryName(entry) + " has the option `" + name +
                   "`, which is not known; there are beam, alpha, temperature, top_k, top_p and max_length"};
    }
  }
  if (options.temperature <= 0) options.sample = false;
  return options;
}

Result<Decoder> Decoder::Make(const HeedEntry& entry, Engine& engine, const ParameterBlock& parameters) {
  Decoder decoder(entry, engine, parameters);
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
  const HeedAxis* vocabulary = FindAxis(program, entry.indexes);
  decoder.variable_ = {entry.variable, entry.axis, entry.bound, entry.indexes,
                       vocabulary ? vocabulary->size : 0};
  for (int64_t i = 0; i < entry.next->input_count; ++i) {
    const std::string name = entry.next->inputs[i].name;
    if (name.starts_with("len.") || name == "example" || name == decoder.variable_.name) continue;
    const auto known = [&](const TextArgument& source) { return source.name == name; };
    if (std::none_of(decoder.sources_.begin(), decoder.sources_.end(), known)) {
      return Error{EntryName(entry) + " uses its prompt `" + name +
                   "` beyond the start of the generated text, which is not supported"};
    }
  }
  return decoder;
}

int64_t Decoder::Limit(const DecodeRequest& request, const DecodeOptions& options) const {
  int64_t limit = entry_->bound > 0 ? entry_->bound : INT64_MAX;
  const int64_t wanted = request.max_new > 0 ? request.max_new : options.max_new;
  if (wanted > 0) limit = std::min(limit, static_cast<int64_t>(request.prefix.size()) + wanted);
  return limit;
}

Result<HostTensor> Decoder::Next(std::span<const DecodeRequest> requests, std::span<const Row> rows) {
  std::vector<TextArgument> texts = sources_;
  texts.push_back(variable_);
  std::vector<Rows> columns(texts.size());
  std::vector<int64_t> numbers;
  for (const Row& row : rows) {
    const DecodeRequest& request = requests[row.request];
    for (size_t s = 0; s < sources_.size(); ++s) columns[s].push_back(request.sources[s]);
    columns.back().push_back(row.ids);
    numbers.push_back(request.number);
  }
  auto results = engine_->Call(*entry_->next, TextInputs(*entry_->next, texts, columns, numbers),
                               *parameters_, nullptr, {});
  if (!results) return results.error();
  const auto logits = results->find("logits");
  const auto count = static_cast<int64_t>(rows.size());
  if (logits == results->end() ||
      logits->second.shape() != std::vector<int64_t>{count, variable_.vocabulary}) {
    return Error{EntryName(*entry_) + " gives no logits [batch, " + variable_.indexes + "]"};
  }
  return logits->second;
}

Result<std::vector<std::vector<int32_t>>> Decoder::Decode(std::span<const DecodeRequest> requests,
                                                          const DecodeOptions& options,
                                                          const OnToken& on_token) {
  if (options.beam > 1 && !options.sample) return Beam(requests, options);
  std::vector<std::vector<int32_t>> results(requests.size());
  std::vector<Row> rows;
  for (size_t i = 0; i < requests.size(); ++i) rows.push_back({i, requests[i].prefix});
  const auto finish = [&](const Row& row) {
    const bool full = static_cast<int64_t>(row.ids.size()) >= Limit(requests[row.request], options);
    if (full) results[row.request] = row.ids;
    return full;
  };
  std::erase_if(rows, finish);
  while (!rows.empty()) {
    if (interrupted && interrupted()) break;
    auto logits = Next(requests, rows);
    if (!logits) return logits.error();
    const auto width = static_cast<size_t>(variable_.vocabulary);
    size_t kept = 0;
    for (size_t r = 0; r < rows.size(); ++r) {
      Row& row = rows[r];
      const DecodeRequest& request = requests[row.request];
      const int32_t id = Choose(logits->floats().subspan(r * width, width), options, request.number,
                                static_cast<int64_t>(row.ids.size()));
      if (id < 0) return NotANumber();
      if (id == entry_->until) {
        results[row.request] = std::move(row.ids);
        continue;
      }
      row.ids.push_back(id);
      if (on_token) on_token(row.request, row.ids);
      if (!finish(row)) {
        if (kept != r) rows[kept] = std::move(row);
        ++kept;
      }
    }
    rows.erase(rows.begin() + static_cast<int64_t>(kept), rows.end());
  }
  for (Row& row : rows) results[row.request] = std::move(row.ids);
  return results;
}

Result<std::vector<std::vector<int32_t>>> Decoder::Beam(std::span<const DecodeRequest> requests,
                                                        const DecodeOptions& options) {
  struct Hypothesis {
    std::vector<int32_t> ids;
    double log_probability = 0;
  };
  struct Ended {
    double score;
    std::vector<int32_t> ids;
  };
  // The best few that have ended, best first.
  std::vector<std::vector<Ended>> finished(requests.size());
  const auto width_of_beam = static_cast<size_t>(options.beam);
  const auto offer = [&](size_t i, const std::vector<int32_t>& ids, double score) {
    std::vector<Ended>& list = finished[i];
    const auto place =
        std::find_if(list.begin(), list.end(), [&](const Ended& e) { return score > e.score; });
    list.insert(place, {score, ids});
    if (list.size() > width_of_beam) list.pop_back();
  };
  std::vector<std::vector<Hypothesis>> alive(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) alive[i] = {{requests[i].prefix, 0}};
  const auto width = static_cast<size_t>(variable_.vocabulary);
  const auto new_tokens = [&](size_t i, const std::vector<int32_t>& ids) {
    return ids.size() - requests[i].prefix.size();
  };
  while (!(interrupted && interrupted())) {
    std::vector<Row> rows;
    for (size_t i = 0; i < requests.size(); ++i) {
      // All hypotheses of a request are equally long. At the limit they count as they are.
      if (alive[i].empty()) continue;
      if (static_cast<int64_t>(alive[i][0].ids.size()) >= Limit(requests[i], options)) {
        for (const Hypothesis& h : alive[i]) {
          offer(i, h.ids, h.log_probability / Penalty(new_tokens(i, h.ids), options.alpha));
        }
        alive[i].clear();
      }
      for (const Hypothesis& h : alive[i]) rows.push_back({i, h.ids});
    }
    if (rows.empty()) break;
    auto logits = Next(requests, rows);
    if (!logits) return logits.error();
    for (size_t r = 0; r < rows.size();) {
      const size_t i = rows[r].request;
      struct Candidate {
        double log_probability;
        size_t hypothesis;
        int32_t id;
      };
      std::vector<Candidate> candidates;
      for (size_t h = 0; h < alive[i].size(); ++h, ++r) {
        const std::span<const float> row = logits->floats().subspan(r * width, width);
        if (HasNan(row)) return NotANumber();
        const double base = alive[i][h].log_probability - LogSumExp(row);
        for (size_t id = 0; id < width; ++id) {
          candidates.push_back({base + static_cast<double>(row[id]), h, static_cast<int32_t>(id)});
        }
      }
      // Twice as many as the beam: if all of the best half end, as many go on.
      const size_t keep = std::min(candidates.size(), 2 * width_of_beam);
      std::partial_sort(candidates.begin(), candidates.begin() + static_cast<int64_t>(keep), candidates.end(),
                        [](const Candidate& a, const Candidate& b) {
                          if (a.log_probability != b.log_probability)
                            return a.log_probability > b.log_probability;
                          return a.hypothesis != b.hypothesis ? a.hypothesis < b.hypothesis : a.id < b.id;
                        });
      std::vector<Hypothesis> next;
      for (size_t c = 0; c < keep && next.size() < width_of_beam; ++c) {
        const Candidate& candidate = candidates[c];
        const std::vector<int32_t>& ids = alive[i][candidate.hypothesis].ids;
        if (candidate.id == entry_->until) {
          if (c < width_of_beam) {
            offer(i, ids, candidate.log_probability / Penalty(new_tokens(i, ids) + 1, options.alpha));
          }
          continue;
        }
        next.push_back({ids, candidate.log_probability});
        next.back().ids.push_back(candidate.id);
      }
      // Done when what is open could not enter the list even if it ended now.
      if (!next.empty() && finished[i].size() == width_of_beam &&
          next[0].log_probability / Penalty(new_tokens(i, next[0].ids), options.alpha) <=
              finished[i].back().score) {
        next.clear();
      }
      alive[i] = std::move(next);
    }
  }
  std::vector<std::vector<int32_t>> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!finished[i].empty()) {
      results[i] = std::move(finished[i][0].ids);
    } else if (!alive[i].empty()) {
      results[i] = alive[i][0].ids;  // interrupted
    }
  }
  return results;
}

}  // namespace heed
