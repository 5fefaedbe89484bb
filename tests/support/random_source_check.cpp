// Checks of one program (random_source_check.h). Numbers are compared with the reference interpreter in
// double precision; where they differ by more than usual, the interpreter is asked how much rounding each
// value to f32 matters in this program, and only what is far beyond that counts.
#include "tests/support/random_source_check.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "backend/target/target.h"
#include "frontend/parser.h"
#include "ir/text.h"
#include "runtime/abi_names.h"
#include "runtime/kernels/heed_kernels.h"
#include "tests/support/incremental_native.h"
#include "tests/support/jit.h"
#include "tests/support/random_source_values.h"

namespace heed::test {
namespace {

constexpr unsigned kMostSeconds = 120;
constexpr double kUsual = 1e-4;     // relative to the largest number in the program
constexpr double kRoundings = 100;  // times what a rounding of every value changes

/// Outputs when every value that f32 cannot hold is rounded up or down at random.
Values RoundedOutputs(const Graph& graph, ir::EvalOptions options, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const NodeId id : graph.Order()) {
    Interpreter interpreter(graph, options);
    Tensor value = interpreter.Value(id);
    if (graph.type(id).dtype == DType::Float) {
      for (double& x : value.data) {
        const float near = static_cast<float>(x);
        if (static_cast<double>(near) == x || !std::isfinite(near)) continue;
        x = std::nextafter(near, random() % 2 ? INFINITY : -INFINITY);
      }
    }
    options.frozen[id] = std::move(value);
  }
  Values outputs;
  for (const auto& [name, id] : graph.outputs) outputs[name] = options.frozen.at(id);
  return outputs;
}

class Checker {
 public:
  Checker(const std::string& text, uint64_t seed) : text_(text), seed_(seed), random_(seed) {}

  SourceOutcome Run() {
    try {
      Check();
    } catch (const std::exception& error) {
      Fail(std::string("throws: ") + error.what());
    }
    return outcome_;
  }

 private:
  void Fail(const std::string& what) {
    if (outcome_.failure.empty()) outcome_.failure = (place_.empty() ? "" : place_ + ": ") + what;
  }
  bool failed() const { return !outcome_.failure.empty(); }

  std::unique_ptr<frontend::Program> Compile(const std::string& source) {
    frontend::Diagnostics diagnostics;
    auto program =
        frontend::Compile(std::make_unique<frontend::SourceFile>("random.heed", source), {}, diagnostics);
    if (!program) {  // the first error; warnings come in between
      const std::string text = diagnostics.Render(false);
      const size_t error = text.find(": error: ");
      outcome_.refusal = text.substr(error == text.npos ? 0 : error, text.find('\n', error) - error);
    }
    return program;
  }

  std::string Formatted(const std::string& text) {
    const frontend::SourceFile file("random.heed", text);
    frontend::Diagnostics diagnostics;
    return frontend::Format(frontend::Parse(file, diagnostics));
  }

  void Check() {
    const std::string formatted = Formatted(text_);
    const auto program = Compile(text_);
    if (!program) return;
    for (const frontend::Entry& entry : program->entries) {
      const std::vector<passes::Complaint> complaints = passes::CheckEntry(*entry.infer);
      if (complaints.empty()) continue;
      outcome_.refusal =
          complaints[0].message + " [" + std::string(frontend::KindName(complaints[0].kind)) + "]";
      return;
    }
    outcome_.accepted = true;
    if (Formatted(formatted) != formatted) return Fail("formatting twice changes the text:\n" + formatted);
    const auto again = Compile(formatted);
    if (!again) return Fail("the formatted text is refused:\n" + formatted + outcome_.refusal);
    if (again->entries.size() != program->entries.size()) return Fail("formatting loses an entry");
    for (size_t i = 0; i < program->entries.size(); ++i)
      if (Structure(*program->entries[i].graph) != Structure(*again->entries[i].graph))
        return Fail("formatting changes " + program->entries[i].name + ":\n" + formatted);
    parameters_ = SourceParameters(*program, seed_);
    for (const frontend::Entry& entry : program->entries) {
      place_ = entry.name;
      CheckEntry(*program, entry);
      if (failed()) return;
    }
  }

