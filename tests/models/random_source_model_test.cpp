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

/// Programs in which faults were found, reduced.
constexpr const char* kFound[] = {
    // A condition on some elements of a softmax is none on its inputs along that axis.
    R"(axis c = 3, b = 4, vocab = 5, s <= 7
module Net(x: vocab[s]) -> [b, c, vocab] {
  param table[vocab, c] ~ normal(0, 1)
  softmax[vocab | b == 3](erf(0.5 * table)) + log_softmax[vocab](tanh(table))
}
part net = Net
entry train(x: vocab[s]) = minimize sum[c, vocab, b | vocab >= 2](net(x))
)",
    // Nor is one on some values of an attention a condition on what its queries and keys are multiplied
    // along.
    R"(axis vocab = 5, key = 4, s <= 7
module Net(x: vocab[s]) -> [s, key] {
  param E[vocab, key] ~ normal(0, 1), F[vocab, key] ~ normal(0, 1), G[vocab, key] ~ normal(0, 1)
  softmax[s' | s' <= s](sin(E[x]) @key sin(F[x])[s -> s']) @s' sin(G[x])[s -> s']
}
part net = Net
entry train(x: vocab[s]) = minimize sum[s, key | key >= 2](net(x))
)",
};

TEST(RandomSource, WhatWasFoundStaysMended) {
  for (const std::string text : kFound) {
    const SourceOutcome outcome = CheckSourceApart(text, 1);
    EXPECT_TRUE(outcome.accepted) << outcome.refusal << "\n" << text;
    EXPECT_EQ(outcome.failure, "") << text;
  }
}

TEST(RandomSource, ASeedIsAProgram) {
  for (uint64_t seed = 1; seed <= 20; ++seed)
    EXPECT_EQ(RandomSource({.seed = seed}), RandomSource({.seed = seed}));
  EXPECT_NE(RandomSource({.seed = 1}), RandomSource({.seed = 2}));
}

}  // namespace
}  // namespace heed::test
