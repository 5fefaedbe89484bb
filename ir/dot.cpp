// Drawings: Graphviz source with modules as nested clusters.
//
// A box is an expression (dot_label.h), an edge carries the axes of its value. Layers that stand side by side
// in a stack and are drawn the same way become one cluster marked with their number: the first stands for
// all, and whatever used the last one is drawn as using the first. One statement a line; the same graph
// always gives the same text. Graphviz knows no two graphs in a picture, so each of several becomes a
// cluster, and the names of its nodes and clusters begin with its own.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "ir/dot_label.h"
#include "ir/op.h"
#include "ir/text.h"

namespace heed::ir {
namespace {

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// "h.0.attn" as the steps "h.0", "attn": a number belongs to what it counts.
std::vector<std::string> Steps(const std::string& path) {
  std::vector<std::string> steps;
  for (size_t start = 0; start < path.size();) {
    const size_t end = std::min(path.find('.', start), path.size());
    const std::string part = path.substr(start, end - start);
    if (IsNumber(part) && !steps.empty()) {
      steps.back() += "." + part;
    } else {
      steps.push_back(part);
    }
    start = end + 1;
  }
  return steps;
}

/// "h.0" as ("h", 0); -1 for what is not numbered.
std::pair<std::string, int64_t> Numbered(const std::string& step) {
  const size_t dot = step.rfind('.');
  if (dot == step.npos || !IsNumber(step.substr(dot + 1)) || step.size() - dot > 10) return {step, -1};
  return {step.substr(0, dot), std::stoll(step.substr(dot + 1))};
}

const char* Colour(const Node& node) {
  switch (Info(node.op).family) {
    case Family::Leaf:
      return node.op == OpKind::Param ? "#fff2cc" : "#d5e8d4";
    case Family::Pointwise:
      return "#f5f5f5";
    case Family::Reduce:
      return "#ffe6cc";
    case Family::Contract:
      return "#dae8fc";
    case Family::Axes:
      return "#ffffff";
    case Family::Index:
      return "#e1d5e7";
    case Family::Random:
      return "#e0e0e0";
    case Family::Fused:
      return "#f8cecc";
  }
  return "#ffffff";
}

constexpr const char* kDirection = "rankdir=BT;\n";

/// A module instance of the drawing.
struct Cluster {
  std::string name, path;
  std::string label;
  std::map<std::string, Cluster*> children;
  std::vector<Cluster*> order;  ///< children by first appearance
  std::vector<NodeId> nodes;
};

class Drawing {
 public:
  /// `prefix`: of the names of nodes and clusters; "" if the graph is the whole picture.
  Drawing(const Graph& graph, const DrawOptions& options, std::string prefix = "")
      : graph_(graph),
        options_(options),
        prefix_(std::move(prefix)),
        pieces_(Pieces(graph)),
        stands_for_(Themselves(graph)) {}

  /// What stands between the braces of the graph.
  std::string Body() {
    Collect();
    Place();
    if (!options_.unroll) Fold(root_);
    Enter();
    Keep();
    if (!options_.title.empty()) out_ += "label=\"" + Escaped(options_.title) + "\";\n";
    // A gradient leaves and enters clusters again; Graphviz ranks that only as a whole.
    if (std::any_of(boxes_.begin(), boxes_.end(),
                    [&](NodeId id) { return drawn_[id.value] && graph_[id].adjoint; }))
      out_ += "newrank=true;\n";
    out_ += std::string("labelloc=t;\n") + kDirection + "fontname=\"Helvetica\";\n";
    out_ += "node [shape=box, style=\"filled,rounded\", fontname=\"Helvetica\", fontsize=11, height=0.3];\n";
    out_ += "edge [fontname=\"Helvetica\", fontsize=9, color=\"#666666\", fontcolor=\"#666666\"];\n";
    Write(root_);
    Edges();
    return std::move(out_);
  }

 private:
  /// Every node by its number.
  static std::vector<NodeId> Themselves(const Graph& graph) {
    std::vector<NodeId> nodes(graph.size());
    for (uint32_t i = 0; i < graph.size(); ++i) nodes[i] = NodeId{i};
    return nodes;
  }

