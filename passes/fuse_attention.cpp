// contract[P](softmax[P | mask](score(q @ k, captures)) * weight, v) becomes one attention, and so does
// logsumexp[P | mask](score): where there is a softmax of the same scores, the second result of its
// attention, else of one without values.
//
// What attention_site.cpp finds gets its regions here: copies of score, mask and weight for one pair, and the
// gradient of score and weight. Fused before `grad`, an attention is differentiated as one op. A constant
// factor of the product moves to the query. The mask gets the length masks of all ragged axes of the score: a
// padded query is not there either, so that what its row holds reaches no gradient. Where to fuse is decided
// once an entry, on one example's graph, because fused and plain attention differ in the last bit and all
// variants must agree.
#include <algorithm>
#include <cmath>
#include <set>

#include "ir/axis_words.h"
#include "ir/text.h"
#include "passes/attention_keys.h"
#include "passes/attention_products.h"
#include "passes/attention_site.h"
#include "passes/attention_tables.h"
#include "passes/context.h"
#include "passes/depend.h"
#include "passes/grad.h"
#include "passes/mask.h"

namespace heed::passes {
namespace {

using ir::DType;

/// Copies expressions of one graph into a region.
class RegionBuilder {
 public:
  RegionBuilder(const Graph& from, const Site& site, bool term) : from_(from), region_(from.shared_axes()) {
    if (term) {
      if (site.q) Bind(site.q, "q");
      Bind(site.k, "k");
    } else {
      Bind(site.dot, "s");
    }
    for (size_t i = 0; i < site.captures.size(); ++i) Bind(site.captures[i].value, "c" + std::to_string(i));
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

/// s * number or s / number where the score reads s in no other way: the query can have the factor instead.
struct Factor {
  OpKind op = OpKind::Mul;
  double number = 1;
};

/// Takes the factor out of the region.
std::optional<Factor> TakeFactor(Graph& region) {
  NodeId s, scaled;
  for (NodeId id : region.Order())
    if (region.op(id) == OpKind::Input && region[id].attributes.name == "s") s = id;
  if (!s) return std::nullopt;
  for (const auto& [name, value] : region.outputs)
    if (value == s) return std::nullopt;
  const std::vector<NodeId> users = region.Users()[s.value];
  if (users.size() != 1) return std::nullopt;
  scaled = users[0];
  const Node& node = region[scaled];
  if (node.op != OpKind::Mul && node.op != OpKind::Div) return std::nullopt;
  const size_t other = node.inputs[0] == s ? 1 : 0;
  const Node& number = region[node.inputs[other]];
  if (number.op != OpKind::Const || (node.op == OpKind::Div && other == 0)) return std::nullopt;
  const Factor factor{node.op, number.attributes.number};
  if (!std::isfinite(factor.number) || factor.number == 0) return std::nullopt;
  const AxisList axes = region.axes_of(s);
  region = Rebuild(region, [&](Graph& copy, NodeId id, const Node&, const std::vector<NodeId>&) {
    return id == scaled ? copy.Make(OpKind::Input, {}, {.axes = axes, .name = "s"}) : NodeId{};
  });
  return factor;
}

class Fusion {
 public:
  Fusion(const Graph& graph, Context& context)
      : graph_(graph), source_(graph), context_(context), finder_(graph) {}

  void Add(Site site) {
    const NodeId result = site.sum ? site.sum : site.softmax;
    sites_.emplace(result, std::move(site));
  }

  Graph Run() {
    const std::vector<NodeId> order = Order();
    ShareKernels(order);
    std::map<NodeId, NodeId> map;
    return Rebuild(
        graph_, order, [&](Graph& copy, NodeId id, const Node& node, const std::vector<NodeId>& inputs) {
          const auto site = sites_.find(id);
          return map[id] =
                     site == sites_.end() ? copy.Again(node, inputs) : Result(copy, id, site->second, map);
        });
  }

 private:
  /// Values and captures as early as may be: a log-sum-exp that comes from the kernel of a softmax needs
  /// them.
  std::vector<NodeId> Order() const {
    std::vector<NodeId> roots;
    for (NodeId id : graph_.Order()) {
      const auto site = sites_.find(id);
      if (site == sites_.end() || !site->second.sum) continue;
      roots.push_back(site->second.v);
      for (const Capture& capture : site->second.captures) roots.push_back(capture.value);
    }
    for (const auto& [name, value] : graph_.outputs) roots.push_back(value);
    return graph_.Order(roots);
  }

  /// Gives each log-sum-exp the site of the softmax of its scores, if that has no more axes and its operands
  /// do not come later, as they must where values depend on the log-sum-exp.
  void ShareKernels(const std::vector<NodeId>& order) {
    std::map<NodeId, size_t> places;
    for (size_t i = 0; i < order.size(); ++i) places[order[i]] = i;
    std::map<NodeId, NodeId> sums;
    for (const auto& [id, site] : sites_)
      if (site.sum) sums.emplace(site.softmax, site.sum);
    for (auto& [id, site] : sites_) {
      if (site.sum) continue;
      const auto sum = sums.find(finder_.SoftmaxOf(id));
      if (sum == sums.end()) continue;
      const Site& whole = sites_.at(sum->second);
      bool shares = whole.score_axes.size() == site.score_axes.size() && places[whole.v] < places[id];
      for (const Capture& capture : whole.captures) shares = shares && places[capture.value] < places[id];
      if (shares) site = whole;
    }
  }

  /// What takes the place of a sum or of a log-sum-exp.
  NodeId Result(Graph& copy, NodeId id, const Site& site, const std::map<NodeId, NodeId>& map) {
    const NodeId name = site.sum ? site.sum : site.softmax;
    auto found = made_.find(name);
    if (found == made_.end()) found = made_.emplace(name, Attention(copy, site, map)).first;
    Attributes attributes = found->second.attributes;
    attributes.index = id == site.sum ? 0 : 1;
    copy.origin = graph_[site.softmax].origin;
    NodeId result = copy.Make(OpKind::Attention, found->second.inputs, attributes);
    if (id == site.sum)
      for (NodeId scale : site.scales) result = copy.Mul(result, map.at(scale));
    return result;
  }

  struct Made {
    std::vector<NodeId> inputs;
    Attributes attributes;
  };

  Made Attention(Graph& copy, const Site& found, const std::map<NodeId, NodeId>& map) {
    Site site = found;
    const NodeId own_mask = ir::MaskOf(graph_[site.softmax]);
    NodeId mask = own_mask;
    for (Axis a : site.score_axes) {
      const auto length = source_.ragged.find(a.root());
      if (length == source_.ragged.end() || !source_.axes().IsDynamic(a)) continue;
      const NodeId inside = source_.Pointwise(OpKind::Lt, {source_.Positions(a), length->second});
      std::vector<NodeId> known;
      if (mask) known = Conjuncts(source_, mask);
      if (std::find(known.begin(), known.end(), inside) != known.end()) continue;
      mask = mask ? source_.And(mask, inside) : inside;
      const Capture capture{length->second};
      if (std::find(site.captures.begin(), site.captures.end(), capture) == site.captures.end())
        site.captures.push_back(capture);
    }
    Attributes attributes;
    attributes.axes = graph_[site.dot].attributes.axes;
    attributes.to = site.score_axes;
    attributes.axis = site.key;
    attributes.query = site.query;
    attributes.captures = static_cast<int64_t>(site.captures.size());
    std::vector<Factor> factors;
    attributes.regions = Regions(site, mask, factors);
    // They may lack an axis of the product, along which they do not vary, and be whole numbers.
    const auto operand = [&](NodeId id, const AxisList& axes) {
      NodeId value = id ? map.at(id) : copy.Const(0);
      if (copy.type(value).dtype != DType::Float) value = copy.Pointwise(OpKind::Cast, {value});
      return copy.Broadcast(value, axes);
    };
    std::vector<NodeId> inputs = {operand(site.q, attributes.axes), operand(site.k, attributes.axes),
                                  operand(site.v, {site.key})};
    for (const Capture& capture : site.captures)
      inputs.push_back(capture.table ? Table(copy, site, capture.value, own_mask, map)
                                     : Mapped(copy, map, capture.value));
    copy.origin = graph_[site.softmax].origin;
    for (const Factor& factor : factors)
      inputs[0] = copy.Pointwise(factor.op, {inputs[0], copy.Const(factor.number)});
    return {std::move(inputs), attributes};
  }

  NodeId Mapped(const Graph& copy, const std::map<NodeId, NodeId>& map, NodeId id) const {
    if (const auto found = map.find(id); found != map.end()) return found->second;
    for (const auto& [root, length] : graph_.ragged)
      if (length == id) return copy.ragged.at(root);
    throw InternalError("fuse_attention: a capture comes after its use");
  }

  NodeId Table(Graph& copy, const Site& site, NodeId value, NodeId mask,
               const std::map<NodeId, NodeId>& map) {
    double least = -kUnbounded, most = kUnbounded;
    const NodeId query = FindPositions(graph_, site.query), key = FindPositions(graph_, site.key);
    if (mask && query && key) {
      most = Sup(graph_, mask, key, query);
      least = -Sup(graph_, mask, query, key);
    }
    Differences differences(graph_, site.query, site.key, [this](NodeId id) { return finder_.Varies(id); });
    return differences.MakeTable(copy, value, [&](NodeId id) { return Mapped(copy, map, id); }, least, most);
  }

  std::shared_ptr<const ir::AttentionRegions> Regions(const Site& site, NodeId mask,
                                                      std::vector<Factor>& factors) {
    RegionBuilder builder(source_, site, false);
    Graph& region = builder.region();
    const NodeId score = builder.Copy(graph_[site.softmax].inputs[0]);
    NodeId weight = region.Const(1);
    for (size_t i = 0; i < site.factors.size(); ++i) {
      const NodeId factor = builder.Copy(site.factors[i]);
      weight = i == 0 ? factor : region.Mul(weight, factor);
    }
    for (NodeId part : site.extra_masks) weight = region.Select(builder.Copy(part), weight, region.Const(0));
    region.SetOutput("score", score);
    region.SetOutput("mask", mask ? builder.Copy(mask) : region.ConstBool(true));
    region.SetOutput("weight", weight);
    Graph forward = Canonicalize(region, context_);
    if (!site.term)
      while (const std::optional<Factor> factor = TakeFactor(forward)) factors.push_back(*factor);
    ir::AttentionRegions regions;
    regions.score = std::make_shared<Graph>(forward);
    regions.gradient = std::make_shared<Graph>(Gradient(forward, site));
    if (site.term) {
      const Graph term = Term(site);
      regions.term = std::make_shared<Graph>(term);
      regions.term_gradient = std::make_shared<Graph>(TermGradient(term, site));
    }
    // Sites with equal regions share them.
    std::string text;
    for (const auto* graph : {&regions.score, &regions.gradient, &regions.term, &regions.term_gradient})
      if (*graph) text += ir::Print(**graph);
    std::shared_ptr<const ir::AttentionRegions>& shared = regions_[text];
    if (!shared) shared = std::make_shared<ir::AttentionRegions>(std::move(regions));
    return shared;
  }

  /// One term of the sum over query and key.
  Graph Term(const Site& site) {
    RegionBuilder builder(source_, site, true);
    Graph& region = builder.region();
    const Node& sum = graph_[site.dot];
    region.SetOutput("term", region.Mul(builder.Copy(sum.inputs[0]), builder.Copy(sum.inputs[1])));
    return Canonicalize(region, context_);
  }

  /// From ds, the cotangent of the sum, those of q, k and captures.
  Graph TermGradient(const Graph& term, const Site& site) {
    Graph graph = term;
    const NodeId ds = graph.Make(OpKind::Input, {}, {.axes = site.score_axes, .name = "ds"});
    return Cotangents(graph, {{graph.Output("term"), ds}}, site);
  }

  /// From ds and dw, the cotangents of score and weight, those of the product and of captures that need one.
  Graph Gradient(const Graph& forward, const Site& site) {
    Graph graph = forward;
    const auto input = [&](const char* name) {
      return graph.Make(OpKind::Input, {}, {.axes = site.score_axes, .name = name});
    };
    std::vector<std::pair<NodeId, NodeId>> seeds{{graph.Output("score"), input("ds")}};
    if (graph.op(graph.Output("weight")) != OpKind::Const)
      seeds.emplace_back(graph.Output("weight"), input("dw"));
    return Cotangents(graph, seeds, site);
  }

  /// The cotangents of a region's inputs: of s ("dr"), q, k and captures that need one ("dq", "dk", "dc0"
  /// ...).
  Graph Cotangents(Graph& graph, const std::vector<std::pair<NodeId, NodeId>>& seeds, const Site& site) {
    std::vector<std::pair<std::string, NodeId>> wanted;
    std::vector<NodeId> values;
    for (NodeId id : graph.Order()) {
      const Node& node = graph[id];
      if (node.op != OpKind::Input || node.type.dtype != DType::Float) continue;
      const std::string& name = node.attributes.name;
      if (name[0] == 'c' && !finder_.Varies(site.captures[std::stoul(name.substr(1))].value)) continue;
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
  const SiteFinder finder_;
  std::map<NodeId, Site> sites_;  ///< by the sum or log-sum-exp that they are
  std::map<NodeId, Made> made_;
  std::map<std::string, std::shared_ptr<const ir::AttentionRegions>> regions_;
};

std::string Verdict(const Graph& graph, const Site& site) {
  std::string text = "fused over " + ir::Spoken(site.key) + (site.term ? ": sum over " : ": product over ") +
                     ir::Spoken(graph[site.dot].attributes.axes);
  for (size_t i = 0; i < site.captures.size(); ++i) {
    const NodeId value = site.captures[i].value;
    AxisList axes = graph.axes_of(value);
    if (site.captures[i].table) axes = Union(Minus(axes, {site.query, site.key}), {site.query.Difference()});
    text += (i ? ", " : "; captures ") + std::string(ir::Info(graph.op(value)).name) + "[" +
            ir::Spoken(axes) + "]";
  }
  return text + (site.factors.empty() ? "" : "; with a weight");
}

/// Of one example's graph of a generate entry: what a step of decoding does not compute but is given by the
/// prefill.
class HandedOver {
 public:
  explicit HandedOver(const Graph& graph) : graph_(graph) {
    if (graph.generate) dependence_ = AnalyzeCausality(graph).dependence;
  }
  /// The step would be given the score and make the sum itself: half an attention, that adds in another
  /// order.
  bool Splits(const Site& site) const {
    return !dependence_.empty() && site.sum && IsGiven(site.dot) && !IsGiven(site.sum);
  }

 private:
  bool IsGiven(NodeId id) const {
    const Axis growing = graph_.generate->axis.root();
    return dependence_[id.value] == Dependence::None &&
           std::ranges::none_of(graph_.axes_of(id), [&](Axis axis) {
             return axis.root() == growing && graph_.axes().IsDynamic(axis);
           });
  }

  const Graph& graph_;
  std::vector<Dependence> dependence_;
};

/// Attentions with one product and one key axis each.
Graph OneProductAndKey(const Graph& graph, const std::function<bool(const Node&)>& of) {
  return JoinProducts(MergeKeys(graph, of), of);
}

}  // namespace

Graph DecideSites(const Graph& graph, Context& context) {
  const PassOptions plain;
  Context scratch{.variant = context.variant, .options = plain};
  const Graph canonical = OneProductAndKey(Canonicalize(graph, scratch), [](const Node&) { return true; });
  const SiteFinder finder(canonical);
  const HandedOver handed_over(canonical);
  std::map<SiteName, SiteKind> fused;
  std::set<SiteName> refused;
  const auto decide = [&](NodeId id) {
    std::string why;
    std::optional<Site> site = finder.Match(id, {}, why);
    const Node& node = canonical[id];
    if (site && handed_over.Splits(*site)) {
      why = "a step of decoding is given its weights, which do not grow, and makes the sum of what does";
      site.reset();
    }
    if (site)
      fused.emplace(NameOf(node), site->term ? SiteKind::kTerm : SiteKind::kProduct);
    else
      refused.insert(NameOf(node));
    context.Remark(node.origin,
                   Call(node) + " " + (site ? Verdict(canonical, *site) : "is not fused: " + why));
  };
  const std::vector<NodeId> order = canonical.Order();
  for (NodeId id : order) {
    const Node& node = canonical[id];
    if (!finder.IsCandidate(id)) {
      if (const std::string loop = finder.Loop(id); !loop.empty())
        context.Remark(node.origin, Call(node) + " " + loop);
    } else if (node.op == OpKind::Softmax) {
      decide(id);
    }
  }
  for (const SiteName& name : refused) fused.erase(name);  // one text, several uses: all or none
  // Beside a softmax of the same scores, a log-sum-exp is computed as that is.
  for (NodeId id : order) {
    const Node& node = canonical[id];
    if (!finder.IsCandidate(id) || node.op != OpKind::LogSumExp) continue;
    const NodeId softmax = finder.SoftmaxOf(id);
    if (!softmax) {
      decide(id);
      continue;
    }
    const Node& other = canonical[softmax];
    const auto found = fused.find(NameOf(other));
    if (found != fused.end())
      fused.emplace(NameOf(node), found->second);
    else
      refused.insert(NameOf(node));
    if (node.origin != other.origin)
      context.Remark(node.origin, Call(node) + (found != fused.end() ? " is fused" : " is not fused") +
                                      ", as the softmax of the same scores, " + other.origin.where.Text());
  }
  for (const SiteName& name : refused) fused.erase(name);
  context.sites = std::move(fused);
  return graph;
}

Graph FuseAttention(const Graph& whole, Context& context) {
  const Graph graph = OneProductAndKey(
      whole, [&](const Node& node) { return !context.sites || context.sites->count(NameOf(node)) != 0; });
  const SiteFinder finder(graph);
  Fusion fusion(graph, context);
  for (NodeId id : graph.Order()) {
    if (!finder.IsCandidate(id)) continue;
    const Node& node = graph[id];
    std::optional<SiteKind> kind;
    if (context.sites) {
      const auto decided = context.sites->find(NameOf(node));
      if (decided == context.sites->end()) continue;
      kind = decided->second;
    }
    std::string why;
    const std::optional<Site> site = finder.Match(id, kind, why);
    if (!site) {
      context.Remark(node.origin,
                     Call(node) + " is not fused" + (context.sites ? " in this variant: " : ": ") + why);
    } else if (context.Allow("an attention is fused", node.origin)) {
      if (!context.sites) context.Remark(node.origin, Call(node) + " " + Verdict(graph, *site));
      fusion.Add(*site);
    }
  }
  return fusion.Run();
}

}  // namespace heed::passes
