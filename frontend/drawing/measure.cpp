// From steps of a profile to values of a graph. A step names its value by op, instance, place and whether it
// belongs to the gradient. Plans take some ops apart (a softmax): what comes of one has its place, so where
// no op of the name is, the last value of the place stands for all.
#include <map>
#include <tuple>

#include "frontend/drawing/profile.h"
#include "ir/op.h"

namespace heed::drawing {
namespace {

using Spot = std::tuple<std::string, std::string, bool>;  // instance, place, gradient

std::string Words(const ProfiledStep& step) {
  const std::string place = step.where.empty() ? "" : " at " + step.where.substr(0, step.where.find(" < "));
  const std::string op = (step.gradient ? "gradient of `" : "`") + step.op + "`";
  return op + place + (step.instance.empty() ? "" : " in `" + step.instance + "`");
}

}  // namespace

Result<MeasuredGraph> Measure(const ir::Graph& graph, const ProfiledFunction& function) {
  std::map<Spot, ir::NodeId> at;
  std::map<std::pair<Spot, std::string_view>, ir::NodeId> exactly;
  for (const ir::NodeId id : graph.Order()) {
    const ir::Node& node = graph[id];
    const Spot spot(node.origin.instance, node.origin.where.Text(), node.adjoint);
    at[spot] = id;
    exactly.emplace(std::pair(spot, ir::Info(node.op).name), id);
  }
  MeasuredGraph measured{function.scale, {}};
  for (const ProfiledStep& step : function.steps) {
    const Spot spot(step.instance, step.where, step.gradient);
    const auto found = at.find(spot);
    if (found == at.end()) {
      return Error{"has a step for the " + Words(step) + ", where `" + function.variant + "/" +
                   function.entry +
                   "` of this program has none: the profile is of another program, or of an earlier text of "
                   "this one; build and profile again"};
    }
    const auto same = exactly.find(std::pair(spot, std::string_view(step.op)));
    measured.work[same != exactly.end() ? same->second : found->second].Add(step.work);
  }
  return measured;
}

}  // namespace heed::drawing
