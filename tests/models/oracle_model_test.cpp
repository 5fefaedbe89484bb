// PyTorch as the oracle of what Heed builds: `heed build`, then `call` on the finished binary. Two small
// models (loss, logits, gradients, padded batches, optimizer steps, greedy tokens) and single operators, each
// at several CPU levels. The same through the interpreter is oracle_test.cpp. Skipped where the data is
// absent.
#include <memory>

#include "tests/support/model_support.h"

namespace heed::test {
namespace {

// PyTorch's own single precision is up to 1e-6 of a tensor's largest element from its double precision.
constexpr double kLoss = 1e-6, kLogits = 5e-6, kGradients = 5e-6, kAfterSteps = 1e-5, kOperators = 1e-5;

/// Programs are built once for all tests.
const BuiltProgram& Built(const std::string& model, const std::string& cpu) {
  static std::map<std::string, std::unique_ptr<BuiltProgram>> built;
  std::unique_ptr<BuiltProgram>& program = built[model + " " + cpu];
  if (!program) {
    program = std::make_unique<BuiltProgram>(Source("tests/models/" + model + ".heed"),
                                             std::vector<std::string>{"--cpu", cpu});
  }
  return *program;
}

/// One of the two models at one CPU level, and how its batches are given.
struct Case {
  std::string model, cpu;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.model << " on " << c.cpu; }

class OracleModel : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const std::string path = Shared("peers/oracle/data/" + GetParam().model + ".safetensors");
    if (path.empty())
      GTEST_SKIP() << "no oracle data: set HEED_SHARED to the folder that has peers/oracle/data";
    data_ = ReadTensors(path);
    program_ = &Built(GetParam().model, GetParam().cpu);
    ASSERT_TRUE(program_->ok());
    TensorMap weights;
    for (const auto& [name, tensor] : data_)
      if (name.starts_with("w.")) weights[name.substr(2)] = tensor;
    WriteTensors(program_->File("weights.safetensors"), weights);
  }

  bool translation() const { return GetParam().model == "s2s_tiny"; }
  /// The axis of the targets.
  std::string length_name() const { return translation() ? "o.length" : "y.length"; }

  /// A batch of the file; ids in padding are `filler`.
  TensorMap Inputs(const std::string& which, double filler = 0) const {
    const std::string pad = which == "pad" ? "pad_" : "";
    TensorMap inputs;
    const auto add = [&](const std::string& name, const std::string& stored, const std::string& counted,
                         double least) {
      const Numbers& tensor = data_.at("in." + pad + stored);
      const Numbers& marks = data_.at("in." + pad + counted);
      const int64_t rows = tensor.shape[0], width = tensor.shape[1];
      Numbers ids = tensor, length = Zeros({rows});
      for (int64_t i = 0; i < ids.count(); ++i) {
        if (marks.data[i] >= least) {
          length.data[i / width] += 1;
        } else {
          ids.data[i] = filler;
        }
      }
      inputs[name] = ids;
      inputs[name + ".length"] = length;
    };
    if (translation()) {
      add("x", "src", "src", 1);
      add("y", "tin", "tout", 1);
      add("o", "tout", "tout", 1);
    } else {
      inputs["x"] = data_.at("in.ids");
      add("y", "targets", "targets", 0);
      add("x", "targets", "targets", 0);  // for the lengths
      const Numbers lengths = inputs["x.length"];
      Numbers ids = data_.at("in.ids");
      for (int64_t i = 0; i < ids.count(); ++i)
        if (i % ids.shape[1] >= lengths.data[i / ids.shape[1]]) ids.data[i] = filler;
      inputs["x"] = ids;
    }
    return inputs;
  }
  /// Without the targets, for `logits`.
  TensorMap LogitInputs(const std::string& which, double filler = 0) const {
    TensorMap inputs = Inputs(which, filler);
    for (const std::string& name :
         translation() ? std::vector<std::string>{"o"} : std::vector<std::string>{"y"}) {
      inputs.erase(name);
      inputs.erase(name + ".length");
    }
    return inputs;
  }
  /// Example b alone and without its padding.
  TensorMap Alone(const TensorMap& inputs, int64_t b) const {
    TensorMap one;
    for (const auto& [name, tensor] : inputs) {
      const auto length = inputs.find(name + ".length");
      if (length == inputs.end()) continue;
      one[name] = tensor.Example(b).Batch().Slice(1, 0, static_cast<int64_t>(length->second.data[b]));
    }
    return one;
  }
  std::vector<std::string> Ids() const { return {"x", "y", "o"}; }
  /// PyTorch's optimizer for this model.
  std::vector<std::string> Optimizer(const std::string& steps) const {
    std::vector<std::string> options{"--steps",  steps,      "--lr", "1e-3",    "--schedule",
                                     "constant", "--warmup", "0",    "--beta1", "0.9"};
    const std::vector<std::string> own =
        translation()
            ? std::vector<std::string>{"--beta2", "0.98", "--eps", "1e-9"}
            : std::vector<std::string>{"--beta2", "0.999", "--eps", "1e-8", "--weight-decay", "0.1"};
    options.insert(options.end(), own.begin(), own.end());
    return options;
  }

