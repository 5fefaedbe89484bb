// contract[P](softmax[P | mask](score(q @ k, captures)) * weight, v) becomes one attention.
//
// The score may be any pointwise expression around one product of query and key, the mask any expression, and
// a factor after the softmax (dropout, a window that fades) becomes the weight. What is pointwise and carries
// the key axis P, whole numbers, truth values and `keep` go into regions, graphs of their own; other operands
// become captures. Fused before `grad`, an attention is differentiated as one op. The mask gets the length
// masks of all ragged axes of the score: a padded query is not there either, so that what its row holds
// reaches no gradient. Where to fuse is decided once an entry, on one example's graph, because fused and
// plain attention differ in the last bit and all variants must agree. Left alone: tables read at a distance
// become captures of the whole score's size.
#include <algorithm>

#include "ir/text.h"
#include "passes/context.h"
#include "passes/grad.h"

namespace heed::passes {
namespace {

using ir::DType;

/// An attention found in a graph.
struct Site {
  NodeId softmax, weights, sum;  ///< weights: the softmax, or its product with `factor`; sum: the contraction
  NodeId factor;                 ///< none: 1
  NodeId dot, q, k, v;
  Axis key, query;  ///< query: none if there is one query
  AxisList score_axes;
  std::vector<NodeId> extra_masks;  ///< conjuncts of the sum's mask that the softmax lacks
  std::vector<NodeId> captures;
};

bool IsPart(const Node& node, Axis key) {
  if (node.op == OpKind::Keep) return true;
  if (!ir::IsPointwise(node.op) || node.op == OpKind::Stop) return false;
  return Contains(node.type.axes, key) || node.type.dtype != DType::Float;
}

/// Ops that give the number they get: a region passes through them.
bool IsTransparent(const Node& node) { return node.op == OpKind::Broadcast || node.op == OpKind::Element; }

class Finder {
 public:
  explicit Finder(const Graph& graph) : graph_(graph), users_(graph.Users()), varies_(graph.size()) {
    for (const auto& [name, value] : graph.outputs) outputs_.insert(value);
    for (NodeId id : graph.Order()) {
      const Node& node = graph[id];
      bool varies = node.op == OpKind::Param;
      if (ir::Info(node.op).differentiable)
        for (NodeId input : node.inputs) varies = varies || varies_[input.value];
      varies_[id.value] = varies && node.type.dtype == DType::Float;
    }
  }

  /// Softmaxes over positions; others (over a vocabulary, say) are no attention.
  bool IsCandidate(NodeId id) const {
    const Node& node = graph_[id];
    if (node.op != OpKind::Softmax) return false;
    for (Axis a : node.attributes.axes)
      if (graph_.axes().IsDynamic(a) || a.text().find('\'') != std::string::npos) return true;
    return false;
  }

  bool Varies(NodeId id) const { return varies_[id.value]; }

  /// The site of a softmax, or why there is none.
  std::optional<Site> Match(NodeId softmax, std::string& why) const {
    const Node& node = graph_[softmax];
    Site site;
    site.softmax = site.weights = softmax;
    if (node.attributes.axes.size() != 1) return No(why, "it has more than one key axis");
    site.key = node.attributes.axes[0];
    if (!FindSum(site, why)) return std::nullopt;

    std::vector<NodeId> leaves;
    Leaves(node.inputs[0], site.key, leaves);
    if (!FindDot(site, leaves, why)) return std::nullopt;
    if (const NodeId mask = ir::MaskOf(node)) Leaves(mask, site.key, leaves);
    if (site.factor) Leaves(site.factor, site.key, leaves);
    for (NodeId mask : site.extra_masks) Leaves(mask, site.key, leaves);
    for (NodeId leaf : leaves)
      if (leaf != site.dot) site.captures.push_back(leaf);

    site.score_axes = Union(Union(graph_.axes_of(site.dot), node.type.axes), graph_.axes_of(site.weights));
    if (!FindQuery(site, why)) return std::nullopt;
    why = KernelSupports(site);
    if (!why.empty()) return std::nullopt;
    return site;
  }

  /// What goes into the regions stops at leaves: values that are computed outside and captured.
  void Leaves(NodeId id, Axis key, std::vector<NodeId>& leaves) const {
    const Node& node = graph_[id];
    if (IsPart(node, key) || IsTransparent(node)) {
      for (NodeId input : node.inputs) Leaves(input, key, leaves);
    } else if (node.op != OpKind::Const && node.op != OpKind::Positions &&
               std::find(leaves.begin(), leaves.end(), id) == leaves.end()) {
      leaves.push_back(id);
    }
  }

 private:
  static std::nullopt_t No(std::string& why, std::string reason) {
    why = std::move(reason);
    return std::nullopt;
  }

