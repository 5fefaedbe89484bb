// Attention that can be looked at: of an entry, keeps the weights of every softmax over positions (and of
// every log_softmax, from which positions are drawn).
//
// Fused attention never has the weights of all pairs, and what needs them is a picture, not a model. So they
// are computed by a graph of their own, in which nothing is fused and from which everything that only later
// values need is gone. An output is called w.SITE[KEY]: the instance that attends (`enc.0.att`) and the axis
// of its keys. Two softmaxes of one instance, or one outside all instances, have their place in the text in
// the name: `att@12:7`. Left alone: softmaxes over several axes at once, and what happens to the weights
// afterwards (dropout, a factor, an argmax).
#include "passes/attention_weights.h"

#include <algorithm>
#include <map>
#include <set>

#include "passes/context.h"
#include "runtime/abi_names.h"

namespace heed::passes {
namespace {

/// Over positions, or over the elements of a static axis that attend to each other; not over a vocabulary.
bool IsSite(const Graph& graph, const Node& node) {
  if (!ir::IsSoftmax(node.op) || node.attributes.axes.size() != 1) return false;
  const Axis key = node.attributes.axes[0];
  return graph.axes().IsDynamic(key) || std::ranges::any_of(node.type.axes, [&](Axis query) {
           return query != key && query.root() == key.root();
         });
}

/// The number in the graph as the front end made it, statement by statement, of each place's first softmax.
std::map<ir::Origin, uint32_t> FirstNumbers(const Graph& graph) {
  std::map<ir::Origin, uint32_t> numbers;
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const Node& node = graph[NodeId{i}];
    if (ir::IsSoftmax(node.op)) numbers.try_emplace(node.origin, i);
  }
  return numbers;
}

/// "12:7": where the program, not the prelude, asks for the softmax; in an imported file "layers.heed:12:7".
std::string PlaceInProgram(ir::Place place) {
  const std::string_view own = place.Outermost().file();
  while (place.file() == ir::kPreludeFile && place.caller()) place = place.caller();
  if (place.line() == 0) return std::string(place.file());
  return (place.file() == own ? "" : std::string(place.file()) + ":") + std::to_string(place.line()) + ":" +
         std::to_string(place.column());
}

/// Different names for all sites.
std::vector<std::string> Names(const Graph& graph, const std::vector<NodeId>& sites) {
  std::map<std::string, int> instances;
  for (NodeId id : sites) ++instances[graph[id].origin.instance];
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (NodeId id : sites) {
    const ir::Origin& origin = graph[id].origin;
    std::string name = origin.instance;
    if (name.empty() || instances[name] > 1) name += "@" + PlaceInProgram(origin.where);
    const std::string base = name;
    for (int number = 2; !taken.insert(name).second; ++number) name = base + "#" + std::to_string(number);
    names.push_back(name);
  }
  return names;
}

}  // namespace

Graph AttentionWeights(const Graph& graph, Context& context) {
  // After the rules, so that what no value needs is no site.
  Graph result = Canonicalize(graph, context);
  std::vector<NodeId> sites;
  for (NodeId id : result.Order())
    if (IsSite(result, result[id])) sites.push_back(id);
  const auto numbers = FirstNumbers(graph);
  const auto place = [&](NodeId id) {
    const auto found = numbers.find(result[id].origin);
    return found == numbers.end() ? UINT32_MAX : found->second;
  };
  std::stable_sort(sites.begin(), sites.end(), [&](NodeId a, NodeId b) { return place(a) < place(b); });
  // A softmax and a log_softmax of the same scores are one site.
  std::vector<NodeId> weights;
  for (NodeId id : sites) {
    result.origin = result[id].origin;
    const AxisList axes = result[id].attributes.axes;
    const NodeId softmax = result.Make(OpKind::Softmax, result[id].inputs, {.axes = axes});
    if (std::find(weights.begin(), weights.end(), softmax) == weights.end()) weights.push_back(softmax);
  }
  const std::vector<std::string> names = Names(result, weights);
  result.outputs.clear();
  for (size_t i = 0; i < weights.size(); ++i) {
    const Axis key = result[weights[i]].attributes.axes[0];
    result.SetOutput(std::string(kWeightsPrefix) + names[i] + "[" + key.text() + "]", weights[i]);
  }
  result.origin = {};
  return result;
}

AxisList OrderOfWeights(const Graph& graph, const std::string& name, NodeId weights) {
  const size_t begin = name.rfind('[');
  const Axis key(name.substr(begin + 1, name.size() - begin - 2));
  AxisList lifted, heads, rows;
  for (Axis axis : Minus(graph.axes_of(weights), {key}))
    (graph.axes().IsLifted(axis) ? lifted : graph.axes().IsDynamic(axis) ? rows : heads).push_back(axis);
  return Union(Union(lifted, heads), Union(rows, {key}));
}

bool TakesTexts(const Graph& graph) {
  std::set<Axis> axes;
  for (NodeId id : graph.Order()) {
    const Node& node = graph[id];
    if (node.op != OpKind::Input || node.attributes.name.starts_with(kLengthPrefix)) continue;
    AxisList own;
    for (Axis axis : node.type.axes)
      if (!graph.axes().IsLifted(axis)) own.push_back(axis);
    const Axis of = node.type.indexes;
    if (node.type.dtype != ir::DType::Int || !of || own.size() != 1 || !graph.axes().IsDynamic(own[0]))
      return false;
    const ir::Extent& vocabulary = graph.axes().Of(of);
    if (vocabulary.kind != ir::Extent::Kind::Static || !vocabulary.enumerators.empty()) return false;
    if (!axes.insert(own[0]).second) return false;
  }
  return !axes.empty();
}

}  // namespace heed::passes
