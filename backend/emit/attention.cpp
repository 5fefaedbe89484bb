// Which steps can share a specialised attention kernel, what its holes find in their context, and which hole
// is made from what (runtime/kernels/heed_kernels.h says what each must give).
#include "backend/emit/attention.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "backend/emit/hole.h"

namespace heed::backend {
namespace {

/// An axis as the part it plays.
std::string Role(const AttentionStep& step, ir::Axis axis) {
  if (axis == step.key_axis) return "key";
  if (axis == step.query_axis) return "query";
  for (size_t i = 0; i < step.loops.size(); ++i)
    if (step.loops[i].axis == axis) return "loop" + std::to_string(i);
  return axis.text();
}

/// Everything that makes a region what it is, without the names of axes and sites and places in the source.
void Describe(std::ostream& out, const Graph& graph, const AttentionStep& step,
              const KernelContext& context) {
  std::map<NodeId, int> numbers;
  for (NodeId id : graph.Order()) {
    const ir::Node& node = graph[id];
    const ir::Attributes& at = node.attributes;
    const int number = static_cast<int>(numbers.size());
    numbers[id] = number;
    out << '\n' << number << ' ' << ir::Info(node.op).name << ' ' << ir::Text(node.type.dtype);
    for (NodeId input : node.inputs) out << ' ' << numbers.at(input);
    if (IsIdentity(node.op)) continue;
    out << ' ' << std::hexfloat << at.number << std::defaultfloat;
    if (at.axis) out << ' ' << Role(step, at.axis);
    if (node.op == OpKind::Keep) {
      out << " site " << context.SiteNumber(at.name);
      ir::AxisList axes = at.axes;
      std::sort(axes.begin(), axes.end());  // their order by name is what numbers the elements
      for (ir::Axis axis : axes) out << ' ' << Role(step, axis) << ' ' << graph.axes().Bound(axis);
    } else {
      out << ' ' << at.name;
    }
  }
  for (const auto& [name, id] : graph.outputs)
    if (numbers.count(id)) out << '\n' << name << ' ' << numbers.at(id);
}

}  // namespace

KernelContext ContextOf(const AttentionStep& step) {
  KernelContext context;
  for (const AttentionLoop& loop : step.loops) context.Add(loop.extent);
  for (size_t i = 0; i < step.captures.size(); ++i) {
    const AttentionCapture& capture = step.captures[i];
    context.operands.push_back(static_cast<int>(i));
    for (const Size& stride : capture.loops) context.Add(stride);
    context.Add(capture.query);
    context.Add(capture.key);
    context.Add(capture.difference);
    context.Add(capture.dot);
    if (!capture.difference.IsZero()) context.Add(step.queries);
  }
  for (const AttentionGradient& gradient : step.gradients) {
    if (gradient.along == kHeedAlongDifference) context.Add(step.queries);
    if (gradient.along == kHeedAlongPair) context.Add(gradient.query);
  }
  const ir::AttentionRegions& regions = *step.regions;
  for (const Graph* graph :
       {regions.score.get(), regions.gradient.get(), regions.term.get(), regions.term_gradient.get()}) {
    if (!graph) continue;
    for (NodeId id : graph->Order())
      if (graph->op(id) == OpKind::Keep) context.AddSite((*graph)[id].attributes.name);
  }
  return context;
}

std::string Key(const AttentionStep& step) {
  const KernelContext context = ContextOf(step);
  std::ostringstream key;
  const auto size = [&](const Size& what) {
    if (what.IsStatic())
      key << ' ' << what.factor;
    else
      key << " slot" << context.SlotOf(what);
  };
  key << (step.backward ? "backward" : "forward") << (step.query_axis ? " queries" : " one query");
  for (const AttentionLoop& loop : step.loops) {
    key << "\nloop";
    size(loop.extent);
  }
  for (const AttentionCapture& capture : step.captures) {
    key << "\ncapture " << ir::Text(capture.dtype);
    for (const Size& stride : capture.loops) size(stride);
    key << " ,";
    size(capture.query);
    size(capture.key);
    size(capture.difference);
    size(capture.dot);
  }
  for (const AttentionGradient& gradient : step.gradients) {
    key << "\ngradient " << gradient.capture << ' ' << gradient.along;
    if (gradient.along == kHeedAlongPair) size(gradient.query);
  }
  Describe(key, *step.regions->score, step, context);
  if (step.regions->term) Describe(key << "\nterm", *step.regions->term, step, context);
  if (step.backward) {
    for (const Graph* graph : {step.regions->gradient.get(), step.regions->term_gradient.get()})
      if (graph) Describe(key << "\ngradient", *graph, step, context);
  }
  return key.str();
}

void FillAttentionHoles(llvm::Module& module, const AttentionStep& step, const Target& target) {
  const auto fill = [&](const char* name, const auto& body) {
    llvm::Function* hole = module.getFunction(name);
    if (!hole || !hole->isDeclaration()) return;
    HoleEmitter emitter(hole, step, target);
    body(emitter);
  };
  fill("heed_hole_score", [](HoleEmitter& hole) { hole.Score(); });
  fill("heed_hole_mask", [](HoleEmitter& hole) { hole.Mask(); });
  fill("heed_hole_score_is_short", [](HoleEmitter& hole) { hole.ScoreIsShort(); });
  fill("heed_hole_weight", [](HoleEmitter& hole) { hole.Weight(); });
  fill("heed_hole_score_gradient", [](HoleEmitter& hole) { hole.ScoreGradient(); });
  fill("heed_hole_is_term", [](HoleEmitter& hole) { hole.IsTerm(); });
  fill("heed_hole_term", [](HoleEmitter& hole) { hole.Term(); });
  fill("heed_hole_term_gradient", [](HoleEmitter& hole) { hole.TermGradient(); });
  fill("heed_hole_tile", [](HoleEmitter& hole) { hole.Tile(); });
}

}  // namespace heed::backend
