// See json_input.h.
#include "runtime/json_input.h"

#include <set>

namespace heed {

JsonInput ParseJson(std::string_view bytes, int depth) {
  using Json = nlohmann::json;
  JsonInput input;
  std::set<std::string> keys;
  const Json::parser_callback_t callback = [&](int at, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start && at == depth - 1) keys.clear();
    if (event == Json::parse_event_t::key && at == depth) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys.insert(key).second) input.twice = key;
    }
    return true;
  };
  input.json =
      Json::parse(bytes.begin(), bytes.end(), depth > 0 ? callback : nullptr, /*allow_exceptions=*/false);
  return input;
}

bool NestedBeyond(std::string_view bytes, int depth) {
  int open = 0;
  bool in_string = false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++open > depth) return true;
    } else if (c == ']' || c == '}') {
      --open;
    }
  }
  return false;
}

}  // namespace heed
