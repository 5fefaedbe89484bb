// See attention_words.h.
#include "frontend/drawing/attention_words.h"

#include "frontend/drawing/labels.h"
#include "ir/axis_words.h"
#include "ir/op.h"

namespace heed::drawing {
namespace {

using ir::OpKind;

/// The axes that the scores of a softmax were summed over: of the product behind arithmetic.
ir::AxisList SummedFor(const ir::Graph& graph, ir::NodeId id) {
  for (int steps = 0; steps < 32; ++steps) {
    id = Source(graph, id);
    const ir::Node& node = graph[id];
    if (node.op == OpKind::Contract) return node.attributes.axes;
    if (!ir::IsPointwise(node.op) || node.inputs.empty()) return {};
    const ir::NodeId* largest = &node.inputs[0];
    for (const ir::NodeId& input : node.inputs)
      if (graph.axes_of(input).size() > graph.axes_of(*largest).size()) largest = &input;
    id = *largest;
  }
  return {};
}

std::string Joined(const ir::AxisList& list, const AxisWriter& axes) {
  std::string text;
  for (ir::Axis axis : axes.Sorted(list)) text += (text.empty() ? "" : " \u00d7 ") + axes.Sized(axis);
  return text;
}

std::string MaskWords(const ir::Node& node, const frontend::ProgramWords* words, const std::string& label) {
  if (words != nullptr) {
    const auto written = words->predicates.find(node.origin.where);
    if (written != words->predicates.end()) return Typeset(WithoutPadding(written->second));
  }
  const size_t start = label.find(" | "), end = label.find("]\n");
  if (start == label.npos) return "";
  const size_t from = start + 3;
  return label.substr(from, (end == label.npos ? label.rfind(']') : end) - from);
}

}  // namespace

std::optional<AttentionWords> AttentionWordsOf(const ir::Graph& graph, ir::NodeId id,
                                               const frontend::ProgramWords* words, const AxisWriter& axes,
                                               const std::string& label) {
  const ir::Node& node = graph[id];
  if (node.adjoint) return std::nullopt;
  ir::Axis key;
  ir::AxisList scores, width;
  if (node.op == OpKind::Attention && node.attributes.index == 0) {
    key = node.attributes.axis;
    scores = node.attributes.to;
    width = node.attributes.axes;
  } else if (node.op == OpKind::Softmax && node.attributes.axes.size() == 1) {
    key = node.attributes.axes[0];
    scores = node.type.axes;
    width = SummedFor(graph, node.inputs[0]);
  } else {
    return std::nullopt;
  }
  const auto positions = [&](ir::Axis axis) {
    return graph.axes().Of(axis).kind == ir::Extent::Kind::Dynamic;
  };
  if (!positions(key)) return std::nullopt;
  ir::AxisList heads;
  for (ir::Axis axis : scores)
    if (!positions(axis) && !ir::Contains(width, axis)) heads.push_back(axis);
  return AttentionWords{Joined(heads, axes), Joined(width, axes), ir::Spoken(key),
                        MaskWords(node, words, label)};
}

}  // namespace heed::drawing
