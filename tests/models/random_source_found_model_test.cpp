// Programs that random ones led to, as small as they could be made: each was refused, crashed or gave other
// numbers.
#include <gtest/gtest.h>

#include "tests/support/random_source_check.h"

namespace heed::test {
namespace {

struct Found {
  const char* name;
  const char* text;
};

const Found kFound[] = {
    {"AMaskAlongTheAxisOfTheProduct",
     "axis c = 3, s <= 6\n"
     "module Net(x[s, c]) -> [s, c] {\n"
     "  param w[c] = 1\n"
     "  v = x * w\n"
     "  softmax[s' | s' <= s and c > 0](v @c v[s -> s']) @s' v[s -> s']\n"
     "}\n"
     "part net = Net\n"
     "entry value(x[s, c]) = net(x)\n"
     "entry train(x[s, c]) = minimize sum[s, c](net(x) ^ 2)\n"},
    {"KeysThatDoNotVaryAlongTheAxisOfTheProduct",
     "axis layer = 1, t <= 6\n"
     "entry value(u[t]) = softmax[t' | t' < t](((1 + layer) * (1 + t)) @layer\n"
     "  ((1 + t) * max[layer'](1 + layer' + layer * 0))[t -> t']) @t' u[t -> t']\n"},
    {"KeysThatDoNotVaryTrain",
     "axis pair = 2, layer = 1, t <= 6\n"
     "module Net(u[t]) -> [t] {\n"
     "  param w[t] = 1, v[layer] = 1\n"
     "  z[t, layer] = w * v\n"
     "  softmax[t' | t' < t](z @layer ((max[pair | 4 <= layer or pair == 0](4 * (1 + pair)) + t * 0.5) "
     "* "
     "0.5)[t -> t']) @t' (w * u)[t -> t']\n"
     "}\n"
     "part net = Net\n"
     "entry train(u[t]) = minimize sum[t](net(u) ^ 2)\n"},
    {"AFixedSumOverALengthOfParametersAlone",
     "axis a = 4, vocab = 9, s <= 8, t <= 8\n"
     "module Net(x: vocab[s]) -> [vocab, s] {\n"
     "  param w[a, t] = 1\n"
     "  sum[t, a](tanh(w)) * (1 + s) * (1 + vocab)\n"
     "}\n"
     "part net = Net\n"
     "entry complete(p: vocab[s], u[t]) = generate y: vocab[s] from p by net(y)\n"},
    {"TheSameForAllExamplesOverALength",
     "axis pair = 2, t <= 7, b = 2\n"
     "entry value() -> [b, t] = standardize[pair](stack[pair](silu(0.5), 1))[pair(max(t, b) % |pair|)]\n"},
    {"ATextThatIsNotLookedAt",
     "axis vocab = 5, s <= 6\n"
     "module Net(x: vocab[s]) -> [s, vocab] {\n"
     "  param w[vocab] = 1\n"
     "  w * (1 + s)\n"
     "}\n"
     "part net = Net\n"
     "entry complete(p: vocab[s]) = generate y: vocab[s] from p by net(y)\n"},
    {"AsManyAxesAsCheckLetsThrough",
     "axis a = 1, b = 2, c = 3, d = 2, e = 3, f = 2, g = 3, h = 2, i = 3, s <= 4, t <= 4\n"
     "module Net(x[a, b, c, s, t, e]) -> [b, g] {\n"
     "  param w[e, d, f, g, h, i] = 1, z[h, i, f, a, c, d] = 1\n"
     "  y = x @e w\n"
     "  (softmax[a, d, h](y) * y) @[a, c, d, f, s, t, h, i] (z + s * t)\n"
     "}\n"
     "part net = Net\n"
     "entry value(x[a, b, c, s, t, e]) = net(x)\n"
     "entry train(x[a, b, c, s, t, e]) = minimize sum[b, g](net(x) ^ 2)\n"},
};

TEST(RandomSource, WhatWasFoundStaysMended) {
  for (const Found& found : kFound) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      const SourceOutcome outcome = CheckSourceApart(found.text, seed);
      EXPECT_TRUE(outcome.accepted) << found.name << ": " << outcome.refusal;
      EXPECT_EQ(outcome.failure, "") << found.name;
    }
  }
}

}  // namespace
}  // namespace heed::test