  TensorMap data_;
  const BuiltProgram* program_ = nullptr;
};

TEST_P(OracleModel, LossAndGradients) {
  for (const std::string which : {"plain", "pad"}) {
    SCOPED_TRACE(which);
    const TensorMap inputs = Inputs(which);
    const TensorMap got = program_->Call("train", inputs, Ids(), {"--grad"});
    ASSERT_TRUE(got.contains("loss"));
    double count = 0;
    for (const double length : inputs.at(length_name()).data) count += length;
    EXPECT_EQ(got.at("count").data[0], count);
    EXPECT_NEAR(got.at("loss").data[0], data_.at(which + ".loss.f64").data[0],
                kLoss * data_.at(which + ".loss.f64").data[0]);
    Worst worst(which + ": gradients", kGradients);
    for (const auto& [name, tensor] : data_) {
      if (!name.starts_with("w.")) continue;
      const std::string gradient = which + ".grad." + name.substr(2);
      const auto exact = data_.find(gradient + ".f64");
      ASSERT_TRUE(got.contains("grad." + name.substr(2))) << name;
      worst.Add(name.substr(2), got.at("grad." + name.substr(2)),
                exact == data_.end() ? data_.at(gradient + ".r32") : exact->second);
    }
    // Without gradients another function is called; the loss is the same.
    const TensorMap loss = program_->Call("train", inputs, Ids());
    ASSERT_TRUE(loss.contains("loss"));
    EXPECT_EQ(loss.at("loss").data, got.at("loss").data);
  }
}

TEST_P(OracleModel, Logits) {
  for (const std::string which : {"plain", "pad"}) {
    SCOPED_TRACE(which);
    const TensorMap inputs = LogitInputs(which);
    const TensorMap got = program_->Call("logits", inputs, Ids());
    ASSERT_TRUE(got.contains("result"));
    const Numbers& want = data_.at(which + ".logits.f64");
    ASSERT_EQ(got.at("result").shape, want.shape);
    const Numbers& length = inputs.at(translation() ? "y.length" : "x.length");
    Worst worst(which + ": logits", kLogits);
    for (int64_t b = 0; b < want.shape[0]; ++b) {
      const auto end = static_cast<int64_t>(length.data[b]);
      const Numbers row = got.at("result").Example(b);
      worst.Add("example " + std::to_string(b), row.Slice(0, 0, end), want.Example(b).Slice(0, 0, end));
      EXPECT_EQ(row.Slice(0, end, want.shape[1]).Largest(), 0) << "padding of example " << b;
    }
  }
}

TEST_P(OracleModel, ResultsDependOnNeitherBatchNorPadding) {
  const TensorMap inputs = LogitInputs("pad");
  const Numbers together = program_->Call("logits", inputs, Ids())["result"];
  ASSERT_FALSE(together.data.empty());
  EXPECT_EQ(program_->Call("logits", LogitInputs("pad", 60), Ids())["result"].data, together.data);
  for (int64_t b = 0; b < together.shape[0]; ++b) {
    const Numbers alone = program_->Call("logits", Alone(inputs, b), Ids())["result"];
    ASSERT_FALSE(alone.data.empty());
    EXPECT_EQ(alone.Example(0).data, together.Example(b).Slice(0, 0, alone.shape[1]).data) << "example " << b;
  }
  TensorMap one = program_->Call("train", Inputs("pad"), Ids(), {"--grad"});
  TensorMap other = program_->Call("train", Inputs("pad", 60), Ids(), {"--grad"});
  ASSERT_FALSE(one.empty());
  for (const auto& [name, tensor] : one) EXPECT_EQ(other[name].data, tensor.data) << name;
}

