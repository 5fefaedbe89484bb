// The features of the levels of backend/target/target.def: those of the x86-64 psABI, dot products of bytes,
// matrix tiles.
#include "runtime/engine/cpu.h"

#include <cstring>
#include <string_view>
#include <vector>

#include "runtime/base/names.h"
#include "runtime/kernels/tiles.h"

namespace heed {
namespace {

#if defined(__x86_64__)
struct Feature {
  const char* name;
  int level;  // that has it; 5: none
  bool present;
};

std::vector<Feature> Features() {
  __builtin_cpu_init();
#define HEED_FEATURE(name, level) {name, level, __builtin_cpu_supports(name) != 0}
  return {HEED_FEATURE("popcnt", 2),   HEED_FEATURE("sse3", 2),      HEED_FEATURE("ssse3", 2),
          HEED_FEATURE("sse4.1", 2),   HEED_FEATURE("sse4.2", 2),    HEED_FEATURE("avx", 3),
          HEED_FEATURE("avx2", 3),     HEED_FEATURE("bmi", 3),       HEED_FEATURE("bmi2", 3),
          HEED_FEATURE("f16c", 3),     HEED_FEATURE("fma", 3),       HEED_FEATURE("lzcnt", 3),
          HEED_FEATURE("movbe", 3),    HEED_FEATURE("avx512f", 4),   HEED_FEATURE("avx512bw", 4),
          HEED_FEATURE("avx512cd", 4), HEED_FEATURE("avx512dq", 4),  HEED_FEATURE("avx512vl", 4),
          HEED_FEATURE("avxvnni", 5),  HEED_FEATURE("avx512vnni", 5)};
#undef HEED_FEATURE
}

// What a processor's name stands for, as far as generated code uses it.
struct Processor {
  std::string_view name;
  int level;              // 0: unknown
  std::string_view more;  // a feature beyond the level's
  bool tiles = false;     // matrix tiles of bfloat16
};
Processor Named(std::string_view name) {
  static constexpr Processor kProcessors[] = {{"x86-64-v4", 4, ""},
                                              {"x86-64-v3", 3, ""},
                                              {"x86-64-v2", 2, ""},
                                              {"x86-64", 1, ""},
                                              {"alderlake", 3, "avxvnni"},
                                              {"cascadelake", 4, "avx512vnni"},
                                              {"sapphirerapids", 4, "avx512vnni", true}};
  for (const Processor& processor : kProcessors) {
    if (name == processor.name) return processor;
  }
  return {};
}

std::vector<std::string> Missing(std::string_view level) {
  std::vector<std::string> missing;
  const Processor processor = Named(level);
  for (const Feature& feature : Features()) {
    const bool needed = feature.level <= processor.level || feature.name == processor.more;
    if (needed && !feature.present) missing.push_back(feature.name);
  }
  if (missing.empty() && processor.tiles && !AskForTiles()) missing.push_back("amx-bf16");
  return missing;
}
#else
std::vector<std::string> Missing(std::string_view) { return {}; }
#endif

}  // namespace

Status CheckCpu(const std::string& levels, const std::string& forced) {
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= levels.size();) {
    const size_t end = std::min(levels.find(',', begin), levels.size());
    if (end > begin) names.push_back(levels.substr(begin, end - begin));
    begin = end + 1;
  }
  if (!forced.empty()) {
    bool known = false;
    for (const std::string& name : names) known = known || name == forced;
    if (!known) {
      return Error{"HEED_TARGET=" + forced + " is not in this program; it was compiled for " +
                   ListNames(names)};
    }
    names = {forced};
  }
  std::string what;
  for (const std::string& name : names) {
    const std::vector<std::string> missing = Missing(name);
    if (missing.empty()) return Done{};
    what += (what.empty() ? "" : "; ") + name + " needs " + ListNames(missing, 32);
  }
  if (names.empty()) return Done{};
  return Error{"this processor cannot run the program: " + what + ". Compile it with --cpu for this machine"};
}

}  // namespace heed
