// See attention_page.h. The page is attention.html, with the maps put in: names once for all maps that share
// them, weights as whole numbers of 16 bits, which is finer than a page shows.
#include "runtime/commands/attention_page.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/base/base64.h"
#include "runtime/base/markup.h"
#include "runtime/base/utf8.h"

namespace heed {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kPage =
#include "attention.html.inc"
    ;

/// Little-endian; what is there is never 0, which stands for what is masked.
std::string Packed(const std::vector<float>& weights) {
  constexpr double kOne = 65535;
  std::string bytes;
  bytes.reserve(2 * weights.size());
  for (const float weight : weights) {
    const double part = weight > 0 ? std::clamp(static_cast<double>(weight) * kOne, 1.0, kOne) : 0;
    const auto whole = static_cast<uint32_t>(std::lround(part));
    bytes += static_cast<char>(whole & 0xFF);
    bytes += static_cast<char>(whole >> 8);
  }
  return EncodeBase64(bytes);
}

/// Lists of names, each once.
class NameTable {
 public:
  size_t NumberOf(const std::vector<std::string>& names) {
    const auto number = static_cast<size_t>(std::ranges::find(lists_, names) - lists_.begin());
    if (number == lists_.size()) lists_.push_back(names);
    return number;
  }
  Json All() const {
    Json all = Json::array();
    for (const std::vector<std::string>& names : lists_) {
      Json list = Json::array();
      for (const std::string& name : names) list.push_back(RepairUtf8(name));
      all.push_back(std::move(list));
    }
    return all;
  }

 private:
  std::vector<std::vector<std::string>> lists_;
};

}  // namespace

std::string AttentionPage(std::span<const AttentionMap> maps) {
  NameTable names;
  Json list = Json::array();
  std::set<std::string> titles;  // of this text: one that comes again is of the next
  int64_t text = 0;
  for (const AttentionMap& map : maps) {
    if (!titles.insert(map.title).second) {
      titles = {map.title};
      ++text;
    }
    list.push_back({{"text", text},
                    {"site", map.site},
                    {"title", map.title},
                    {"query", map.query},
                    {"key", map.key},
                    {"rows", names.NumberOf(map.rows)},
                    {"columns", names.NumberOf(map.columns)},
                    {"weights", Packed(map.weights)}});
  }
  return FillPage(kPage, {{"MAPS", ScriptData({{"names", names.All()}, {"maps", std::move(list)}})}});
}

}  // namespace heed
