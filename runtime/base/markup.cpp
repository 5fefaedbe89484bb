// See markup.h.
#include "runtime/base/markup.h"

#include <nlohmann/json.hpp>

namespace heed {

std::string EscapeMarkup(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string FillPage(std::string_view page, const std::map<std::string, std::string>& values) {
  std::string out;
  for (size_t at = 0; at < page.size();) {
    const size_t begin = std::min(page.find('@', at), page.size());
    out += page.substr(at, begin - at);
    if (begin == page.size()) break;
    const size_t end = page.find('@', begin + 1);
    const auto value = end == std::string_view::npos
                           ? values.end()
                           : values.find(std::string(page.substr(begin + 1, end - begin - 1)));
    if (value == values.end()) {
      out += '@';
      at = begin + 1;
    } else {
      out += value->second;
      at = end + 1;
    }
  }
  return out;
}

std::string ScriptData(const nlohmann::ordered_json& json) {
  std::string data = json.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
  for (size_t at = 0; (at = data.find('<', at)) != std::string::npos;) data.replace(at, 1, "\\u003c");
  return data;
}

}  // namespace heed
