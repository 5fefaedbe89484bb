// Every program of examples/attention: native code, fused where the compiler fuses, gives the loss and the
// gradients that the interpreter computes from the graph without fusion; the weights that `attention` shows
// are those of the interpreter; and the table of the folder's README says truly which forms are fused.
//
// Small odd sizes, and for training such as matrix tiles take; a ragged batch of two, the best CPU level
// alone: levels, threads and batches are the matter of native_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "backend/plan/plan.h"
#include "passes/attention_weights.h"
#include "tests/support/jit.h"
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

using Sizes = std::map<std::string, double>;
const Sizes kSmall = {{"vocab", 7}, {"label", 5},  {"model", 12}, {"heads", 3}, {"kv", 3},   {"rep", 2},
                      {"key", 5},   {"val", 3},    {"align", 5},  {"seq", 13},  {"src", 11}, {"tgt", 9},
                      {"half", 2},  {"stride", 3}, {"window", 4}, {"cap", 2},   {"near", 3}, {"far", 9},
                      {"nope", 3},  {"rot", 4},    {"latent", 6}, {"row", 5},   {"col", 6}};
/// Lengths and widths from which training takes matrix tiles.
const Sizes kLong = {{"vocab", 7}, {"label", 5},  {"model", 144}, {"heads", 4}, {"kv", 2},    {"rep", 2},
                     {"key", 36},  {"val", 19},   {"align", 33},  {"seq", 139}, {"src", 139}, {"tgt", 133},
                     {"half", 2},  {"stride", 3}, {"window", 40}, {"cap", 2},   {"near", 5},  {"far", 50},
                     {"nope", 31}, {"rot", 6},    {"latent", 40}, {"row", 131}, {"col", 3}};

/// Sizes for the names that a program's own `axis` and `const` lines bind to numbers.
Sizes SizesFor(const std::string& text, const Sizes& all) {
  Sizes sizes;
  for (const auto& [name, size] : all) {
    if (std::regex_search(text, std::regex("\\b" + name + " <?= [0-9]"))) sizes[name] = size;
  }
  return sizes;
}

