#include "passes/remarks.h"

#include <algorithm>
#include <cctype>
#include <map>

namespace heed::passes {
namespace {

/// "h.*.attn" for "h.3.attn".
std::string WithoutNumbers(const std::string& instance) {
  std::string out;
  for (size_t begin = 0; begin <= instance.size();) {
    const size_t end = std::min(instance.find('.', begin), instance.size());
    const std::string part = instance.substr(begin, end - begin);
    const bool number = !part.empty() && std::all_of(part.begin(), part.end(),
                                                     [](unsigned char c) { return std::isdigit(c) != 0; });
    out += (begin > 0 ? "." : "") + (number ? "*" : part);
    begin = end + 1;
  }
  return out;
}

}  // namespace

std::vector<std::string> OnceEach(const std::vector<Remark>& remarks) {
  struct Group {
    Remark first, layers;
    int count = 0;
  };
  std::vector<Group> groups;
  std::map<std::pair<ir::Origin, std::string>, size_t> places;
  for (const Remark& remark : remarks) {
    Remark layers = remark;
    if (remark.origin.where) layers.origin.instance = WithoutNumbers(remark.origin.instance);
    const auto [place, fresh] = places.emplace(std::pair(layers.origin, layers.text), groups.size());
    if (fresh) groups.push_back({remark, std::move(layers)});
    ++groups[place->second].count;
  }
  std::vector<std::string> once;
  for (Group& group : groups) {
    const std::string count = std::to_string(group.count);
    std::string& layers = group.layers.origin.instance;
    if (group.count == 1) {
      once.push_back(group.first.Text());
    } else if (layers.find('*') != std::string::npos) {
      layers += ", " + count + " of them";
      once.push_back(group.layers.Text());
    } else {
      once.push_back(group.first.Text() + " (" + count + " times)");
    }
  }
  return once;
}

}  // namespace heed::passes
