// Speed of the forms of attention as Heed compiles them: 12 heads of 64, forward and backward, beside plain
// causal attention and the fused multiply-add peak of the same moment. One JSON line for each form, length
// and number of threads: milliseconds (medians), the share of the peak (of the pairs that a causal mask
// leaves), and the ratio to causal attention, measured in turn with it. Taken off is the time of a program
// without attention that passes as often over its parameters and their gradients.
//   attention_bench [--lengths=1024,4096] [--filter=text] [--runs=7]
#include <dlfcn.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "backend/compile.h"
#include "runtime/engine/engine.h"
#include "tests/kernels/native.h"
#include "tests/support/passes_support.h"
#include "tests/support/paths.h"

namespace heed::test {
namespace {

constexpr int64_t kHeads = 12, kDim = 64;

struct Form {
  const char* name;
  const char* params;  ///< beside q, k, v
  const char* score;
  const char* mask;
};
constexpr Form kNothing = {"without attention", "", "", ""};
constexpr Form kForms[] = {
    {"causal", "", "q @key k / sqrt(|key|)", "pos' <= pos"},
    {"full", "", "q @key k / sqrt(|key|)", "true"},
    {"ALiBi", "", "q @key k / sqrt(|key|) - 2 ^ (-8 * (heads + 1) / |heads|) * (pos - pos')", "pos' <= pos"},
    {"ALiBi, learned slopes", "slope[heads] = 0.1", "q @key k / sqrt(|key|) - slope * (pos - pos')",
     "pos' <= pos"},
    {"bias by distance, learned", "bias[heads, dist] ~ normal(0, 0.1)",
     "q @key k / sqrt(|key|) + bias[dist(pos - pos')]", "pos' <= pos"},
    {"capped by tanh", "", "30 * tanh(q @key k / sqrt(|key|) / 30)", "pos' <= pos"},
    {"window of 256", "", "q @key k / sqrt(|key|)", "pos' <= pos and pos - pos' < 256"},
};

std::string Program(const Form& form, int64_t length) {
  std::string text = "axis heads = " + std::to_string(kHeads) + ", key = " + std::to_string(kDim) +
                     ", pos = " + std::to_string(length) + ", dist = |pos|\n\n";
  text +=
      "module Net() -> [heads, pos, key] {\n"
      "  param q[heads, pos, key] ~ normal(0, 1), k[heads, pos', key] ~ normal(0, 1), v[heads, pos', key] ~ "
      "normal(0, 1)\n";
  if (*form.params) text += std::string("  param ") + form.params + "\n";
  text += *form.score ? std::string("  softmax[pos' | ") + form.mask + "](" + form.score + ") @pos' v\n"
                      : "  q / sqrt(|key|) + k[pos' -> pos] + v[pos' -> pos]\n";
  text += "}\n\npart net = Net\n\n";
  text += "entry train(g[heads, pos, key]) =\n  minimize sum[heads, pos, key](net() * g)\n";
  return text;
}

double Seconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}
double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// A form as compiled code in this process.
class Compiled {
 public:
  Compiled(const Form& form, int64_t length, ThreadPool& threads) {
    const auto program = CompileText("form.heed", Program(form, length), {});
    if (!program) std::exit(1);
    backend::ProgramSpec spec;
    spec.source_name = "form.heed";
    spec.axes = program->axes;
    for (const frontend::Parameter& parameter : program->parameters) {
      backend::ParamSpec& param = spec.params.emplace_back();
      param.name = parameter.name;
      param.axes = parameter.axes;
      param.groups = parameter.groups;
      param.shape = parameter.shape;
      param.init = kHeedInitNormal;
      param.b = 0.5;
    }
    backend::EntrySpec& entry = spec.entries.emplace_back();
    entry.name = "train";
    entry.kind = kHeedEntryMinimize;
    for (const frontend::Argument& argument : program->entries[0].arguments)
      entry.arguments.push_back({argument.name, argument.type});
    const auto run = [&](const Graph& graph, Variant variant) {
      return std::make_shared<const Graph>(passes::RunPipeline(graph, variant, {}));
    };
    entry.graphs[Variant::Train] = run(*program->entries[0].graph, Variant::Train);
    entry.graphs[Variant::Loss] = run(*program->entries[0].infer, Variant::Loss);
    backend::CompileOptions options;
    options.emit = backend::Emit::Shared;
    options.kernels = Binary("kernels");
    const std::string path = (std::filesystem::temp_directory_path() / "heed-bench-XXXXXX").string();
    std::string file = path;
    const int descriptor = mkstemp(file.data());
    if (descriptor < 0) std::exit(1);
    close(descriptor);
    if (const Status compiled = backend::Compile(spec, options, file); !compiled) {
      std::fprintf(stderr, "%s\n", compiled.error().message.c_str());
      std::exit(1);
    }
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    std::filesystem::remove(file);
    if (!library) {
      std::fprintf(stderr, "%s\n", dlerror());
      std::exit(1);
    }
    program_ = static_cast<const HeedProgram*>(dlsym(library, "heed_program"));
    engine_ = std::make_unique<Engine>(*program_, threads);
    parameters_ = std::make_unique<ParameterBlock>(*program_);
    gradients_ = std::make_unique<ParameterBlock>(*program_);
    if (!Initialize(*parameters_, *program_, 1)) std::exit(1);
    HostTensor g(kHeedFloat32, {1, kHeads, length, kDim});
    uint32_t state = 1;
    for (float& value : g.floats()) {
      state = state * 1664525 + 1013904223;
      value = static_cast<float>(state >> 8) * 0x1p-23f - 1;
    }
    inputs_.emplace("g", std::move(g));
  }

