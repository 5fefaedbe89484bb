// PyTorch as the oracle: loss, logits and gradients of two small models in double precision, padded batches
// included, through the whole pipeline and the interpreter, with attention fused and not. Skipped where the
// data is absent.
#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

struct Stored {
  std::vector<int64_t> shape;
  std::vector<double> data;
};

/// All tensors of a safetensors file, as doubles.
std::map<std::string, Stored> ReadSafetensors(const std::string& path) {
  const std::string bytes = ReadFile(path);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto json = nlohmann::json::parse(bytes.substr(8, header));
  std::map<std::string, Stored> tensors;
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") continue;
    const std::string type = entry["dtype"];
    Stored tensor;
    for (const auto& extent : entry["shape"]) tensor.shape.push_back(extent);
    const char* first = bytes.data() + 8 + header + entry["data_offsets"][0].get<size_t>();
    const size_t size = entry["data_offsets"][1].get<size_t>() - entry["data_offsets"][0].get<size_t>();
    const auto read = [&]<typename T>(T) {
      for (size_t i = 0; i < size; i += sizeof(T)) {
        T value;
        std::memcpy(&value, first + i, sizeof value);
        tensor.data.push_back(static_cast<double>(value));
      }
    };
    if (type == "F64") read(double());
    if (type == "F32") read(float());
    if (type == "I64") read(int64_t());
    if (type == "BOOL") read(uint8_t());
    tensors[name] = std::move(tensor);
  }
  return tensors;
}

/// Parameters of a program from the tensors w.NAME.
Values ReadParameters(const frontend::Program& program, const std::map<std::string, Stored>& data) {
  Values values;
  for (const frontend::Parameter& parameter : program.parameters) {
    const auto found = data.find("w." + parameter.name);
    if (found == data.end()) {
      ADD_FAILURE() << "no w." << parameter.name;
      continue;
    }
    Tensor tensor{parameter.axes, {}, found->second.data};
    for (Axis a : parameter.axes) tensor.shape.push_back(program.axes->Bound(a));
    EXPECT_EQ(tensor.count(), static_cast<int64_t>(tensor.data.size())) << parameter.name;
    values[parameter.name] = std::move(tensor);
  }
  return values;
}

class Oracle : public ::testing::TestWithParam<std::tuple<std::string, std::string, bool>> {};

TEST_P(Oracle, LossLogitsAndGradients) {
  const auto& [model, which, fused] = GetParam();
  const std::string path = Shared("peers/oracle/data/" + model + ".safetensors");
  if (path.empty()) GTEST_SKIP() << "no oracle data";
  const std::map<std::string, Stored> data = ReadSafetensors(path);
  const auto program = CompileText(model + ".heed", ReadFile(Source("tests/models/" + model + ".heed")));
  ASSERT_TRUE(program);
  const bool translation = model == "s2s_tiny";
  const std::string pad = which == "pad" ? "pad_" : "";

  Values values = ReadParameters(*program, data);
  const Axis batch("batch"), seq("seq"), src("src"), tgt("tgt");
  const auto input = [&](const std::string& name, const std::string& stored, Axis axis) {
    const Stored& tensor = data.at(stored);
    values[name] = Tensor{{batch, axis}, tensor.shape, tensor.data};
    for (double& id : values[name].data) id = std::max(id, 0.0);  // -100 marks what is not a target
  };
  const auto lengths = [&](const std::string& stored, Axis axis, double least) {
    const Stored& tensor = data.at(stored);
    Tensor length{{batch}, {tensor.shape[0]}, std::vector<double>(tensor.shape[0], 0)};
    for (size_t i = 0; i < tensor.data.size(); ++i)
      length.data[i / tensor.shape[1]] += tensor.data[i] >= least;
    values["len." + axis.text()] = std::move(length);
  };
  if (translation) {
    input("x", "in." + pad + "src", src);
    input("y", "in." + pad + "tin", tgt);
    input("o", "in." + pad + "tout", tgt);
    lengths("in." + pad + "src", src, 1);
    lengths("in." + pad + "tout", tgt, 1);
  } else {
    input("x", "in.ids", seq);
    input("y", "in." + pad + "targets", seq);
    lengths("in." + pad + "targets", seq, 0);
  }
  const Tensor& x = values.at("x");
  values["example"] = Tensor{{batch}, {x.shape[0]}, std::vector<double>(x.shape[0], 0)};

  const std::vector<std::string> names =
      fused ? std::vector<std::string>{"sites", "batch",        "canonicalize", "fuse_attention",
                                       "grad",  "canonicalize", "cse"}
            : std::vector<std::string>{"batch", "grad"};
  const frontend::Entry* train = nullptr;
  const frontend::Entry* logits = nullptr;
  for (const frontend::Entry& entry : program->entries) {
    if (entry.name == "train") train = &entry;
    if (entry.name == "logits") logits = &entry;
  }
  ASSERT_TRUE(train && logits);
  const Graph graph = Passed(*train->graph, names);
  int attentions = 0;
  for (NodeId id : graph.Order())
    attentions += graph.op(id) == OpKind::Attention && graph[id].attributes.index == 0;
  EXPECT_EQ(attentions, !fused ? 0 : translation ? 6 : 2);
  Interpreter run(graph, Options(values, {}, {}));
  const double per = run.Value(graph.Output("per")).data[0];
  EXPECT_NEAR(run.Value(graph.Output("loss")).data[0] / per, data.at(which + ".loss.f64").data[0], 1e-12);

  int exact = 0;
  for (const frontend::Parameter& parameter : program->parameters) {
    const NodeId id = graph.Output("d." + parameter.name);
    ASSERT_TRUE(id) << parameter.name;
    const auto full = data.find(which + ".grad." + parameter.name + ".f64");
    const bool rounded = full == data.end();  // some gradients are stored in single precision
    const Stored& want = rounded ? data.at(which + ".grad." + parameter.name + ".r32") : full->second;
    const Tensor got = Transposed(run.Value(id), parameter.axes);
    ASSERT_EQ(got.data.size(), want.data.size());
    double worst = 0, largest = 1e-9;
    for (size_t i = 0; i < got.data.size(); ++i) {
      worst = std::max(worst, std::abs(got.data[i] / per - want.data[i]));
      largest = std::max(largest, std::abs(want.data[i]));
    }
    EXPECT_LT(worst / largest, rounded ? 3e-7 : 1e-10) << parameter.name;
    exact += !rounded;
  }
  EXPECT_EQ(exact > 0, which == (translation ? "pad" : "plain"));

  // Logits of what is there; beyond its length an example has none.
  const Graph forward =
      fused ? passes::RunPipeline(*logits->graph, Variant::Forward, {}) : Passed(*logits->graph, {"batch"});
  Interpreter scores(forward, Options(values, {}, {}));
  const Axis position = translation ? tgt : seq;
  const Tensor got = Transposed(scores.Value(forward.Output("value")), {batch, position, Axis("vocab")});
  const Stored& want = data.at(which + ".logits.f64");
  ASSERT_EQ(got.shape, want.shape);
  const Tensor& length = values.at("len." + position.text());
  for (int64_t i = 0; i < got.count(); ++i) {
    const std::vector<int64_t> at = Coordinates(i, got.shape);
    if (at[1] < length.data[at[0]]) ASSERT_NEAR(got.data[i], want.data[i], 1e-11);
  }
}

