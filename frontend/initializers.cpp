// A parameter's uses are followed forward through renames and gathers along its stored axes, with the storage
// axis that stands behind each axis; a contraction ends a use, and so does anything else.
#include "frontend/initializers.h"

#include <algorithm>

#include "ir/op.h"

namespace heed::frontend {
namespace {

using ir::Axis;
using ir::AxisList;
using ir::NodeId;
using ir::OpKind;

struct Use {
  bool contracts = false;
  std::set<Axis> axes;  // storage axes that are contracted
  std::string text;     // "@[model]" or the name of the op
  std::string where;
  AxisList summable;  // of a product with a value that has these of several axes: they may have been meant to
                      // be summed over
};

/// Axis of a value -> storage axis of the parameter.
using Behind = std::map<Axis, Axis>;

void CollectUses(const ir::Graph& graph, const std::vector<std::vector<NodeId>>& users, NodeId id,
                 const Behind& behind, std::vector<Use>& uses) {
  for (NodeId user : users[id.value]) {
    const ir::Node& node = graph[user];
    const auto storage = [&](Axis axis) {
      const auto found = behind.find(axis);
      return found == behind.end() ? axis : found->second;
    };
    if (node.op == OpKind::Rename) {
      Behind next = behind;
      for (auto [from, to] : node.attributes.renames) next.erase(from);
      for (auto [from, to] : node.attributes.renames) next[to] = storage(from);
      CollectUses(graph, users, user, next, uses);
      continue;
    }
    if (node.op == OpKind::Gather && node.inputs[0] == id && node.attributes.axis.stored()) {
      const ir::Node& index = graph[node.inputs[1]];
      if (index.op == OpKind::Positions) {
        Behind next = behind;
        next[index.attributes.axis] = storage(node.attributes.axis);
        CollectUses(graph, users, user, next, uses);
        continue;
      }
    }
    Use use;
    use.where = node.origin.where.WithoutCallers().Text();
    use.text = std::string(ir::Info(node.op).name);
    if (node.op == OpKind::Contract) {
      use.contracts = true;
      AxisList shown;
      for (Axis axis : node.attributes.axes) {
        use.axes.insert(storage(axis));
        shown.push_back(axis.WithoutFresh());
      }
      use.text = "@[" + ir::Text(shown) + "]";
    }
    if (node.op == OpKind::Gather) use.text = "index";
    if (node.op == OpKind::Mul) {
      const AxisList& other = graph.axes_of(node.inputs[node.inputs[0] == id ? 1 : 0]);
      const AxisList& own = graph.axes_of(id);
      if (!ir::ContainsAll(other, own))
        for (Axis axis : ir::Intersection(own, other)) use.summable.push_back(axis.WithoutFresh());
    }
    uses.push_back(std::move(use));
  }
}

}  // namespace

std::vector<Parameter> FinishParameters(const std::vector<std::unique_ptr<ParameterInfo>>& parameters,
                                        const std::vector<std::shared_ptr<const ir::Graph>>& graphs,
                                        const std::vector<std::shared_ptr<const ir::Graph>>& trained,
                                        Diagnostics& diagnostics) {
  std::map<std::string, std::vector<Use>> uses;
  std::set<std::string> reached, in_training;
  for (const auto& graph : graphs) {
    const auto users = graph->Users();
    for (NodeId id : graph->Order()) {
      if (graph->op(id) != OpKind::Param) continue;
      const std::string& name = (*graph)[id].attributes.name;
      reached.insert(name);
      if (std::find(trained.begin(), trained.end(), graph) != trained.end()) in_training.insert(name);
      CollectUses(*graph, users, id, {}, uses[name]);
    }
  }
  std::vector<Parameter> result;
  std::set<std::pair<const SourceFile*, uint32_t>> reported;
  for (const auto& info : parameters) {
    Parameter parameter = info->parameter;
    if (!reached.count(parameter.name)) continue;
    const std::vector<Use>& all = uses[parameter.name];
    if (parameter.init.kind == Initializer::Kind::Missing && info->bind->init == 0) {
      bool agree = !all.empty() && all[0].contracts;
      for (const Use& use : all) agree = agree && use.contracts && use.axes == all[0].axes;
      if (agree) {
        double in = 1, out = 1;
        const ir::AxisTable& table = graphs[0]->axes();
        for (Axis axis : parameter.axes)
          (all[0].axes.count(axis) ? in : out) *= static_cast<double>(table.Bound(axis));
        parameter.init = {Initializer::Kind::Glorot, in, out};
      } else if (in_training.count(parameter.name) &&
                 reported.insert({parameter.loc.file, parameter.loc.offset}).second) {
        std::string how;
        std::set<std::string> seen;
        for (const Use& use : all) {
          if (!seen.insert(use.text + use.where).second || seen.size() > 4) continue;
          how += (how.empty() ? "" : ", ") + use.text + " (" + use.where + ")";
        }
        Diagnostic& d = diagnostics.Report(
            DiagnosticKind::MissingInitializer, parameter.loc,
            "`" + parameter.name +
                "` is trained but has no initial value, and its uses suggest none: " + how);
        for (const Use& use : all) {
          if (use.summable.empty()) continue;
          const std::string axes = ir::Text(use.summable);
          d.notes.push_back("`*` at " + use.where + " multiplies element by element; if a sum over " + axes +
                            " is meant, write `" + info->bind->name.text + " @" +
                            (use.summable.size() == 1 ? axes : "[" + axes + "]") + " ...`");
          break;
        }
        d.notes.push_back("write one, for example `~ normal(0, 0.02)` or `= 0`");
      }
    }
    result.push_back(std::move(parameter));
  }
  return result;
}

}  // namespace heed::frontend
