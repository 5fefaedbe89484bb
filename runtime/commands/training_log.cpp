// See training_log.h.
#include "runtime/commands/training_log.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "runtime/base/json_input.h"
#include "runtime/base/whole_file.h"

namespace heed {
namespace {

constexpr double kLargest = 1e39;  // training ends at the largest f32

/// One line as numbers.
class Row {
 public:
  Row(const nlohmann::json& json, std::string where) : json_(json), where_(std::move(where)) {}

  /// Nothing if the field is not there or null, as JSON writes what is not finite.
  Result<std::optional<double>> Number(const char* field) const {
    const auto found = json_.find(field);
    if (found == json_.end() || found->is_null()) return std::optional<double>();
    if (!found->is_number() || !(std::abs(found->get<double>()) < kLargest)) {
      std::string value =
          found->is_structured() ? "no number" : "`" + found->dump(-1, ' ', true, kReplace) + "`";
      if (value.size() > 40) value = "too long for a number";
      return Error{where_ + "`" + field + "` is " + value + "; `train --log` writes a number there"};
    }
    return std::optional(found->get<double>());
  }

  Result<int64_t> Step(int64_t last) const {
    const auto found = json_.find("step");
    if (found == json_.end())
      return Error{where_ + "there is no `step`; each line that `train --log` writes has one"};
    if (!found->is_number_integer() || found->get<double>() < 1 || found->get<double>() > 9e15)
      return Error{where_ + "`step` is no whole number from 1"};
    const auto step = found->get<int64_t>();
    if (step <= last) {
      return Error{where_ + "step " + std::to_string(step) + " comes after step " + std::to_string(last) +
                   "; steps rise, so several logs may be in this file. Give each a file of its own"};
    }
    return step;
  }

 private:
  static constexpr auto kReplace = nlohmann::json::error_handler_t::replace;
  const nlohmann::json& json_;
  std::string where_;
};

Status AddRow(TrainingLog& log, const Row& row) {
  const Result<int64_t> step = row.Step(log.last_step);
  if (!step) return step.error();
  const auto add = [&](const char* field, Series& series) -> Status {
    const Result<std::optional<double>> value = row.Number(field);
    if (!value) return value.error();
    if (*value) {
      series.steps.push_back(static_cast<double>(*step));
      series.values.push_back(**value);
    }
    return Done{};
  };
  const std::pair<const char*, Series*> fields[] = {{"loss", &log.loss},
                                                    {"valid_loss", &log.valid_loss},
                                                    {"lr", &log.rate},
                                                    {"gradient_norm", &log.gradient_norm},
                                                    {"valid_bleu", &log.bleu}};
  for (const auto& [field, series] : fields)
    if (Status ok = add(field, *series); !ok) return ok;
  const Result<std::optional<double>> tokens = row.Number("tokens"), seconds = row.Number("seconds");
  if (!tokens) return tokens.error();
  if (!seconds) return seconds.error();
  if (*tokens && *seconds && **seconds > 0 && **tokens / **seconds < kLargest) {
    log.tokens_per_second.steps.push_back(static_cast<double>(*step));
    log.tokens_per_second.values.push_back(**tokens / **seconds);
  }
  if (log.first_step == 0) log.first_step = *step;
  log.last_step = *step;
  return Done{};
}

}  // namespace

Result<TrainingLog> ParseTrainingLog(const std::string& path, std::string_view bytes) {
  TrainingLog log;
  log.path = path;
  int64_t number = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t newline = bytes.find('\n', at), end = std::min(newline, bytes.size());
    const std::string_view line = bytes.substr(at, end - at);
    at = end + 1;
    ++number;
    const std::string where = path + ":" + std::to_string(number) + ": ";
    const JsonInput parsed = ParseJson(line);
    if (!parsed.json.is_object()) {
      if (newline == std::string_view::npos) break;  // being written
      std::string why = parsed.json.is_discarded() ? parsed.problem : "another value";
      if (why.starts_with("line 1, ")) why.erase(0, 8);
      return Error{where + "not a JSON object (" + why + "); a log of `train --log` has one on each line"};
    }
    if (Status ok = AddRow(log, Row(parsed.json, where)); !ok) return ok.error();
  }
  return log;
}

Result<TrainingLog> ReadTrainingLog(const std::string& path) {
  const Result<std::string> bytes = ReadWholeFile(path);
  if (!bytes) return bytes.error();
  return ParseTrainingLog(path, *bytes);
}

std::vector<std::string> NamesOf(const std::vector<TrainingLog>& logs) {
  std::vector<std::string> names;
  for (const TrainingLog& log : logs) {
    std::string name = log.path.substr(log.path.find_last_of('/') + 1);
    if (const size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0) name.resize(dot);
    names.push_back(name);
  }
  std::vector<std::string> unique = names;
  for (size_t i = 0; i < names.size(); ++i)
    if (std::ranges::count(names, names[i]) > 1) unique[i] = logs[i].path;
  return unique;
}

}  // namespace heed