  std::vector<NodeId> Uses(NodeId id) const {
    return outputs_.count(id) ? std::vector<NodeId>{} : users_[id.value];
  }

  /// The one weighted sum that the softmax goes to.
  bool FindSum(Site& site, std::string& why) const {
    std::vector<NodeId> uses = Uses(site.softmax);
    if (uses.size() == 1 && graph_.op(uses[0]) == OpKind::Mul) {
      site.weights = uses[0];
      const Node& product = graph_[site.weights];
      site.factor = product.inputs[product.inputs[0] == site.softmax ? 1 : 0];
      uses = Uses(site.weights);
    }
    if (uses.size() != 1 || graph_.op(uses[0]) != OpKind::Contract ||
        graph_[uses[0]].attributes.axes != AxisList{site.key}) {
      why = "its weights go to " + OpsOf(uses) + ", not to one weighted sum";
      return false;
    }
    site.sum = uses[0];
    const Node& sum = graph_[site.sum];
    site.v = sum.inputs[sum.inputs[0] == site.weights ? 1 : 0];
    if (!Contains(graph_.axes_of(site.v), site.key)) {
      why = "the values lack the key axis";
      return false;
    }
    if (const NodeId mask = ir::MaskOf(sum)) {
      std::vector<NodeId> known;
      if (const NodeId own = ir::MaskOf(graph_[site.softmax])) known = Conjuncts(graph_, own);
      for (NodeId part : Conjuncts(graph_, mask))
        if (std::find(known.begin(), known.end(), part) == known.end()) site.extra_masks.push_back(part);
    }
    return true;
  }

  /// The product of query and key: the one with most axes, if there are several.
  bool FindDot(Site& site, const std::vector<NodeId>& leaves, std::string& why) const {
    for (NodeId leaf : leaves) {
      const Node& node = graph_[leaf];
      if (node.op != OpKind::Contract || node.inputs.size() != 2 || !Contains(node.type.axes, site.key))
        continue;
      const bool first = Contains(graph_.axes_of(node.inputs[0]), site.key);
      if (first == Contains(graph_.axes_of(node.inputs[1]), site.key)) continue;
      if (site.dot && node.type.axes.size() <= graph_.axes_of(site.dot).size()) continue;
      site.dot = leaf;
      site.k = node.inputs[first ? 0 : 1];
      site.q = node.inputs[first ? 1 : 0];
    }
    if (!site.dot)
      why = "its score is no pointwise function of a product of query and key, but of " + OpsOf(leaves);
    return site.dot.operator bool();
  }

  /// The axis of queries: a score axis that the keys lack, a dynamic one or the twin of the key axis. Static
  /// axes that the keys lack (query heads that share a key head) are like a batch.
  bool FindQuery(Site& site, std::string& why) const {
    const AxisList rows = Minus(site.score_axes, {site.key});
    for (Axis a : Minus(rows, graph_.axes_of(site.k))) {
      if (!graph_.axes().IsDynamic(a)) continue;
      if (site.query) {
        why = "it has two query axes, " + site.query.text() + " and " + a.text();
        return false;
      }
      site.query = a;
    }
    if (!site.query)
      for (Axis a : Minus(rows, graph_.axes_of(site.k)))
        if (!site.query && a.root() == site.key.root()) site.query = a;
    for (Axis a : rows)
      if (a != site.query && graph_.axes().IsDynamic(a) && Contains(graph_.axes_of(site.k), a) &&
          Contains(graph_.axes_of(site.dot), a) && !Contains(graph_.axes_of(site.q), a)) {
        why = "its keys are themselves computed per query: [" + Text(graph_.axes_of(site.k)) + "]";
        return false;
      }
    return true;
  }

  /// What the kernel of the back end cannot do, or "". The one place to relax when it learns more.
  std::string KernelSupports(const Site& site) const {
    const AxisList& dots = graph_[site.dot].attributes.axes;
    if (dots.size() != 1) return "its product sums over several axes, [" + Text(dots) + "]";
    const AxisList values = Minus(graph_.axes_of(site.v), site.score_axes);
    if (values.size() > 1) return "its values have several axes of their own, [" + Text(values) + "]";
    if (site.query && Contains(graph_.axes_of(site.v), site.query))
      return "its values are computed per query";
    if (site.query && !Contains(graph_.axes_of(site.q), site.query))
      return "the query lacks the query axis " + site.query.text();
    if (graph_.Output("loss"))
      for (NodeId capture : site.captures)
        if (Varies(capture))
          return "a captured " + std::string(ir::Info(graph_.op(capture)).name) + "[" +
                 Text(graph_.axes_of(capture)) + "] needs a gradient";
    return "";
  }

