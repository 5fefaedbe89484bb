// See token_report.h. One example at a time: logits of a whole vocabulary are large.
#include "runtime/commands/token_report.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/data/batch_tensors.h"
#include "runtime/engine/program.h"

namespace heed {
namespace {

// -log softmax(logits)[id], summed in double.
double Nats(std::span<const float> logits, int32_t id) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - largest));
  return std::log(sum) - static_cast<double>(logits[static_cast<size_t>(id)] - largest);
}

// Of each token of the last text but its first.
Result<std::vector<double>> NatsOf(const TokenReport& report, const Dataset& data, int64_t example,
                                   Engine& engine, const Parameters& parameters) {
  const HeedFunction& function = *report.logits->forward;
  std::vector<TextArgument> texts(report.texts.begin(), report.texts.end());
  texts.back().name = report.logits->variable;
  const Batch batch{example};
  auto results = engine.Call(function, BatchInputs(function, texts, data, batch), parameters, nullptr, {});
  if (!results) return results.error();
  const std::span<const int32_t> ids = data.columns.back()[example];
  const HostTensor& logits = results->begin()->second;
  const auto vocabulary = static_cast<size_t>(report.texts.back().vocabulary);
  if (results->size() != 1 || logits.dtype() != kHeedFloat32 ||
      logits.floats().size() < ids.size() * vocabulary)
    return Error{std::string("entry `") + report.logits->name + "` does not give logits for each token"};
  std::vector<double> nats;
  for (size_t i = 0; i + 1 < ids.size(); ++i)
    nats.push_back(Nats(logits.floats().subspan(i * vocabulary, vocabulary), ids[i + 1]));
  return nats;
}

void PrintToken(const TokenReport& report, int32_t id, const double* nats, std::FILE* out) {
  const std::string piece = report.tokenizer->Show(id);
  if (report.json) {
    nlohmann::ordered_json row = {{"id", id}, {"piece", piece}};
    if (nats != nullptr) row["nll"] = *nats;
    std::fprintf(out, "%s\n", row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else if (nats != nullptr) {
    std::fprintf(out, "%d\t%s\t%.4f\n", id, piece.c_str(), *nats);
  } else {
    std::fprintf(out, "%d\t%s\n", id, piece.c_str());
  }
}

}  // namespace

const HeedEntry* LogitsEntry(const HeedProgram& program, std::span<const TextArgument> texts) {
  const TextArgument& last = texts.back();
  for (int64_t i = 0; i < program.entry_count; ++i) {
    const HeedEntry& entry = program.entries[i];
    if (entry.kind != kHeedEntryGenerate || entry.forward == nullptr || entry.indexes == nullptr) continue;
    if (entry.axis != last.axis || entry.indexes != last.indexes) continue;
    std::vector<std::string> sources;
    for (int64_t a = 0; a < entry.argument_count; ++a) {
      const char* const name = entry.arguments[a].name;
      if (entry.prompt == nullptr || std::strcmp(name, entry.prompt) != 0) sources.emplace_back(name);
    }
    const auto same = [](const std::string& name, const TextArgument& text) { return name == text.name; };
    if (std::equal(sources.begin(), sources.end(), texts.begin(), texts.end() - 1, same)) return &entry;
  }
  return nullptr;
}

Result<std::optional<double>> ReportTokens(const TokenReport& report, const Dataset& data, Engine& engine,
                                           const Parameters& parameters, std::FILE* out) {
  double sum = 0;
  for (int64_t example = 0; example < data.size(); ++example) {
    std::vector<double> nats;
    if (report.logits != nullptr) {
      Result<std::vector<double>> found = NatsOf(report, data, example, engine, parameters);
      if (!found) return found.error();
      nats = std::move(*found);
    }
    for (size_t c = 0; c < data.columns.size(); ++c) {
      const std::span<const int32_t> ids = data.columns[c][example];
      const bool last = c + 1 == data.columns.size();
      // A window starts on the token that the one before ended with.
      for (size_t i = data.windows && example > 0 ? 1 : 0; i < ids.size(); ++i) {
        const bool predicted = last && i > 0 && !nats.empty();
        PrintToken(report, ids[i], predicted ? &nats[i - 1] : nullptr, out);
        if (predicted) sum += nats[i - 1];
      }
    }
    if (!report.json && !data.windows && example + 1 < data.size()) std::fputc('\n', out);
  }
  if (report.logits == nullptr) return std::optional<double>();
  return std::optional<double>(sum);
}

}  // namespace heed
