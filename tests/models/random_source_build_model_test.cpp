// Random programs through the real `heed build`: what `heed check` accepts is built, `info` describes it, and
// `call` gives of every entry what the interpreter gives. HEED_RANDOM_BUILDS=N builds N programs instead of a
// few, from seed HEED_RANDOM_SEED on.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/model_support.h"
#include "tests/support/random_source_values.h"

namespace heed::test {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

constexpr int64_t kBatch = 2;

/// Numbers of the parameters as the file stores them: groups are one dimension.
TensorMap Stored(const frontend::Program& program, const Values& parameters) {
  TensorMap tensors;
  for (const frontend::Parameter& parameter : program.parameters)
    tensors[parameter.name] = {parameter.shape,
                               Transposed(parameters.at(parameter.name), parameter.axes).data};
  return tensors;
}

/// Every element of `got` against `want`, relative to the largest number on the way.
void ExpectNear(const Numbers& got, const std::vector<double>& want, double largest,
                const std::string& what) {
  ASSERT_EQ(got.data.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_LE(Difference(got.data[i], want[i]), 1e-3 * largest) << what << ", element " << i;
}

double Largest(const Graph& graph, Interpreter& interpreter) {
  double largest = 1;
  for (const NodeId id : graph.Order())
    for (const double x : interpreter.Value(id).data)
      if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  return largest;
}

class BuiltSource {
 public:
  BuiltSource(const std::string& text, const frontend::Program& program, uint64_t seed)
      : program_(program), parameters_(SourceParameters(program, seed)), random_(seed) {
    WriteBytes(folder_ / "random.heed", text);
    built_ = std::make_unique<BuiltProgram>(folder_ / "random.heed");
  }

  void Check() {
    if (!built_->ok()) return;
    const ProcessResult info = built_->Run({"info"});
    EXPECT_TRUE(info.ok()) << info.err;
    WriteTensors(built_->File("weights.safetensors"), Stored(program_, parameters_));
    for (const frontend::Entry& entry : program_.entries) {
      EXPECT_NE(info.out.find(entry.name), std::string::npos) << info.out;
      CheckEntry(entry);
      if (testing::Test::HasFailure()) return;
    }
  }

 private:
  void CheckEntry(const frontend::Entry& entry) {
    SCOPED_TRACE(entry.name);
    const Graph& graph = *entry.infer;
    std::vector<frontend::Argument> arguments = entry.arguments;
    if (graph.generate && graph.generate->prompt.empty())
      arguments.push_back({graph.generate->variable, {{graph.generate->axis}, DType::Int, {}}, {}});
    // Lengths that no argument tells are not for `call`.
    Lengths lengths;
    for (const frontend::Argument& argument : arguments)
      for (const Axis a : argument.type.axes)
        if (graph.axes().IsDynamic(a)) lengths[a.root()] = 1 + static_cast<int64_t>(random_() % 5);
    for (const Axis root : Roots(graph))
      if (!lengths.count(root)) return;
    for (frontend::Argument& argument : arguments)
      if (graph.generate && argument.name == graph.generate->prompt) argument.name = graph.generate->variable;
    std::vector<Values> examples;
    for (int64_t b = 0; b < kBatch; ++b) {
      examples.push_back(SourceInputs(graph, lengths, random_));
      Values& values = examples.back();
      // Also what the entry does not use, and the text under the name it has in files.
      for (const frontend::Argument& argument : arguments)
        if (!values.count(argument.name))
          values[argument.name] = MakeTensor(graph, argument.type.axes, lengths, [](int64_t) { return 0.0; });
    }
    TensorMap inputs;
    std::vector<std::string> ids;
    for (const frontend::Argument& argument : arguments) {
      if (argument.type.dtype == DType::Int) ids.push_back(argument.name);
      if (argument.type.dtype == DType::Bool) return;  // needs U8, which these helpers do not write
      Numbers all{{kBatch}, {}};
      for (const Values& example : examples) {
        const Tensor one = Transposed(example.at(argument.name), argument.type.axes);
        all.shape.resize(1);
        all.shape.insert(all.shape.end(), one.shape.begin(), one.shape.end());
        all.data.insert(all.data.end(), one.data.begin(), one.data.end());
      }
      inputs[argument.name] = all;
    }
    if (inputs.empty()) return;
    const TensorMap outputs = built_->Call(entry.name, inputs, ids);
    if (testing::Test::HasFailure()) return;
    double loss = 0, count = 0, largest = 1;
    for (int64_t b = 0; b < kBatch; ++b) {
      Interpreter interpreter(graph, Options(parameters_, examples[static_cast<size_t>(b)], lengths));
      largest = std::max(largest, Largest(graph, interpreter));
      if (entry.kind == frontend::EntryKind::Minimize) {
        loss += interpreter.Value(graph.Output("loss")).data[0];
        count += interpreter.Value(graph.Output("per")).data[0];
        continue;
      }
      const Tensor want = Transposed(interpreter.Value(graph.outputs.begin()->second), entry.result_axes);
      ExpectNear(outputs.at("result").Example(b), want.data, largest, "example " + std::to_string(b));
    }
    if (entry.kind != frontend::EntryKind::Minimize || count == 0) return;
    ExpectNear(outputs.at("loss"), {loss / count}, largest, "loss");
    ExpectNear(outputs.at("count"), {count}, largest, "count");
  }

  const frontend::Program& program_;
  const Values parameters_;
  std::mt19937_64 random_;
  TemporaryFolder folder_;
  std::unique_ptr<BuiltProgram> built_;
};

TEST(RandomSource, BuiltProgramsRun) {
  const uint64_t first = FromEnvironment("HEED_RANDOM_SEED", 1001),
                 count = FromEnvironment("HEED_RANDOM_BUILDS", 4);
  uint64_t built = 0;
  for (uint64_t seed = first; built < count && seed < first + 4 * count; ++seed) {
    const std::string text = RandomSource({.seed = seed});
    frontend::Diagnostics diagnostics;
    const auto program =
        frontend::Compile(std::make_unique<frontend::SourceFile>("random.heed", text), {}, diagnostics);
    const bool accepted = program && std::ranges::all_of(program->entries, [](const frontend::Entry& entry) {
                            return passes::CheckEntry(*entry.infer).empty();
                          });
    if (!accepted) continue;
    ++built;
    BuiltSource(text, *program, seed).Check();
    if (!HasFailure()) continue;
    std::printf("# seed %llu\n%s", static_cast<unsigned long long>(seed), text.c_str());
    return;
  }
  EXPECT_EQ(built, count) << "too few programs were accepted";
}

}  // namespace
}  // namespace heed::test
