// See layout.h.
#include "frontend/drawing/layout.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>

#include "frontend/drawing/close.h"
#include "frontend/drawing/graphviz.h"
#include "frontend/drawing/levels.h"
#include "frontend/drawing/text_width.h"

namespace heed::drawing {
namespace {

constexpr double kPadding = 8, kTitle = 19;  // of modules
constexpr double kBeside = 14, kAround = 7;  // room in boxes
constexpr double kLane = 9;                  // from a border to the lane that turns there
constexpr double kLargestTable = 16'000;     // Graphviz keeps heights of tables in 16 bits
constexpr size_t kManyBoxes = 400, kTooManyBoxes = 4'000;
constexpr size_t kTriedBoxes = 60;  // a level with more is laid out once

/// How straight Graphviz keeps wires: to borders, and to the modules of a level. None suits every level.
struct Weights {
  int border = 1, child = 1;
};
constexpr Weights kTried[] = {{}, {0, 1}, {0, 8}};
constexpr double kWorthIt = 0.92;

/// A module that has been laid out.
struct Placed {
  double width = 0, height = 0;
  Point inside;                  ///< where its graph begins
  std::map<Port, double> ports;  ///< x on the border
  PlacedGraph graph;
};

std::string Name(const End& end) {
  switch (end.kind) {
    case End::Kind::Box:
      return "b" + std::to_string(end.index);
    case End::Kind::Child:
      return "c" + std::to_string(end.index);
    case End::Kind::Border:
      return std::string(end.port.out ? "o" : "i") + std::to_string(end.port.value);
  }
  return "";
}

std::string PortName(const Port& port) { return (port.out ? "out" : "in") + std::to_string(port.value); }

Point SizeOf(const Model& model, const Box& box) {
  double width = 0, height = kAround;
  for (const TextLine& line : LinesOf(model, box)) {
    width = std::max(width, TextWidth(line.text, line.size));
    height += line.size + 3.5;
  }
  return {std::max(width + kBeside, 22.0), height};
}

class Layouter {
 public:
  explicit Layouter(const Model& model) : model_(model), levels_(LevelsOf(model)), placed_(levels_.size()) {}

  /// The modules that Graphviz had no time for; empty if all are placed.
  Result<std::vector<int>> Run(std::chrono::steady_clock::time_point until) {
    std::vector<std::vector<int>> depths;
    for (size_t i = 0; i < levels_.size(); ++i) {
      const size_t depth = Path(model_, static_cast<int>(i)).size() - 1;
      depths.resize(std::max(depths.size(), depth + 1));
      depths[depth].push_back(static_cast<int>(i));
    }
    for (size_t depth = depths.size(); depth-- > 0;) {
      std::string source;
      int largest = depths[depth][0];
      std::vector<int> tried;  // by graph
      for (int module : depths[depth]) {
        const size_t variants = IsTried(levels_[module]) ? std::size(kTried) : 1;
        for (size_t i = 0; i < variants; ++i) source += SourceOf(module, kTried[i]);
        tried.insert(tried.end(), variants, module);
        if (levels_[module].boxes.size() > levels_[largest].boxes.size()) largest = module;
      }
      if (levels_[largest].boxes.size() > kTooManyBoxes) return std::vector<int>{largest};
      const auto left =
          std::chrono::ceil<std::chrono::seconds>(until - std::chrono::steady_clock::now()).count();
      // Modules of one depth are tried for half of what is left: the drawing goes on with one of them closed.
      const int seconds = static_cast<int>(std::max<int64_t>(1, depth == 0 ? left : left / 2));
      const Result<GraphvizRun> run = RunGraphviz(source, seconds);
      if (!run) return run.error();
      if (run->too_slow) return std::vector<int>{largest};
      if (run->graphs.size() != tried.size()) return Error{"dot gave another number of graphs"};
      // The narrowest, if that is worth it: heights hardly differ, but ports move, which may cost more
      // outside.
      for (size_t i = 0, best = 0; i < tried.size(); ++i) {
        if (tried[i] != tried[best] || run->graphs[i].width < kWorthIt * run->graphs[best].width) best = i;
        if (i + 1 == tried.size() || tried[i + 1] != tried[i]) Place(tried[i], run->graphs[best]);
      }
    }
    return std::vector<int>{};
  }

  Layout Compose() {
    layout_.boxes.resize(model_.boxes.size());
    layout_.modules.resize(model_.modules.size());
    layout_.width = placed_[0].width;
    layout_.height = placed_[0].height;
    Compose(0, {0, 0});
    return std::move(layout_);
  }

 private:
  bool IsStack(int module) const { return model_.modules[module].count > 1; }

