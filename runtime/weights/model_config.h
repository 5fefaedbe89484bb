// The config.json and generation_config.json that are published beside weights, in the terms of a program:
// numbers under the names that the example programs give to such axes and constants, and what else the files
// say of the arithmetic. Programs are free to use other names; nothing is decided here (see config_notes.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

/// A number that a program may have as an axis or a constant.
struct ToldNumber {
  double value = 0;
  std::string field;     ///< that tells it: "rope_theta"
  bool absent = false;   ///< the field is not there, which means the number in this family of models
  bool derived = false;  ///< from other fields
};

/// What the file says of the arithmetic that is not just such a number.
struct ConfigClaim {
  std::string text;  ///< "hidden_act: \"gelu\" (the activation; ...)"
  std::vector<std::string>
      names;              ///< a program with an axis or constant of these names is compared with it instead
  std::string parameter;  ///< a program with a parameter whose name ends so computes it
  int64_t window = 0;     ///< over 0: does not matter to texts of at most so many tokens
  bool known = true;      ///< the table has the field
};

struct ModelConfig {
  std::string path;                 ///< of the config.json; empty if there is none that can be read
  std::vector<std::string> damage;  ///< files that cannot be read, and why
  /// What notes call the file that tells: generation_config.json, if that is all there is.
  std::string Name() const { return path.empty() ? "generation_config.json" : path; }
  /// Under the names model, hidden, heads, kv, rep, key, layer, vocab, seq, theta, eps, window, of scaled
  /// rotary frequencies rope_factor, rope_low, rope_high, rope_trained, and under their own names numbers
  /// that are claims.
  std::map<std::string, ToldNumber> values;
  std::vector<ConfigClaim> claims;

  std::optional<bool> tied;  ///< the embedding is the output matrix
  std::string tied_text;     ///< "tie_word_embeddings: false"

  std::vector<int64_t> ends;         ///< tokens that end a text
  std::string ends_text;             ///< where it is said: "config.json: eos_token_id: [2, 103]"
  bool ends_absent = false;          ///< it is not said, but means these in this family
  std::optional<ToldNumber> begin;   ///< the begin token
  std::optional<ToldNumber> start;   ///< the token that a decoder starts from, if it is said
  std::vector<std::string> choices;  ///< "temperature: 0.6": how tokens are to be chosen
};

/// What the files in `folder` (which ends in a slash, or is empty) say. Nothing of them is trusted; what is
/// wrong with a config.json is `damage`, not an error, because the weights may be fit to use all the same.
ModelConfig ReadModelConfig(const std::string& folder);

}  // namespace heed