  /// The graph without the places in the text that its nodes come from.
  static std::string Structure(const Graph& graph) {
    static const std::regex kPlaces("random\\.heed:[0-9]+:[0-9]+");
    return std::regex_replace(ir::Print(graph), kPlaces, "");
  }

  void CheckEntry(const frontend::Program& program, const frontend::Entry& entry) {
    const Graph& graph = *entry.infer;
    lengths_.clear();
    examples_.clear();
    for (int b = 0; b < 3; ++b) {
      Lengths one;
      for (const Axis root : Roots(*entry.graph))
        one[root] = 1 + static_cast<int64_t>(random_() % static_cast<uint64_t>(graph.axes().Bound(root)));
      lengths_.push_back(one);
      examples_.push_back(SourceInputs(*entry.graph, one, random_));
    }
    passes::RunPipeline(graph, Variant::Weights, {});
    if (entry.kind == frontend::EntryKind::Minimize) {
      CheckLoss(graph);
      if (!failed()) CheckGradients(*entry.graph);
      if (!failed() && seed_ % 4 == 0) CheckFiniteDifferences(*entry.graph);
    } else {
      CheckValue(graph);
      if (!failed() && entry.kind == frontend::EntryKind::Generate) CheckSteps(entry);
    }
  }

  // ---- Native functions

  std::unique_ptr<backend::JitFunction> Compiled(const Graph& graph) {
    const std::vector<std::string> levels = backend::CpuLevels();
    for (size_t i = 0; i < levels.size(); ++i) {
      cpu_ = levels[(seed_ + i) % levels.size()];
      auto native = backend::JitFunction::Create(graph, cpu_, 1);
      if (native) {
        ++outcome_.functions;
        return std::move(*native);
      }
      if (!backend::LacksLevel(native.error())) throw std::runtime_error(native.error().message);
    }
    throw std::runtime_error("no CPU level runs here");
  }

  static Values Call(backend::JitFunction& native, const Values& parameters, const Batched& batch) {
    HostValues host;
    for (const Values* values : {&parameters, &batch.values})
      for (const auto& [name, tensor] : *values) host[name] = {tensor.shape, tensor.axes, tensor.data};
    Values results;
    for (const auto& [name, value] : native.Call(host, batch.extents, 1, 3, true))
      results[name] = {value.axes, value.shape, value.data};
    return results;
  }

  /// Example b of `batch`, without its padding, in the order of `want`.
  static Tensor Example(const Tensor& batch, int64_t b, const Tensor& want) {
    const bool same = !ir::Contains(batch.axes, Axis("batch"));  // for all, but as long as the longest
    AxisList axes = want.axes;
    if (!same) axes.insert(axes.begin(), Axis("batch"));
    const Tensor all = Transposed(batch, axes);
    Tensor one = want;
    for (int64_t i = 0; i < one.count(); ++i) {
      std::vector<int64_t> at = Coordinates(i, one.shape);
      if (!same) at.insert(at.begin(), b);
      one.data[static_cast<size_t>(i)] = all.data[static_cast<size_t>(Offset(at, all.shape))];
    }
    return one;
  }

  static double Largest(const Graph& graph, Interpreter& interpreter) {
    double largest = 1;
    for (const NodeId id : graph.Order()) {
      if (graph.type(id).dtype != DType::Float) continue;
      for (const double x : interpreter.Value(id).data)
        if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
    }
    return largest;
  }

  /// Fails if outputs are further apart than rounding explains.
  void Compare(const Graph& graph, const ir::EvalOptions& options, const Values& got,
               const std::string& what) {
    Interpreter interpreter(graph, options);
    const double largest = Largest(graph, interpreter);
    std::vector<Values> rounded;
    for (const auto& [name, id] : graph.outputs) {
      const Tensor& want = interpreter.Value(id);
      double limit = kUsual * largest;
      const double difference = Difference(want, got.at(name));
      if (difference <= limit) continue;
      for (uint64_t i = rounded.size(); i < 4; ++i) rounded.push_back(RoundedOutputs(graph, options, i));
      for (const Values& one : rounded) limit = std::max(limit, kRoundings * Difference(want, one.at(name)));
      if (difference <= limit) continue;
      std::ostringstream text;
      text << what << " " << name << " differs by " << difference << " (" << cpu_ << ", largest number "
           << largest << ")";
      return Fail(text.str());
    }
  }

