// The joined operands are copies, key rows with all they had apart: a step of decoding makes them of its
// caches anew. Left alone: sums whose products are inside functions of their own, products of keys that are
// computed per query, and products with a mask.
#include "passes/attention_products.h"

#include <algorithm>
#include <set>

#include "ir/op.h"
#include "passes/attention_site.h"

namespace heed::passes {
namespace {

/// A term is multiplied or divided by a value without the key axis, or negated.
struct Scale {
  OpKind op;
  NodeId by;  ///< none: negated
};
struct Term {
  NodeId value;
  std::vector<Scale> scales;  ///< in the order in which they apply
};

/// The sum of several products that a score is a function of.
class Products {
 public:
  Products(const Graph& graph, NodeId score, Axis key) : graph_(graph), key_(key) {
    sum_ = FindSum(score);
    if (!sum_) return;
    std::set<NodeId> different;
    bool complete = Flatten(sum_, {});
    for (const Term& product : products_) complete = different.insert(product.value).second && complete;
    if (!complete || products_.size() < 2) sum_ = {};
  }

  NodeId sum() const { return sum_; }  ///< none: no such sum
  const std::vector<Term>& products() const { return products_; }
  const std::vector<Term>& others() const { return others_; }
  Axis key() const { return key_; }

 private:
  /// A product over one static axis of something without the key axis and of keys that are the same for all
  /// queries.
  bool IsProduct(NodeId id) const {
    const Node& node = graph_[id];
    if (node.op != OpKind::Contract || node.inputs.size() != 2 || node.attributes.axes.size() != 1 ||
        graph_.axes().IsDynamic(node.attributes.axes[0]))
      return false;
    const bool first = Contains(graph_.axes_of(node.inputs[0]), key_);
    if (first == Contains(graph_.axes_of(node.inputs[1]), key_)) return false;
    return std::ranges::none_of(graph_.axes_of(node.inputs[first ? 0 : 1]), [&](Axis axis) {
      return axis != key_ && (graph_.axes().IsDynamic(axis) || axis.root() == key_.root());
    });
  }

  bool HasProduct(NodeId id) {
    const auto [known, fresh] = has_product_.try_emplace(id, false);
    if (!fresh) return known->second;
    const Node& node = graph_[id];
    bool has = IsProduct(id);
    if (!has && (IsRegionPart(node, key_) || IsTransparent(node)))
      has = std::ranges::any_of(node.inputs, [&](NodeId input) { return HasProduct(input); });
    return has_product_[id] = has;
  }

  /// The first value, from the score down, of which several operands have products.
  NodeId FindSum(NodeId at) {
    while (HasProduct(at) && !IsProduct(at)) {
      std::set<NodeId> with;
      for (NodeId input : graph_[at].inputs)
        if (HasProduct(input)) with.insert(input);
      if (with.size() > 1) return at;
      at = *with.begin();
    }
    return {};
  }

  bool Flatten(NodeId id, std::vector<Scale> scales) {
    const Node& node = graph_[id];
    if (!HasProduct(id) || IsProduct(id)) {
      (IsProduct(id) ? products_ : others_).push_back({id, std::move(scales)});
      return true;
    }
    const auto scaled = [&](size_t what, Scale scale) {
      std::vector<Scale> all{scale};
      all.insert(all.end(), scales.begin(), scales.end());
      return Flatten(node.inputs[what], std::move(all));
    };
    const auto is_scale = [&](size_t i) {
      return !HasProduct(node.inputs[i]) && !Contains(graph_.axes_of(node.inputs[i]), key_);
    };
    switch (node.op) {
      case OpKind::Broadcast:
        return Flatten(node.inputs[0], std::move(scales));
      case OpKind::Add:
        return Flatten(node.inputs[0], scales) && Flatten(node.inputs[1], scales);
      case OpKind::Sub:
        return Flatten(node.inputs[0], scales) && scaled(1, {OpKind::Neg, {}});
      case OpKind::Neg:
        return scaled(0, {OpKind::Neg, {}});
      case OpKind::Mul:
        for (size_t i : {0, 1})
          if (is_scale(1 - i)) return scaled(i, {OpKind::Mul, node.inputs[1 - i]});
        return false;
      case OpKind::Div:
        return is_scale(1) && scaled(0, {OpKind::Div, node.inputs[1]});
      default:
        return false;
    }
  }

