// What the tests of passes share: values for the inputs of a graph, ragged batches of examples, comparisons.
//
// Everything is drawn from a seed. Programs are compiled by the front end at small sizes.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <set>
#include <sstream>

#include "frontend/program.h"
#include "ir/interp.h"
#include "ir/op.h"
#include "ir/verify.h"
#include "passes/pass.h"
#include "tests/support/paths.h"

namespace heed::test {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::Graph;
using ir::Interpreter;
using ir::NodeId;
using ir::OpKind;
using ir::Tensor;
using passes::Variant;

using Values = std::map<std::string, Tensor>;
using Lengths = std::map<Axis, int64_t>;

inline std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// A program at given sizes; fails the test and gives null if it has mistakes.
inline std::unique_ptr<frontend::Program> CompileText(const std::string& name, std::string text,
                                                      const std::map<std::string, double>& sizes = {}) {
  frontend::Diagnostics diagnostics;
  auto program =
      frontend::Compile(std::make_unique<frontend::SourceFile>(name, std::move(text)), {sizes}, diagnostics);
  EXPECT_TRUE(program != nullptr) << diagnostics.Render(false);
  return program;
}

struct Example {
  std::string name;
  std::string path;
  std::map<std::string, double> sizes;
};

/// All programs of the repository that tests evaluate, small enough for the interpreter.
inline std::vector<Example> Programs() {
  return {
      {"transformer",
       "examples/transformer.heed",
       {{"vocab", 7}, {"model", 8}, {"hidden", 12}, {"heads", 2}, {"layer", 2}, {"src", 9}, {"tgt", 9}}},
      {"gpt2", "examples/gpt2.heed", {{"vocab", 9}, {"model", 8}, {"heads", 2}, {"layer", 2}, {"seq", 12}}},
      {"llama",
       "examples/llama.heed",
       {{"vocab", 9},
        {"model", 8},
        {"hidden", 12},
        {"layer", 2},
        {"seq", 12},
        {"kv", 2},
        {"rep", 2},
        {"key", 4}}},
      {"mixtral",
       "examples/mixtral.heed",
       {{"vocab", 9},
        {"model", 8},
        {"hidden", 6},
        {"layer", 1},
        {"seq", 12},
        {"kv", 2},
        {"rep", 2},
        {"key", 4},
        {"expert", 3}}},
      {"variants",
       "examples/variants.heed",
       {{"vocab", 7}, {"model", 8}, {"heads", 2}, {"att", 3}, {"src", 9}, {"seq", 14}}},
      {"variety", "tests/models/variety.heed", {}},
  };
}

inline std::unique_ptr<frontend::Program> Load(const Example& example) {
  return CompileText(Source(example.path), ReadFile(Source(example.path)), example.sizes);
}

/// Roots of the dynamic axes of a graph.
inline std::set<Axis> Roots(const Graph& graph) {
  std::set<Axis> roots;
  for (NodeId id : graph.Order()) {
    for (Axis a : graph.axes_of(id))
      if (graph.axes().IsDynamic(a)) roots.insert(a.root());
    if (graph.op(id) == OpKind::Length) roots.insert(graph[id].attributes.axis.root());
  }
  return roots;
}

inline int64_t ExtentOf(const Graph& graph, Axis axis, const Lengths& lengths) {
  if (const auto found = lengths.find(axis.root());
      found != lengths.end() && (graph.axes().IsDynamic(axis) || graph.axes().IsLifted(axis)))
    return found->second;
  return graph.axes().Bound(axis);
}

inline Tensor MakeTensor(const Graph& graph, const AxisList& axes, const Lengths& lengths,
                         const std::function<double(int64_t)>& element) {
  Tensor tensor{axes, {}, {}};
  int64_t count = 1;
  for (Axis a : axes) {
    tensor.shape.push_back(ExtentOf(graph, a, lengths));
    count *= tensor.shape.back();
  }
  for (int64_t i = 0; i < count; ++i) tensor.data.push_back(element(i));
  return tensor;
}

/// Parameters from N(0, 0.4), around 1 where they start at 1.
inline Values RandomParameters(const frontend::Program& program, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, 0.4);
  Values values;
  for (const frontend::Parameter& parameter : program.parameters) {
    Tensor tensor{parameter.axes, {}, {}};
    int64_t count = 1;
    for (Axis a : parameter.axes) {
      tensor.shape.push_back(program.axes->Bound(a));
      count *= tensor.shape.back();
    }
    const bool one = parameter.init.kind == frontend::Initializer::Kind::Constant && parameter.init.a == 1;
    for (int64_t i = 0; i < count; ++i) tensor.data.push_back(normal(random) + (one ? 1 : 0));
    values[parameter.name] = std::move(tensor);
  }
  return values;
}