  NodeId Drawn(NodeId id) const { return stands_for_[id.value]; }
  std::string Name(NodeId id) const { return prefix_ + "n" + std::to_string(id.value); }

  /// The nodes that get a box: what outputs and other boxes need by an edge.
  void Collect() {
    drawn_.assign(graph_.size(), false);
    std::vector<NodeId> stack;
    for (const auto& [name, value] : graph_.outputs) stack.push_back(Source(graph_, value));
    while (!stack.empty()) {
      const NodeId id = stack.back();
      stack.pop_back();
      if (drawn_[id.value]) continue;
      drawn_[id.value] = true;
      for (const Piece::Operand& operand : pieces_[id.value].operands) stack.push_back(operand.source);
    }
    for (NodeId id : graph_.Order())
      if (drawn_[id.value]) boxes_.push_back(id);
  }

  /// Instance paths; what hangs on no input and no parameter goes where all its users are, for equal layers
  /// share it.
  void Place() {
    std::map<NodeId, std::vector<std::string>> paths;
    std::vector<bool> fixed(graph_.size());  // depends on an input or parameter
    for (NodeId id : graph_.Order()) {
      const Node& node = graph_[id];
      fixed[id.value] = node.op == OpKind::Param || (node.op == OpKind::Input && !pieces_[id.value].leaf);
      for (NodeId input : node.inputs)
        if (fixed[input.value]) fixed[id.value] = true;
    }
    std::map<NodeId, std::vector<std::string>> meeting;
    for (size_t i = boxes_.size(); i-- > 0;) {
      const NodeId id = boxes_[i];
      std::vector<std::string> path = Steps(graph_[id].origin.instance);
      const bool leaf = graph_[id].op == OpKind::Param || graph_[id].op == OpKind::Input;
      if (const auto found = meeting.find(id);
          found != meeting.end() && (!fixed[id.value] || (leaf && path.empty())))
        path = found->second;
      if (graph_[id].op == OpKind::Input) path.clear();
      for (const Piece::Operand& operand : pieces_[id.value].operands) {
        auto [found, fresh] = meeting.try_emplace(operand.source, path);
        if (fresh) continue;
        size_t common = 0;
        while (common < path.size() && common < found->second.size() && path[common] == found->second[common])
          ++common;
        found->second.resize(common);
      }
      paths[id] = std::move(path);
    }
    for (NodeId id : boxes_) {
      Cluster* cluster = &root_;
      for (const std::string& step : paths[id]) {
        Cluster*& child = cluster->children[step];
        if (!child) {
          clusters_.push_back(std::make_unique<Cluster>());
          child = clusters_.back().get();
          child->name = child->label = step;
          child->path = cluster->path.empty() ? step : cluster->path + "." + step;
          cluster->order.push_back(child);
        }
        cluster = child;
      }
      cluster->nodes.push_back(id);
    }
  }

  void AllNodes(const Cluster& cluster, const std::string& below,
                std::vector<std::pair<NodeId, std::string>>& nodes) {
    for (NodeId id : cluster.nodes) nodes.emplace_back(id, below);
    for (const Cluster* child : cluster.order) AllNodes(*child, below + "/" + child->name, nodes);
  }

  /// A text for every box of a layer that is the same in an equal layer, sorted; boxes of equal text in graph
  /// order.
  std::vector<std::pair<std::string, NodeId>> Shape(const Cluster& layer) {
    std::vector<std::pair<NodeId, std::string>> nodes;
    AllNodes(layer, "", nodes);
    std::sort(nodes.begin(), nodes.end());
    std::map<NodeId, size_t> hashes;
    std::vector<std::pair<std::string, NodeId>> shape;
    for (const auto& [id, place] : nodes) {
      const Node& node = graph_[id];
      std::string text = pieces_[id.value].text;
      for (size_t at; (at = text.find(layer.path)) != text.npos;) text.replace(at, layer.path.size(), "*");
      text = place + " " + std::string(Info(node.op).name) + " " + text + " " + ir::Text(node.type);
      for (const Piece::Operand& operand : pieces_[id.value].operands) {
        const auto inside = hashes.find(Drawn(operand.source));
        text += inside == hashes.end() ? " <" : " #" + std::to_string(inside->second);
        text += ir::Text(graph_.type(operand.seen));
      }
      hashes[id] = std::hash<std::string>()(text);
      shape.emplace_back(std::move(text), id);
    }
    std::sort(shape.begin(), shape.end());
    return shape;
  }

