// See dot.h.
#include "frontend/drawing/dot.h"

#include "frontend/drawing/layout.h"
#include "frontend/drawing/theme.h"

namespace heed::drawing {
namespace {

constexpr const char* kDirection = "rankdir=BT;\n";

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

class Writer {
 public:
  Writer(const Model& model, std::string prefix) : model_(model), prefix_(std::move(prefix)) {}

  /// What stands between the braces of the graph.
  std::string Body() {
    out_ =
        "label=\"" + Escaped(model_.title) + "\";\nlabelloc=t;\n" + kDirection + "fontname=\"Helvetica\";\n";
    out_ += "node [shape=box, style=\"filled,rounded\", fontname=\"Helvetica\", fontsize=12, height=0.3];\n";
    out_ += "edge [color=\"" + Light("line") + "\"];\n";
    Contents(0);
    for (const Wire& wire : model_.wires) Edge(wire);
    return std::move(out_);
  }

 private:
  static std::string Light(std::string_view role) { return std::string(ColourOf(role).light); }
  std::string Name(int box) const { return prefix_ + "b" + std::to_string(box); }

  void Contents(int module) {
    for (size_t i = 0; i < model_.boxes.size(); ++i)
      if (model_.boxes[i].module == module) Node(static_cast<int>(i));
    for (size_t i = 1; i < model_.modules.size(); ++i) {
      const Module& child = model_.modules[i];
      if (child.parent != module) continue;
      out_ += "subgraph cluster_" + prefix_ + std::to_string(i) + " {\nlabel=\"" +
              Escaped(TitleOf(model_, static_cast<int>(i))) +
              "\";\nlabeljust=l;\nlabelloc=t;\nstyle=rounded;\ncolor=\"" + Light("line") +
              "\";\npenwidth=" + (child.count > 1 ? "2" : "1") + ";\n";
      Contents(static_cast<int>(i));
      out_ += "}\n";
    }
  }

  void Node(int number) {
    const Box& box = model_.boxes[number];
    std::string label;
    for (const TextLine& line : LinesOf(model_, box)) label += (label.empty() ? "" : "\n") + line.text;
    out_ +=
        Name(number) + " [label=\"" + Escaped(label) + "\", fillcolor=\"" + Light(RoleOf(model_, box)) + "\"";
    if (box.kind == Kind::Parameter) out_ += ", shape=note, style=filled";
    if (box.kind == Kind::Cache) out_ += ", shape=cylinder, style=filled";
    if (box.kind == Kind::Input || box.kind == Kind::Output) out_ += ", shape=ellipse";
    if (box.reference || !box.only.empty()) out_ += ", style=\"filled,dashed\"";
    if (box.gradient) out_ += ", color=\"" + Light("gradient") + "\"";
    std::string tip = model_.scale ? WorkText(box.work, *model_.scale) : "";
    if (!tip.empty() && !box.place.empty()) tip += "\n";
    out_ += ", tooltip=\"" + Escaped(tip + box.place) + "\"];\n";
  }

  void Edge(const Wire& wire) {
    out_ += Name(wire.from) + " -> " + Name(wire.to) + " [";
    if (wire.kind == Wire::Kind::Gradient) out_ += "color=\"" + Light("gradient") + "\"";
    if (wire.kind == Wire::Kind::Saved)
      out_ += "color=\"" + Light("saved") + "\", style=dotted, constraint=false";
    if (wire.kind == Wire::Kind::Carried) out_ += "style=dashed, constraint=false";
    out_ += "];\n";
  }

  const Model& model_;
  const std::string prefix_;
  std::string out_;
};

}  // namespace

std::string Dot(const std::vector<Model>& models) {
  if (models.size() == 1) return "digraph heed {\n" + Writer(models[0], "").Body() + "}\n";
  std::string joined = std::string("digraph heed {\n") + kDirection;  // counts at the outermost level only
  for (size_t i = 0; i < models.size(); ++i) {
    const std::string prefix = "g" + std::to_string(i) + "_";
    joined += "subgraph cluster_" + prefix + " {\n" + Writer(models[i], prefix).Body() + "}\n";
  }
  return joined + "}\n";
}

}  // namespace heed::drawing