/// Inputs of one example: ids in range, floats from N(0, 1), other whole numbers sorted and small.
inline Values RandomInputs(const Graph& graph, const Lengths& lengths, std::mt19937_64& random) {
  Values values;
  std::normal_distribution<double> normal;
  for (NodeId id : graph.Order()) {
    const ir::Node& node = graph[id];
    if (node.op != OpKind::Input) continue;
    const std::string& name = node.attributes.name;
    const Axis of = node.type.indexes;
    Tensor tensor = MakeTensor(graph, node.type.axes, lengths, [&](int64_t) -> double {
      if (name == "example") return static_cast<double>(random() % 100);
      if (node.type.dtype == DType::Float) return normal(random);
      if (node.type.dtype == DType::Bool) return random() % 10 < 7;
      return static_cast<double>(random() % (of && !graph.axes().IsDynamic(of) ? graph.axes().Bound(of) : 3));
    });
    if (node.type.dtype == DType::Int && !of && name != "example") {
      if (tensor.axes.empty()) tensor.data[0] = 2;
      std::sort(tensor.data.begin(), tensor.data.end());
    }
    values[name] = std::move(tensor);
  }
  return values;
}

/// Where a row-major index of `shape` lies.
inline std::vector<int64_t> Coordinates(int64_t index, const std::vector<int64_t>& shape) {
  std::vector<int64_t> at(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    at[i] = index % shape[i];
    index /= shape[i];
  }
  return at;
}
inline int64_t Offset(const std::vector<int64_t>& at, const std::vector<int64_t>& shape) {
  int64_t offset = 0;
  for (size_t i = 0; i < shape.size(); ++i) offset = offset * shape[i] + at[i];
  return offset;
}

/// Ragged examples as one padded batch for `graph`, longer by `slack` than the longest. Padding of floats is
/// `junk`, that of whole numbers 0.
struct Batched {
  Values values;
  Lengths extents;
};
inline Batched Pack(const Graph& graph, const std::vector<Values>& examples,
                    const std::vector<Lengths>& lengths, double junk, int64_t slack = 1) {
  Batched batch;
  for (const Lengths& one : lengths)
    for (const auto& [root, n] : one) batch.extents[root] = std::max(batch.extents[root], n + slack);
  for (auto& [root, n] : batch.extents) n = std::min(n, graph.axes().Bound(root));
  const int64_t count = static_cast<int64_t>(examples.size());
  batch.extents[Axis("batch")] = count;
  for (NodeId id : graph.Order()) {
    const ir::Node& node = graph[id];
    if (node.op != OpKind::Input) continue;
    const std::string& name = node.attributes.name;
    if (name.starts_with("len.")) {
      batch.values[name] = MakeTensor(graph, node.type.axes, batch.extents, [&](int64_t b) {
        return static_cast<double>(lengths[b].at(Axis(name.substr(4))));
      });
      continue;
    }
    Tensor whole = MakeTensor(graph, node.type.axes, batch.extents,
                              [&](int64_t) { return node.type.dtype == DType::Float ? junk : 0; });
    for (int64_t b = 0; b < count; ++b) {
      const Tensor& one = examples[b].at(name);
      for (int64_t i = 0; i < one.count(); ++i) {
        std::vector<int64_t> at = Coordinates(i, one.shape);
        at.insert(at.begin(), b);
        whole.data[Offset(at, whole.shape)] = one.data[i];
      }
    }
    batch.values[name] = std::move(whole);
  }
  return batch;
}

/// Values and parameters together; `step` and `seed` fixed.
inline ir::EvalOptions Options(const Values& a, const Values& b, const Lengths& extents) {
  ir::EvalOptions options;
  options.values = a;
  for (const auto& [name, tensor] : b) options.values[name] = tensor;
  options.extents = extents;
  options.seed = 1;
  options.step = 3;
  return options;
}

/// Largest difference of two numbers or tensors; equal infinities and two NaN do not differ.
inline double Difference(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  const double d = std::abs(a - b);
  return std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
}
inline double Difference(const Tensor& a, const Tensor& b) {
  const Tensor c = Transposed(b, a.axes);
  if (c.shape != a.shape) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t i = 0; i < a.data.size(); ++i) worst = std::max(worst, Difference(a.data[i], c.data[i]));
  return worst;
}
/// Bit for bit, signs of zero included; any NaN equals any other.
inline bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b) || (std::isnan(a) && std::isnan(b));
}
inline bool SameBits(const Tensor& a, const Tensor& b) {
  const Tensor c = Transposed(b, a.axes);
  if (c.shape != a.shape) return false;
  for (size_t i = 0; i < a.data.size(); ++i)
    if (!SameBits(a.data[i], c.data[i])) return false;
  return true;
}

/// loss = the sum over all outputs of the elements times cosines of their numbers.
inline Graph WithLoss(const Graph& graph) {
  Graph result = graph;
  NodeId loss;
  for (const auto& [name, id] : graph.outputs) {
    NodeId weighted = id;
    for (Axis a : graph.axes_of(id)) {
      const NodeId angle = result.Pointwise(OpKind::Cast, {result.Positions(a)});
      weighted = result.Mul(weighted, result.Pointwise(OpKind::Cos, {result.Add(angle, result.Const(0.3))}));
    }
    const NodeId sum = result.Reduce(OpKind::Sum, weighted, graph.axes_of(id));
    loss = loss ? result.Add(loss, sum) : sum;
  }
  result.outputs = {{"loss", loss}};
  return result;
}

inline Graph Passed(const Graph& graph, const std::vector<std::string>& names,
                    std::vector<passes::Remark>* remarks = nullptr) {
  passes::PassOptions options;
  options.remarks = remarks;
  return *passes::RunPasses(graph, names, options);
}

}  // namespace heed::test