  /// Runs of equal layers become their first one; then the same inside what is left.
  void Fold(Cluster& parent) {
    std::map<std::string, std::map<int64_t, Cluster*>> stacks;
    for (Cluster* child : parent.order)
      if (const auto [base, number] = Numbered(child->name); number >= 0) stacks[base][number] = child;
    std::set<Cluster*> gone;
    for (const auto& [base, layers] : stacks) {
      Cluster* first = nullptr;
      std::vector<std::pair<std::string, NodeId>> shape;
      int64_t next = -1, start = 0;
      for (const auto& [number, layer] : layers) {
        auto own = Shape(*layer);
        bool equal = first && number == next && own.size() == shape.size();
        for (size_t i = 0; equal && i < own.size(); ++i) equal = own[i].first == shape[i].first;
        next = number + 1;
        if (!equal) {
          first = layer;
          shape = std::move(own);
          start = number;
          continue;
        }
        for (size_t i = 0; i < own.size(); ++i) {
          stands_for_[own[i].second.value] = shape[i].second;
          runs_[own[i].second].insert(first);
          runs_[shape[i].second].insert(first);
        }
        first->label = base + "." + std::to_string(start) + " \u2026 " + base + "." + std::to_string(number) +
                       "   \u00d7 " + std::to_string(number - start + 1);
        gone.insert(layer);
      }
    }
    std::erase_if(parent.order, [&](Cluster* child) { return gone.count(child) != 0; });
    for (Cluster* child : parent.order) Fold(*child);
  }

  /// Whether both are in layers folded together.
  bool SameRun(NodeId a, NodeId b) const {
    const auto first = runs_.find(a), second = runs_.find(b);
    if (first == runs_.end() || second == runs_.end()) return false;
    return std::any_of(first->second.begin(), first->second.end(),
                       [&](const Cluster* run) { return second->second.count(run) != 0; });
  }

  /// Where the first layer reads what another of its run computes (in a gradient: the next one), some layer
  /// of the run reads a value from outside instead: an edge of its own.
  void Enter() {
    for (NodeId id : boxes_) {
      const NodeId first = Drawn(id);
      if (first == id) continue;
      const auto &own = pieces_[id.value].operands, &other = pieces_[first.value].operands;
      for (size_t i = 0; i < own.size() && i < other.size(); ++i)
        if (!SameRun(own[i].source, id) && SameRun(other[i].source, first) &&
            Drawn(other[i].source) != other[i].source)
          entering_[first].push_back(own[i]);
    }
  }

  std::vector<Piece::Operand> OperandsOf(NodeId id) const {
    std::vector<Piece::Operand> operands = pieces_[id.value].operands;
    if (const auto found = entering_.find(id); found != entering_.end())
      operands.insert(operands.end(), found->second.begin(), found->second.end());
    return operands;
  }

  /// What is left when folded layers and what only they used are gone.
  void Keep() {
    drawn_.assign(graph_.size(), false);
    std::vector<NodeId> stack;
    for (const auto& [name, value] : graph_.outputs) {
      const NodeId id = Source(graph_, value);
      if (Drawn(id) == id || name.find('.') == name.npos) stack.push_back(Drawn(id));
    }
    while (!stack.empty()) {
      const NodeId id = stack.back();
      stack.pop_back();
      if (drawn_[id.value]) continue;
      drawn_[id.value] = true;
      for (const Piece::Operand& operand : OperandsOf(id)) stack.push_back(Drawn(operand.source));
    }
  }