  /// Where forward values and gradients pass each other, a level may become much too wide.
  bool IsTried(const Level& level) const {
    return level.boxes.size() <= kTriedBoxes &&
           std::any_of(level.stretches.begin(), level.stretches.end(), [&](const Stretch& stretch) {
             return model_.wires[stretch.wire].kind == Wire::Kind::Gradient;
           });
  }

  /// Drawn by us: from stack to stack, which stand side by side.
  bool IsLane(const Stretch& stretch) const {
    return stretch.from.kind == End::Kind::Child && stretch.to.kind == End::Kind::Child &&
           IsStack(stretch.from.index) && IsStack(stretch.to.index);
  }

  double ScaleOf(int module) const {
    double largest = 0;
    for (int child : levels_[module].children)
      largest = std::max({largest, placed_[child].width, placed_[child].height});
    return std::min(1.0, kLargestTable / std::max(largest, 1.0));
  }

  /// A level in Graphviz's language.
  std::string SourceOf(int module, const Weights& weights) const {
    const Level& level = levels_[module];
    const double scale = ScaleOf(module);
    std::ostringstream out;
    out << "digraph { rankdir=BT; nodesep=" << 0.16 * scale << "; ranksep=" << 0.15 * scale << ";\n";
    out << (level.boxes.size() > kManyBoxes ? "splines=line; nslimit=2; mclimit=0.5;\n" : "splines=true;\n");
    out << "node [fixedsize=true, label=\"\", shape=box]; edge [dir=none];\n";
    for (int box : level.boxes) {
      const Point size = SizeOf(model_, model_.boxes[box]);
      out << "b" << box << " [width=" << size.x * scale / 72 << ", height=" << size.y * scale / 72 << "];\n";
    }
    for (int child : level.children)
      out << "c" << child << " [fixedsize=false, margin=0, shape=plain, label=<" << Table(child, scale)
          << ">];\n";
    for (const auto& [port, gradient] : level.ports)
      out << Name({End::Kind::Border, 0, port}) << " [width=0.02, height=0.02];\n";
    Ranks(level, out);
    for (size_t i = 0; i < level.stretches.size(); ++i) {
      const Stretch& stretch = level.stretches[i];
      if (IsLane(stretch)) continue;
      const Wire::Kind kind = model_.wires[stretch.wire].kind;
      const bool back = kind == Wire::Kind::Gradient;
      const bool loose =
          kind == Wire::Kind::Saved || kind == Wire::Kind::Carried || StandsBeside(level, stretch);
      const std::string from = Named(stretch.from), to = Named(stretch.to);
      out << (back ? to : from) << " -> " << (back ? from : to)
          << " [color=" << EdgeColour(static_cast<int>(i)) << (loose ? ", constraint=false" : "")
          << ", weight=" << WeightOf(stretch, weights) << "];\n";
    }
    out << "}\n";
    return out.str();
  }

  static int WeightOf(const Stretch& stretch, const Weights& weights) {
    const auto is = [&](End::Kind kind) { return stretch.from.kind == kind || stretch.to.kind == kind; };
    return is(End::Kind::Border) ? weights.border : is(End::Kind::Child) ? weights.child : 1;
  }

  std::string Named(const End& end) const {
    if (end.kind != End::Kind::Child) return Name(end);
    const bool top = OnTop(end.port, levels_[end.index].ports.at(end.port));
    return Name(end) + ":" + PortName(end.port) + (top ? ":n" : ":s");
  }

  /// References stand beside what uses them; so do parameters of what takes a module's result, since a module
  /// is one rank, however tall.
  bool StandsBeside(const Level& level, const Stretch& stretch) const {
    if (stretch.from.kind != End::Kind::Box || stretch.to.kind != End::Kind::Box) return false;
    const Box& box = model_.boxes[stretch.from.index];
    if (box.reference) return true;
    const auto is_child = [&](const Stretch& other) {
      return other.to == stretch.to && other.from.kind == End::Kind::Child;
    };
    const auto leaves = [&](const Stretch& other) { return other.from == stretch.from; };
    return box.kind == Kind::Parameter &&
           std::any_of(level.stretches.begin(), level.stretches.end(), is_child) &&
           std::count_if(level.stretches.begin(), level.stretches.end(), leaves) == 1;
  }

