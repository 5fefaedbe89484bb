// Initial values of parameters: a pure function of (seed, parameter's name, element), so the same for any
// number of threads and unchanged when a parameter is added elsewhere. Uniforms have 53 bits; normals are Box
// and Muller's (1958).
#include <cmath>
#include <cstring>
#include <numbers>

#include "runtime/base/names.h"
#include "runtime/base/random.h"
#include "runtime/engine/engine.h"

namespace heed {
namespace {

// Two numbers in (0, 1) from one block. Site and element are as for any random bit; the example's place holds
// a number that no batch reaches.
struct Pair {
  double first, second;
};
Pair Uniforms(uint64_t key, uint32_t site, uint64_t element) {
  const PhiloxBlock bits = Philox4x32_10(
      {{static_cast<uint32_t>(element), static_cast<uint32_t>(element >> 32), 0xFFFFFFFFu, site}},
      static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32));
  const auto unit = [](uint32_t high, uint32_t low) {
    return (static_cast<double>((uint64_t{high} << 32 | low) >> 11) + 0.5) * 0x1p-53;
  };
  return {unit(bits.word[0], bits.word[1]), unit(bits.word[2], bits.word[3])};
}

}  // namespace

Status Initialize(ParameterBlock& parameters, const HeedProgram& program, uint64_t seed) {
  std::vector<std::string> missing;
  for (int64_t i = 0; i < program.param_count; ++i) {
    if (program.params[i].init == kHeedInitMissing) missing.push_back(program.params[i].name);
  }
  if (!missing.empty()) {
    return Error{ListNames(missing) + (missing.size() == 1 ? " has" : " have") +
                 " no initial value; load one from a file, or write an initialiser (= or ~) in the program"};
  }
  const uint64_t key = RandomKey(seed, 0);
  for (int64_t i = 0; i < program.param_count; ++i) {
    const HeedParam& param = program.params[i];
    const uint32_t site = SiteHash(param.name, std::strlen(param.name));
    const std::span<float> values = parameters.tensor(i);
    double from = param.a, to = param.b;
    switch (param.init) {
      case kHeedInitConstant:
        for (float& value : values) value = static_cast<float>(param.a);
        break;
      case kHeedInitNormal:
        for (size_t element = 0; element < values.size(); ++element) {
          const Pair u = Uniforms(key, site, element);
          const double normal = std::sqrt(-2 * std::log(u.first)) * std::cos(2 * std::numbers::pi * u.second);
          values[element] = static_cast<float>(param.a + param.b * normal);
        }
        break;
      case kHeedInitGlorot:  // Glorot and Bengio (2010), uniform
        to = std::sqrt(6 / (param.a + param.b));
        from = -to;
        [[fallthrough]];
      default:
        for (size_t element = 0; element < values.size(); ++element) {
          values[element] = static_cast<float>(from + (to - from) * Uniforms(key, site, element).first);
        }
    }
  }
  return Done{};
}

}  // namespace heed
