// See model_config.h. The rows of config_table.h are applied here; what takes several fields at once
// (windows, rotary frequencies, end tokens) has a function of its own.
#include "runtime/weights/model_config.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "runtime/base/json_input.h"
#include "runtime/base/whole_file.h"
#include "runtime/weights/config_table.h"

namespace heed {
namespace {

using Json = nlohmann::json;
constexpr int64_t kLargestFile = 4'000'000;
constexpr int kDeepest = 100;
constexpr size_t kLongestValue = 80;

std::string Shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kLongestValue) text = text.substr(0, kLongestValue - 3) + "...";
  return text;
}
std::string TextOf(const Json& value) { return value.is_string() ? value.get<std::string>() : ""; }

std::optional<double> NumberOf(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (!value.is_number() || !std::isfinite(value.get<double>())) return std::nullopt;
  return value.get<double>();
}
std::optional<int64_t> TokenOf(const Json& value) {
  const std::optional<double> number = value.is_boolean() ? std::nullopt : NumberOf(value);
  if (!number || *number != std::floor(*number) || *number < 0 || *number > INT32_MAX) return std::nullopt;
  return static_cast<int64_t>(*number);
}

class Reader {
 public:
  Reader(Json fields, ModelConfig& config) : fields_(std::move(fields)), config_(config) {}

  void Read() {
    OfText();
    FillIn();
    Sizes();
    Rotary();
    Windows();
    for (const auto& [name, value] : fields_.items()) Judge(name, value);
    if (!fields_.contains("model_type")) Claim("no model_type (the family is not known)");
  }
  /// How texts begin and end, and how tokens are chosen. Fields of `own`, which is that of
  /// generation_config.json (null: there is none), go before those of config.json.
  void ReadGeneration(const Json& own) {
    if (const auto [ends, from] = InEither(own, "eos_token_id"); ends != nullptr) Ends(*ends, from);
    const auto token = [&](const char* field) -> std::optional<ToldNumber> {
      const auto [value, from] = InEither(own, field);
      if (value == nullptr) return std::nullopt;
      const auto number = TokenOf(value->is_array() && !value->empty() ? (*value)[0] : *value);
      if (!number) return std::nullopt;
      return ToldNumber{static_cast<double>(*number), field, from == &fields_ && absent_.contains(field),
                        false};
    };
    config_.begin = token("bos_token_id");
    config_.start = token("decoder_start_token_id");
    const Json& choices = own.is_object() ? own : fields_;
    for (const auto& [name, value] : choices.items()) {
      const ConfigField* row = FindConfigField(name);
      if (row != nullptr && row->rule == ConfigRule::Choice && !IsPlain(*row, value))
        config_.choices.push_back(name + ": " + Shown(value));
    }
  }

 private:
  const Json* Find(const std::string& field) const {
    const auto found = fields_.find(field);
    return found == fields_.end() || found->is_null() ? nullptr : &*found;
  }
  ConfigClaim& Claim(std::string text) {
    config_.claims.push_back({std::move(text), {}, "", 0, true});
    return config_.claims.back();
  }
  // "hidden_act: "gelu" (the activation)"
  std::string Said(const std::string& name, const Json& value, const std::string& means) const {
    std::string text = absent_.contains(name) ? "no " + name + ", which means " : name + ": ";
    text += Shown(value);
    if (!means.empty()) text += " (" + means + ")";
    return text;
  }
  void Tell(const std::string& name, const Json& value, const std::string& field) {
    if (const auto number = NumberOf(value))
      config_.values.try_emplace(name, ToldNumber{*number, field, absent_.contains(field), false});
  }
  // A claim that a program with such a name is spared, because its number is compared.
  ConfigClaim& ClaimNumber(const std::string& text, const Json& value, const std::string& field,
                           std::vector<std::string> names) {
    for (const std::string& name : names) Tell(name, value, field);
    ConfigClaim& claim = Claim(text);
    if (NumberOf(value)) claim.names = std::move(names);
    return claim;
  }
  std::optional<double> Told(const std::string& name) const {
    const auto found = config_.values.find(name);
    return found == config_.values.end() ? std::nullopt : std::optional(found->second.value);
  }

