// The score may be any pointwise expression around one sum over query and key, the mask any expression, and
// factors after the softmax (dropout, a window that fades) become the weight; those of whole rows (what a
// sink leaves) move behind the sum. What is pointwise and carries the key axis, whole numbers, truth values
// and `keep` go into the region; other operands are captures, and so are functions of the distance, which
// become tables.
#include "passes/attention_site.h"

#include <algorithm>

#include "ir/axis_words.h"
#include "ir/op.h"
#include "passes/attention_tables.h"
#include "runtime/abi_names.h"
#include "runtime/kernels/limits.h"

namespace heed::passes {
namespace {

using ir::DType;

bool No(std::string& why, std::string reason) {
  why = std::move(reason);
  return false;
}

/// Values at which an expression stops being part of the region, in order of appearance.
void Leaves(const Graph& graph, NodeId id, Axis key, Differences* differences, std::vector<Capture>& leaves) {
  const Node& node = graph[id];
  const bool table = differences && differences->IsTable(id);
  if (!table && (IsRegionPart(node, key) || IsTransparent(node))) {
    for (NodeId input : node.inputs) Leaves(graph, input, key, differences, leaves);
    return;
  }
  if (node.op == OpKind::Const || node.op == OpKind::Positions) return;
  const Capture leaf{id, table};
  if (std::find(leaves.begin(), leaves.end(), leaf) == leaves.end()) leaves.push_back(leaf);
}

}  // namespace

bool IsRegionPart(const Node& node, Axis key) {
  if (node.op == OpKind::Keep) return true;
  return ir::IsPointwise(node.op) && (Contains(node.type.axes, key) || node.type.dtype != DType::Float);
}

bool IsTransparent(const Node& node) { return node.op == OpKind::Broadcast || node.op == OpKind::Element; }

SiteFinder::SiteFinder(const Graph& graph) : graph_(graph), users_(graph.Users()), varies_(graph.size()) {
  for (const auto& [name, value] : graph.outputs) outputs_.insert(value);
  for (NodeId id : graph.Order()) {
    const Node& node = graph[id];
    bool varies = node.op == OpKind::Param;
    if (ir::Info(node.op).differentiable)
      for (NodeId input : node.inputs) varies = varies || varies_[input.value];
    varies_[id.value] = varies && node.type.dtype == DType::Float;
  }
}

bool SiteFinder::IsCandidate(NodeId id) const {
  const Node& node = graph_[id];
  if (node.op != OpKind::Softmax && node.op != OpKind::LogSumExp) return false;
  if (OverPositions(node)) return true;
  const NodeId softmax = node.op == OpKind::Softmax ? id : SoftmaxOf(id);
  return softmax && ReadsComputedKeys(softmax);
}

/// Products with parameters have better kernels: experts and tables of classes are no attention.
bool SiteFinder::ReadsComputedKeys(NodeId softmax) const {
  Site site;
  std::string why;
  site.softmax = site.weights = softmax;
  if (graph_[softmax].attributes.axes.size() != 1) return false;
  site.key = graph_[softmax].attributes.axes[0];
  return FindSum(site, why) && FindDot(site, {}, why) && !IsParameter(site.k) && !IsParameter(site.v);
}

/// A parameter, or a part or another form of one.
bool SiteFinder::IsParameter(NodeId id) const {
  while (!graph_[id].inputs.empty() &&
         (ir::Info(graph_.op(id)).family == ir::Family::Axes || graph_.op(id) == OpKind::Gather))
    id = graph_[id].inputs[0];
  return graph_.op(id) == OpKind::Param;
}

bool SiteFinder::OverPositions(const Node& node) const {
  return std::ranges::any_of(node.attributes.axes, [&](Axis a) {
    return graph_.axes().IsDynamic(a) || a.text().find('\'') != std::string::npos;
  });
}

std::string SiteFinder::Loop(NodeId id) const {
  const Node& node = graph_[id];
  if (IsCandidate(id) || (!ir::IsSoftmax(node.op) && node.op != OpKind::LogSumExp)) return "";
  if (node.op == OpKind::LogSoftmax)
    return OverPositions(node) ? "is not fused: logarithms are no weights of a sum" : "is a loop";
  if (node.op == OpKind::LogSumExp) return "is a loop";
  Site site;
  std::string why;
  site.softmax = site.weights = id;
  site.key = node.attributes.axes[0];
  return node.attributes.axes.size() == 1 && FindSum(site, why)
             ? "is not fused: its keys or values on " + site.key.text() + " are parameters"
             : "is a loop";
}

NodeId SiteFinder::SoftmaxOf(NodeId log_sum_exp) const {
  const Node& node = graph_[log_sum_exp];
  for (NodeId user : users_[node.inputs[0].value]) {
    const Node& other = graph_[user];
    if (other.op == OpKind::Softmax && other.inputs == node.inputs &&
        other.attributes.axes == node.attributes.axes)
      return user;
  }
  return {};
}

std::optional<Site> SiteFinder::Match(NodeId candidate, std::optional<SiteKind> kind,
                                      std::string& why) const {
  const Node& node = graph_[candidate];
  Site site;
  site.softmax = site.weights = candidate;
  if (node.attributes.axes.size() != 1) {
    const bool all_static =
        std::ranges::none_of(node.attributes.axes, [&](Axis axis) { return graph_.axes().IsDynamic(axis); });
    why = all_static ? "its weights are random, or go to no sum over all of its axes"
                     : "it has several key axes, and their lengths differ between examples";
    return std::nullopt;
  }
  site.key = node.attributes.axes[0];
  if (node.op == OpKind::Softmax && !FindSum(site, why)) return std::nullopt;
  if (!FindDot(site, kind, why)) return std::nullopt;
  site.score_axes = Union(Union(graph_.axes_of(site.dot), node.type.axes), {site.key});
  for (NodeId factor : site.factors) site.score_axes = Union(site.score_axes, graph_.axes_of(factor));
  if (!FindQuery(site, why)) return std::nullopt;
  FindCaptures(site);
  why = KernelSupports(site);
  if (!why.empty()) return std::nullopt;
  return site;
}

std::vector<NodeId> SiteFinder::Uses(NodeId id) const {
  return outputs_.count(id) ? std::vector<NodeId>{} : users_[id.value];
}

AxisList SiteFinder::ValueAxes(const Site& site) const {
  return site.v ? graph_.axes_of(site.v) : AxisList{site.key};
}

/// The one weighted sum that the softmax goes to.
bool SiteFinder::FindSum(Site& site, std::string& why) const {
  std::vector<NodeId> uses = Uses(site.softmax);
  while (uses.size() == 1 && graph_.op(uses[0]) == OpKind::Mul) {
    const Node& product = graph_[uses[0]];
    const NodeId factor = product.inputs[product.inputs[0] == site.weights ? 1 : 0];
    (Contains(graph_.axes_of(factor), site.key) ? site.factors : site.scales).push_back(factor);
    site.weights = uses[0];
    uses = Uses(site.weights);
  }
  if (uses.size() != 1 || graph_.op(uses[0]) != OpKind::Contract ||
      graph_[uses[0]].attributes.axes != AxisList{site.key}) {
    return No(why, WhyNoSum(site, uses));
  }
  site.sum = uses[0];
  const Node& sum = graph_[site.sum];
  site.v = sum.inputs[sum.inputs[0] == site.weights ? 1 : 0];
  if (!Contains(graph_.axes_of(site.v), site.key)) return No(why, "the values lack the key axis");
  if (const NodeId mask = ir::MaskOf(sum)) {
    std::vector<NodeId> known;
    if (const NodeId own = ir::MaskOf(graph_[site.softmax])) known = Conjuncts(graph_, own);
    for (NodeId part : Conjuncts(graph_, mask))
      if (std::find(known.begin(), known.end(), part) == known.end()) site.extra_masks.push_back(part);
  }
  return true;
}

std::string SiteFinder::WhyNoSum(const Site& site, const std::vector<NodeId>& uses) const {
  if (outputs_.count(site.weights)) return "the weights are returned";
  if (uses.size() > 1) {
    const auto other =
        std::ranges::find_if(uses, [&](NodeId use) { return graph_.op(use) != OpKind::Contract; });
    const ir::Place where = graph_[other == uses.end() ? uses.back() : *other].origin.where;
    return "its weights are used at " + (where ? where.Text() : "another place") + " as well";
  }
  if (uses.size() == 1 && graph_.op(uses[0]) == OpKind::Contract)
    return "the sum of its weights is over [" + Text(graph_[uses[0]].attributes.axes) + "], not over " +
           ir::Spoken(site.key);
  return "its weights go to " + OpsOf(uses) + ", not to a weighted sum";
}

/// The sum over query and key: the one with most axes, if there are several.
bool SiteFinder::FindDot(Site& site, std::optional<SiteKind> kind, std::string& why) const {
  std::vector<Capture> leaves;
  Leaves(graph_, graph_[site.softmax].inputs[0], site.key, nullptr, leaves);
  std::vector<NodeId> values;
  std::string why_no_term;
  for (const Capture& leaf : leaves) {
    values.push_back(leaf.value);
    const Node& node = graph_[leaf.value];
    if (node.op != OpKind::Contract || node.inputs.size() != 2 || !Contains(node.type.axes, site.key))
      continue;
    if (site.dot && node.type.axes.size() <= graph_.axes_of(site.dot).size()) continue;
    const bool first = Contains(graph_.axes_of(node.inputs[0]), site.key);
    if (first == Contains(graph_.axes_of(node.inputs[1]), site.key)) continue;
    Site term = site;
    if (kind != SiteKind::kProduct && FindTerm(term, leaf.value, kind, why_no_term)) {
      site = term;
      continue;
    }
    if (kind == SiteKind::kTerm) continue;
    site.dot = leaf.value;
    site.term = {};
    site.k = node.inputs[first ? 0 : 1];
    site.q = node.inputs[first ? 1 : 0];
  }
  if (!site.dot)
    why = "its score is no pointwise function of a sum over query and key, but of " + OpsOf(values);
  return site.dot.operator bool();
}

/// The sum as one of a pointwise term: its factor with the key axis is not one value, but a function of a
/// value of the key, of a value of the query and of values that have neither axis.
bool SiteFinder::FindTerm(Site& site, NodeId dot, std::optional<SiteKind> kind, std::string& why) const {
  const Node& node = graph_[dot];
  const size_t first = Contains(graph_.axes_of(node.inputs[0]), site.key) ? 0 : 1;
  const NodeId term = node.inputs[first];
  if (!ir::IsPointwise(graph_.op(term)) && graph_.op(term) != OpKind::Broadcast) return false;
  AxisList rows;  // what keys and queries have is neither batch nor sum
  for (Axis a : Minus(graph_.axes_of(term), {site.key}))
    if (graph_.axes().IsDynamic(a) || a.root() == site.key.root()) rows.push_back(a);
  if (!kind && rows.empty()) return false;  // the key's side alone
  site.dot = dot;
  site.term = term;
  site.q = site.k = {};
  std::vector<NodeId> leaves;
  for (NodeId input : node.inputs) TermLeaves(input, node.attributes.axes, leaves);
  // The query's side has an axis of the sum's own that the key's side lacks.
  for (NodeId leaf : leaves) {
    if (!Contains(graph_.axes_of(leaf), site.key)) continue;
    if (site.k) return No(why, "its term reads several values of the key");
    site.k = leaf;
  }
  if (!site.k || !ContainsAll(graph_.axes_of(site.k), node.attributes.axes)) return false;
  const AxisList queries = Minus(rows, graph_.axes_of(site.k));
  if (queries.empty()) return kind == SiteKind::kTerm;
  for (NodeId leaf : leaves) {
    if (leaf == site.k || Intersection(graph_.axes_of(leaf), queries).empty()) continue;
    if (site.q) return No(why, "its term reads several values of the query");
    site.q = leaf;
  }
  return site.q && ContainsAll(graph_.axes_of(site.q), node.attributes.axes);
}

/// Values at which the expression of a term ends.
void SiteFinder::TermLeaves(NodeId id, const AxisList& summed, std::vector<NodeId>& leaves) const {
  const Node& node = graph_[id];
  const bool part = (ir::IsPointwise(node.op) && node.type.dtype == DType::Float && node.op != OpKind::Cast &&
                     !Intersection(node.type.axes, summed).empty()) ||
                    node.op == OpKind::Broadcast;
  if (part) {
    for (NodeId input : node.inputs) TermLeaves(input, summed, leaves);
  } else if (node.op != OpKind::Const && std::find(leaves.begin(), leaves.end(), id) == leaves.end()) {
    leaves.push_back(id);
  }
}

/// The axis of queries: a score axis that the keys lack, a dynamic one or the twin of the key axis, the
/// query's own if there are several. Every other axis that the keys lack (query heads that share a key head)
/// is like a batch.
bool SiteFinder::FindQuery(Site& site, std::string& why) const {
  const AxisList rows = Minus(site.score_axes, {site.key});
  const auto rank = [&](Axis a) {
    const bool dynamic = graph_.axes().IsDynamic(a), twin = a.root() == site.key.root();
    if (!dynamic && !twin) return 0;
    return 1 + (dynamic ? 4 : 0) + (site.q && Contains(graph_.axes_of(site.q), a) ? 2 : 0) + (twin ? 1 : 0);
  };
  for (Axis a : Minus(Minus(rows, graph_.axes_of(site.k)), ValueAxes(site)))
    if (rank(a) > (site.query ? rank(site.query) : 0)) site.query = a;
  for (Axis a : rows)
    if (a != site.query && graph_.axes().IsDynamic(a) && Contains(graph_.axes_of(site.k), a) &&
        Contains(graph_.axes_of(site.dot), a) && site.q && !Contains(graph_.axes_of(site.q), a))
      return No(why, "its keys are themselves computed per query: [" + Text(graph_.axes_of(site.k)) + "]");
  return true;
}

void SiteFinder::FindCaptures(Site& site) const {
  Differences differences(graph_, site.query, site.key, [this](NodeId id) { return Varies(id); });
  std::vector<Capture> leaves;
  Leaves(graph_, graph_[site.softmax].inputs[0], site.key, &differences, leaves);
  if (const NodeId mask = ir::MaskOf(graph_[site.softmax]))
    Leaves(graph_, mask, site.key, &differences, leaves);
  for (NodeId factor : site.factors) Leaves(graph_, factor, site.key, &differences, leaves);
  for (NodeId mask : site.extra_masks) Leaves(graph_, mask, site.key, &differences, leaves);
  for (const Capture& leaf : leaves)
    if (leaf.value != site.dot) site.captures.push_back(leaf);
  if (!site.term) return;
  std::vector<NodeId> values;
  for (NodeId input : graph_[site.dot].inputs) TermLeaves(input, graph_[site.dot].attributes.axes, values);
  for (NodeId value : values) {
    const Capture capture{value};
    if (value == site.q || value == site.k) continue;
    if (std::find(site.captures.begin(), site.captures.end(), capture) == site.captures.end())
      site.captures.push_back(capture);
  }
}

/// What the kernel of the back end cannot do, or "". The one place to relax when it learns more.
std::string SiteFinder::KernelSupports(const Site& site) const {
  const AxisList& dots = graph_[site.dot].attributes.axes;
  if (dots.size() != 1) return "its product sums over several axes, [" + Text(dots) + "]";
  if (!Intersection(site.score_axes, dots).empty())
    return "its mask or weights vary along the axis that its product sums over, [" + Text(dots) + "]";
  const AxisList values = Minus(ValueAxes(site), site.score_axes);
  if (values.size() > 1) return "its values have several axes of their own, [" + Text(values) + "]";
  for (Axis a : Minus(site.score_axes, {site.key}))
    if (graph_.axes().IsDynamic(a) && Contains(ValueAxes(site), a) && !Contains(graph_.axes_of(site.k), a))
      return "its values are computed per query";
  if (site.query && !(site.q && Contains(graph_.axes_of(site.q), site.query)))
    return "the query lacks the query axis " + site.query.text();
  if (site.term) {
    for (const Capture& capture : site.captures) {
      const AxisList& axes = graph_.axes_of(capture.value);
      if (!Intersection(axes, dots).empty() && (Contains(axes, site.key) || Contains(axes, site.query)))
        return "its term reads several values of query or key";
    }
  }
  const auto reads_product = [&](NodeId id) {
    std::vector<Capture> leaves;
    if (id) Leaves(graph_, id, site.key, nullptr, leaves);
    return std::find(leaves.begin(), leaves.end(), Capture{site.dot}) != leaves.end();
  };
  if (std::ranges::any_of(site.factors, reads_product))
    return "the factor of its weights depends on the product of query and key";
  if (reads_product(ir::MaskOf(graph_[site.softmax])))
    return "its mask depends on the product of query and key";
  if (!graph_.Output(kLossOutput)) return "";
  const size_t gradients =
      std::ranges::count_if(site.captures, [&](const Capture& capture) { return Varies(capture.value); });
  if (gradients > size_t{kHeedMaxGradients})
    return std::to_string(gradients) + " values beside query and key need a gradient, more than " +
           std::to_string(size_t{kHeedMaxGradients});
  return "";
}

/// "contract of tanh, param": what these values are.
std::string SiteFinder::OpsOf(const std::vector<NodeId>& values) const {
  std::set<std::string> names;
  for (NodeId id : values) names.insert(std::string(ir::Info(graph_.op(id)).name));
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "an output" : text;
}

}  // namespace heed::passes
