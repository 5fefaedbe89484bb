// The config.json that is published beside weights, in the terms of a program: its numbers under the names
// that the example programs give to such axes and constants. Programs are free to use other names; then it
// says nothing about them.
#pragma once

#include <map>
#include <string>

#include "runtime/result.h"

namespace heed {

struct ModelConfig {
  std::string path;  ///< empty if there is none
  /// model, hidden, heads, kv, rep, key, layer, vocab, seq, theta, eps, bos, eos, and of rotary frequencies
  /// that are scaled rope_factor, rope_low, rope_high, rope_trained: those the file tells.
  std::map<std::string, double> values;
  std::string scaling;  ///< how rotary frequencies are scaled ("llama3", "linear" ...); empty: not at all
};

/// The config.json in `folder` if it describes a model; else nothing. Damaged ones count as nothing: they are
/// a help, not an input.
ModelConfig ReadModelConfig(const std::string& folder);

}  // namespace heed