  /// "contract of tanh, param": what these values are.
  std::string OpsOf(const std::vector<NodeId>& values) const {
    std::set<std::string> names;
    for (NodeId id : values) names.insert(std::string(ir::Info(graph_.op(id)).name));
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? "an output" : text;
  }

  const Graph& graph_;
  const std::vector<std::vector<NodeId>> users_;
  std::set<NodeId> outputs_;
  std::vector<bool> varies_;  ///< floats that depend on a parameter
};

/// Copies expressions of one graph into a region.
class RegionBuilder {
 public:
  RegionBuilder(const Graph& from, const Site& site) : from_(from), region_(from.shared_axes()) {
    Bind(site.dot, "s");
    for (size_t i = 0; i < site.captures.size(); ++i) Bind(site.captures[i], "c" + std::to_string(i));
  }

  NodeId Copy(NodeId id) {
    if (const auto found = map_.find(id); found != map_.end()) return found->second;
    const Node& node = from_[id];
    std::vector<NodeId> inputs;
    for (NodeId input : node.inputs) inputs.push_back(Copy(input));
    const NodeId result = IsTransparent(node) ? inputs[0] : region_.Again(node, std::move(inputs));
    map_.emplace(id, result);
    return result;
  }

  Graph& region() { return region_; }

 private:
  void Bind(NodeId id, const std::string& name) {
    const ir::Type& type = from_.type(id);
    Attributes attributes;
    attributes.axes = type.axes;
    attributes.indexes = type.indexes;
    attributes.dtype = type.dtype;
    attributes.name = name;
    map_.emplace(id, region_.Make(OpKind::Input, {}, attributes));
  }

  const Graph& from_;
  Graph region_;
  std::map<NodeId, NodeId> map_;
};

class Fusion {
 public:
  Fusion(const Graph& graph, Context& context)
      : graph_(graph), source_(graph), context_(context), finder_(graph) {}

  void Add(Site site) { sites_.emplace(site.sum, std::move(site)); }

  Graph Run() {
    std::map<NodeId, NodeId> map;
    return Rebuild(graph_, [&](Graph& copy, NodeId id, const Node& node, const std::vector<NodeId>& inputs) {
      const auto site = sites_.find(id);
      return map[id] = site == sites_.end() ? copy.Again(node, inputs) : Attention(copy, site->second, map);
    });
  }

 private:
  NodeId Attention(Graph& copy, const Site& found, const std::map<NodeId, NodeId>& map) {
    Site site = found;
    NodeId mask = ir::MaskOf(graph_[site.softmax]);
    for (Axis a : site.score_axes) {
      const auto length = source_.ragged.find(a.root());
      if (length == source_.ragged.end() || !source_.axes().IsDynamic(a)) continue;
      const NodeId inside = source_.Pointwise(OpKind::Lt, {source_.Positions(a), length->second});
      std::vector<NodeId> known;
      if (mask) known = Conjuncts(source_, mask);
      if (std::find(known.begin(), known.end(), inside) != known.end()) continue;
      mask = mask ? source_.And(mask, inside) : inside;
      if (std::find(site.captures.begin(), site.captures.end(), length->second) == site.captures.end())
        site.captures.push_back(length->second);
    }
    Attributes attributes;
    attributes.axes = graph_[site.dot].attributes.axes;
    attributes.to = site.score_axes;
    attributes.axis = site.key;
    attributes.captures = static_cast<int64_t>(site.captures.size());
    attributes.regions = Regions(site, mask);
    std::vector<NodeId> inputs;
    for (NodeId id : {site.q, site.k, site.v}) inputs.push_back(map.at(id));
    for (NodeId id : site.captures) inputs.push_back(Mapped(copy, map, id));
    copy.origin = graph_[site.softmax].origin;
    return copy.Make(OpKind::Attention, std::move(inputs), attributes);
  }

  NodeId Mapped(const Graph& copy, const std::map<NodeId, NodeId>& map, NodeId id) const {
    if (const auto found = map.find(id); found != map.end()) return found->second;
    for (const auto& [root, length] : graph_.ragged)
      if (length == id) return copy.ragged.at(root);
    throw InternalError("fuse_attention: a capture comes after its use");
  }

