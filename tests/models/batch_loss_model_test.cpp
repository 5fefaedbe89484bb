// Losses that see their batch: what they are, computed by hand from the values that cross; gradients against
// the interpreter and finite differences of the batched graph; threads and padding change no bit.
#include <gtest/gtest.h>

#include <cmath>

#include "backend/target/target.h"
#include "tests/support/incremental_native.h"

namespace heed::test {
namespace {

constexpr const char* kText = R"(
axis word = 9, seq <= 7, pix = 5, model = 4, label = 3
module Text(x: word[seq]) -> [model] {
  param E[word, model] ~ normal(0, 1)
  mean[seq](E[x])
}
module Image(p[pix]) -> [model] {
  param W[model, pix] ~ normal(0, 1)
  W @pix p
}
part text = Text, image = Image
def unit(x[model]) -> [model] = x / sqrt(x @model x + 0.01)
def apart[all](s[all], y: label, others: label[all], i: all) -> [] =
  -sum[all | all != i and y == others](log_softmax[all | all != i](s))
entry clip(p[pix], x: word[seq]) {
  a = unit(image(p))
  b = unit(text(x))
  s = 5 * (a @model b[batch -> batch'])
  t = 5 * (b @model a[batch -> batch'])
  minimize xent[batch'](s, batch) + xent[batch'](t, batch) per |seq|
}
entry supervised(p[pix], y: label) {
  a = unit(image(p))
  minimize apart[batch'](5 * (a @model a[batch -> batch']), y, y[batch -> batch'], batch)
}
entry centred(p[pix]) =
  minimize (image(p) - mean[batch'](image(p)[batch -> batch'])) @model image(p) / |batch| + batch * sum[pix](p)
entry pairs(p[pix]) {
  a = image(p)
  difference[batch', batch'', model] = a[batch -> batch'] - a[batch -> batch'']
  d = difference @model difference
  minimize sum[batch', batch'' | batch' < batch''](exp(-d)) / |batch| ^ 2
}
)";

class BatchLoss : public testing::Test {
 protected:
  void SetUp() override {
    program_ = CompileText("batch.heed", kText);
    ASSERT_NE(program_, nullptr);
    parameters_ = RandomParameters(*program_, 5);
  }

  const frontend::Entry& Entry(const std::string& name) const {
    for (const frontend::Entry& entry : program_->entries)
      if (entry.name == name) return entry;
    throw std::runtime_error("no entry " + name);
  }
  /// So many examples of an entry, of different lengths.
  void Examples(const std::string& name, int count) {
    std::mt19937_64 random(11);
    examples_.clear();
    lengths_.clear();
    for (int b = 0; b < count; ++b) {
      Lengths one{{Axis("seq"), 1 + b * 3 % 7}};
      examples_.push_back(RandomInputs(*Entry(name).graph, one, random));
      lengths_.push_back(one);
    }
  }
  double Loss(const std::string& name) {
    const Graph batched = Passed(*Entry(name).infer, {"batch"});
    const Batched batch = Pack(batched, examples_, lengths_, 0);
    Interpreter interpreter(batched, Options(parameters_, batch.values, batch.extents));
    return interpreter.Value(batched.Output("loss")).data[0];
  }

  std::unique_ptr<frontend::Program> program_;
  Values parameters_;
  std::vector<Values> examples_;
  std::vector<Lengths> lengths_;
};

/// The embeddings of all examples by an entry that gives them, computed here.
std::vector<std::vector<double>> Images(const Values& parameters, const std::vector<Values>& examples) {
  std::vector<std::vector<double>> all;
  const Tensor weights = Transposed(parameters.at("W"), {Axis("model"), Axis("pix")});
  for (const Values& example : examples) {
    std::vector<double> image(4);
    for (int m = 0; m < 4; ++m)
      for (int i = 0; i < 5; ++i) image[m] += weights.data[m * 5 + i] * example.at("p").data[i];
    all.push_back(image);
  }
  return all;
}

std::vector<double> Unit(std::vector<double> x) {
  double square = 0.01;
  for (double each : x) square += each * each;
  for (double& each : x) each /= std::sqrt(square);
  return x;
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

TEST_F(BatchLoss, IsWhatItSays) {
  Examples("clip", 5);
  std::vector<std::vector<double>> a = Images(parameters_, examples_), b;
  const Tensor table = Transposed(parameters_.at("E"), {Axis("word"), Axis("model")});
  for (std::vector<double>& each : a) each = Unit(each);
  for (const Values& example : examples_) {
    std::vector<double> mean(4);
    const std::vector<double>& ids = example.at("x").data;
    for (double id : ids)
      for (int m = 0; m < 4; ++m)
        mean[m] += table.data[static_cast<int>(id) * 4 + m] / static_cast<double>(ids.size());
    b.push_back(Unit(mean));
  }
  double want = 0;
  for (int side = 0; side < 2; ++side, std::swap(a, b))
    for (size_t i = 0; i < a.size(); ++i) {
      double sum = 0;
      for (const auto& other : b) sum += std::exp(5 * Dot(a[i], other));
      want += std::log(sum) - 5 * Dot(a[i], b[i]);
    }
  EXPECT_NEAR(Loss("clip"), want, 1e-9);

  Examples("supervised", 6);
  a = Images(parameters_, examples_);
  for (std::vector<double>& each : a) each = Unit(each);
  want = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    double sum = 0;
    for (size_t j = 0; j < a.size(); ++j) sum += j == i ? 0 : std::exp(5 * Dot(a[i], a[j]));
    for (size_t j = 0; j < a.size(); ++j)
      if (j != i && examples_[i].at("y").data == examples_[j].at("y").data)
        want -= 5 * Dot(a[i], a[j]) - std::log(sum);
  }
  EXPECT_NEAR(Loss("supervised"), want, 1e-9);

  Examples("pairs", 4);
  a = Images(parameters_, examples_);
  want = 0;
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      want += std::exp(2 * Dot(a[i], a[j]) - Dot(a[i], a[i]) - Dot(a[j], a[j])) * 4 / 16;
  EXPECT_NEAR(Loss("pairs"), want, 1e-9);
}

TEST_F(BatchLoss, GradientsAgreeWithFiniteDifferences) {
  for (const std::string name : {"clip", "supervised", "centred", "pairs"}) {
    Examples(name, 4);
    const Graph derived =
        Passed(*Entry(name).graph, {"batch", "canonicalize", "grad", "canonicalize", "cse"});
    const Batched batch = Pack(derived, examples_, lengths_, std::nan(""));
    Interpreter gradients(derived, Options(parameters_, batch.values, batch.extents));
    for (auto& [parameter, tensor] : parameters_) {
      const NodeId output = derived.Output("d." + parameter);
      if (!output) continue;
      const Tensor gradient = Transposed(gradients.Value(output), tensor.axes);
      for (size_t i = 0; i < tensor.data.size(); i += 3) {
        const double x = tensor.data[i], h = 1e-5;
        tensor.data[i] = x + h;
        const double above = Loss(name);
        tensor.data[i] = x - h;
        const double below = Loss(name);
        tensor.data[i] = x;
        EXPECT_NEAR(gradient.data[i], (above - below) / (2 * h), 1e-6)
            << name << " " << parameter << " " << i;
      }
    }
  }
}

TEST_F(BatchLoss, NativeCodeAgreesAndThreadsChangeNoBit) {
  for (const std::string& cpu : backend::CpuLevels())
    for (const std::string name : {"clip", "supervised", "centred", "pairs"})
      for (const int count : {1, 2, 37}) {
        SCOPED_TRACE(name + " " + cpu + " " + std::to_string(count));
        Examples(name, count);
        const Graph fused = passes::RunPipeline(*Entry(name).graph, passes::Variant::Train, {});
        auto made = backend::JitFunction::Create(fused, cpu, 1);
        if (!made && backend::LacksLevel(made.error())) continue;
        ASSERT_TRUE(made) << made.error().message;
        backend::JitFunction& native = **made;
        const auto call = [&](int64_t slack) {
          const Batched batch = Pack(fused, examples_, lengths_, std::nan(""), slack);
          HostValues host;
          for (const Values* values : std::initializer_list<const Values*>{&parameters_, &batch.values})
            for (const auto& [each, tensor] : *values) host[each] = {tensor.shape, tensor.axes, tensor.data};
          Values results;
          for (const auto& [each, value] : native.Call(host, batch.extents, 1, 3, true))
            results[each] = {value.axes, value.shape, value.data};
          return results;
        };
        const Values got = call(1);
        const Batched batch = Pack(fused, examples_, lengths_, 0);
        Interpreter interpreter(fused, Options(parameters_, batch.values, batch.extents));
        for (const auto& [output, id] : fused.outputs) {
          if (output.starts_with("check.")) continue;
          const Tensor& want = interpreter.Value(id);
          double largest = 1;
          for (double x : want.data) largest = std::max(largest, std::abs(x));
          EXPECT_LE(Difference(want, got.at(output)), 1e-5 * largest) << output;
        }
        const auto same = [&](const Values& others, const char* what) {
          for (const auto& [output, tensor] : others)
            EXPECT_TRUE(SameBits(tensor, got.at(output))) << output << " with other " << what;
        };
        same(call(3), "padding");
        native.UseThreads(3);
        same(call(1), "threads");
      }
}

}  // namespace
}  // namespace heed::test