  /// Ports at the borders, gradients beside what they belong to, stacks that feed each other side by side.
  void Ranks(const Level& level, std::ostringstream& out) const {
    for (bool top : {false, true}) {
      std::string members;
      for (const auto& [port, gradient] : level.ports)
        if (OnTop(port, gradient) == top) members += Name({End::Kind::Border, 0, port}) + "; ";
      if (!members.empty()) out << "{rank=" << (top ? "sink" : "source") << "; " << members << "}\n";
    }
    for (int box : level.boxes) {
      const int pair = model_.boxes[box].pair;
      if (pair >= 0 && model_.boxes[pair].module == model_.boxes[box].module)
        out << "{rank=same; b" << pair << "; b" << box << ";}\n";
    }
    for (const Stretch& stretch : level.stretches)
      if (StandsBeside(level, stretch))
        out << "{rank=same; " << Name(stretch.from) << "; " << Name(stretch.to) << ";}\n";
    for (const Stretch& stretch : level.stretches) {
      if (IsLane(stretch) && model_.wires[stretch.wire].kind == Wire::Kind::Data)
        out << "{rank=same; " << Name(stretch.from) << " -> " << Name(stretch.to)
            << " [style=invis, weight=10];}\n";
    }
  }

  /// A child as a table of its size, with a cell for each port.
  std::string Table(int child, double scale) const {
    const Placed& placed = placed_[child];
    const std::string open = "<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"0\">";
    const auto cell = [](int width, int height, const std::string& port) {
      return "<TD FIXEDSIZE=\"TRUE\" WIDTH=\"" + std::to_string(width) + "\" HEIGHT=\"" +
             std::to_string(height) + "\"" + (port.empty() ? "" : " PORT=\"" + port + "\"") + "></TD>";
    };
    const int width = std::max(1, static_cast<int>(std::lround(placed.width * scale)));
    const auto row = [&](bool top) {
      std::vector<std::pair<double, Port>> ports;
      for (const auto& [port, x] : placed.ports)
        if (OnTop(port, levels_[child].ports.at(port)) == top) ports.emplace_back(x * scale, port);
      std::sort(ports.begin(), ports.end());
      std::string cells;
      int x = 0;
      for (const auto& [at, port] : ports) {
        const int left = std::max(static_cast<int>(std::lround(at)) - 1, x);
        if (left > x) cells += cell(left - x, 1, "");
        cells += cell(2, 1, PortName(port));
        x = left + 2;
      }
      cells += cell(std::max(1, width - x), 1, "");
      return "<TR><TD>" + open + "<TR>" + cells + "</TR></TABLE></TD></TR>";
    };
    const int height = std::max(1, static_cast<int>(std::lround(placed.height * scale)) - 2);
    return open + row(true) + "<TR>" + cell(width, height, "") + "</TR>" + row(false) + "</TABLE>";
  }

  void Place(int module, PlacedGraph graph) {
    const double scale = ScaleOf(module);
    graph.width /= scale;
    graph.height /= scale;
    for (auto& [name, point] : graph.centres) point = {point.x / scale, point.y / scale};
    for (auto& [number, curve] : graph.curves)
      for (Point& point : curve) point = {point.x / scale, point.y / scale};
    Placed& placed = placed_[module];
    const std::string title = module == 0 ? "" : TitleOf(model_, module);
    const double least = TextWidth(title, kLetters, true) + 2 * kPadding;
    const double shift = kPadding + std::max(0.0, (least - graph.width) / 2);
    placed.width = std::max(graph.width, least) + 2 * kPadding;
    placed.height = graph.height + 2 * kPadding + (module == 0 ? 0 : kTitle);
    placed.inside = {shift, kPadding + (module == 0 ? 0 : kTitle)};
    for (const auto& [port, gradient] : levels_[module].ports)
      placed.ports[port] = graph.centres[Name({End::Kind::Border, 0, port})].x + shift;
    placed.graph = std::move(graph);
  }

  void Compose(int module, Point corner) {
    const Placed& placed = placed_[module];
    const Level& level = levels_[module];
    layout_.modules[module] = {corner.x, corner.y, placed.width, placed.height};
    const Point origin{corner.x + placed.inside.x, corner.y + placed.inside.y};
    const auto centre = [&](const End& end) {
      const Point& point = placed.graph.centres.at(Name(end));
      return Point{point.x + origin.x, point.y + origin.y};
    };
    for (int box : level.boxes) {
      const Point size = SizeOf(model_, model_.boxes[box]), at = centre({End::Kind::Box, box});
      layout_.boxes[box] = {at.x - size.x / 2, at.y - size.y / 2, size.x, size.y};
    }
    for (int child : level.children) {
      const Point at = centre({End::Kind::Child, child});
      Compose(child, {at.x - placed_[child].width / 2, at.y - placed_[child].height / 2});
    }
    for (const auto& [port, gradient] : level.ports) {
      // From the port's own place to the border.
      const Point at = centre({End::Kind::Border, 0, port});
      const double border = OnTop(port, gradient) ? corner.y : corner.y + placed.height;
      const auto wire =
          std::find_if(level.stretches.begin(), level.stretches.end(), [&](const Stretch& stretch) {
            const End end{End::Kind::Border, 0, port};
            return stretch.from == end || stretch.to == end;
          });
      layout_.lines.push_back({wire->wire, -1, -1, true, {{at.x, at.y}, {at.x, border}}});
    }
    for (size_t i = 0; i < level.stretches.size(); ++i) AddLine(module, i, origin);
  }