/// The variant `next`, called once a token, finds the greedy tokens.
TEST(OracleGreedy, NextTokens) {
  for (const std::string model : {"gpt2_tiny", "s2s_tiny"}) {
    const std::string path = Shared("peers/oracle/data/" + model + ".safetensors");
    if (path.empty()) GTEST_SKIP() << "no oracle data";
    const std::map<std::string, Stored> data = ReadSafetensors(path);
    const auto program = CompileText(model + ".heed", ReadFile(Source("tests/models/" + model + ".heed")));
    ASSERT_TRUE(program);
    const bool translation = model == "s2s_tiny";
    Values values = ReadParameters(*program, data);
    const Stored& want = data.at("greedy.ids");
    const int64_t examples = want.shape[0], length = want.shape[1], given = translation ? 1 : 5;
    const Axis batch("batch"), axis(translation ? "tgt" : "seq");
    if (translation) {
      const Stored& source = data.at("in.pad_src");
      values["x"] = Tensor{{batch, Axis("src")}, source.shape, source.data};
      Tensor lengths{{batch}, {examples}, std::vector<double>(examples, 0)};
      for (size_t i = 0; i < source.data.size(); ++i) lengths.data[i / source.shape[1]] += source.data[i] > 0;
      values["len.src"] = std::move(lengths);
    }
    const frontend::Entry* generate = nullptr;
    for (const frontend::Entry& entry : program->entries)
      if (entry.kind == frontend::EntryKind::Generate) generate = &entry;
    ASSERT_TRUE(generate);
    const Graph next = passes::RunPipeline(*generate->graph, Variant::Prefill, {});
    for (int64_t n = given; n < length; ++n) {
      Tensor y{{batch, axis}, {examples, n}, {}};
      for (int64_t b = 0; b < examples; ++b)
        for (int64_t i = 0; i < n; ++i) y.data.push_back(want.data[b * length + i]);
      values["y"] = std::move(y);
      values["len." + axis.text()] =
          Tensor{{batch}, {examples}, std::vector<double>(examples, static_cast<double>(n))};
      Interpreter run(next, Options(values, {}, {}));
      const Tensor logits = Transposed(run.Value(next.Output("logits")), {batch, Axis("vocab")});
      for (int64_t b = 0; b < examples; ++b) {
        const auto row = logits.data.begin() + b * logits.shape[1];
        EXPECT_EQ(std::max_element(row, row + logits.shape[1]) - row, want.data[b * length + n])
            << model << " token " << n;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Oracle,
                         ::testing::Combine(::testing::Values("gpt2_tiny", "s2s_tiny"),
                                            ::testing::Values("plain", "pad"), ::testing::Bool()));

}  // namespace
}  // namespace heed::test
