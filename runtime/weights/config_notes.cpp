// See config_notes.h.
#include "runtime/weights/config_notes.h"

#include <algorithm>
#include <string_view>

#include "runtime/base/names.h"

namespace heed {
namespace {

constexpr size_t kMostClaims = 40;  // in one message

bool HasName(const HeedProgram& program, const std::string& name) {
  for (int64_t i = 0; i < program.axis_count; ++i)
    if (name == program.axes[i].name) return true;
  for (int64_t i = 0; i < program.const_count; ++i)
    if (name == program.consts[i].name) return true;
  return false;
}
bool HasParameter(const HeedProgram& program, const std::string& end) {
  for (int64_t i = 0; i < program.param_count; ++i)
    if (std::string_view(program.params[i].name).ends_with(end)) return true;
  return false;
}

bool Holds(const HeedProgram& program, const ConfigClaim& claim, int64_t longest) {
  if (claim.window > 0 && longest > 0 && longest <= claim.window) return true;
  if (!claim.parameter.empty() && HasParameter(program, claim.parameter)) return true;
  return std::ranges::any_of(claim.names, [&](const std::string& name) { return HasName(program, name); });
}

bool StartsFrom(const HeedEntry& entry, double value) {
  return entry.kind == kHeedEntryGenerate && entry.from >= 0 && static_cast<double>(entry.from) == value;
}

// The constant that an entry starts from, as far as its value tells: of several, one of a usual name.
const HeedConst* StartConstant(const HeedProgram& program, const HeedEntry& entry) {
  const HeedConst* only = nullptr;
  int64_t found = 0;
  for (int64_t i = 0; i < program.const_count; ++i) {
    const HeedConst& constant = program.consts[i];
    if (!StartsFrom(entry, constant.value)) continue;
    const std::string_view name = constant.name;
    if (name == "bos" || name == "start") return &constant;
    only = &constant;
    ++found;
  }
  return found == 1 ? only : nullptr;
}

const std::optional<ToldNumber>& StartOf(const ModelConfig& config) {
  return config.start ? config.start : config.begin;
}

}  // namespace

std::vector<std::string> ConfigNotes(const HeedProgram& program, const ModelConfig& config, int64_t longest) {
  std::vector<std::string> notes;
  for (const std::string& damage : config.damage)
    notes.push_back(damage + ", so what it says of the model is not known");
  std::vector<std::string> known, unknown;
  for (const ConfigClaim& claim : config.claims)
    if (!Holds(program, claim, longest)) (claim.known ? known : unknown).push_back(claim.text);
  if (!known.empty() || !unknown.empty()) {
    std::string text = config.Name() + " has what " + program.source_name +
                       " is not known to compute; if it does not, results differ from the model's:";
    for (size_t i = 0; i < known.size() && i < kMostClaims; ++i) text += "\n  " + known[i];
    if (known.size() > kMostClaims) text += "\n  and " + std::to_string(known.size() - kMostClaims) + " more";
    if (!unknown.empty()) text += "\n  fields that are not known here: " + ListNames(unknown, kMostClaims);
    notes.push_back(text);
  }
  const std::optional<ToldNumber>& start = StartOf(config);
  for (int64_t i = 0; i < program.entry_count && start && !start->absent; ++i) {
    const HeedEntry& entry = program.entries[i];
    if (entry.kind != kHeedEntryGenerate || entry.from < 0 || StartsFrom(entry, start->value) ||
        StartConstant(program, entry) != nullptr) {
      continue;
    }
    notes.push_back("entry `" + std::string(entry.name) + "` starts from " + std::to_string(entry.from) +
                    ", the model from " + std::to_string(static_cast<int64_t>(start->value)) + " (" +
                    start->field + ")");
  }
  return notes;
}

std::optional<ToldNumber> ToldFor(const HeedProgram& program, const HeedConst& constant,
                                  const ModelConfig& config, int64_t vocabulary) {
  const auto token = [&](const std::optional<ToldNumber>& told) {
    return told && (vocabulary <= 0 || told->value < static_cast<double>(vocabulary)) ? told : std::nullopt;
  };
  const std::string_view name = constant.name;
  if (name == "eos") {
    std::optional<ToldNumber> first;
    for (const int64_t end : config.ends) {
      const auto told =
          token(ToldNumber{static_cast<double>(end), "eos_token_id", config.ends_absent, false});
      if (told && told->value == constant.value) return told;
      if (!first) first = told;
    }
    return first;
  }
  for (int64_t i = 0; i < program.entry_count; ++i)
    if (StartsFrom(program.entries[i], constant.value) &&
        StartConstant(program, program.entries[i]) == &constant)
      return token(StartOf(config));
  if (name == "bos") return token(config.begin);
  const auto found = config.values.find(constant.name);
  return found == config.values.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace heed