  void CheckValue(const Graph& graph) {
    const Graph batched = passes::RunPipeline(graph, Variant::Forward, {});
    const auto native = Compiled(batched);
    const Batched batch = Pack(batched, examples_, lengths_, std::numeric_limits<double>::quiet_NaN(),
                               static_cast<int>(seed_ % 2));
    const Values together = Call(*native, parameters_, batch);
    const auto& [name, output] = *graph.outputs.begin();
    for (size_t b = 0; b < examples_.size() && !failed(); ++b) {
      const ir::EvalOptions options = Options(parameters_, examples_[b], lengths_[b]);
      Interpreter interpreter(graph, options);
      const Tensor want = interpreter.Value(output);
      const Tensor got = Example(together.at(name), static_cast<int64_t>(b), want);
      Compare(graph, options, {{name, got}}, "example " + std::to_string(b) + " of");
      const Batched alone = Pack(batched, {examples_[b]}, {lengths_[b]}, 7, 2);
      if (!SameBits(got, Example(Call(*native, parameters_, alone).at(name), 0, want)))
        Fail("example " + std::to_string(b) + " alone has other bits (" + cpu_ + ")");
    }
    CheckThreads(*native, batch, together);
  }

  void CheckThreads(backend::JitFunction& native, const Batched& batch, const Values& want) {
    for (const auto& [name, tensor] : want)
      if (name.starts_with(kCheckPrefix) &&
          std::ranges::any_of(tensor.data, [](double x) { return std::isfinite(x); }))
        Fail("finds something impossible, where every read is in range (" + cpu_ + ")");
    native.UseThreads(3);
    for (const auto& [name, tensor] : Call(native, parameters_, batch))
      if (!SameBits(tensor, want.at(name))) Fail(name + " has other bits with 3 threads (" + cpu_ + ")");
  }

  void CheckLoss(const Graph& graph) {
    const Graph batched = passes::RunPipeline(graph, Variant::Loss, {});
    const auto native = Compiled(batched);
    const Batched batch = Pack(batched, examples_, lengths_, std::numeric_limits<double>::quiet_NaN());
    Values sums;
    double largest = 1;
    for (size_t b = 0; b < examples_.size(); ++b) {
      Interpreter interpreter(graph, Options(parameters_, examples_[b], lengths_[b]));
      for (const auto& [name, id] : graph.outputs) {
        Tensor& sum = sums.try_emplace(name, Tensor{{}, {}, {0}}).first->second;
        sum.data[0] += interpreter.Value(id).data[0];
      }
      largest = std::max(largest, Largest(graph, interpreter));
    }
    // Summed example by example, and as the batched graph says.
    const Values got = Call(*native, parameters_, batch);
    const ir::EvalOptions options = Options(parameters_, batch.values, batch.extents);
    Interpreter whole(batched, options);
    for (const auto& [name, id] : batched.outputs)
      if (!name.starts_with(kCheckPrefix) && Difference(whole.Value(id), sums.at(name)) > 1e-7 * largest)
        Fail("the batch's " + name + " is not the sum of the examples'");
    if (!failed()) Compare(batched, options, got, "the batch's");
    CheckThreads(*native, batch, got);
  }

  void CheckGradients(const Graph& graph) {
    const Graph fused = passes::RunPipeline(graph, Variant::Train, {});
    const Graph plain = Passed(graph, {"batch", "canonicalize", "grad", "canonicalize", "cse"});
    const auto native = Compiled(fused);
    const auto packed = [&](const Graph& of) {
      return Pack(of, examples_, lengths_, std::numeric_limits<double>::quiet_NaN());
    };
    // What is checked may need lengths that no gradient does.
    const Batched batch = packed(fused), batch_of_plain = packed(plain);
    const Values got = Call(*native, parameters_, batch);
    if (fused.outputs.size() != plain.outputs.size() + fused.checks.size())
      return Fail("fusion changes which gradients there are");
    Compare(plain, Options(parameters_, batch_of_plain.values, batch_of_plain.extents), got, "the gradient");
    CheckThreads(*native, batch, got);
  }