  // Models of texts and pictures describe the part for texts in an object of its own.
  void OfText() {
    for (const char* part : {"text_config", "llm_config", "language_config"}) {
      const Json* text = Find(part);
      if (text == nullptr || !text->is_object()) continue;
      const Json inner = *text;
      const Json outer = fields_.value("model_type", Json());
      for (const char* other : {part, "vision_config", "audio_config"}) fields_.erase(other);
      fields_.update(inner);
      if (outer != fields_.value("model_type", Json()))
        Claim("model_type: " + Shown(outer) + " (more than a model of texts; its " + part + " was read)");
      return;
    }
  }

  // Fields that are not there, where that means something.
  void FillIn() {
    for (const ConfigField& row : ConfigFields())
      if (row.rule == ConfigRule::Constant && Find(row.name) == nullptr) fields_.erase(row.name);
    const std::string family = TextOf(fields_.value("model_type", Json()));
    for (const ConfigDefault& row : ConfigDefaults()) {
      if (family != row.family || fields_.contains(row.field) || SetElsewhere(row.field)) continue;
      fields_[row.field] = Json::parse(row.value);
      absent_.insert(row.field);
    }
  }
  // Whether another field of the file sets the same.
  bool SetElsewhere(const char* field) const {
    const std::string sets = FindConfigField(field)->sets;
    if (sets.empty()) return false;
    for (const ConfigField& row : ConfigFields())
      if (row.sets == sets && Find(row.name) != nullptr) return true;
    return false;
  }

  void Sizes() {
    for (const ConfigField& row : ConfigFields()) {
      if (row.rule != ConfigRule::Size) continue;
      if (const Json* value = Find(row.name)) Tell(row.sets, *value, row.name);
    }
    const auto derive = [&](const char* name, double value, const std::string& field, bool absent) {
      if (value >= 1 && value == std::floor(value))
        config_.values.try_emplace(name, ToldNumber{value, field, absent, true});
    };
    const auto heads = config_.values.find("heads"), model = config_.values.find("model");
    if (heads == config_.values.end() || heads->second.value <= 0) return;
    const ToldNumber of_heads = heads->second;
    derive("kv", of_heads.value, of_heads.field, of_heads.absent);
    const double kv = Told("kv").value_or(0);
    if (kv > 0) derive("rep", of_heads.value / kv, of_heads.field, of_heads.absent);
    if (model != config_.values.end())
      derive("key", model->second.value / of_heads.value, of_heads.field, of_heads.absent);
  }

