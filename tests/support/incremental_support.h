// A session of decoding on tensors of the interpreter: what a runtime does with prefill and step, in the
// plainest way. Rows of caches are kept for each example of the batch; rings move on when they must.
#pragma once

#include <filesystem>
#include <regex>

#include "runtime/abi_names.h"
#include "tests/support/passes_support.h"

namespace heed::test {

/// `tensor` with `count` elements along `axis`, new ones `junk`.
inline Tensor Resized(const Tensor& tensor, Axis axis, int64_t count, double junk) {
  Tensor result{tensor.axes, tensor.shape, {}};
  size_t at = 0;
  while (tensor.axes[at] != axis) ++at;
  result.shape[at] = count;
  result.data.assign(static_cast<size_t>(result.count()), junk);
  for (int64_t i = 0; i < tensor.count(); ++i) {
    const std::vector<int64_t> place = Coordinates(i, tensor.shape);
    if (place[at] < count) result.data[Offset(place, result.shape)] = tensor.data[i];
  }
  return result;
}

/// Positions before slot 0 of a ring, by its definition.
inline int64_t RingStart(Axis ring, int64_t position) {
  int64_t first = 0;
  while (first + ring.ring() <= position) first += ring.ring_step();
  return first;
}

/// Evaluates one graph on values; all its outputs.
using EvaluateGraph = std::function<Values(const Graph& graph, const Values& values, const Lengths& extents)>;

class Session {
 public:
  /// `prefill` and `step` are batched; `values` are the prompt's (Pack of the prefill's inputs).
  Session(const Graph& prefill, const Graph& step, EvaluateGraph evaluate)
      : prefill_(prefill), step_(step), evaluate_(std::move(evaluate)), axis_(prefill.generate->axis) {
    for (NodeId id : step.Order())
      if (step.op(id) == OpKind::Input) inputs_[step[id].attributes.name] = id;
  }

  /// Logits after the prompts.
  Tensor Start(const Batched& prompts, std::vector<int64_t> lengths) {
    given_ = prompts;
    lengths_ = std::move(lengths);
    Values results = evaluate_(prefill_, prompts.values, prompts.extents);
    for (auto& [name, tensor] : results)
      if (name.starts_with(kCachePrefix) || name.starts_with(kFixedPrefix)) kept_[name] = std::move(tensor);
    return results.at("logits");
  }

  /// Adds one element to every example; the logits after it.
  Tensor Add(const std::vector<double>& ids) {
    Batched call = given_;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (int64_t& length : lengths_) ++length;
    const int64_t longest = *std::max_element(lengths_.begin(), lengths_.end());
    const int64_t rows = static_cast<int64_t>(lengths_.size());
    call.extents[axis_] = longest;
    call.extents[Axis("batch")] = rows;
    Tensor length{{Axis("batch")}, {rows}, {}};
    for (const int64_t each : lengths_) length.data.push_back(static_cast<double>(each));
    call.values["len." + axis_.text()] = length;
    call.values[prefill_.generate->variable] = {{Axis("batch")}, {rows}, ids};
    for (auto& [name, tensor] : kept_) {
      if (name.starts_with(kCachePrefix)) {
        const double junk = step_.type(inputs_.at(name)).dtype == DType::Float ? nan : 0;
        for (const AxisList axes = tensor.axes; const Axis a : axes) {
          if (a.ring())
            tensor = MovedOn(tensor, a, junk);
          else if (a.root() == axis_)
            tensor = Resized(tensor, a, longest, junk);
        }
      }
      call.values[name] = tensor;
    }
    Values results = evaluate_(step_, call.values, call.extents);
    for (auto& [name, tensor] : results)
      if (name.starts_with(kCachePrefix)) kept_[name] = std::move(tensor);
    return results.at("logits");
  }

  /// Row b goes on from where row `parents[b]` was.
  void Reorder(const std::vector<int64_t>& parents) {
    const auto reorder = [&](Tensor& tensor) {
      if (!ir::Contains(tensor.axes, Axis("batch"))) return;
      const AxisList axes = tensor.axes;
      AxisList first{Axis("batch")};
      for (Axis a : axes)
        if (a != Axis("batch")) first.push_back(a);
      Tensor rows = Transposed(tensor, first), result{first, rows.shape, {}};
      const int64_t each = rows.count() / rows.shape[0];
      result.shape[0] = static_cast<int64_t>(parents.size());
      for (const int64_t parent : parents)
        result.data.insert(result.data.end(), rows.data.begin() + parent * each,
                           rows.data.begin() + (parent + 1) * each);
      tensor = Transposed(result, axes);
    };
    for (auto& [name, tensor] : kept_) reorder(tensor);
    for (auto& [name, tensor] : given_.values) reorder(tensor);
    std::vector<int64_t> lengths;
    for (const int64_t parent : parents) lengths.push_back(lengths_[parent]);
    lengths_ = std::move(lengths);
  }