  /// Along one random direction; where the two sides and a smaller step agree, so is nothing that jumps.
  void CheckFiniteDifferences(const Graph& graph) {
    const Graph derived = Passed(graph, {"grad", "canonicalize", "cse"});
    Values parameters = parameters_, direction = parameters_;
    std::normal_distribution<double> normal(0, 1);
    for (auto& [name, tensor] : parameters)
      for (double& x : tensor.data) x += 0.01 * normal(random_);
    for (auto& [name, tensor] : direction)
      for (double& x : tensor.data) x = normal(random_);
    const ir::EvalOptions options = Options(parameters, examples_[0], lengths_[0]);
    Interpreter here(graph, options), gradients(derived, options);
    std::map<NodeId, Tensor> stops;
    for (const NodeId id : graph.Order())
      if (graph.op(id) == OpKind::Stop) stops[id] = here.Value(id);
    double slope = 0;
    for (const auto& [name, id] : derived.outputs) {
      if (!name.starts_with("d.")) continue;
      const Tensor gradient = Transposed(gradients.Value(id), parameters.at(name.substr(2)).axes);
      for (size_t i = 0; i < gradient.data.size(); ++i)
        slope += gradient.data[i] * direction.at(name.substr(2)).data[i];
    }
    const auto loss = [&](double step) {
      Values moved = parameters;
      for (auto& [name, tensor] : moved)
        for (size_t i = 0; i < tensor.data.size(); ++i) tensor.data[i] += step * direction.at(name).data[i];
      ir::EvalOptions there = Options(moved, examples_[0], lengths_[0]);
      there.frozen = stops;
      return Interpreter(graph, there).Value(graph.Output("loss")).data[0];
    };
    const double at = loss(0), h = 1e-5;
    const double ahead = (loss(h) - at) / h, behind = (at - loss(-h)) / h, middle = (ahead + behind) / 2;
    const double scale = 1 + std::abs(middle) + std::abs(at);
    // Half of a jump of the slope must be less than what counts as a difference below.
    if (!std::isfinite(middle) || std::abs(ahead - behind) > 1e-3 * scale) return;
    if (!(std::abs(middle - slope) <= 1e-3 * scale)) {
      std::ostringstream text;
      text << "the gradient along a direction is " << slope << ", finite differences give " << middle;
      Fail(text.str());
    }
  }

  /// The first along axes that are not in `place`. Along those that a tensor lacks it is the same everywhere.
  static double At(const Tensor& tensor, const std::map<Axis, int64_t>& place) {
    std::vector<int64_t> at;
    for (const Axis a : tensor.axes) at.push_back(place.count(a) ? place.at(a) : 0);
    return tensor.data[static_cast<size_t>(Offset(at, tensor.shape))];
  }

  void CheckSteps(const frontend::Entry& entry) {
    const Graph& graph = *entry.infer;
    const Axis axis = graph.generate->axis, batch("batch"), vocabulary(entry.result_axes.back());
    const int64_t bound = graph.axes().Bound(axis), classes = graph.axes().Bound(vocabulary);
    Native native(graph, 0);
    outcome_.functions += 3;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const int type : {kHeedWeightsPlain, seed_ % 2 ? kHeedWeightsInt8 : kHeedWeightsF32}) {
      native.UseWeights(type);
      const EvaluateGraph evaluate = native.Evaluator(parameters_, axis.root());
      GrowingTexts texts(graph, [](Values values) { return Rounded(std::move(values)); });
      Session session(native.prefill(), native.step(), evaluate);
      Tensor logits = session.Start(Pack(native.prefill(), texts.examples, texts.lengths, nan), texts.counts);
      for (int64_t round = 0;; ++round) {
        for (size_t b = 0; b < texts.counts.size(); ++b) {
          const Batched whole = Pack(native.forward(), {texts.examples[b]}, {texts.lengths[b]}, nan, 2);
          const Tensor all = evaluate(native.forward(), whole.values, whole.extents).at("logits");
          for (int64_t v = 0; v < classes; ++v) {
            const double want = At(all, {{axis, texts.counts[b] - 1}, {vocabulary, v}});
            const double got = At(logits, {{batch, static_cast<int64_t>(b)}, {vocabulary, v}});
            if (SameBits(got, want)) continue;
            std::ostringstream text;
            text << "after " << texts.counts[b] << " elements (step " << round << ", weights type " << type
                 << ") the logit is " << got << ", of the whole " << want << " (" << cpu_ << ")";
            return Fail(text.str());
          }
        }
        if (texts.Longest() == bound) break;
        if (round % 3 == 2) texts.Reorder(session);
        native.UseThreads(round % 2 ? 3 : 1);
        logits = texts.Grow(session, classes);
      }
    }
  }

