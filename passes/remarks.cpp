// See remarks.h. The instance of a remark is what Place (context.h) puts in parentheses.
#include "passes/remarks.h"

#include <algorithm>
#include <cctype>
#include <map>

namespace heed::passes {
namespace {

struct Parts {
  std::string before, instance, after;
};

Parts Cut(const std::string& remark) {
  const size_t end = remark.find("): "), begin = end == remark.npos ? remark.npos : remark.rfind(" (", end);
  if (begin == remark.npos) return {remark, "", ""};
  const std::string instance = remark.substr(begin + 2, end - begin - 2);
  if (instance.find(' ') != instance.npos) return {remark, "", ""};
  return {remark.substr(0, begin + 2), instance, remark.substr(end)};
}

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

std::vector<std::string> OnceEach(const std::vector<std::string>& remarks) {
  struct Group {
    std::string first;
    Parts parts;
    int count = 0;
  };
  std::vector<Group> groups;
  std::map<std::string, size_t> places;
  for (const std::string& remark : remarks) {
    Parts parts = Cut(remark);
    parts.instance = WithoutNumbers(parts.instance);
    const auto [place, fresh] = places.emplace(parts.before + parts.instance + parts.after, groups.size());
    if (fresh) groups.push_back({remark, std::move(parts)});
    ++groups[place->second].count;
  }
  std::vector<std::string> once;
  for (const Group& group : groups) {
    const std::string count = std::to_string(group.count);
    const bool layers = group.parts.instance.find('*') != std::string::npos;
    once.push_back(group.count == 1 ? group.first
                   : layers         ? group.parts.before + group.parts.instance + ", " + count + " of them" +
                                  group.parts.after
                            : group.first + " (" + count + " times)");
  }
  return once;
}

}  // namespace heed::passes