  // Frequencies of rotary positions. One object for all layers, or one for each kind of layer.
  void Rotary() {
    for (const char* field : {"rope_parameters", "rope_scaling"}) {
      const Json* given = Find(field);
      if (given == nullptr) continue;
      if (given->is_object() && given->contains("rope_theta")) Forget("rope_theta");
      const Json* one = given->is_object() ? ForAllLayers(*given) : nullptr;
      if (one == nullptr) {
        Forget("rope_theta");
        Claim(Said(field, *given, FindConfigField(field)->means));
      } else {
        Frequencies(field, *one);
      }
    }
    config_.values.try_emplace("rope_factor",
                               ToldNumber{1, "rope_scaling", Find("rope_scaling") == nullptr, false});
  }
  void Forget(const char* field) {
    if (absent_.erase(field) > 0) fields_.erase(field);
  }
  // The object itself, or what all kinds of layers share; null if there is nothing of the kind.
  const Json* ForAllLayers(const Json& given) const {
    const Json* shared = nullptr;
    for (const auto& [kind, value] : given.items()) {
      if (!value.is_object()) continue;
      if (shared != nullptr && *shared != value) {
        const Json* kinds = Find("layer_types");
        if (kinds == nullptr || !kinds->is_array() || kinds->empty()) return nullptr;
        const std::string only = TextOf((*kinds)[0]);
        for (const Json& each : *kinds)
          if (each != (*kinds)[0]) return nullptr;
        return given.contains(only) && given[only].is_object() ? &given[only] : nullptr;
      }
      shared = &value;
    }
    return shared != nullptr ? shared : &given;
  }
  void Frequencies(const std::string& field, const Json& given) {
    const std::string means = FindConfigField(field)->means;
    if (given.contains("rope_theta")) {
      Tell("theta", given["rope_theta"], field + "." + "rope_theta");
      Forget("rope_theta");
    }
    if (given.contains("partial_rotary_factor") && given["partial_rotary_factor"] != 1)
      Claim(Said(field + ".partial_rotary_factor", given["partial_rotary_factor"],
                 FindConfigField("partial_rotary_factor")->means));
    const char* key = given.contains("rope_type") ? "rope_type" : "type";
    const std::string type = given.contains(key)        ? TextOf(given[key])
                             : given.contains("factor") ? "?"
                                                        : "default";
    if (type == "default" || type == "mrope") return;  // of one text, all of mrope's positions are equal
    if (type == "linear" && given.value("factor", Json()) == 1) return;
    ConfigClaim& claim = Claim(Said(field, given, means));
    if (type != "llama3") return;
    const std::pair<const char*, const char*> parts[] = {
        {"rope_factor", "factor"},
        {"rope_low", "low_freq_factor"},
        {"rope_high", "high_freq_factor"},
        {"rope_trained", "original_max_position_embeddings"}};
    for (const auto& [name, part] : parts)
      if (!given.contains(part) || !given[part].is_number()) return;
    for (const auto& [name, part] : parts) Tell(name, given[part], field + "." + part);
    claim.names = {"rope_factor"};
  }

  // Attention to the nearest positions: in all layers, in those that layer_types names, or from
  // max_window_layers on.
  void Windows() {
    const Json* kinds = Find("layer_types");
    bool only_full = kinds != nullptr && kinds->is_array() && !kinds->empty(),
         other = kinds != nullptr && !only_full;
    if (only_full) {
      for (const Json& kind : *kinds) {
        if (kind != "full_attention") only_full = false;
        if (kind != "full_attention" && kind != "sliding_attention") other = true;
      }
    }
    if (other) Claim(Said("layer_types", *kinds, "layers of other kinds"));
    const auto window = [&](const char* field, bool off) {
      const Json* value = Find(field);
      if (value == nullptr || off) return;
      const ConfigField& row = *FindConfigField(field);
      ConfigClaim& claim = ClaimNumber(Said(field, *value, row.means), *value, field, {row.sets, field});
      const std::optional<double> size = value->is_boolean() ? std::nullopt : NumberOf(*value);
      if (!size || *size < 1 || *size > 1e15) return;
      claim.window = static_cast<int64_t>(*size);
    };
    const Json* used = Find("use_sliding_window");
    const Json* full_layers = Find("max_window_layers");
    const bool never_reached = kinds == nullptr && used != nullptr && full_layers != nullptr &&
                               full_layers->is_number() && Told("layer") &&
                               full_layers->get<double>() >= *Told("layer");
    window("sliding_window", only_full || (used != nullptr && *used == false) || never_reached);
    window("attention_chunk_size", only_full);
  }