  const Graph& graph_;
  const Axis key_;
  NodeId sum_;
  std::vector<Term> products_, others_;
  std::map<NodeId, bool> has_product_;
};

/// Makes the one product in the copy; `map`: what values of the graph are there.
class Joining {
 public:
  Joining(const Graph& graph, Graph& copy, const std::map<NodeId, NodeId>& map)
      : graph_(graph), copy_(copy), map_(map) {}

  NodeId Make(const Products& sum, Axis whole) {
    std::vector<NodeId> queries, keys;
    AxisList parts;
    for (const Term& term : sum.products()) {
      const Node& product = graph_[term.value];
      const size_t key = Contains(graph_.axes_of(product.inputs[0]), sum.key()) ? 0 : 1;
      parts.push_back(product.attributes.axes[0]);
      queries.push_back(Scaled({product.inputs[1 - key], term.scales}));
      keys.push_back(map_.at(product.inputs[key]));
    }
    NodeId result = copy_.Contract(Join(queries, parts, whole), Join(keys, parts, whole), {whole});
    for (const Term& term : sum.others()) result = copy_.Add(result, Scaled(term));
    return copy_.Broadcast(result, graph_.axes_of(sum.sum()));
  }

 private:
  NodeId Scaled(const Term& term) {
    NodeId value = map_.at(term.value);
    for (const Scale& scale : term.scales)
      value = copy_.Pointwise(
          scale.op, scale.by ? std::vector<NodeId>{value, map_.at(scale.by)} : std::vector<NodeId>{value});
    return value;
  }

  /// Values end to end, each along its own part.
  NodeId Join(const std::vector<NodeId>& values, const AxisList& parts, Axis whole) {
    const NodeId place = copy_.Positions(whole);
    NodeId result;
    int64_t end = copy_.axes().Bound(whole);
    for (size_t i = values.size(); i-- > 0;) {
      const int64_t begin = end - copy_.axes().Bound(parts[i]);
      const NodeId index = copy_.Make(OpKind::Element, {copy_.Sub(place, copy_.ConstInt(begin))},
                                      {.indexes = parts[i].root()});
      NodeId value = copy_.Broadcast(values[i], {parts[i]});
      if (copy_.type(value).dtype != ir::DType::Float) value = copy_.Pointwise(OpKind::Cast, {value});
      const NodeId read = copy_.Make(OpKind::Gather, {value, index}, {.axis = parts[i]});
      const NodeId earlier = copy_.Pointwise(OpKind::Lt, {place, copy_.ConstInt(end)});
      result = result ? copy_.Select(earlier, read, result) : read;
      end = begin;
    }
    return result;
  }

  const Graph& graph_;
  Graph& copy_;
  const std::map<NodeId, NodeId>& map_;
};

}  // namespace

Graph JoinProducts(const Graph& graph, const std::function<bool(const Node&)>& joins) {
  std::map<NodeId, std::pair<Products, Axis>> sums;
  auto axes = std::make_shared<ir::AxisTable>(graph.axes());
  for (NodeId id : graph.Order()) {
    const Node& node = graph[id];
    if ((node.op != OpKind::Softmax && node.op != OpKind::LogSumExp) || node.attributes.axes.size() != 1 ||
        !joins(node))
      continue;
    Products products(graph, node.inputs[0], node.attributes.axes[0]);
    if (!products.sum() || sums.count(products.sum())) continue;
    std::string name;
    int64_t size = 0;
    for (const Term& term : products.products()) {
      const Axis part = graph[term.value].attributes.axes[0];
      name += (name.empty() ? "" : "+") + part.root().text();
      size += graph.axes().Bound(part);
    }
    axes->Set(Axis(name), {.size = size});
    const NodeId sum = products.sum();
    sums.emplace(sum, std::pair(std::move(products), Axis(name)));
  }
  if (sums.empty()) return graph;
  Graph joined(axes);
  std::map<NodeId, NodeId> map;
  RebuildInto(joined, graph,
              [&](Graph& copy, NodeId id, const Node& node, const std::vector<NodeId>& inputs) -> NodeId {
                const auto sum = sums.find(id);
                return map[id] = sum == sums.end()
                                     ? copy.Again(node, inputs)
                                     : Joining(graph, copy, map).Make(sum->second.first, sum->second.second);
              });
  return joined;
}

}  // namespace heed::passes
