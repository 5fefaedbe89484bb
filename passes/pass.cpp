// The driver: which passes make up a variant, and the running of them with printing, timing and verification.
//
// Knows no pass but by name: passes.def lists them. Checks (partial, depend) are not part of the pipelines;
// the front end asks for them once an entry with CheckEntry and turns complaints into diagnostics.
#include "passes/pass.h"

#include <chrono>
#include <iterator>

#include "ir/text.h"
#include "ir/verify.h"
#include "passes/axis_limit.h"
#include "passes/context.h"
#include "passes/depend.h"
#include "passes/incremental.h"
#include "passes/partial.h"
#include "runtime/abi_names.h"

namespace heed::passes {
namespace {

struct PassInfo {
  std::string_view name;
  Graph (*run)(const Graph&, Context&);
  std::string_view what, after;
};

constexpr PassInfo kPasses[] = {
#define HEED_PASS(Function, name, what, after) {name, Function, what, after},
#include "passes/passes.def"
};

const PassInfo* Find(std::string_view name) {
  for (const PassInfo& pass : kPasses)
    if (pass.name == name) return &pass;
  return nullptr;
}

Graph Run(const PassInfo& pass, const Graph& graph, Context& context) {
  const auto start = std::chrono::steady_clock::now();
  context.pass = pass.name;
  Graph result = pass.run(graph, context);
  const PassOptions& options = context.options;
  if (options.times) {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    options.times->emplace_back(pass.name, seconds.count());
  }
  if (options.print)
    for (const std::string& name : options.print_after)
      if (name == pass.name || name == "all") {
        options.print(pass.name, result, ir::Print(result) != ir::Print(graph));
        break;
      }
  if (options.verify)
    if (const std::vector<std::string> complaints = ir::Verify(result); !complaints.empty())
      throw InternalError("after pass " + std::string(pass.name) + ": " + complaints.front());
  return result;
}

}  // namespace

std::vector<std::string_view> Pipeline(Variant variant) {
  if (variant == Variant::Weights) return {"weights", "checks", "batch", "canonicalize", "cse"};
  // Sites come before what takes the query axis away, so that every variant decides the same way.
  std::vector<std::string_view> names{"sites"};
  if (variant == Variant::Prefill || variant == Variant::Step) names.push_back("incremental");
  if (variant == Variant::Prefill) names.push_back("last_row");
  for (std::string_view name : {"checks", "batch", "canonicalize", "fuse_attention", "group_experts"})
    names.push_back(name);
  if (variant == Variant::Train) names.push_back("grad");
  for (std::string_view name : {"canonicalize", "cse"}) names.push_back(name);
  return names;
}

std::string Remark::Text() const {
  const std::string where = origin.where.Text();
  const std::string instance =
      where.empty() || origin.instance.empty() ? origin.instance : " (" + origin.instance + ")";
  return where + instance + ": " + text;
}

bool Context::Allow(std::string_view rule, const ir::Origin& origin) {
  if (options.bisect >= 0 && rewrites >= options.bisect) return false;
  ++rewrites;
  if (options.trace) options.trace({rewrites, pass, rule, origin});
  return true;
}

std::string Call(const Node& node) {
  return std::string(ir::Info(node.op).name) + "[" + Text(node.attributes.axes) + "]";
}

std::vector<Complaint> CheckEntry(const Graph& graph) {
  std::vector<Complaint> complaints = TooManyAxes(graph);
  if (!complaints.empty()) return complaints;
  complaints = CertainFaults(graph);
  if (graph.generate) {
    std::vector<Complaint> refused = AnalyzeCausality(graph).complaints;
    if (refused.empty()) refused = NotIncremental(graph);
    std::move(refused.begin(), refused.end(), std::back_inserter(complaints));
  }
  return complaints;
}

Graph RunPipeline(const Graph& entry, Variant variant, const PassOptions& options) {
  Context context{.variant = variant, .options = options};
  Graph graph = entry;
  for (std::string_view name : Pipeline(variant)) graph = Run(*Find(name), graph, context);
  return graph;
}

std::optional<Graph> RunPasses(const Graph& graph, const std::vector<std::string>& names,
                               const PassOptions& options, std::optional<Variant> variant) {
  for (const std::string& name : names)
    if (!Find(name)) return std::nullopt;
  if (!variant) variant = graph.Output(kLossOutput) ? Variant::Train : Variant::Forward;
  Context context{.variant = *variant, .options = options};
  Graph result = graph;
  for (const std::string& name : names) result = Run(*Find(name), result, context);
  return result;
}

std::vector<std::string_view> PassNames() {
  std::vector<std::string_view> names;
  for (const PassInfo& pass : kPasses) names.push_back(pass.name);
  return names;
}

std::vector<PassText> AllPasses() {
  std::vector<PassText> texts;
  for (const PassInfo& pass : kPasses) texts.push_back({pass.name, pass.what, pass.after});
  return texts;
}

}  // namespace heed::passes
