// From a graph to the model of it: which values get boxes, and in which module each stands.
//
// A box stands in the instance that its value belongs to, and there in the calls of functions that led to it.
// What depends on no input and no parameter is made once for all layers, so it stands where all its users
// are; so do caches. What the entry itself computes, outside the parts of the program, is a module as well.
#include <algorithm>
#include <map>

#include "frontend/drawing/attention_words.h"
#include "frontend/drawing/labels.h"
#include "frontend/drawing/model.h"
#include "frontend/drawing/words.h"
#include "ir/op.h"
#include "runtime/abi_names.h"

namespace heed::drawing {
namespace {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::OpKind;

bool IsNumber(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// "h.0.attn" as the steps "h.0", "attn": a number belongs to what it counts, and so do names before it that
/// are of no instance (parts can be called "model.layers").
std::vector<std::string> Steps(const std::string& path, const frontend::ProgramWords* words) {
  std::vector<std::string> steps;
  std::string step;
  for (size_t start = 0; start < path.size();) {
    const size_t end = std::min(path.find('.', start), path.size());
    const std::string part = path.substr(start, end - start);
    step += (step.empty() ? "" : ".") + part;
    const bool known = words != nullptr && words->modules.count(path.substr(0, end)) != 0;
    if (words == nullptr && IsNumber(part) && !steps.empty()) {
      steps.back() += "." + part;
      step.clear();
    } else if (words == nullptr || known) {
      steps.push_back(step);
      step.clear();
    }
    start = end + 1;
  }
  return steps;
}

Kind KindOf(const Node& node) {
  switch (ir::Info(node.op).family) {
    case ir::Family::Leaf:
      return node.op == OpKind::Param ? Kind::Parameter : Kind::Input;
    case ir::Family::Pointwise:
      return Kind::Pointwise;
    case ir::Family::Reduce:
      return Kind::Reduce;
    case ir::Family::Contract:
      return Kind::Product;
    case ir::Family::Axes:
      return Kind::Axes;
    case ir::Family::Index:
      return Kind::Index;
    case ir::Family::Random:
      return Kind::Random;
    case ir::Family::Fused:
      return Kind::Attention;
  }
  return Kind::Pointwise;
}

class Collector {
 public:
  Collector(const Graph& graph, const frontend::ProgramWords* words, const std::string& title, bool wordy)
      : graph_(graph), words_(words), pieces_(Pieces(graph, wordy)), axes_(graph), box_of_(graph.size(), -1) {
    model_.title = title;
    model_.modules.emplace_back();
  }

  Model Take(const MeasuredGraph* measured) {
    Reach();
    FindPaths();
    for (NodeId id : reached_) MakeBox(id);
    for (NodeId id : reached_)
      for (const Piece::Operand& operand : pieces_[id.value].operands)
        Connect(box_of_[operand.source.value], box_of_[id.value]);
    for (const auto& [name, value] : graph_.outputs) MakeOutput(name, value);
    Pair();
    if (measured != nullptr) Warm(*measured);
    Dissolve();
    CountParameters();
    ListAxes();
    std::vector<int> themselves(model_.boxes.size());
    for (size_t i = 0; i < themselves.size(); ++i) themselves[i] = static_cast<int>(i);
    Unite(model_, themselves);
    Compact(model_);
    return std::move(model_);
  }

 private:
  /// The nodes that get a box: what outputs and other boxes need by a wire.
  void Reach() {
    std::vector<bool> reached(graph_.size());
    std::vector<NodeId> stack;
    for (const auto& [name, value] : graph_.outputs) stack.push_back(Source(graph_, value));
    while (!stack.empty()) {
      const NodeId id = stack.back();
      stack.pop_back();
      if (reached[id.value]) continue;
      reached[id.value] = true;
      for (const Piece::Operand& operand : pieces_[id.value].operands) stack.push_back(operand.source);
    }
    for (NodeId id : graph_.Order())
      if (reached[id.value]) reached_.push_back(id);
  }

  bool IsState(NodeId id) const {
    const std::string& name = graph_[id].attributes.name;
    return graph_.op(id) == OpKind::Input &&
           (name.starts_with(kCachePrefix) || name.starts_with(kFixedPrefix));
  }

  /// The instance each box stands in: its own, or that where all its users are.
  void FindPaths() {
    std::vector<bool> fixed(graph_.size());  // depends on an input or parameter
    for (NodeId id : graph_.Order()) {
      const Node& node = graph_[id];
      fixed[id.value] = node.op == OpKind::Param || (node.op == OpKind::Input && !pieces_[id.value].leaf);
      for (NodeId input : node.inputs)
        if (fixed[input.value]) fixed[id.value] = true;
    }
    std::map<NodeId, std::vector<std::string>> meeting;
    for (size_t i = reached_.size(); i-- > 0;) {
      const NodeId id = reached_[i];
      const bool input = graph_.op(id) == OpKind::Input;
      std::vector<std::string> path = Steps(graph_[id].origin.instance, words_);
      if (input) path.clear();
      const auto users = meeting.find(id);
      if (users != meeting.end() && (IsState(id) || !fixed[id.value])) path = users->second;
      for (const Piece::Operand& operand : pieces_[id.value].operands) {
        auto [found, fresh] = meeting.try_emplace(operand.source, path);
        if (fresh) continue;
        const auto differ =
            std::mismatch(path.begin(), path.end(), found->second.begin(), found->second.end());
        found->second.resize(static_cast<size_t>(differ.second - found->second.begin()));
      }
      paths_[id] = std::move(path);
    }
  }

  int ModuleAt(int parent, const std::string& key, Module module) {
    const auto [found, fresh] =
        module_of_.emplace(std::pair(parent, key), static_cast<int>(model_.modules.size()));
    if (fresh) {
      module.parent = parent;
      model_.modules.push_back(std::move(module));
    }
    return found->second;
  }

  int InstanceModule(const std::vector<std::string>& path) {
    int module = 0;
    std::string so_far;
    for (const std::string& step : path) {
      so_far += (so_far.empty() ? "" : ".") + step;
      Module made;
      made.kind = Module::Kind::Part;
      made.name = step;
      made.path = so_far;
      if (words_ != nullptr)
        if (const auto known = words_->modules.find(so_far); known != words_->modules.end())
          made.class_name = known->second;
      module = ModuleAt(module, step, std::move(made));
    }
    return module;
  }

  /// The calls of functions that led to a value, outermost first, since the last part was called.
  struct Calls {
    std::vector<ir::Place> functions;
    ir::Place part;  ///< nowhere: none was called
  };
  Calls CallsOf(const Node& node) const {
    Calls calls;
    if (words_ == nullptr) return calls;
    for (ir::Place at = node.origin.where.caller(); at; at = at.caller()) {
      const auto found = words_->calls.find(at);
      if (found == words_->calls.end()) continue;
      if (found->second.module) {
        calls.part = at;
        break;
      }
      calls.functions.push_back(at);
    }
    std::reverse(calls.functions.begin(), calls.functions.end());
    return calls;
  }

  int ModuleOf(NodeId id) {
    const Node& node = graph_[id];
    int module = InstanceModule(paths_[id]);
    if (node.op == OpKind::Input) return module;
    const Calls calls = CallsOf(node);
    if (!calls.part && module == 0 && node.origin.where && node.op != OpKind::Param && HasParts()) {
      Module entry;
      entry.kind = Module::Kind::Entry;
      entry.name = graph_.Output(kLossOutput) ? "loss" : "result";
      entry.place = node.origin.where.Text();
      module = ModuleAt(0, "entry", std::move(entry));
    }
    if (calls.part && model_.modules[module].place.empty() &&
        model_.modules[module].path == node.origin.instance) {
      model_.modules[module].place = calls.part.Text();
      if (module == 0) model_.modules[0].class_name = words_->calls.at(calls.part).name;
    }
    for (ir::Place at : calls.functions) {
      Module call;
      call.kind = Module::Kind::Call;
      call.name = words_->calls.at(at).name;
      call.path = model_.modules[module].path;
      call.place = at.Text();
      module = ModuleAt(module, "call " + call.place, std::move(call));
    }
    return module;
  }

  bool HasParts() const { return words_ != nullptr && !words_->modules.empty(); }

  void MakeBox(NodeId id) {
    const Node& node = graph_[id];
    Box box;
    box.node = id;
    box.module = ModuleOf(id);
    box.kind = KindOf(node);
    box.gradient = node.adjoint;
    box.place = node.origin.where.Text();
    box.tip = axes_.WithSizes(node.type);
    const std::string& text = pieces_[id.value].text;
    const bool leaf = ir::Info(node.op).family == ir::Family::Leaf && !pieces_[id.value].leaf;
    box.detail = leaf ? axes_.WithSizes(node.type) : axes_.Text(node.type);
    box.label = DropoutApart(text);
    if (node.op == OpKind::Add) {
      if (const std::string residual = ResidualLabel(text); !residual.empty()) {
        box.kind = Kind::Sum;
        box.label = residual;
      }
    }
    if (box.kind == Kind::Pointwise && text.find(" @") != text.npos) box.kind = Kind::Product;
    if (IsState(id)) {
      const bool cache = node.attributes.name.starts_with(kCachePrefix);
      box.kind = cache ? Kind::Cache : Kind::Input;
      box.label = cache ? "cache" : "fixed";
      box.tip = node.attributes.name + " " + box.tip;
      states_[node.attributes.name] = static_cast<int>(model_.boxes.size());
    }
    if (auto attention = AttentionWordsOf(graph_, id, words_, axes_, text)) {
      for (int module : Path(model_, box.module))
        if (model_.modules[module].path == model_.modules[box.module].path && module != 0 &&
            !model_.modules[module].attention)
          model_.modules[module].attention = attention;
    }
    if (text.find("< |") != text.npos || ir::MaskOf(node)) model_.padding = true;
    box_of_[id.value] = static_cast<int>(model_.boxes.size());
    model_.boxes.push_back(std::move(box));
  }

  void Connect(int from, int to) {
    const bool before = model_.boxes[from].gradient, after = model_.boxes[to].gradient;
    const Wire::Kind kind = before ? Wire::Kind::Gradient : after ? Wire::Kind::Saved : Wire::Kind::Data;
    model_.wires.push_back({from, to, kind, 1});
  }

  void MakeOutput(const std::string& name, NodeId value) {
    const int from = box_of_[Source(graph_, value).value];
    if (const auto state = states_.find(name); state != states_.end()) {
      model_.wires.push_back({from, state->second, Wire::Kind::Carried, 1});
      return;
    }
    Box box;
    box.kind = Kind::Output;
    box.label = name;
    box.tip = name + " " + axes_.WithSizes(graph_.type(value));
    box.gradient = model_.boxes[from].gradient;
    box.place = model_.boxes[from].place;
    const auto is = [&](std::string_view prefix) { return name.starts_with(prefix); };
    if (is(kGradientPrefix)) {
      const std::string parameter = name.substr(kGradientPrefix.size());
      for (const Box& other : model_.boxes)
        if (other.kind == Kind::Parameter && graph_[other.node].attributes.name == parameter) {
          box.module = other.module;
          box.label = std::string(kGradientPrefix) + other.label;
        }
    } else if (is(kCachePrefix) || is(kFixedPrefix) || is(kWeightsPrefix) || is(kCheckPrefix)) {
      box.module = model_.boxes[from].module;
      box.label = is(kCachePrefix)     ? "cache"
                  : is(kFixedPrefix)   ? "fixed"
                  : is(kWeightsPrefix) ? "weights"
                                       : "check";
      if (is(kCachePrefix)) box.kind = Kind::Cache;
      box.detail = axes_.Text(graph_.type(value));
    }
    model_.boxes.push_back(std::move(box));
    Connect(from, static_cast<int>(model_.boxes.size()) - 1);
  }

  /// A gradient stands beside what was written at the same place.
  void Pair() {
    std::map<std::tuple<int, std::string, Kind>, int> forward;
    for (size_t i = 0; i < model_.boxes.size(); ++i) {
      Box& box = model_.boxes[i];
      if (box.place.empty() || box.kind == Kind::Output) continue;
      const std::tuple key(box.module, box.place, box.kind);
      if (!box.gradient) {
        forward.emplace(key, static_cast<int>(i));
      } else if (const auto found = forward.find(key); found != forward.end()) {
        box.pair = found->second;
        forward.erase(found);  // one beside each
      }
    }
  }

  /// Work goes to the box that shows a value: its own, or the first that has it in its text.
  void Warm(const MeasuredGraph& measured) {
    model_.scale = measured.scale;
    std::vector<int> shown_by = box_of_;
    const auto claim = [&](NodeId from, int box) {
      std::vector<NodeId> stack = {from};
      while (!stack.empty()) {
        const NodeId id = stack.back();
        stack.pop_back();
        for (NodeId input : graph_[id].inputs) {
          if (shown_by[input.value] >= 0) continue;
          shown_by[input.value] = box;
          stack.push_back(input);
        }
      }
    };
    for (NodeId id : reached_) claim(id, box_of_[id.value]);
    for (const auto& [name, value] : graph_.outputs) {  // behind renames
      const int box = box_of_[Source(graph_, value).value];
      if (shown_by[value.value] < 0) shown_by[value.value] = box;
      claim(value, box);
    }
    for (const auto& [id, work] : measured.work)
      if (shown_by[id.value] >= 0) model_.boxes[shown_by[id.value]].work.Add(work);
  }

  /// A call that one box shows is no module.
  void Dissolve() {
    for (size_t i = model_.modules.size(); i-- > 1;) {
      const Module& module = model_.modules[i];
      if (module.kind != Module::Kind::Call) continue;
      const auto inside = std::count_if(model_.boxes.begin(), model_.boxes.end(),
                                        [&](const Box& box) { return box.module == static_cast<int>(i); });
      const bool holds = std::any_of(model_.modules.begin(), model_.modules.end(), [&](const Module& other) {
        return other.parent == static_cast<int>(i);
      });
      if (inside != 1 || holds) continue;
      for (Box& box : model_.boxes)
        if (box.module == static_cast<int>(i)) box.module = module.parent;
    }
  }

  void CountParameters() {
    for (const Box& box : model_.boxes) {
      if (box.kind != Kind::Parameter) continue;
      int64_t count = 1;
      for (ir::Axis axis : graph_.axes_of(box.node)) count *= graph_.axes().Bound(axis);
      for (int module : Path(model_, box.module)) model_.modules[module].parameters += count;
    }
    model_.parameters = model_.modules[0].parameters;
  }

  void ListAxes() {
    ir::AxisList all;
    for (NodeId id : reached_) all = ir::Union(all, graph_.axes_of(id));
    ir::AxisList roots;
    for (ir::Axis axis : all) {
      if (graph_.axes().IsLifted(axis)) model_.lifted += (model_.lifted.empty() ? "" : ", ") + axis.text();
      if (axis.text().find('\'') != std::string::npos) model_.twins = true;
      roots = ir::Union(roots, {axis.root()});
    }
    for (ir::Axis axis : axes_.Sorted(roots)) model_.axes.push_back({axis.text(), axes_.Size(axis)});
  }

  const Graph& graph_;
  const frontend::ProgramWords* words_;
  std::vector<Piece> pieces_;
  AxisWriter axes_;
  std::vector<int> box_of_;  ///< by node; -1: none
  std::vector<NodeId> reached_;
  std::map<NodeId, std::vector<std::string>> paths_;
  std::map<std::pair<int, std::string>, int> module_of_;
  std::map<std::string, int> states_;  ///< boxes of inputs that are outputs too, by name
  Model model_;
};

}  // namespace

Model ModelOf(const Graph& graph, const frontend::ProgramWords* words, const std::string& title, bool wordy,
              const MeasuredGraph* measured) {
  return Collector(graph, words, title, wordy).Take(measured);
}

}  // namespace heed::drawing
