// Every program of examples/attention: native code, fused where the compiler fuses, gives the loss and the
// gradients that the interpreter computes from the graph without fusion; and the table of the folder's README
// says truly which forms are fused.
//
// Small odd sizes, a ragged batch of two, the best CPU level alone: levels, threads and batches are the
// matter of native_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "backend/compile.h"
#include "backend/plan.h"
#include "tests/passes_support.h"

namespace heed::test {
namespace {

/// Small sizes for the names that a program's own `axis` and `const` lines bind to numbers.
std::map<std::string, double> SmallSizes(const std::string& text) {
  static const std::map<std::string, double> kSizes = {
      {"vocab", 7}, {"label", 5},  {"model", 12}, {"heads", 3}, {"kv", 3},   {"rep", 2},
      {"key", 5},   {"val", 3},    {"align", 5},  {"seq", 13},  {"src", 11}, {"tgt", 9},
      {"half", 2},  {"stride", 3}, {"window", 4}, {"cap", 2},   {"near", 3}, {"far", 9}};
  std::map<std::string, double> sizes;
  for (const auto& [name, size] : kSizes) {
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

std::unique_ptr<frontend::Program> LoadForm(const std::string& name) {
  const std::string text = ReadFile(Source("examples/attention/" + name + ".heed"));
  return CompileText(name + ".heed", text, SmallSizes(text));
}

double ToFloat(double x) { return static_cast<float>(x); }
Values Rounded(Values values) {
  for (auto& [name, tensor] : values) std::ranges::transform(tensor.data, tensor.data.begin(), ToFloat);
  return values;
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
    if (entry.kind == frontend::EntryKind::Generate) variants = {Variant::Forward, Variant::Next};
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

TEST_P(AttentionForm, NativeTrainingEqualsTheUnfusedGraph) {
  const auto program = LoadForm(GetParam());
  ASSERT_NE(program, nullptr);
  const auto entry = std::ranges::find(program->entries, "train", &frontend::Entry::name);
  ASSERT_NE(entry, program->entries.end());
  const Graph fused = passes::RunPipeline(*entry->graph, Variant::Train, {});
  const Graph plain = Passed(*entry->graph, {"batch", "canonicalize", "grad", "canonicalize", "cse"});
  for (NodeId id : plain.Order()) ASSERT_NE(plain.op(id), OpKind::Attention);

  const Values parameters = Rounded(RandomParameters(*program, 5));
  std::mt19937_64 random(17);
  std::vector<Lengths> lengths;
  std::vector<Values> examples;
  for (int64_t cut : {1, 6}) {
    Lengths one;
    for (Axis root : Roots(*entry->graph)) one[root] = fused.axes().Bound(root) - cut;
    examples.push_back(Rounded(RandomInputs(*entry->graph, one, random)));
    lengths.push_back(one);
  }
  const Batched batch = Pack(plain, examples, lengths, std::numeric_limits<double>::quiet_NaN());
  Interpreter interpreter(plain, Options(parameters, batch.values, batch.extents));

  std::string error;
  const auto native = backend::JitFunction::Create(fused, "native", 1, &error);
  ASSERT_NE(native, nullptr) << error;
  std::map<std::string, backend::HostValue> host;
  for (const Values* values : {&parameters, &batch.values}) {
    for (const auto& [name, tensor] : *values) host[name] = {tensor.shape, tensor.axes, tensor.data};
  }
  const auto result = native->Call(host, batch.extents, 1, 3, true);

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
  EXPECT_EQ(gradients, program->parameters.size());
}

/// Memory is linear in the sequence: no buffer of a fused form grows with the product of two lengths.
TEST_P(AttentionForm, NoBufferHoldsAllPairsWhereEverythingFuses) {
  const auto program = LoadForm(GetParam());
  ASSERT_NE(program, nullptr);
  for (const frontend::Entry& entry : program->entries) {
    // An entry that returns scores or weights holds them.
    if (entry.kind == frontend::EntryKind::Value && entry.name != "score") continue;
    const bool trains = entry.kind == frontend::EntryKind::Minimize;
    std::vector<std::string> remarks;
    passes::PassOptions options;
    options.remarks = &remarks;
    const Graph graph = passes::RunPipeline(trains ? *entry.graph : *entry.infer,
                                            trains ? Variant::Train : Variant::Forward, options);
    const bool fused = std::ranges::none_of(
        remarks, [](const std::string& remark) { return remark.find("is not fused") != std::string::npos; });
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
    std::vector<std::string> remarks;
    passes::PassOptions options;
    options.remarks = &remarks;
    const Graph graph = passes::RunPipeline(train ? *entry->graph : *entry->infer,
                                            train ? Variant::Train : Variant::Forward, options);
    const bool fused = std::ranges::none_of(
        remarks, [](const std::string& remark) { return remark.find("is not fused") != std::string::npos; });
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
