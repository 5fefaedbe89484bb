// See output_matrix.h.
#include "runtime/weights/output_matrix.h"

#include <algorithm>
#include <cstring>

namespace heed {
namespace {

constexpr std::string_view kNames[] = {kOutputMatrix, "embed_out.weight", "output.weight"};
constexpr std::string_view kWrappers[] = {"_orig_mod",  "module", "_forward_module", "_fsdp_wrapped_module",
                                          "model",      "base",   "base_model",      "language_model",
                                          "transformer"};

// Whether every part of "a.b." wraps models.
bool OnlyWrappers(std::string_view path) {
  while (!path.empty()) {
    const size_t dot = path.find('.');
    if (std::ranges::find(kWrappers, path.substr(0, dot)) == std::end(kWrappers)) return false;
    path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
  }
  return true;
}

}  // namespace

std::vector<std::string> PrefixesWithin(const std::string& prefix) {
  std::vector<std::string> prefixes{prefix};
  for (size_t end = prefix.size(); end > 0; --end)
    if (prefix[end - 1] == '.' && end < prefix.size()) prefixes.push_back(prefix.substr(0, end));
  if (!prefix.empty()) prefixes.emplace_back();
  return prefixes;
}

bool IsOutputMatrix(std::string_view name, const std::string& prefix) {
  for (const std::string_view output : kNames) {
    if (!name.ends_with(output)) continue;
    const std::string_view before = name.substr(0, name.size() - output.size());
    if (!before.empty() && !before.ends_with('.')) continue;
    if (OnlyWrappers(before) || (prefix.starts_with(before) && !before.empty())) return true;
  }
  return false;
}

bool SameNumbers(const SafetensorsFile::Entry& a, const SafetensorsFile::Entry& b) {
  constexpr int64_t kPart = 1 << 20;
  if (a.shape != b.shape || !IsFloat(a.dtype) || !IsFloat(b.dtype)) return false;
  const int64_t count = a.bytes / ElementBytes(a.dtype);
  std::vector<float> x, y;
  bool equal = true;
  for (int64_t first = 0; first < count && equal; first += kPart) {
    const int64_t part = std::min(kPart, count - first);
    x.resize(static_cast<size_t>(part));
    y.resize(static_cast<size_t>(part));
    ConvertToFloat(a, first, x);
    ConvertToFloat(b, first, y);
    equal = std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
    LetGo(a, first, part);
    LetGo(b, first, part);
  }
  return equal;
}

}  // namespace heed