TEST_P(OracleModel, OptimizerSteps) {
  const std::string which = translation() ? "pad" : "plain";
  const TensorMap got = program_->Call("train", Inputs(which), Ids(), Optimizer("3"));
  ASSERT_TRUE(got.contains("losses"));
  {
    Worst worst("weights after 3 steps", kAfterSteps);
    for (const auto& [full, tensor] : data_) {
      if (!full.starts_with("w.")) continue;
      const std::string name = full.substr(2);
      ASSERT_TRUE(got.contains("after." + name)) << name;
      Numbers after = got.at("after." + name), want = data_.at(which + ".after." + name + ".f64");
      // The key part of these biases has a gradient of 0, of which rounding leaves noise that Adam scales up.
      const int64_t third = want.shape[0] / (name.ends_with("cross.kv.b") ? 2 : 3);
      const int64_t from = name.ends_with("cross.kv.b") ? 0 : third;
      if (name.ends_with("qkv.b") || name.ends_with("cross.kv.b")) {
        for (int64_t i = from; i < from + third; ++i) after.data[i] = want.data[i] = 0;
      }
      // Biases start at 0 and are small even after the steps; a step of Adam is what they are measured by.
      worst.Add(name, after, want, 1e-2);
    }
  }
  // The last of PyTorch's losses is that after the steps.
  const Numbers losses = program_->Call("train", Inputs(which), Ids(), Optimizer("4"))["losses"];
  Worst("losses", kLoss * 2).Add("all", losses, data_.at(which + ".losses.f64"));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(got.at("losses").data[i], losses.data[i]);
}

TEST_P(OracleModel, GreedyTokens) {
  const Numbers& want = data_.at("greedy.ids");
  TensorMap inputs;
  if (translation()) {
    inputs["x"] = Inputs("pad")["x"];
    inputs["x.length"] = Inputs("pad")["x.length"];
  } else {
    inputs["p"] = data_.at("in.ids").Slice(0, 0, 1).Slice(1, 0, 5);
  }
  const std::string entry = translation() ? "translate" : "complete";
  const Numbers got = program_->Call(entry, inputs, {"x", "p"})["result"];
  ASSERT_EQ(got.shape.size(), 2u);
  ASSERT_EQ(got.shape[0], want.shape[0]);
  ASSERT_GE(got.shape[1], want.shape[1]);
  EXPECT_EQ(got.Slice(1, 0, want.shape[1]).data, want.data);
}

INSTANTIATE_TEST_SUITE_P(Built, OracleModel,
                         ::testing::Values(Case{"gpt2_tiny", "native"}, Case{"s2s_tiny", "native"},
                                           Case{"gpt2_tiny", "x86-64-v3"}, Case{"s2s_tiny", "x86-64-v3"}),
                         [](const auto& info) {
                           std::string name = info.param.model + "_" + info.param.cpu;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// What of OP.x0, x1 ... are arguments (the others are weights), and whether the first dimension is the
/// batch.
struct Operator {
  std::string name;
  int arguments, weights;
  bool batch;
  bool first_is_id = false, second_is_id = false;
};
const Operator kAll[] = {
    {"layer_norm", 1, 2, false},
    {"rms_norm", 1, 1, false},
    {"gelu_tanh", 1, 0, false},
    {"gelu_erf", 1, 0, false},
    {"silu", 1, 0, false},
    {"softmax", 1, 0, false},
    {"embedding", 1, 1, true, true},
    {"linear", 1, 2, true},
    {"cross_entropy", 2, 0, false, false, true},
    {"cross_entropy_smooth_ignore", 2, 0, false, false, true},
    {"attention_causal", 3, 0, true},
    {"attention_cross_padded", 3, 0, true},
    {"attention_causal_with_past", 3, 0, true},
};

class OracleOperators : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string path = Shared("peers/oracle/data/ops.safetensors");
    if (path.empty())
      GTEST_SKIP() << "no oracle data: set HEED_SHARED to the folder that has peers/oracle/data";
    data_ = ReadTensors(path);
    program_ = &Built("ops", GetParam());
    ASSERT_TRUE(program_->ok());
    TensorMap weights;
    for (const Operator& op : kAll) {
      for (int i = 0; i < op.arguments + op.weights; ++i) {
        const std::string number = std::to_string(i);
        const Numbers& x = data_.at(op.name + ".x" + number);
        if (i >= op.arguments) {
          weights[op.name + ".x" + number] = x;
        } else if (data_.contains(op.name + ".dx" + number)) {
          weights[op.name + ".z" + number] = Zeros(op.batch ? x.Example(0).shape : x.shape);
        }
      }
    }
    WriteTensors(program_->File("weights.safetensors"), weights);
    RoundSoftmax();
  }

  /// The inputs of softmax have offsets of 1000: rounding them to single precision changes the results more
  /// than the limits allow, so that these are computed again from the rounded ones.
  void RoundSoftmax() {
    Numbers &x = data_.at("softmax.x0"), &y = data_.at("softmax.y"), &dx = data_.at("softmax.dx0");
    const Numbers &dy = data_.at("softmax.dy"), old_y = y, old_dx = dx;
    for (double& value : x.data) value = static_cast<double>(static_cast<float>(value));
    const size_t width = static_cast<size_t>(x.shape[1]);
    for (size_t row = 0; row < x.data.size(); row += width) {
      const double most = *std::max_element(x.data.begin() + row, x.data.begin() + row + width);
      double sum = 0, product = 0;
      for (size_t i = row; i < row + width; ++i) sum += std::exp(x.data[i] - most);
      for (size_t i = row; i < row + width; ++i) y.data[i] = std::exp(x.data[i] - most) / sum;
      for (size_t i = row; i < row + width; ++i) product += y.data[i] * dy.data[i];
      for (size_t i = row; i < row + width; ++i) dx.data[i] = y.data[i] * (dy.data[i] - product);
    }
    EXPECT_LT(Distance(y, old_y), 1e-4);
    EXPECT_LT(Distance(dx, old_dx), 1e-4);
  }

  /// Of a batch, example b alone (-1: all of it).
  Numbers Given(const Operator& op, const std::string& name, int64_t b) const {
    const Numbers& tensor = data_.at(op.name + "." + name);
    if (!op.batch) return tensor.Batch();
    return b < 0 ? tensor : tensor.Example(b).Batch();
  }

  TensorMap data_;
  const BuiltProgram* program_ = nullptr;
};

