// See model_config.h. Only numbers that a program can be given are read; everything else in the file is left
// alone.
#include "runtime/model_config.h"

#include <cmath>

#include "runtime/json_input.h"
#include "runtime/whole_file.h"

namespace heed {
namespace {

using Json = nlohmann::json;
constexpr int64_t kLargestFile = 4'000'000;

class Reader {
 public:
  Reader(const Json& json, ModelConfig& config) : json_(json), config_(config) {}

  /// The first of these fields that is a number (or a list that begins with one) becomes `name`.
  void Take(const char* name, std::initializer_list<const char*> fields) {
    for (const char* field : fields) {
      if (!json_.contains(field)) continue;
      const Json* value = &json_[field];
      if (value->is_array() && !value->empty()) value = &(*value)[0];
      if (!value->is_number() || !std::isfinite(value->get<double>())) continue;
      config_.values[name] = value->get<double>();
      return;
    }
  }
  double Of(const char* name, double otherwise) const {
    const auto found = config_.values.find(name);
    return found == config_.values.end() ? otherwise : found->second;
  }

 private:
  const Json& json_;
  ModelConfig& config_;
};

// What rotary frequencies undergo. `config.scaling` is empty if they stay.
void ReadScaling(const Json& json, ModelConfig& config) {
  config.values["rope_factor"] = 1;
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    if (!json.contains(field) || !json[field].is_object()) continue;
    const Json& scaling = json[field];
    Reader reader(scaling, config);
    reader.Take("theta", {"rope_theta"});
    for (const char* key : {"rope_type", "type"}) {
      if (!scaling.contains(key) || !scaling[key].is_string() || scaling[key] == "default") continue;
      config.scaling = scaling[key].get<std::string>().substr(0, 40);
      reader.Take("rope_factor", {"factor"});
      reader.Take("rope_low", {"low_freq_factor"});
      reader.Take("rope_high", {"high_freq_factor"});
      reader.Take("rope_trained", {"original_max_position_embeddings"});
      return;
    }
  }
}

}  // namespace

ModelConfig ReadModelConfig(const std::string& folder) {
  ModelConfig config;
  const std::string path = folder + "config.json";
  const Result<std::string> bytes = ReadWholeFile(path, kLargestFile);
  if (!bytes) return config;
  const Json json = ParseJson(*bytes).json;
  if (!json.is_object() || !json.contains("model_type")) return config;
  config.path = path;
  Reader reader(json, config);
  reader.Take("vocab", {"vocab_size"});
  reader.Take("model", {"hidden_size", "n_embd"});
  reader.Take("hidden", {"intermediate_size", "n_inner"});
  reader.Take("layer", {"num_hidden_layers", "n_layer"});
  reader.Take("heads", {"num_attention_heads", "n_head"});
  reader.Take("kv", {"num_key_value_heads", "num_attention_heads", "n_head"});
  reader.Take("key", {"head_dim"});
  reader.Take("seq", {"max_position_embeddings", "n_positions", "n_ctx"});
  reader.Take("eps", {"rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps"});
  reader.Take("theta", {"rope_theta"});
  ReadScaling(json, config);
  reader.Take("bos", {"bos_token_id"});
  reader.Take("eos", {"eos_token_id"});
  const double heads = reader.Of("heads", 0), kv = reader.Of("kv", 0), model = reader.Of("model", 0);
  if (heads > 0 && kv > 0) config.values["rep"] = heads / kv;
  if (heads > 0 && model > 0) config.values.try_emplace("key", model / heads);
  return config;
}

}  // namespace heed
