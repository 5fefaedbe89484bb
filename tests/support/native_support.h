// What the tests of native code share: the functions of a program's entries, compiled in this process,
// against the interpreter and the laws. Padding of floats is NaN.
#pragma once

#include "backend/plan/packed.h"
#include "backend/target/target.h"
#include "runtime/kernels/heed_kernels.h"
#include "tests/support/jit.h"
#include "tests/support/passes_support.h"

namespace heed::test {

struct Case {
  std::string name;
  Graph graph;   ///< after the passes
  Graph single;  ///< per example, where inputs are drawn from
  bool trains;
};

inline std::vector<Case> CasesOf(const frontend::Program& program) {
  std::vector<Case> cases;
  for (const frontend::Entry& entry : program.entries) {
    std::vector<Variant> variants = {Variant::Forward};
    if (entry.kind == frontend::EntryKind::Minimize) variants = {Variant::Train, Variant::Loss};
    if (entry.kind == frontend::EntryKind::Generate) variants = {Variant::Forward, Variant::Prefill};
    for (Variant variant : variants) {
      const Graph& single = variant == Variant::Train ? *entry.graph : *entry.infer;
      cases.push_back({entry.name + "/" + std::string(passes::Name(variant)),
                       passes::RunPipeline(single, variant, {}), *entry.graph, variant == Variant::Train});
    }
    Graph weights = passes::RunPipeline(*entry.infer, Variant::Weights, {});
    if (!weights.outputs.empty())
      cases.push_back({entry.name + "/weights", std::move(weights), *entry.graph, false});
  }
  return cases;
}

inline double ToFloat(double x) { return static_cast<float>(x); }
inline Values Rounded(Values values) {
  for (auto& [name, tensor] : values) {
    for (double& x : tensor.data) x = ToFloat(x);
  }
  return values;
}

using HostValues = std::map<std::string, backend::HostValue>;
inline HostValues ToHost(const Values& a, const Values& b) {
  HostValues host;
  for (const Values* values : {&a, &b}) {
    for (const auto& [name, tensor] : *values) host[name] = {tensor.shape, tensor.axes, tensor.data};
  }
  return host;
}

/// The extents, and caches of just that capacity.
inline Lengths WithCapacity(Lengths extents) {
  const Lengths given = extents;
  for (const auto& [root, extent] : given) extents[root.Stored()] = extent;
  return extents;
}

/// Sets what lies past an example's lengths to 0, as `batch` leaves it undefined.
inline Tensor WithoutPadding(const Graph& graph, Tensor tensor, const std::vector<Lengths>& lengths) {
  for (int64_t i = 0; i < tensor.count(); ++i) {
    const std::vector<int64_t> at = Coordinates(i, tensor.shape);
    int64_t example = -1;
    for (size_t a = 0; a < at.size(); ++a) {
      if (tensor.axes[a] == Axis("batch")) example = at[a];
    }
    if (example < 0) continue;
    for (size_t a = 0; a < at.size(); ++a) {
      if (graph.axes().IsDynamic(tensor.axes[a]) && at[a] >= lengths[example].at(tensor.axes[a].root())) {
        tensor.data[i] = 0;
      }
    }
  }
  return tensor;
}

/// The largest of what is finite.
inline double Largest(const Tensor& tensor) {
  double largest = 0;
  for (double x : tensor.data)
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  return largest;
}

using Results = std::map<std::string, backend::HostValue>;

/// The largest difference of any output, relative to its largest element.
inline double Distance(const Case& c, Interpreter& interpreter, const Results& results,
                       const std::vector<Lengths>& lengths) {
  double worst = 0;
  for (const auto& [name, id] : c.graph.outputs) {
    const Tensor want = WithoutPadding(c.graph, interpreter.Value(id), lengths);
    const backend::HostValue& value = results.at(name);
    const Tensor got =
        WithoutPadding(c.graph, Transposed({value.axes, value.shape, value.data}, want.axes), lengths);
    double largest = std::max(1e-3, Largest(want));
    // A key's bias hardly moves a softmax: what is left of its gradient is rounded as its weight's is.
    if (name.ends_with(".bias")) {
      if (const NodeId weight = c.graph.Output(name.substr(0, name.size() - 4) + "weight"))
        largest = std::max(largest, Largest(interpreter.Value(weight)));
    }
    worst = std::max(worst, Difference(want, got) / largest);
  }
  return worst;
}

/// Neither the number of threads nor the batch and its padding change a bit.
inline void CheckLaws(const Case& c, backend::JitFunction& native, const Values& parameters,
                      const std::vector<Values>& examples, const std::vector<Lengths>& lengths,
                      const std::string& what) {
  const Batched batch = Pack(c.graph, examples, lengths, std::numeric_limits<double>::quiet_NaN());
  const HostValues host = ToHost(parameters, batch.values);
  const Results result = native.Call(host, WithCapacity(batch.extents), 1, 3, true);
  for (int threads : {2, 5}) {
    native.UseThreads(threads);
    for (const auto& [name, value] : native.Call(host, WithCapacity(batch.extents), 1, 3, true)) {
      const Tensor a = WithoutPadding(c.graph, {value.axes, value.shape, value.data}, lengths);
      const backend::HostValue& one = result.at(name);
      const Tensor b = WithoutPadding(c.graph, {one.axes, one.shape, one.data}, lengths);
      EXPECT_TRUE(SameBits(a, b)) << what << " " << name << ": " << threads << " threads";
    }
  }
  native.UseThreads(1);
  // An example alone, padded differently, gives what it gives among others.
  for (size_t e = 0; e < examples.size(); ++e) {
    const Batched alone = Pack(c.graph, {examples[e]}, {lengths[e]}, 7.5, 0);
    const Results single =
        native.Call(ToHost(parameters, alone.values), WithCapacity(alone.extents), 1, 3, true);
    for (const auto& [name, value] : single) {
      if (std::find(value.axes.begin(), value.axes.end(), Axis("batch")) == value.axes.end()) continue;
      const backend::HostValue& all = result.at(name);
      Tensor mine{value.axes, value.shape, value.data};
      mine = WithoutPadding(c.graph, mine, {lengths[e]});
      for (int64_t i = 0; i < mine.count(); ++i) {
        std::vector<int64_t> at = Coordinates(i, mine.shape);
        bool inside = true;
        for (size_t a = 0; a < at.size(); ++a) {
          if (mine.axes[a] == Axis("batch")) at[a] = static_cast<int64_t>(e);
          if (c.graph.axes().IsDynamic(mine.axes[a])) inside &= at[a] < lengths[e].at(mine.axes[a].root());
        }
        if (!inside) continue;
        ASSERT_TRUE(SameBits(mine.data[i], all.data[Offset(at, all.shape)]))
            << what << " " << name << ": example " << e << " alone";
      }
    }
  }
}

/// Every function of every entry, with random parameters and three ragged examples.
inline void ExpectAgreementAndLaws(const std::string& program_name, const frontend::Program& program) {
  const Values parameters = Rounded(RandomParameters(program, 7));
  for (Case& c : CasesOf(program)) {
    std::mt19937_64 random(11);
    std::vector<Lengths> lengths;
    std::vector<Values> examples;
    for (int b = 0; b < 3; ++b) {
      Lengths one;
      for (Axis root : Roots(c.single))
        one[root] = 2 + static_cast<int64_t>(random() % (c.graph.axes().Bound(root) - 2));
      examples.push_back(Rounded(RandomInputs(c.single, one, random)));
      lengths.push_back(one);
    }
    const Batched batch = Pack(c.graph, examples, lengths, std::numeric_limits<double>::quiet_NaN());
    Interpreter interpreter(c.graph, Options(parameters, batch.values, batch.extents));
    for (const std::string& cpu : backend::KernelLevels()) {
      const std::set<std::string> tables = backend::FindTables({&c.graph});
      const auto made = backend::JitFunction::Create(c.graph, cpu, 1, nullptr, c.trains ? nullptr : &tables);
      if (!made && backend::LacksLevel(made.error())) continue;
      const std::string what = program_name + " " + c.name + " " + cpu;
      ASSERT_TRUE(made) << what << ": " << made.error().message;
      const auto& native = *made;
      const HostValues host = ToHost(parameters, batch.values);
      const auto plain = native->Call(host, WithCapacity(batch.extents), 1, 3, true);
      EXPECT_LE(Distance(c, interpreter, plain, lengths), 2e-5) << what;
      CheckLaws(c, *native, parameters, examples, lengths, what);
      if (c.trains) continue;
      // Packed parameters: f32 gives what plain ones give, the others nearly that, and all keep the laws.
      for (int type : {kHeedWeightsF32, kHeedWeightsBF16, kHeedWeightsInt8, kHeedWeightsInt4}) {
        native->UseWeights(type);
        const auto packed = native->Call(host, WithCapacity(batch.extents), 1, 3, true);
        for (const auto& [name, value] : packed) {
          if (type != kHeedWeightsF32) continue;
          const backend::HostValue& same = plain.at(name);
          EXPECT_TRUE(SameBits(WithoutPadding(c.graph, {value.axes, value.shape, value.data}, lengths),
                               WithoutPadding(c.graph, {same.axes, same.shape, same.data}, lengths)))
              << what << " " << name << " with packed f32";
        }
        // Where attention chooses one key, or a gate its experts, a small difference is a large one.
        const bool chooses = program_name.starts_with("vari") || program_name == "mixtral";
        const double near[] = {2e-5, 2e-2, 4e-2, 0.5};
        if (!chooses)
          EXPECT_LE(Distance(c, interpreter, packed, lengths), near[type])
              << what << " weights type " << type;
        CheckLaws(c, *native, parameters, examples, lengths, what + " weights type " + std::to_string(type));
      }
    }
  }
}

}  // namespace heed::test
