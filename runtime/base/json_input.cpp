// See json_input.h.
#include "runtime/base/json_input.h"

#include <set>

namespace heed {
namespace {

// The reason that the parser gives, without its code and without the token, which may be long.
std::string ProblemOf(std::string_view bytes) {
  try {
    [[maybe_unused]] const auto never = nlohmann::json::parse(bytes.begin(), bytes.end());
  } catch (const nlohmann::json::exception& error) {
    const std::string text = error.what();
    constexpr std::string_view kWhere = "parse error at ", kWhy = " - ", kToken = "; last read";
    const size_t where = text.find(kWhere), why = text.find(kWhy, where), end = text.find(kToken, why);
    if (where == text.npos || why == text.npos) return text;
    const std::string place =
        text.substr(where + kWhere.size(), text.find(": ", where) - where - kWhere.size());
    return place + ": " + text.substr(why + kWhy.size(), end - why - kWhy.size());
  }
  return "";
}

}  // namespace

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
  if (input.json.is_discarded()) input.problem = ProblemOf(bytes);
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
