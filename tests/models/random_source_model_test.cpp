// Random programs of the whole language: what the compiler accepts it compiles, and native code does what the
// interpreter says. HEED_RANDOM_PROGRAMS=N tries N programs instead of a few, from seed HEED_RANDOM_SEED on.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "tests/support/random_source.h"
#include "tests/support/random_source_check.h"

namespace heed::test {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

/// "[Kind]" of a message.
std::string KindOf(const std::string& message) {
  const std::string line = message.substr(0, message.find('\n'));
  return line.substr(std::min(line.rfind('['), line.size()));
}

TEST(RandomSource, WhatIsAcceptedRuns) {
  const uint64_t first = FromEnvironment("HEED_RANDOM_SEED", 1);
  const uint64_t count = FromEnvironment("HEED_RANDOM_PROGRAMS", 60);
  const uint64_t most_faults = FromEnvironment("HEED_RANDOM_FAULTS", 1);
  uint64_t accepted = 0, functions = 0, faults = 0;
  std::map<std::string, int> refusals;
  for (uint64_t seed = first; seed < first + count && faults < most_faults; ++seed) {
    const std::string text = RandomSource({.seed = seed});
    const SourceOutcome outcome = CheckSourceApart(text, seed);
    accepted += outcome.accepted;
    functions += static_cast<uint64_t>(outcome.functions);
    if (!outcome.refusal.empty()) ++refusals[KindOf(outcome.refusal)];
    if (outcome.failure.empty()) continue;
    ++faults;
    ADD_FAILURE() << outcome.failure << "\n# seed " << seed << "\n" << text;
    if (most_faults == 1) std::printf("reduced:\n%s", ReducedSource(text, seed).c_str());
  }
  std::printf("             %llu of %llu programs accepted, %llu functions compiled\n",
              static_cast<unsigned long long>(accepted), static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(functions));
  for (const auto& [kind, number] : refusals) std::printf("             %4d %s\n", number, kind.c_str());
  EXPECT_GE(accepted * 10, count * 7) << "too few programs are well typed";
}

TEST(RandomSource, ASeedIsAProgram) {
  for (uint64_t seed = 1; seed <= 20; ++seed)
    EXPECT_EQ(RandomSource({.seed = seed}), RandomSource({.seed = seed}));
  EXPECT_NE(RandomSource({.seed = 1}), RandomSource({.seed = 2}));
}

}  // namespace
}  // namespace heed::test