  const std::string& text_;
  const uint64_t seed_;
  std::mt19937_64 random_;
  SourceOutcome outcome_;
  std::string place_, cpu_ = "native";
  Values parameters_;
  std::vector<Values> examples_;
  std::vector<Lengths> lengths_;
};

/// What all programs share of the kernels is compiled here once, not in every process anew.
void CompileFamilies() {
  static const bool done = [] {
    for (const std::string& level : backend::CpuLevels()) {
      static_cast<void>(backend::JitKernels::Create(level));
    }
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

SourceOutcome CheckSource(const std::string& text, uint64_t seed) { return Checker(text, seed).Run(); }

SourceOutcome CheckSourceApart(const std::string& text, uint64_t seed) {
  CompileFamilies();
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe");
  const pid_t child = fork();
  if (child == 0) {
    const rlimit seconds{kMostSeconds, kMostSeconds + 10};
    setrlimit(RLIMIT_CPU, &seconds);
    const SourceOutcome outcome = CheckSource(text, seed);
    std::ostringstream told;
    told << outcome.accepted << ' ' << outcome.functions << ' ' << outcome.refusal.size() << ' '
         << outcome.refusal << outcome.failure;
    const std::string bytes = told.str();
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t written = write(ends[1], bytes.data() + at, bytes.size() - at);
      if (written <= 0) _exit(1);
      at += static_cast<size_t>(written);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string bytes(1 << 16, ' ');
  size_t size = 0;
  for (ssize_t got; (got = read(ends[0], bytes.data() + size, bytes.size() - size)) > 0;) {
    size += static_cast<size_t>(got);
    if (size == bytes.size()) bytes.resize(2 * size);
  }
  close(ends[0]);
  bytes.resize(size);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  SourceOutcome outcome;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    outcome.accepted = true;
    outcome.failure = WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU
                          ? "takes more than " + std::to_string(kMostSeconds) + " seconds of a CPU"
                          : "crashes (status " + std::to_string(status) + ")";
    return outcome;
  }
  std::istringstream told(bytes);
  size_t refusal = 0;
  told >> outcome.accepted >> outcome.functions >> refusal;
  told.get();
  const size_t begin =
      static_cast<size_t>(told.tellg() < 0 ? static_cast<long>(size) : static_cast<long>(told.tellg()));
  outcome.refusal = bytes.substr(begin, refusal);
  outcome.failure = bytes.substr(begin + refusal);
  return outcome;
}

std::string ReducedSource(const std::string& text, uint64_t seed) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  const auto joined = [](const std::vector<std::string>& of) {
    std::string all;
    for (const std::string& line : of) all += line + "\n";
    return all;
  };
  for (bool shorter = true; shorter;) {
    shorter = false;
    for (const size_t width : {8u, 4u, 2u, 1u}) {
      for (size_t end = lines.size(); end >= width; --end) {
        if (end > lines.size()) continue;
        std::vector<std::string> fewer = lines;
        fewer.erase(fewer.begin() + static_cast<long>(end - width), fewer.begin() + static_cast<long>(end));
        if (CheckSourceApart(joined(fewer), seed).failure.empty()) continue;
        lines = std::move(fewer);
        shorter = true;
      }
    }
  }
  return joined(lines);
}

}  // namespace heed::test