TEST_P(OracleOperators, ValuesAndGradients) {
  Worst values("values", kOperators), gradients("gradients", kOperators);
  for (const Operator& op : kAll) {
    SCOPED_TRACE(op.name);
    const int64_t batch = op.batch ? data_.at(op.name + ".y").shape[0] : 1;
    std::vector<std::string> ids;
    if (op.first_is_id) ids.push_back("x0");
    if (op.second_is_id) ids.push_back("x1");
    std::vector<Numbers> sums;
    for (int64_t b = op.batch ? -1 : 0; b < batch; ++b) {
      const std::string where = op.name + (b < 0      ? ", batch"
                                           : op.batch ? ", example " + std::to_string(b)
                                                      : "");
      TensorMap inputs;
      for (int i = 0; i < op.arguments; ++i) {
        const std::string x = "x" + std::to_string(i);
        inputs[x] = Given(op, x, b);
      }
      if (op.name == "attention_cross_padded") {
        // What is padding may be anything: NaN must not get out of it.
        for (const std::string name : {"x1", "x2"}) {
          Numbers& x = inputs[name];
          const bool padded = b <= 0;  // example 0 comes first
          for (int64_t i = 0; padded && i < x.Example(0).count(); ++i)
            if (i / x.shape[3] % x.shape[2] >= 4) x.data[i] = NAN;
        }
        inputs["x1.length"] = b < 0 ? Vector({4, 11}) : Vector({b == 0 ? 4.0 : 11.0});
      }
      Numbers y = program_->Call(op.name + "_y", inputs, ids)["result"];
      values.Add(where, y, Given(op, "y", b));

      inputs["dy"] = Given(op, "dy", b);
      const TensorMap got = program_->Call(op.name, inputs, ids, {"--grad"});
      ASSERT_TRUE(got.contains("loss")) << where;
      const double count = got.at("count").data[0];
      EXPECT_EQ(count, b < 0 ? batch : 1);
      double sum = 0, scale = 0;
      const Numbers want_y = Given(op, "y", b);
      for (int64_t i = 0; i < want_y.count(); ++i) {
        sum += want_y.data[i] * inputs["dy"].data[i];
        scale += std::abs(want_y.data[i] * inputs["dy"].data[i]);
      }
      EXPECT_NEAR(got.at("loss").data[0] * count, sum, 1e-6 * scale) << where;
      for (int i = 0; i < op.arguments + op.weights; ++i) {
        const std::string number = std::to_string(i);
        if (!data_.contains(op.name + ".dx" + number)) continue;
        const bool argument = i < op.arguments;
        const std::string name = "grad." + op.name + (argument ? ".z" : ".x") + number;
        ASSERT_TRUE(got.contains(name)) << name;
        Numbers gradient = got.at(name);
        for (double& value : gradient.data) value *= count;
        const Numbers& dx = data_.at(op.name + ".dx" + number);
        if (argument && op.batch) {
          Numbers want = Zeros(dx.Example(0).shape);
          for (int64_t e = b < 0 ? 0 : b; e < (b < 0 ? batch : b + 1); ++e)
            for (int64_t i = 0; i < want.count(); ++i) want.data[i] += dx.Example(e).data[i];
          gradients.Add(where + " d" + number, gradient, want);
        } else if (b < 0 || !op.batch) {
          gradients.Add(where + " d" + number, gradient, dx);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Built, OracleOperators, ::testing::Values("native", "x86-64-v3"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace heed::test
