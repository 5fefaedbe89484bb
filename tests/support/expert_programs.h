// Programs with mixtures of experts, in the ways in which they can be written.
#pragma once

#include <string>
#include <vector>

namespace heed::test {

struct ExpertProgram {
  std::string name;
  std::string mixture;  ///< of x[model] and s[expert]; modules below
  int products;         ///< grouped ones; 0: it is computed densely
};

/// Sums that are grouped, and some that are not.
inline const std::vector<ExpertProgram>& ExpertPrograms() {
  static const std::vector<ExpertProgram> programs{
      {"a softmax over the chosen", "softmax[expert | rank[expert](s) < 2](s) @expert experts[expert](x)", 3},
      {"weights of all experts in one parameter",
       "sum[expert | rank[expert](s) < 2](softmax[expert](s) * wide(x))", 2},
      {"at most", "sum[expert | rank[expert](s) <= 2](tanh(s) * experts[expert](x))", 3},
      {"turned round", "sum[expert | 3 > rank[expert](s)](tanh(s) * wide(x))", 2},
      {"one condition more", "sum[expert | rank[expert](s) < 3 and s > 0](s * experts[expert](x))", 3},
      {"a masked rank", "sum[expert | rank[expert | expert != 1](s) < 2](s * experts[expert](x))", 3},
      {"another sum besides",
       "each[copy, expert, model] = (copy + 1) * experts[expert](x)\n"
       "  sum[expert, copy | rank[expert](s) < 2 and copy < 2](each * s)",
       3},
      {"only one", "sum[expert | rank[expert](s) < 1](experts[expert](x))", 3},
      {"a threshold bounds nothing", "sum[expert | s > 0](s * experts[expert](x))", 0},
      {"nor does a rank from below", "sum[expert | rank[expert](s) >= 2](s * experts[expert](x))", 0},
  };
  return programs;
}

/// A network that trains, scores and generates, with the mixture of `program` in a layer.
inline std::string TextOf(const ExpertProgram& program) {
  const bool wide = program.mixture.find("wide") != std::string::npos;
  return R"(
axis vocab = 9, model = 8, hidden = 6, expert = 5, copy = 3, layer = 1, seq <= 12

module Expert(x[model]) -> [model] {
  param w1[hidden, model], w2[model, hidden], w3[hidden, model], b[hidden] ~ normal(0, 1), g[hidden] = 1
  a = w1 @model x + b
  w2 @hidden (a / sqrt(mean[hidden](a * a) + 1e-2) * g * sigmoid(w3 @model x))
}

module Wide(x[model]) -> [expert, model] {
  param w1[expert, hidden, model], w2[expert, model, hidden], b[expert, hidden] ~ normal(0, 1)
  w2 @hidden tanh(w1 @model x + b)
}

module Mixture(x[model]) -> [model] {
  param gate[expert, model] ~ normal(0, 1)
  part )" +
         std::string(wide ? "wide = Wide" : "experts[expert] = Expert") + R"(
  s = gate @model x
  )" + program.mixture +
         R"(
}

module Net(x: vocab[seq]) -> [seq, vocab] {
  param E[vocab, model] ~ normal(0, 1)
  part layers[layer] = Mixture
  z = E[x]
  for l in layer {
    z = z + layers[l](z)
    z = z + mean[seq' | seq' <= seq](z[seq -> seq'])
  }
  E @model z
}

part net = Net

entry train(x: vocab[seq]) =
  minimize sum[seq | seq + 1 < |seq|](xent[vocab](net(x), x[seq + 1])) per |seq| - 1
entry complete(p: vocab[seq]) = generate y: vocab[seq] from p by net(y)
)";
}

}  // namespace heed::test
