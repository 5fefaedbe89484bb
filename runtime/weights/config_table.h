// The table of what a published config.json may have: each field with what it sets in a program, when it may
// be passed over, and what is said otherwise. One row a field; a field without a row is said with its value.
// How the rows are applied is model_config.cpp's business.
#pragma once

#include <span>
#include <string_view>

namespace heed {

enum class ConfigRule {
  Type,       ///< the family: `plain` lists those whose arithmetic is that of an example program
  Size,       ///< an axis, `sets`; shapes tell most of them as well
  Constant,   ///< a constant, `sets`; said where the program has none and the value is not plain
  Plain,      ///< changes nothing at the values `plain`; said otherwise
  Parameter,  ///< changes nothing at `plain`, nor where the program has a parameter whose name ends in `sets`
  Window,     ///< attention to the nearest positions only, with the fields that say in which layers
  Rotary,     ///< how rotary frequencies are made: objects with fields of their own
  Tied,       ///< whether the embedding is the output matrix
  Tokens,     ///< numbers of special tokens, see model_config.h
  Choice,     ///< how tokens are chosen when generating, see model_config.h
  Never,      ///< cannot change results: names, versions, dropout, what other heads or training do
};

struct ConfigField {
  const char* name;
  ConfigRule rule;
  const char* sets = "";
  /// Values in JSON, between spaces; also `key`, `model`, `1/sqrt(key)` and `sqrt(layer)`, of the model's own
  /// sizes. null always is plain: a field that is not set.
  const char* plain = "";
  const char* means = "";  ///< for people, after the value
};
std::span<const ConfigField> ConfigFields();
/// Its row, or null.
const ConfigField* FindConfigField(std::string_view name);

/// What the absence of a field means in a family, where it means something that a program must agree with.
struct ConfigDefault {
  const char* family;
  const char* field;
  const char* value;  ///< in JSON
};
std::span<const ConfigDefault> ConfigDefaults();

}  // namespace heed