  void AddLine(int module, size_t number, Point origin) {
    const Stretch& stretch = levels_[module].stretches[number];
    Line line;
    line.wire = stretch.wire;
    if (stretch.from.kind == End::Kind::Box) line.from = stretch.from.index;
    if (stretch.to.kind == End::Kind::Box) line.to = stretch.to.index;
    if (IsLane(stretch)) {
      line.straight = true;
      line.points = LaneOf(module, stretch);
    } else {
      const auto found = placed_[module].graph.curves.find(static_cast<int>(number));
      if (found == placed_[module].graph.curves.end()) return;
      line.points = found->second;
      if (model_.wires[stretch.wire].kind == Wire::Kind::Gradient)
        std::reverse(line.points.begin(), line.points.end());
    }
    for (Point& point : line.points) point = {point.x + origin.x, point.y + origin.y};
    layout_.lines.push_back(std::move(line));
  }

  /// Over the border of one stack, down the gap between both, and in at the other's.
  std::vector<Point> LaneOf(int module, const Stretch& stretch) const {
    struct Gate {
      Point at;
      double away, left, right;
    };
    const auto gate = [&](const End& end) {
      const Point centre = placed_[module].graph.centres.at(Name(end));
      const Placed& child = placed_[end.index];
      const bool top = OnTop(end.port, levels_[end.index].ports.at(end.port));
      const double left = centre.x - child.width / 2, y = centre.y + (top ? -child.height : child.height) / 2;
      return Gate{{left + child.ports.at(end.port), y}, top ? -kLane : kLane, left, left + child.width};
    };
    const Gate from = gate(stretch.from), to = gate(stretch.to);
    const bool gradient = model_.wires[stretch.wire].kind == Wire::Kind::Gradient;
    double gap = from.right < to.left ? (from.right + to.left) / 2 : (to.right + from.left) / 2;
    gap += gradient ? kLane / 3 : -kLane / 3;
    const double up = from.at.y + from.away, down = to.at.y + to.away;
    return {from.at, {from.at.x, up}, {gap, up}, {gap, down}, {to.at.x, down}, to.at};
  }

  const Model& model_;
  std::vector<Level> levels_;
  std::vector<Placed> placed_;
  Layout layout_;
};

}  // namespace

std::vector<TextLine> LinesOf(const Model& model, const Box& box) {
  std::vector<TextLine> lines;
  const auto add = [&](const std::string& text, double size) {
    std::istringstream rest(text);
    for (std::string line; std::getline(rest, line);) lines.push_back({line, size});
  };
  add(box.label, kLetters);
  add(box.detail, kSmallLetters);
  add(box.only, kSmallLetters);
  if (model.scale) add(ShareText(box.work, *model.scale), kSmallLetters);
  if (lines.empty()) lines.push_back({"", kLetters});
  return lines;
}

std::string TitleOf(const Model& model, int index) {
  const Module& module = model.modules[index];
  std::string title = module.name;
  if (!module.class_name.empty()) title += "  " + module.class_name;
  if (module.count > 1) title += " \u00d7 " + std::to_string(module.count);
  if (module.parameters != 0)
    title += ", " + ShortNumber(module.parameters) + (module.count > 1 ? " each" : "");
  if (!model.scale) return title;
  const std::string share = ShareText(WorkIn(model, index), *model.scale);
  return share.empty() ? title : title + ", " + share;
}

Result<Layout> LayOut(Model& model, int seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::vector<std::string> remarks;
  for (;;) {
    Layouter layouter(model);
    const Result<std::vector<int>> large = layouter.Run(until);
    if (!large) return large.error();
    if (large->empty()) {
      Layout layout = layouter.Compose();
      layout.remarks = std::move(remarks);
      return layout;
    }
    const int module = large->front();
    if (module == 0 || std::chrono::steady_clock::now() > until)
      return Error{"the drawing is too large to be laid out in " + std::to_string(seconds) +
                   " seconds; draw it with --depth modules, or write a .dot file"};
    remarks.push_back("`" + model.modules[module].path + "` is too large to be laid out; it is drawn closed");
    std::vector<bool> open(model.modules.size(), true);
    open[module] = false;
    CloseModules(model, open);
  }
}

}  // namespace heed::drawing