std::vector<std::string> Files() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(Source("examples/attention"))) {
    if (file.path().extension() == ".heed") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::unique_ptr<frontend::Program> LoadForm(const std::string& name, const Sizes& sizes = kSmall) {
  const std::string text = ReadFile(Source("examples/attention/" + name + ".heed"));
  return CompileText(name + ".heed", text, SizesFor(text, sizes));
}

double ToFloat(double x) { return static_cast<float>(x); }
Values Rounded(Values values) {
  for (auto& [name, tensor] : values) std::ranges::transform(tensor.data, tensor.data.begin(), ToFloat);
  return values;
}

/// Two examples of different lengths, with NaN in the padding of floats.
Batched RaggedPair(const Graph& single, const Graph& batched) {
  std::mt19937_64 random(17);
  std::vector<Lengths> lengths;
  std::vector<Values> examples;
  for (int64_t cut : {1, 6}) {
    Lengths one;
    for (Axis root : Roots(single)) one[root] = single.axes().Bound(root) - cut;
    examples.push_back(Rounded(RandomInputs(single, one, random)));
    lengths.push_back(one);
  }
  return Pack(batched, examples, lengths, std::numeric_limits<double>::quiet_NaN());
}

/// Outputs by name; empty, and the test has failed, if it does not compile.
std::map<std::string, backend::HostValue> RunNatively(const Graph& graph, const Values& parameters,
                                                      const Batched& batch) {
  const auto native = backend::JitFunction::Create(graph, "native", 1);
  EXPECT_TRUE(native) << native.error().message;
  if (!native) return {};
  std::map<std::string, backend::HostValue> host;
  for (const Values* values : {&parameters, &batch.values}) {
    for (const auto& [name, tensor] : *values) host[name] = {tensor.shape, tensor.axes, tensor.data};
  }
  return (*native)->Call(host, batch.extents, 1, 3, true);
}

class AttentionForm : public testing::TestWithParam<std::string> {};

TEST_P(AttentionForm, PassesThePipelineInEveryVariant) {
  const auto program = LoadForm(GetParam());
  ASSERT_NE(program, nullptr);
  bool trains = false, scores = false;
  for (const frontend::Entry& entry : program->entries) {
    EXPECT_TRUE(passes::CheckEntry(*entry.graph).empty()) << entry.name;
    std::vector<Variant> variants = {Variant::Forward};
    if (entry.kind == frontend::EntryKind::Minimize) variants = {Variant::Train, Variant::Loss};
    if (entry.kind == frontend::EntryKind::Generate) variants = {Variant::Forward, Variant::Prefill};
    for (Variant variant : variants) {
      const Graph& single = variant == Variant::Train ? *entry.graph : *entry.infer;
      const Graph graph = passes::RunPipeline(single, variant, {});
      EXPECT_TRUE(ir::Verify(graph).empty()) << entry.name << "/" << passes::Name(variant);
    }
    trains |= entry.name == "train";
    scores |= entry.name == "score";
  }
  EXPECT_TRUE(trains && scores);
}

void ExpectTrainingEqualsTheUnfusedGraph(const frontend::Program& program, Values parameters) {
  const auto entry = std::ranges::find(program.entries, "train", &frontend::Entry::name);
  ASSERT_NE(entry, program.entries.end());
  const Graph fused = passes::RunPipeline(*entry->graph, Variant::Train, {});
  const Graph plain = Passed(*entry->graph, {"batch", "canonicalize", "grad", "canonicalize", "cse"});
  for (NodeId id : plain.Order()) ASSERT_NE(plain.op(id), OpKind::Attention);

  parameters = Rounded(std::move(parameters));
  const Batched batch = RaggedPair(*entry->graph, plain);
  Interpreter interpreter(plain, Options(parameters, batch.values, batch.extents));
  const auto result = RunNatively(fused, parameters, batch);

  size_t gradients = 0;
  for (const auto& [name, id] : plain.outputs) {
    const Tensor want = interpreter.Value(id);
    const auto found = result.find(name);
    ASSERT_NE(found, result.end()) << name;
    const backend::HostValue& value = found->second;
    const Tensor got = Transposed({value.axes, value.shape, value.data}, want.axes);
    double largest = 0;
    for (double x : want.data) {
      ASSERT_TRUE(std::isfinite(x)) << name;
      largest = std::max(largest, std::abs(x));
    }
    // What comes out 0 everywhere would agree with any mistake that loses it.
    EXPECT_GT(largest, 0) << name;
    EXPECT_LE(Difference(want, got) / std::max(largest, 1e-3), 2e-5) << name;
    gradients += name.starts_with("d.");
  }
  EXPECT_EQ(gradients, program.parameters.size());
}

TEST_P(AttentionForm, NativeTrainingEqualsTheUnfusedGraph) {
  const auto program = LoadForm(GetParam());
  ASSERT_NE(program, nullptr);
  ExpectTrainingEqualsTheUnfusedGraph(*program, RandomParameters(*program, 5));
}

// The plan is the same on machines without matrix tiles, which then use vectors.
TEST_P(AttentionForm, NativeTrainingOfLongSequencesEqualsTheUnfusedGraph) {
  const auto program = LoadForm(GetParam(), kLong);
  ASSERT_NE(program, nullptr);
  const auto entry = std::ranges::find(program->entries, "train", &frontend::Entry::name);
  ASSERT_NE(entry, program->entries.end());
  const backend::Plan plan =
      backend::MakePlan(passes::RunPipeline(*entry->graph, Variant::Train, {}), "train", {});
  bool products = false;
  for (const backend::Step& step : plan.steps) {
    const auto* product = std::get_if<backend::MatmulStep>(&step.work);
    products |= product && product->split;
    const auto* attention = std::get_if<backend::AttentionStep>(&step.work);
    if (!attention) continue;
    EXPECT_NE(attention->split, attention->regions->term != nullptr) << backend::Print(plan);
  }
  EXPECT_TRUE(products) << backend::Print(plan);
  Values parameters = RandomParameters(*program, 5);
  for (auto& [name, tensor] : parameters) {  // sums of more terms
    std::ranges::transform(tensor.data, tensor.data.begin(), [](double x) { return x / 4; });
  }
  ExpectTrainingEqualsTheUnfusedGraph(*program, std::move(parameters));
}

/// Memory is linear in the sequence: no buffer of a fused form grows with the product of two lengths.
TEST_P(AttentionForm, NoBufferHoldsAllPairsWhereEverythingFuses) {
  const auto program = LoadForm(GetParam());
  ASSERT_NE(program, nullptr);
  for (const frontend::Entry& entry : program->entries) {
    // An entry that returns scores or weights holds them.
    if (entry.kind == frontend::EntryKind::Value && entry.name != "score") continue;
    const bool trains = entry.kind == frontend::EntryKind::Minimize;
    std::vector<passes::Remark> remarks;
    passes::PassOptions options;
    options.remarks = &remarks;
    const Graph graph = passes::RunPipeline(trains ? *entry.graph : *entry.infer,
                                            trains ? Variant::Train : Variant::Forward, options);
    const bool fused = std::ranges::none_of(remarks, [](const passes::Remark& remark) {
      return remark.text.find("is not fused") != std::string::npos;
    });
    const bool attends =
        std::ranges::any_of(graph.Order(), [&](NodeId id) { return graph.op(id) == OpKind::Attention; });
    if (!fused || !attends) continue;
    const backend::Plan plan = backend::MakePlan(graph, entry.name, {});
    for (const backend::Buffer& buffer : plan.buffers) {
      const auto lengths = std::ranges::count_if(buffer.elements.terms, [&](int term) {
        return !graph.axes().IsLifted(plan.extents[static_cast<size_t>(term)]);
      });
      EXPECT_LE(lengths, 1) << entry.name << "\n" << backend::Print(plan);
    }
  }
}

// Each softmax over positions that an entry computes is there, natively as in the interpreter, its rows sum
// to 1 over the keys that exist and to 0 where there is none. Of the first entry with any: the others share
// the model.
TEST_P(AttentionForm, WeightsToLookAtAreTheSoftmaxes) {
  const auto program = LoadForm(GetParam());
  ASSERT_NE(program, nullptr);
  const Values parameters = Rounded(RandomParameters(*program, 5));
  int rows = 0;
  for (const frontend::Entry& entry : program->entries) {
    const Graph weights = passes::RunPipeline(*entry.infer, Variant::Weights, {});
    if (weights.outputs.empty() || rows > 0) continue;
    const Graph plain = Passed(*entry.infer, {"batch", "canonicalize"});
    std::set<NodeId> softmaxes;
    for (NodeId id : plain.Order()) {
      const bool over_positions = ir::IsSoftmax(plain.op(id)) && plain[id].attributes.axes.size() == 1 &&
                                  plain[id].attributes.axes[0] != Axis("vocab") &&
                                  plain[id].attributes.axes[0] != Axis("label");
      if (over_positions) softmaxes.insert(id);
    }
    EXPECT_EQ(weights.outputs.size(), softmaxes.size()) << entry.name;
    for (NodeId id : weights.Order()) EXPECT_NE(weights.op(id), OpKind::Attention);

    const Batched batch = RaggedPair(*entry.infer, weights);
    Interpreter interpreter(weights, Options(parameters, batch.values, batch.extents));
    const auto result = RunNatively(weights, parameters, batch);
    for (const auto& [name, id] : weights.outputs) {
      const AxisList order = passes::OrderOfWeights(weights, name, id);
      const Tensor want = Transposed(interpreter.Value(id), order);
      const auto found = result.find(name);
      ASSERT_NE(found, result.end()) << name;
      const Tensor got = Transposed({found->second.axes, found->second.shape, found->second.data}, order);
      EXPECT_LE(Difference(want, got), 2e-6) << entry.name << ": " << name;
      const int64_t keys = want.shape.back();
      for (int64_t row = 0; row < want.count() / keys; ++row) {
        double sum = 0;
        for (int64_t key = 0; key < keys; ++key) sum += got.data[row * keys + key];
        EXPECT_TRUE(std::abs(sum - 1) < 1e-5 || sum == 0) << entry.name << ": " << name << " gives " << sum;
        rows += sum > 0;
      }
    }
  }
  // Softmaxes over several axes at once are not shown.
  EXPECT_EQ(rows > 0, GetParam() != "grid");
}

TEST_P(AttentionForm, TheReadmeSaysWhatIsFused) {
  const std::string readme = ReadFile(Source("examples/attention/README.md"));
  std::smatch row;
  ASSERT_TRUE(std::regex_search(
      readme, row,
      std::regex("\\| `" + GetParam() + "\\.heed` \\|[^|]*\\|[^|]*\\| (yes|no)[^|]*\\| (yes|no)")));
  const auto program = LoadForm(GetParam());
  ASSERT_NE(program, nullptr);
  for (const auto& [name, said] : {std::pair{"train", row[1].str()}, {"score", row[2].str()}}) {
    const auto entry = std::ranges::find(program->entries, name, &frontend::Entry::name);
    ASSERT_NE(entry, program->entries.end());
    const bool train = entry->kind == frontend::EntryKind::Minimize;
    std::vector<passes::Remark> remarks;
    passes::PassOptions options;
    options.remarks = &remarks;
    const Graph graph = passes::RunPipeline(train ? *entry->graph : *entry->infer,
                                            train ? Variant::Train : Variant::Forward, options);
    // Of softmaxes over positions; the others and log_softmaxes are loops everywhere.
    std::erase_if(remarks, [](const passes::Remark& remark) {
      return remark.text.find("is a loop") != std::string::npos ||
             remark.text.find("log_softmax") != std::string::npos ||
             remark.text.find("checked when it runs") != std::string::npos;
    });
    const bool fused = std::ranges::none_of(remarks, [](const passes::Remark& remark) {
      return remark.text.find("is not fused") != std::string::npos;
    });
    EXPECT_EQ(fused ? "yes" : "no", said) << name;
    bool attention = false;
    for (NodeId id : graph.Order()) attention |= graph.op(id) == OpKind::Attention;
    // What reads one position has neither a softmax over positions nor an attention.
    EXPECT_EQ(attention, fused && !remarks.empty()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Examples, AttentionForm, testing::ValuesIn(Files()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace heed::test