  std::shared_ptr<const ir::AttentionRegions> Regions(const Site& site, NodeId mask) {
    RegionBuilder builder(source_, site);
    Graph& region = builder.region();
    const NodeId score = builder.Copy(graph_[site.softmax].inputs[0]);
    NodeId weight = site.factor ? builder.Copy(site.factor) : region.Const(1);
    for (NodeId part : site.extra_masks) weight = region.Select(builder.Copy(part), weight, region.Const(0));
    region.SetOutput("score", score);
    region.SetOutput("mask", mask ? builder.Copy(mask) : region.ConstBool(true));
    region.SetOutput("weight", weight);
    const Graph forward = Canonicalize(region, context_);
    Graph backward = Gradient(forward, site);
    // Sites with equal regions share them.
    std::shared_ptr<const ir::AttentionRegions>& shared = regions_[ir::Print(forward) + ir::Print(backward)];
    if (!shared)
      shared = std::make_shared<ir::AttentionRegions>(
          ir::AttentionRegions{std::make_shared<Graph>(forward), std::make_shared<Graph>(backward)});
    return shared;
  }

  /// From ds and dw, the cotangents of score and weight, those of the product and of captures that need one.
  Graph Gradient(const Graph& forward, const Site& site) {
    Graph graph = forward;
    const auto input = [&](const char* name) {
      return graph.Make(OpKind::Input, {}, {.axes = site.score_axes, .name = name});
    };
    std::vector<std::pair<NodeId, NodeId>> seeds{{graph.Output("score"), input("ds")}};
    if (site.factor && graph.op(graph.Output("weight")) != OpKind::Const)
      seeds.emplace_back(graph.Output("weight"), input("dw"));
    std::vector<std::pair<std::string, NodeId>> wanted;
    std::vector<NodeId> values;
    for (NodeId id : graph.Order()) {
      const Node& node = graph[id];
      if (node.op != OpKind::Input || node.type.dtype != DType::Float) continue;
      const std::string& name = node.attributes.name;
      if (name != "s" && !finder_.Varies(site.captures[std::stoul(name.substr(1))])) continue;
      wanted.emplace_back(name == "s" ? "dr" : "d" + name, id);
      values.push_back(id);
    }
    const std::map<NodeId, NodeId> cotangents = Backward(graph, seeds, values, false);
    graph.outputs.clear();
    for (const auto& [name, id] : wanted)
      if (const auto d = cotangents.find(id); d != cotangents.end()) graph.SetOutput(name, d->second);
    return Canonicalize(graph, context_);
  }

  const Graph& graph_;
  Graph source_;  // the same and the length masks of queries
  Context& context_;
  const Finder finder_;
  std::map<NodeId, Site> sites_;
  std::map<std::string, std::shared_ptr<const ir::AttentionRegions>> regions_;
};

std::pair<std::string, std::string> SiteName(const Node& node) {
  return {node.origin.instance, node.origin.where};
}

std::string Verdict(const Graph& graph, const Site& site) {
  std::string text =
      "fused over " + site.key.text() + ": product over " + Text(graph[site.dot].attributes.axes);
  for (size_t i = 0; i < site.captures.size(); ++i)
    text += (i ? ", " : "; captures ") + std::string(ir::Info(graph.op(site.captures[i])).name) + "[" +
            Text(graph.axes_of(site.captures[i])) + "]";
  return text + (site.factor ? "; with a weight" : "");
}

}  // namespace

Graph DecideSites(const Graph& graph, Context& context) {
  const PassOptions plain;
  Context scratch{.variant = context.variant, .options = plain};
  const Graph canonical = Canonicalize(graph, scratch);
  const Finder finder(canonical);
  std::set<std::pair<std::string, std::string>> fused, refused;
  for (NodeId id : canonical.Order()) {
    if (!finder.IsCandidate(id)) continue;
    std::string why;
    const std::optional<Site> site = finder.Match(id, why);
    const Node& node = canonical[id];
    (site ? fused : refused).insert(SiteName(node));
    context.Remark(Place(node.origin) + ": " + Call(node) + " " +
                   (site ? Verdict(canonical, *site) : "is not fused: " + why));
  }
  for (const auto& name : refused) fused.erase(name);  // one text, several uses: alike or not at all
  context.sites = std::move(fused);
  return graph;
}

Graph FuseAttention(const Graph& graph, Context& context) {
  const Finder finder(graph);
  Fusion fusion(graph, context);
  for (NodeId id : graph.Order()) {
    if (!finder.IsCandidate(id)) continue;
    const Node& node = graph[id];
    if (context.sites && !context.sites->count(SiteName(node))) continue;
    std::string why;
    const std::optional<Site> site = finder.Match(id, why);
    if (!site) {
      context.Remark(Place(node.origin) + ": " + Call(node) + " is not fused" +
                     (context.sites ? " in this variant: " : ": ") + why);
    } else if (context.Allow()) {
      if (!context.sites)
        context.Remark(Place(node.origin) + ": " + Call(node) + " " + Verdict(graph, *site));
      fusion.Add(*site);
    }
  }
  return fusion.Run();
}

}  // namespace heed::passes