  const Values& kept() const { return kept_; }

 private:
  Tensor MovedOn(const Tensor& tensor, Axis ring, double junk) const {
    Tensor result = tensor;
    size_t at = 0, batch = 0;
    while (tensor.axes[at] != ring) ++at;
    while (tensor.axes[batch] != Axis("batch")) ++batch;
    for (int64_t i = 0; i < tensor.count(); ++i) {
      std::vector<int64_t> place = Coordinates(i, tensor.shape);
      const int64_t now = lengths_[place[batch]] - 1;  // the position that is about to be added
      place[at] += RingStart(ring, now) - RingStart(ring, now - 1);
      result.data[i] = place[at] < ring.ring() ? tensor.data[Offset(place, tensor.shape)] : junk;
    }
    return result;
  }

  const Graph& prefill_;
  const Graph& step_;
  EvaluateGraph evaluate_;
  const Axis axis_;
  std::map<std::string, NodeId> inputs_;
  Batched given_;
  std::vector<int64_t> lengths_;
  Values kept_;
};

/// Names of the programs in examples/attention that generate, at sizes as small as `sizes` says.
inline std::vector<Example> GeneratingForms() {
  static const std::map<std::string, double> kSizes = {
      {"vocab", 7},  {"label", 5}, {"model", 12}, {"heads", 3}, {"kv", 3},   {"rep", 2},  {"key", 5},
      {"val", 3},    {"align", 5}, {"seq", 13},   {"src", 11},  {"tgt", 9},  {"half", 2}, {"stride", 3},
      {"window", 4}, {"cap", 2},   {"near", 3},   {"far", 9},   {"nope", 3}, {"rot", 4},  {"latent", 6}};
  std::vector<Example> examples;
  for (const auto& file : std::filesystem::directory_iterator(Source("examples/attention"))) {
    if (file.path().extension() != ".heed") continue;
    const std::string name = file.path().stem().string();
    const std::string path = "examples/attention/" + name + ".heed", text = ReadFile(Source(path));
    if (text.find("generate ") == std::string::npos) continue;
    Example example{name, path, {}};
    for (const auto& [axis, size] : kSizes)
      if (std::regex_search(text, std::regex("\\b" + axis + " <?= [0-9]"))) example.sizes[axis] = size;
    examples.push_back(std::move(example));
  }
  std::sort(examples.begin(), examples.end(),
            [](const Example& a, const Example& b) { return a.name < b.name; });
  return examples;
}

/// A causal network of layers drawn from what programs do with earlier positions.
inline std::string RandomProgram(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto one_of = [&](std::initializer_list<const char*> texts) {
    return std::string(texts.begin()[random() % texts.size()]);
  };
  const auto mask = [&] {
    return one_of({"seq' <= seq", "seq' < seq", "seq' <= seq and seq - seq' < 3",
                   "seq - seq' < 5 and seq' <= seq", "seq' <= seq and (seq - seq') % 2 == 0",
                   "seq' <= seq and x == x[seq -> seq']", "seq' <= seq and (seq - seq' < 2 or seq' < 2)",
                   "not (seq' > seq) and abs(seq - seq') < 4"});
  };
  std::string params, body;
  const int layers = 2 + static_cast<int>(random() % 4);
  for (int layer = 0; layer < layers; ++layer) {
    const std::string n = std::to_string(layer);
    const std::string f = one_of({"z", "tanh(z)", "z * sin(seq)", "z * 0.5 + P", "standardize[model](z)"});
    switch (random() % 6) {
      case 0:
      case 1: {
        params += "  param Q" + n + "[heads, key, model], K" + n + "[heads, key, model], V" + n +
                  "[heads, key, model], O" + n + "[model, heads, key]\n";
        const std::string k = one_of({"(K# @model (@))[seq -> seq']", "K# @model (@)[seq -> seq']",
                                      "(K# @model (@))[seq -> seq'] * cos(seq')"});
        const std::string score = one_of({"s", "s - 0.3 * (seq - seq')", "3 * tanh(s)", "s * (1 + seq')"});
        std::string text = "  k = " + k +
                           "\n  s = (Q# @model z) @key k\n  z = z + O# @[heads, key] (softmax[seq' | " +
                           mask() + "](" + score + ") @seq' (V# @model (@))[seq -> seq'])\n";
        for (size_t at; (at = text.find('#')) != std::string::npos;) text.replace(at, 1, n);
        for (size_t at; (at = text.find("(@)")) != std::string::npos;) text.replace(at, 3, "(" + f + ")");
        body += text;
        break;
      }
      case 2:
        params += "  param A" + n + "[att, model], B" + n + "[att, model], C" + n + "[att]\n";
        body += "  m = (" + f + ")[seq -> seq']\n  a[seq, seq', att] = A" + n + " @model z + B" + n +
                " @model m\n  z = z + softmax[seq' | " + mask() + "](C" + n + " @att tanh(a)) @seq' m\n";
        break;
      case 3:
        body += "  z = z + " + one_of({"sum", "mean"}) + "[seq' | " + mask() + "]((" + f +
                ")[seq -> seq'] / 3)\n";
        break;
      case 4:
        body +=
            "  z = z + max[seq' | seq' <= seq and " + mask() + " or seq' == seq]((" + f + ")[seq -> seq'])\n";
        break;
      default:
        params += "  param W" + n + "[model, model']\n";
        body += "  z = z + tanh(W" + n + " @model' (" + f + ")[model -> model'])\n";
    }
  }
  return "axis vocab = 5, model = 4, heads = 2, key = 2, att = 3, seq <= 9\n"
         "module Net(x: vocab[seq]) -> [seq, vocab] {\n"
         "  param E[vocab, model] ~ normal(0, 1), P[seq, model] ~ normal(0, 1)\n" +
         params + "  z = E[x] + P\n" + body +
         "  E @model z\n}\npart net = Net\n"
         "entry complete(p: vocab[seq]) = generate y: vocab[seq] from p by net(y)\n";
}

/// Texts of a batch that grow at random while a session of them does.
struct GrowingTexts {
  const Graph& graph;
  std::mt19937_64 random{7};
  std::vector<int64_t> counts = {2, 5, 1};  ///< elements of each text
  std::vector<Lengths> lengths;
  std::vector<Values> examples;

