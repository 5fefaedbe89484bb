// A program's parameters in a safetensors file: found by name (or by names with a common prefix), checked
// dimension by dimension, converted to f32. The file format itself is safetensors.cpp's business.
#include "runtime/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "runtime/names.h"

namespace heed {
namespace {

constexpr size_t kListed = 12;  // problems in one message

float FromHalf(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16, exponent = half >> 10 & 31, fraction = half & 1023u;
  float value;
  if (exponent == 0) {
    value = static_cast<float>(fraction) * 0x1p-24f;  // subnormal
    return sign != 0 ? -value : value;
  }
  const uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
  std::memcpy(&value, &bits, 4);
  return value;
}
float FromBfloat(uint16_t half) {
  const uint32_t bits = uint32_t{half} << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

template <typename From, typename Convert>
void CopyAs(const SafetensorsFile::Entry& entry, std::span<float> to, Convert convert) {
  for (size_t i = 0; i < to.size(); ++i) {
    From value;  // the file need not be aligned
    std::memcpy(&value, entry.data + i * sizeof value, sizeof value);
    to[i] = convert(value);
  }
}

bool IsFloat(const std::string& dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

std::vector<int64_t> Shape(const HeedParam& param) { return {param.shape, param.shape + param.rank}; }

// Axes of storage dimension d: consecutive ones whose product is its size. Flattened axes are in storage
// order.
std::vector<std::pair<std::string, int64_t>> Factors(const HeedParam& param, int64_t d) {
  int64_t axis = 0;
  for (int64_t before = 0;; ++before) {
    std::vector<std::pair<std::string, int64_t>> factors;
    // A group lists its axes between parentheses; a plain dimension is one axis.
    const std::string_view text = param.dim_axes[before];
    const auto commas = std::count(text.begin(), text.end(), ',');
    for (int64_t i = 0; i <= commas && axis < param.axis_count; ++i, ++axis) {
      factors.emplace_back(param.axes[axis], param.axis_sizes[axis]);
    }
    if (before == d) return factors;
  }
}

// "(qkv, heads, key)=3*12*64=2304"
std::string DimensionText(const HeedParam& param, int64_t d) {
  const auto factors = Factors(param, d);
  std::string text = std::string(param.dim_axes[d]) + "=";
  if (factors.size() > 1) {
    for (size_t i = 0; i < factors.size(); ++i)
      text += (i > 0 ? "*" : "") + std::to_string(factors[i].second);
    text += "=";
  }
  return text + std::to_string(param.shape[d]);
}

// What is different about dimension d, and which axis would have to have which size.
std::string Difference(const HeedParam& param, int64_t d, int64_t found) {
  std::string text = std::string(param.dim_axes[d]) + " is " + std::to_string(param.shape[d]) + " here and " +
                     std::to_string(found) + " in the file";
  const auto factors = Factors(param, d);
  if (factors.size() < 2) return text;
  std::string choices;
  for (const auto& [name, size] : factors) {
    const int64_t others = size > 0 ? param.shape[d] / size : 0;
    if (others == 0 || found % others != 0 || found == 0) continue;
    choices += (choices.empty() ? "" : " or ") + name + "=" + std::to_string(found / others);
  }
  return text + (choices.empty() ? " (no single axis explains it)" : " (as if " + choices + ")");
}

std::string Mismatch(const HeedParam& param, const SafetensorsFile::Entry& entry) {
  std::string text = std::string(param.name) + ": file has " + ShapeText(entry.shape) + ", program stores [";
  for (int64_t d = 0; d < param.rank; ++d) text += (d > 0 ? ", " : "") + DimensionText(param, d);
  text += "]";
  const std::vector<int64_t> wanted = Shape(param);
  if (entry.shape.size() != wanted.size()) {
    int64_t count = 1;
    for (const int64_t size : entry.shape) count *= size;
    return text + (count == param.count ? "; the same number of elements, grouped otherwise"
                                        : "; the number of dimensions differs");
  }
  std::vector<int64_t> reversed(wanted.rbegin(), wanted.rend());
  if (wanted.size() > 1 && entry.shape == reversed) return text + "; the dimensions are in the other order";
  for (size_t d = 0; d < wanted.size(); ++d) {
    if (entry.shape[d] == wanted[d]) continue;
    text += "; " + Difference(param, static_cast<int64_t>(d), entry.shape[d]);
  }
  return text;
}

bool IsOptimizerState(std::string_view name) {
  return name.starts_with("optim.m.") || name.starts_with("optim.v.");
}

// The prefix under which most parameters are found; the shortest of several. `count`: how many are.
std::string BestPrefix(const SafetensorsFile& file, const HeedProgram& program, int64_t* count) {
  std::map<std::string, int64_t> found;
  found[""] = 0;
  for (const auto& [name, entry] : file.tensors()) {
    if (IsOptimizerState(name)) continue;
    for (int64_t i = 0; i < program.param_count; ++i) {
      const std::string_view wanted = program.params[i].name;
      if (!name.ends_with(wanted)) continue;
      ++found[name.substr(0, name.size() - wanted.size())];
    }
  }
  std::string best;
  for (const auto& [prefix, number] : found) {
    if (number > found[best] || (number == found[best] && prefix.size() < best.size())) best = prefix;
  }
  *count = found[best];
  return best;
}

Error Listed(const std::string& head, const std::vector<std::string>& problems) {
  std::string message = head;
  for (size_t i = 0; i < problems.size() && i < kListed; ++i) message += "\n  " + problems[i];
  if (problems.size() > kListed) message += "\n  and " + std::to_string(problems.size() - kListed) + " more";
  return Error{message};
}

// Copies tensors named prefix + NAME; adds what is wrong to `problems`.
void CopyAll(const SafetensorsFile& file, const HeedProgram& program, const std::string& prefix,
             ParameterBlock& to, std::vector<std::string>& problems) {
  std::vector<std::string> names;
  std::vector<std::string> missing;
  for (const auto& [name, entry] : file.tensors()) {
    if (!IsOptimizerState(name)) names.push_back(name);
  }
  for (int64_t i = 0; i < program.param_count; ++i) {
    const HeedParam& param = program.params[i];
    const auto found = file.tensors().find(prefix + param.name);
    if (found == file.tensors().end()) {
      missing.push_back(prefix + param.name);
      continue;
    }
    const SafetensorsFile::Entry& entry = found->second;
    if (entry.shape != Shape(param)) {
      problems.push_back(Mismatch(param, entry));
    } else if (!IsFloat(entry.dtype)) {
      problems.push_back(std::string(param.name) + " is " + entry.dtype +
                         "; it must be F32, F16, BF16 or F64");
    } else if (problems.empty() && missing.empty()) {
      ConvertToFloat(entry, to.tensor(i));
    }
  }
  // Looking for near names is quadratic; only what will be shown is looked for.
  for (size_t i = 0; i < missing.size(); ++i) {
    std::string text = "there is no " + missing[i];
    if (i < kListed) {
      const std::string closest = ClosestName(missing[i], names);
      if (!closest.empty()) text += "; closest: " + closest;
    }
    problems.push_back(text);
  }
}

}  // namespace

bool ConvertToFloat(const SafetensorsFile::Entry& entry, std::span<float> to) {
  if (!IsFloat(entry.dtype)) return false;
  if (entry.dtype == "F32") {
    if (!to.empty()) std::memcpy(to.data(), entry.data, to.size_bytes());
  } else if (entry.dtype == "F16") {
    CopyAs<uint16_t>(entry, to, FromHalf);
  } else if (entry.dtype == "BF16") {
    CopyAs<uint16_t>(entry, to, FromBfloat);
  } else {
    CopyAs<double>(entry, to, [](double value) { return static_cast<float>(value); });
  }
  return true;
}

Result<LoadReport> LoadParameters(const SafetensorsFile& file, const HeedProgram& program,
                                  ParameterBlock& parameters) {
  LoadReport report;
  int64_t count = 0;
  report.prefix = BestPrefix(file, program, &count);
  std::vector<std::string> problems;
  CopyAll(file, program, report.prefix, parameters, problems);
  if (!problems.empty()) {
    std::string head = "the weights do not fit " + std::string(program.source_name);
    if (count == 0 && program.param_count > 0) {
      head += ": none of its " + std::to_string(program.param_count) +
              " parameters is in the file, which has " + std::to_string(file.tensors().size()) + " tensors";
    } else if (!report.prefix.empty()) {
      head += " (names with the prefix `" + report.prefix + "`)";
    }
    return Listed(head + ":", problems);
  }
  std::set<std::string> used;
  for (int64_t i = 0; i < program.param_count; ++i) used.insert(report.prefix + program.params[i].name);
  for (const auto& [name, entry] : file.tensors()) {
    if (!used.contains(name) && !IsOptimizerState(name)) report.extra.push_back(name);
  }
  return report;
}

Result<bool> LoadMoments(const SafetensorsFile& file, const HeedProgram& program, ParameterBlock& m,
                         ParameterBlock& v) {
  const bool any = std::any_of(file.tensors().begin(), file.tensors().end(),
                               [](const auto& tensor) { return IsOptimizerState(tensor.first); });
  if (!any) return false;
  std::vector<std::string> problems;
  CopyAll(file, program, "optim.m.", m, problems);
  CopyAll(file, program, "optim.v.", v, problems);
  if (!problems.empty())
    return Listed("the optimizer's state does not fit " + std::string(program.source_name) + ":", problems);
  return true;
}

Status SaveCheckpoint(const std::string& path, const HeedProgram& program, const ParameterBlock& parameters,
                      const ParameterBlock* m, const ParameterBlock* v,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& prefix, const ParameterBlock& block) {
    for (int64_t i = 0; i < program.param_count; ++i) {
      tensors.push_back(
          {prefix + program.params[i].name, "F32", Shape(program.params[i]), block.tensor(i).data()});
    }
  };
  add("", parameters);
  if (m != nullptr) add("optim.m.", *m);
  if (v != nullptr) add("optim.v.", *v);
  return WriteSafetensors(path, tensors, metadata);
}

}  // namespace heed