  bool IsPlain(const ConfigField& row, const Json& value) const {
    if (value.is_null()) return true;
    std::string_view rest = row.plain;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(' '), rest.size());
      const std::string_view one = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      std::optional<double> own;
      if (one == "key" || one == "1/sqrt(key)") own = Told("key");
      if (one == "model") own = Told("model");
      if (one == "sqrt(layer)") own = Told("layer");
      if (own && one == "1/sqrt(key)") own = 1 / std::sqrt(*own);
      if (own && one == "sqrt(layer)") own = std::sqrt(*own);
      const std::optional<double> number = NumberOf(value);
      if (own && number && std::fabs(*own - *number) <= 1e-6 * std::fabs(*own)) return true;
      const Json plain = Json::parse(one, nullptr, false);
      if (plain == value ||
          (plain.is_boolean() && number && !value.is_boolean() && *number == *NumberOf(plain)))
        return true;
    }
    return false;
  }

  std::pair<const Json*, const Json*> InEither(const Json& own, const char* field) const {
    for (const Json* file : {&own, &fields_}) {
      if (!file->is_object()) continue;
      const auto found = file->find(field);
      if (found != file->end() && !found->is_null()) return {&*found, file};
    }
    return {nullptr, nullptr};
  }
  void Ends(const Json& ends, const Json* from) {
    const bool own = from != &fields_;
    config_.ends_text =
        std::string(own ? "generation_config.json" : "config.json") + ": eos_token_id: " + Shown(ends);
    config_.ends_absent = !own && absent_.contains("eos_token_id");
    if (config_.ends_absent) config_.ends_text = "config.json: no eos_token_id, which means " + Shown(ends);
    for (const Json& end : ends.is_array() ? ends : Json::array({ends})) {
      const std::optional<int64_t> token = TokenOf(end);
      if (!token) {
        Claim(config_.ends_text + " (not the numbers of tokens)");
      } else if (std::ranges::find(config_.ends, *token) == config_.ends.end()) {
        config_.ends.push_back(*token);
      }
    }
  }

  void Judge(const std::string& name, const Json& value) {
    const ConfigField* row = FindConfigField(name);
    if (row == nullptr) {
      if (value.is_null()) return;
      ClaimNumber(Said(name, value, ""), value, name, {name}).known = false;
      return;
    }
    switch (row->rule) {
      case ConfigRule::Type:
        if (value.is_null() || !IsPlain(*row, value)) Claim(Said(name, value, row->means));
        break;
      case ConfigRule::Size:
        if (!value.is_null() && !value.is_number()) Claim(Said(name, value, "not a number"));
        break;
      case ConfigRule::Constant:
        if (value.is_null()) break;
        Tell(row->sets, value, name);
        if (!IsPlain(*row, value)) ClaimNumber(Said(name, value, row->means), value, name, {row->sets, name});
        break;
      case ConfigRule::Parameter:
      case ConfigRule::Plain:
        if (IsPlain(*row, value)) break;
        ClaimNumber(Said(name, value, row->means), value, name, {name});
        if (row->rule == ConfigRule::Parameter) config_.claims.back().parameter = row->sets;
        break;
      case ConfigRule::Tied:
        if (value.is_boolean()) {
          config_.tied = value.get<bool>();
          config_.tied_text = Said(name, value, "");
        } else if (!value.is_null()) {
          Claim(Said(name, value, "neither true nor false"));
        }
        break;
      case ConfigRule::Window:  // Windows
      case ConfigRule::Rotary:  // Rotary
      case ConfigRule::Tokens:  // ReadGeneration, and the next
      case ConfigRule::Choice:
      case ConfigRule::Never:
        break;
    }
  }

  Json fields_;
  ModelConfig& config_;
  std::set<std::string> absent_;
};

// An object in a JSON file: null if there is no such file; what is wrong with it is added to `damage`.
Json ReadObject(const std::string& path, std::vector<std::string>& damage) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return nullptr;
  const Result<std::string> bytes = ReadWholeFile(path, kLargestFile);
  if (!bytes) {
    damage.push_back(bytes.error().message);
    return nullptr;
  }
  if (NestedBeyond(*bytes, kDeepest)) {
    damage.push_back(path + " is nested more than " + std::to_string(kDeepest) + " levels deep");
    return nullptr;
  }
  Json json = ParseJson(*bytes).json;
  if (json.is_object()) return json;
  damage.push_back(path + (json.is_discarded() ? " is not JSON (cut short?)" : " is no JSON object"));
  return nullptr;
}

}  // namespace

ModelConfig ReadModelConfig(const std::string& folder) {
  ModelConfig config;
  const std::string path = folder + "config.json";
  const Json file = ReadObject(path, config.damage);
  const Json generation = ReadObject(folder + "generation_config.json", config.damage);
  Reader reader(file.is_object() ? file : Json::object(), config);
  if (file.is_object()) {
    config.path = path;
    reader.Read();
  }
  reader.ReadGeneration(generation);
  return config;
}

}  // namespace heed