  /// Seconds of the loss, or of loss and gradients.
  double Run(bool backward) {
    const HeedFunction& function = backward ? *program_->entries[0].train : *program_->entries[0].loss;
    const double start = Seconds();
    const auto result =
        engine_->Call(function, inputs_, *parameters_, backward ? gradients_.get() : nullptr, {});
    if (!result) {
      std::fprintf(stderr, "%s\n", result.error().message.c_str());
      std::exit(1);
    }
    return Seconds() - start;
  }

 private:
  const HeedProgram* program_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ParameterBlock> parameters_, gradients_;
  std::map<std::string, HostTensor> inputs_;
};

int Main(int argc, char** argv) {
  std::vector<int64_t> lengths = {1024, 4096};
  std::string filter;
  int runs = 7;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--lengths=")) {
      lengths.clear();
      for (size_t at = 10; at < argument.size();
           at = std::min(argument.find(',', at), argument.size() - 1) + 1)
        lengths.push_back(std::atoll(argument.c_str() + at));
    } else if (argument.starts_with("--filter=")) {
      filter = argument.substr(9);
    } else if (argument.starts_with("--runs=")) {
      runs = std::max(1, std::atoi(argument.c_str() + 7));
    } else {
      std::fprintf(stderr, "usage: %s [--lengths=1024,4096] [--filter=text] [--runs=7]\n", argv[0]);
      return 2;
    }
  }
  const auto peak = AllNativeKernels().front()->peak;
  for (const int64_t length : lengths) {
    const double pairs = static_cast<double>(length) * static_cast<double>(length + 1) / 2;
    const double flops = 4.0 * kHeads * pairs * kDim;
    for (const int threads : {1, 2}) {
      ThreadPool pool(threads);
      Compiled nothing(kNothing, length, pool), causal(kForms[0], length, pool);
      for (const Form& form : kForms) {
        if (std::string(form.name).find(filter) == std::string::npos) continue;
        Compiled compiled(form, length, pool);
        std::vector<double> forward, backward, forward_ratio, backward_ratio, forward_share, backward_share;
        for (int run = -1; run < runs; ++run) {
          const double rest = nothing.Run(false), rest_all = nothing.Run(true);
          const double plain = causal.Run(false) - rest, plain_all = causal.Run(true) - rest_all;
          const double before = peak(60000);
          const double one = compiled.Run(false) - rest, all = compiled.Run(true) - rest_all;
          const double rate = (before + peak(60000)) / 2 * threads * 1e9;
          if (run < 0) continue;  // warms up
          forward.push_back(one * 1e3);
          backward.push_back((all - one) * 1e3);
          forward_ratio.push_back(one / plain);
          backward_ratio.push_back((all - one) / (plain_all - plain));
          forward_share.push_back(flops / one / rate);
          backward_share.push_back(2.5 * flops / (all - one) / rate);
        }
        std::printf(
            "{\"form\": \"%s\", \"length\": %ld, \"threads\": %d, \"forward_ms\": %.2f, \"backward_ms\": "
            "%.2f, "
            "\"forward_share\": %.3f, \"backward_share\": %.3f, \"forward_ratio\": %.3f, \"backward_ratio\": "
            "%.3f}\n",
            form.name, static_cast<long>(length), threads, Median(forward), Median(backward),
            Median(forward_share), Median(backward_share), Median(forward_ratio), Median(backward_ratio));
        std::fflush(stdout);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace heed::test

int main(int argc, char** argv) { return heed::test::Main(argc, argv); }
