// JSON from files that may be damaged or hostile: headers, indices, tokenizers. In one place because parsers
// are large.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace heed {

struct JsonInput {
  nlohmann::json json;  ///< `is_discarded()` if it is not JSON
  std::string problem;  ///< what is wrong and where, if it is not JSON: "line 1, column 8: invalid literal"
  std::string twice;    ///< a key that occurs twice in an object at the depth asked for, or empty
};
/// Objects at `depth` (1: the outermost) are looked at for keys that occur twice, of which the last would
/// silently count.
JsonInput ParseJson(std::string_view bytes, int depth = 0);
/// Whether arrays and objects are nested more than so deep: copying, comparing and printing such values
/// recurses.
bool NestedBeyond(std::string_view bytes, int depth);

}  // namespace heed
