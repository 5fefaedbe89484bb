// See mismatch.h. Text only; nothing is decided here.
#include "runtime/weights/mismatch.h"

#include <algorithm>
#include <map>

#include "runtime/base/names.h"
#include "runtime/engine/program.h"

namespace heed {
namespace {

constexpr size_t kListed = 8;          // problems in one message
constexpr size_t kMostNames = 20'000;  // among which near ones are looked for

// Axes of storage dimension d: consecutive ones whose product is its size. Flattened axes are in storage
// order.
struct Factor {
  std::string axis;
  int64_t size;
};
std::vector<Factor> Factors(const HeedParam& param, int64_t d) {
  int64_t axis = 0;
  for (int64_t before = 0;; ++before) {
    std::vector<Factor> factors;
    // A group lists its axes between parentheses; a plain dimension is one axis.
    const std::string_view text = param.dim_axes[before];
    const auto commas = std::count(text.begin(), text.end(), ',');
    for (int64_t i = 0; i <= commas && axis < param.axis_count; ++i, ++axis) {
      factors.push_back({RootOf(param.axes[axis]), param.axis_sizes[axis]});
    }
    if (before == d) return factors;
  }
}

// "(qkv, heads, key)"
std::string DimensionAxes(const HeedParam& param, int64_t d) {
  const std::vector<Factor> factors = Factors(param, d);
  if (factors.size() == 1) return factors[0].axis;
  std::string text;
  for (const Factor& factor : factors) text += (text.empty() ? "(" : ", ") + factor.axis;
  return text + ")";
}

// "(qkv, heads, key)=3*12*64=2304"
std::string DimensionText(const HeedParam& param, int64_t d) {
  const std::vector<Factor> factors = Factors(param, d);
  std::string text = DimensionAxes(param, d) + "=";
  if (factors.size() > 1) {
    for (size_t i = 0; i < factors.size(); ++i) text += (i > 0 ? "*" : "") + std::to_string(factors[i].size);
    text += "=";
  }
  return text + std::to_string(param.shape[d]);
}

// What is different about dimension d, and which axis would have to have which size.
std::string Difference(const HeedProgram& program, const HeedParam& param, int64_t d, int64_t found) {
  std::string text = DimensionAxes(param, d) + " is " + std::to_string(param.shape[d]) + " here and " +
                     std::to_string(found) + " in the file";
  const std::vector<Factor> factors = Factors(param, d);
  if (factors.size() < 2) return text;
  std::string choices;
  for (const Factor& factor : factors) {
    const HeedAxis* axis = FindAxis(program, factor.axis);
    const int64_t others = factor.size > 0 ? param.shape[d] / factor.size : 0;
    if (axis == nullptr || axis->enumerator_count > 0) continue;  // the program lists its elements
    if (others == 0 || found % others != 0 || found == 0) continue;
    choices += (choices.empty() ? "" : " or ") + factor.axis + "=" + std::to_string(found / others);
  }
  return text + (choices.empty() ? " (no single axis explains it)" : " (as if " + choices + ")");
}

// The axes as `param` lists them, in the opposite order: "[out, inp]".
std::string ReversedAxes(const HeedParam& param) {
  std::string text;
  for (int64_t d = param.rank; d-- > 0;) text += (text.empty() ? "" : ", ") + DimensionAxes(param, d);
  return "[" + text + "]";
}

}  // namespace

std::string FoldNumbers(std::string_view name) {
  std::string folded;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    folded += number ? "*" : part;
    if (end < name.size()) folded += '.';
    begin = end + 1;
  }
  return folded;
}

std::vector<std::string> FoldAll(const std::vector<std::string>& names) {
  std::map<std::string, std::pair<int64_t, std::string>> groups;  // folded -> how many, the first of them
  std::vector<std::string> order;
  for (const std::string& name : names) {
    const std::string folded = FoldNumbers(name);
    auto& [count, first] = groups[folded];
    if (count++ == 0) {
      first = name;
      order.push_back(folded);
    }
  }
  for (std::string& folded : order) {
    const auto& [count, first] = groups[folded];
    folded = count == 1 ? first : folded + " (" + std::to_string(count) + ")";
  }
  return order;
}

bool IsTransposed(const HeedParam& param, const SafetensorsFile::Entry& entry) {
  const std::vector<int64_t> wanted(param.shape, param.shape + param.rank);
  return param.rank > 1 && entry.shape != wanted &&
         std::equal(entry.shape.begin(), entry.shape.end(), wanted.rbegin(), wanted.rend());
}

std::string Mismatch(const HeedProgram& program, const HeedParam& param,
                     const SafetensorsFile::Entry& entry) {
  std::string text = "file has " + ShapeText(entry.shape) + ", program stores [";
  for (int64_t d = 0; d < param.rank; ++d) text += (d > 0 ? ", " : "") + DimensionText(param, d);
  text += "]";
  if (entry.shape.size() != static_cast<size_t>(param.rank)) {
    int64_t count = 1;
    for (const int64_t size : entry.shape) count *= size;
    return text + (count == param.count ? "; the same number of elements, grouped otherwise"
                                        : "; the number of dimensions differs");
  }
  if (IsTransposed(param, entry)) {
    return text + "; the dimensions are in the other order: declare the parameter with " +
           ReversedAxes(param);
  }
  for (int64_t d = 0; d < param.rank; ++d) {
    const int64_t found = entry.shape[static_cast<size_t>(d)];
    if (found != param.shape[d]) text += "; " + Difference(program, param, d, found);
  }
  return text;
}

void Problems::Differs(const std::string& name, const std::string& what) {
  for (Problem& problem : list_) {
    if (!problem.missing && problem.what == what && problem.folded == FoldNumbers(name)) {
      ++problem.count;
      return;
    }
  }
  list_.push_back({name, FoldNumbers(name), what, false, 1});
}

void Problems::Missing(const std::string& name, const std::vector<std::string>& names) {
  const std::string folded = FoldNumbers(name);
  for (Problem& problem : list_) {
    if (problem.missing && problem.folded == folded) {
      ++problem.count;
      return;
    }
  }
  std::string closest;
  // Looking for near names takes long; only what will be shown is looked for.
  if (list_.size() < kListed && names.size() <= kMostNames) closest = ClosestName(name, names);
  list_.push_back({name, folded, closest.empty() ? "" : "; closest: " + closest, true, 1});
}

Error Problems::Message(const std::string& head, const std::string& advice) const {
  std::string message = head;
  const size_t listed = std::min(list_.size(), kListed);
  for (size_t i = 0; i < listed; ++i) {
    const Problem& problem = list_[i];
    const std::string many = " (" + std::to_string(problem.count) + " of them)";
    message += problem.missing ? "\n  there is no " : "\n  ";
    message += problem.count == 1 ? problem.name : problem.folded + many;
    message += (problem.missing || problem.name.empty() ? "" : ": ") + problem.what;
  }
  if (listed < list_.size()) message += "\n  and " + std::to_string(list_.size() - listed) + " more";
  if (!advice.empty()) message += "\n  " + advice;
  return Error{message};
}

}  // namespace heed