  void Write(const Cluster& cluster) {
    for (NodeId id : cluster.nodes) {
      if (!drawn_[id.value]) continue;
      const Node& node = graph_[id];
      std::string label = pieces_[id.value].text;
      if (node.op == OpKind::Param && label.starts_with(cluster.path + "."))
        label.erase(0, cluster.path.size() + 1);
      if (Info(node.op).family == Family::Leaf && !pieces_[id.value].leaf)
        label += (node.type.dtype == DType::Float
                      ? " ["
                      : ": " + ir::Text(node.type).substr(0, ir::Text(node.type).find('[')) + " [") +
                 ir::Text(node.type.axes) + "]";
      out_ += Name(id) + " [label=\"" + Escaped(label) + "\", fillcolor=\"" + Colour(node) + "\"" +
              (node.op == OpKind::Param ? ", shape=note, style=filled" : "") +
              (node.adjoint ? ", color=\"#b85450\"" : "") + ", tooltip=\"" +
              Escaped(node.origin.where.Text()) + "\"];\n";
    }
    for (const Cluster* child : cluster.order) {
      out_ += "subgraph cluster" + (prefix_.empty() ? "" : "_" + prefix_) + std::to_string(cluster_count_++) +
              " {\n";
      out_ += "label=\"" + Escaped(child->label) +
              "\";\nlabeljust=l;\nlabelloc=t;\nstyle=rounded;\ncolor=\"#999999\";\n";
      out_ += std::string("penwidth=") + (child->label == child->name ? "1" : "2") + ";\n";
      Write(*child);
      out_ += "}\n";
    }
  }

  void Edges() {
    for (NodeId id : boxes_) {
      if (!drawn_[id.value]) continue;
      for (const Piece::Operand& operand : OperandsOf(id))
        Edge(operand, Name(id), Drawn(operand.source) != operand.source && SameRun(operand.source, id));
    }
    size_t number = 0;
    for (const auto& [name, value] : graph_.outputs) {
      const NodeId id = Source(graph_, value);
      if (!drawn_[Drawn(id).value] || (Drawn(id) != id && name.find('.') != name.npos)) continue;
      const std::string output = prefix_ + "o" + std::to_string(number++);
      out_ += output + " [label=\"" + Escaped(name) + "\", shape=ellipse, fillcolor=\"#d5e8d4\"];\n";
      Edge({id, value}, output, false);
    }
  }

  /// `carried`: from one layer of a run to another.
  void Edge(const Piece::Operand& operand, const std::string& user, bool carried) {
    const Type& type = graph_.type(operand.seen);
    std::string label = ir::Text(type.axes);
    if (type.dtype != DType::Float) label = ir::Text(type);
    out_ += Name(Drawn(operand.source)) + " -> " + user + " [label=\"" + Escaped(label) + "\"" +
            (carried ? ", style=dashed, constraint=false" : "") + "];\n";
  }

  const Graph& graph_;
  const DrawOptions& options_;
  std::string prefix_;
  std::vector<Piece> pieces_;
  std::vector<NodeId> stands_for_, boxes_;
  std::map<NodeId, std::set<const Cluster*>> runs_;  ///< of every box in a folded stack, by the first layer
  std::map<NodeId, std::vector<Piece::Operand>> entering_;
  std::vector<bool> drawn_;
  std::vector<std::unique_ptr<Cluster>> clusters_;
  Cluster root_;
  size_t cluster_count_ = 0;
  std::string out_;
};

}  // namespace

std::string Dot(const Graph& graph, const DrawOptions& options) {
  return "digraph heed {\n" + Drawing(graph, options).Body() + "}\n";
}

std::string Dot(const std::vector<Picture>& pictures, bool unroll) {
  if (pictures.size() == 1) return Dot(*pictures[0].graph, {unroll, pictures[0].title});
  std::string joined = std::string("digraph heed {\n") + kDirection;  // counts at the outermost level only
  for (size_t i = 0; i < pictures.size(); ++i) {
    const std::string prefix = "g" + std::to_string(i) + "_";
    const DrawOptions options{unroll, pictures[i].title};
    joined +=
        "subgraph cluster_" + prefix + " {\n" + Drawing(*pictures[i].graph, options, prefix).Body() + "}\n";
  }
  return joined + "}\n";
}

}  // namespace heed::ir
