// What is not needed leaks into nothing: gradients of programs whose branches or masks hide values and
// derivatives that are infinite or no numbers equal those of programs in which nothing is, in the interpreter
// and in native code.
#include "tests/support/jit.h"
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

struct Pair {
  const char* hides;     ///< a loss of x and w, both along n
  const char* harmless;  ///< the same where it is needed, and finite everywhere
};

// x is -2, 0, 1, 200; exp(x) is infinite at 200 in f32, exp(x * 10) in f64.
const Pair kPairs[] = {
    {"sum[n](where(y > 20, y, log(1 + exp(10 * y))))",
     "sum[n](where(y > 20, y, log(1 + exp(10 * min(y, 20)))))"},
    {"sum[n](where(y > 0, sqrt(y), y))", "sum[n](where(y > 0, sqrt(max(y, 0.1)), y))"},
    {"sum[n](where(y > 0, log(y), y))", "sum[n](where(y > 0, log(max(y, 0.1)), y))"},
    {"sum[n](where(y > 0, log(y) * y, y))", "sum[n](where(y > 0, log(max(y, 0.1)) * y, y))"},
    {"sum[n](where(y == 0, y, sin(y) / y))", "sum[n](where(y == 0, y, sin(y) / where(y == 0, 1, y)))"},
    {"sum[n](where(y > 0, y ^ (-0.5), y))", "sum[n](where(y > 0, max(y, 0.1) ^ (-0.5), y))"},
    {"sum[n](where(y > 0, tanh(log(y)) * w, w))", "sum[n](where(y > 0, tanh(log(max(y, 0.1))) * w, w))"},
    {"sum[n](where(y > 0, sigmoid(log(y)) * w, w))",
     "sum[n](where(y > 0, sigmoid(log(max(y, 0.1))) * w, w))"},
    {"sum[n](where(y > 0, cos(sqrt(y)) + erf(log(y)), w))",
     "sum[n](where(y > 0, cos(sqrt(max(y, 0.1))) + erf(log(max(y, 0.1))), w))"},
    {"sum[n](where(y < 20, exp(exp(y)) * w, w))", "sum[n](where(y < 20, exp(exp(min(y, 2))) * w, w))"},
    {"sum[n | y > 0](log(y) * w)", "sum[n | y > 0](log(max(y, 0.1)) * w)"},
    {"sum[n](softmax[n | y > 0](log(y)) * x)", "sum[n](softmax[n | y > 0](log(max(y, 0.1))) * x)"},
    {"max[n | y > 0](log(y) * w)", "max[n | y > 0](log(max(y, 0.1)) * w)"},
    {"sum[n](where(y > 0, log_softmax[k](outer[n, k](log(y), table))[k(1)], w))",
     "sum[n](where(y > 0, log_softmax[k](outer[n, k](log(max(y, 0.1)), table))[k(1)], w))"},
    {"sum[n](where(y > 0, softmax[k](outer[n, k](log(y), table))[k(1)], w))",
     "sum[n](where(y > 0, softmax[k](outer[n, k](log(max(y, 0.1)), table))[k(1)], w))"},
    {"sum[n](where(y > 0, (outer[n, k](log(y), table)) @k table, w))",
     "sum[n](where(y > 0, (outer[n, k](log(max(y, 0.1)), table)) @k table, w))"},
    {"sum[n](where(n > 1, sum[n' | n' > 1](outer[n', n](log(y)[n -> n'], w)), w))",
     "sum[n](where(n > 1, sum[n' | n' > 1](outer[n', n](log(max(y, 0.1))[n -> n'], w)), w))"},
    {"sum[n, n' | n' > 1 and n' <= n](outer[n', n](log(y)[n -> n'], w))",
     "sum[n, n' | n' > 1 and n' <= n](outer[n', n](log(max(y, 0.1))[n -> n'], w))"},
    {"log(y)[n(3)] * w[n(0)]", "log(max(y, 0.1))[n(3)] * w[n(0)]"},
    {"sum[n](where(y > 0 and log(y) < 3, log(y), w))",
     "sum[n](where(y > 0 and log(y) < 3, log(max(y, 0.1)), w))"},
};

/// The gradients of a program with this loss.
std::map<std::string, Tensor> Gradients(const std::string& loss, bool native) {
  const std::string text =
      "axis n = 4, k = 3\n\ndef outer[a, b](u[a], v[b]) -> [a, b] {\n  z[a, b] = u * v\n  z\n}\n\nmodule "
      "M(x[n]) "
      "-> [] {\n  param w[n] = 1, table[k] = 1\n  y = x * w\n  " +
      loss + " + sum[k](0 * table)\n}\n\npart m = M\n\nentry f(x[n]) = minimize m(x)\n";
  const auto program = CompileText("p.heed", text);
  if (!program) return {};
  const Graph graph = passes::RunPipeline(*program->entries[0].graph, Variant::Train, {});
  const Axis batch("batch"), n("n"), k("k");
  const Values values = {{"x", {{batch, n}, {1, 4}, {-2, 0, 1, 200}}},
                         {"w", {{n}, {4}, {1, 1, 1, 1}}},
                         {"table", {{k}, {3}, {0.5, -1, 2}}}};
  std::map<std::string, Tensor> gradients;
  if (native) {
    const auto function = backend::JitFunction::Create(graph, "native", 1);
    EXPECT_TRUE(function) << function.error().message;
    if (!function) return {};
    std::map<std::string, backend::HostValue> host;
    for (const auto& [name, tensor] : values) host[name] = {tensor.shape, tensor.axes, tensor.data};
    for (const auto& [name, value] : (*function)->Call(host, {{batch, 1}}, 1, 1, false))
      if (name.starts_with("d.")) gradients[name] = {value.axes, value.shape, value.data};
  } else {
    Interpreter interpreter(graph, {.values = values, .extents = {{batch, 1}}});
    for (const auto& [name, id] : graph.outputs)
      if (name.starts_with("d.")) gradients[name] = interpreter.Value(id);
  }
  return gradients;
}

TEST(Untaken, LeaksIntoNoGradient) {
  for (const Pair& pair : kPairs) {
    SCOPED_TRACE(pair.hides);
    for (const bool native : {false, true}) {
      const auto got = Gradients(pair.hides, native), want = Gradients(pair.harmless, false);
      ASSERT_EQ(got.size(), want.size());
      ASSERT_FALSE(want.empty());
      for (const auto& [name, tensor] : want) {
        const Tensor sorted = Transposed(got.at(name), tensor.axes);
        for (size_t i = 0; i < tensor.data.size(); ++i) {
          ASSERT_TRUE(std::isfinite(tensor.data[i])) << name;
          EXPECT_NEAR(sorted.data[i], tensor.data[i], (native ? 1e-4 : 1e-9) * (1 + std::abs(tensor.data[i])))
              << name << "[" << i << "]" << (native ? ", native" : "");
        }
      }
    }
  }
}

}  // namespace
}  // namespace heed::test