  /// `prepare` what each example has. A text that the network does not look at has its elements as well.
  explicit GrowingTexts(const Graph& of, Values (*prepare)(Values) = nullptr) : graph(of) {
    for (const int64_t n : counts) {
      Lengths one;
      for (Axis root : Roots(graph))
        one[root] = root == graph.generate->axis.root() ? n : 2 + static_cast<int64_t>(random() % 5);
      one[graph.generate->axis.root()] = n;
      Values values = RandomInputs(graph, one, random);
      if (Tensor& text = values[graph.generate->variable]; text.axes.empty())
        text = {{graph.generate->axis}, {n}, std::vector<double>(static_cast<size_t>(n), 0)};
      examples.push_back(prepare ? prepare(std::move(values)) : std::move(values));
      lengths.push_back(one);
    }
  }
  int64_t Longest() const { return *std::max_element(counts.begin(), counts.end()); }
  /// Rows are moved about, some twice and some lost.
  void Reorder(Session& session) {
    std::vector<int64_t> parents;
    for (size_t b = 0; b < counts.size(); ++b)
      parents.push_back(static_cast<int64_t>(random() % counts.size()));
    session.Reorder(parents);
    const auto old = std::tuple(examples, lengths, counts);
    for (size_t b = 0; b < parents.size(); ++b) {
      examples[b] = std::get<0>(old)[parents[b]];
      lengths[b] = std::get<1>(old)[parents[b]];
      counts[b] = std::get<2>(old)[parents[b]];
    }
  }
  /// One more element each, of `classes`; the logits after it.
  Tensor Grow(Session& session, int64_t classes) {
    std::vector<double> ids;
    for (size_t b = 0; b < counts.size(); ++b) {
      ids.push_back(static_cast<double>(random() % classes));
      Tensor& text = examples[b].at(graph.generate->variable);
      text.data.push_back(ids.back());
      lengths[b][graph.generate->axis] = text.shape[0] = ++counts[b];
    }
    return session.Add(ids);
  }
};

}  // namespace heed::test
