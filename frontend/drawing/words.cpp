// See words.h.
#include "frontend/drawing/words.h"

#include <algorithm>

#include "ir/axis_words.h"

namespace heed::drawing {
namespace {

constexpr const char* kHole = "\u00b7";
constexpr std::string_view kDropout = " * dropout ";

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

/// Whether the parentheses at both ends belong together.
bool Wrapped(const std::string& text) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return false;
  int depth = 0;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    if (depth == 0) return false;
  }
  return true;
}

}  // namespace

AxisWriter::AxisWriter(const ir::Graph& graph) : table_(graph.axes()) {
  const auto meet = [&](ir::NodeId id) {
    for (ir::Axis axis : graph.axes_of(id))
      if (!ir::Contains(roots_, axis.root())) roots_.push_back(axis.root());
  };
  const std::vector<ir::NodeId> order = graph.Order();
  for (ir::NodeId id : order)
    if (graph.op(id) == ir::OpKind::Param) meet(id);
  for (ir::NodeId id : order) meet(id);
}

ir::AxisList AxisWriter::Sorted(const ir::AxisList& axes) const {
  ir::AxisList shown;
  for (ir::Axis axis : axes)
    if (!table_.IsLifted(axis)) shown.push_back(axis);
  const auto rank = [&](ir::Axis axis) {
    const auto at = std::find(roots_.begin(), roots_.end(), axis.root());
    const bool positions = table_.Of(axis).kind == ir::Extent::Kind::Dynamic;
    return std::pair(positions ? 0 : 1, at - roots_.begin());
  };
  std::stable_sort(shown.begin(), shown.end(), [&](ir::Axis a, ir::Axis b) {
    return rank(a) != rank(b) ? rank(a) < rank(b) : a.text() < b.text();
  });
  return shown;
}

std::string AxisWriter::Size(ir::Axis axis) const {
  if (table_.IsLifted(axis)) return "";
  return (table_.IsDynamic(axis) ? "\u2264 " : "") + LongNumber(table_.Bound(axis));
}

std::string AxisWriter::Sized(ir::Axis axis) const {
  const std::string size = Size(axis);
  return ir::Spoken(axis) + (size.empty() ? "" : " " + size);
}

template <typename Write>
std::string AxisWriter::Type(const ir::Type& type, const Write& write) const {
  std::string text;
  for (ir::Axis axis : Sorted(type.axes)) text += (text.empty() ? "" : ", ") + write(axis);
  if (type.dtype == ir::DType::Float) return text.empty() ? "" : "[" + text + "]";
  const std::string element = type.dtype == ir::DType::Bool ? "bool"
                              : type.indexes                ? type.indexes.text()
                                                            : std::string("int");
  return element + "[" + text + "]";
}

std::string AxisWriter::Text(const ir::Type& type) const {
  return Type(type, [](ir::Axis axis) { return ir::Spoken(axis); });
}

std::string AxisWriter::WithSizes(const ir::Type& type) const {
  return Type(type, [&](ir::Axis axis) { return Sized(axis); });
}

std::string Typeset(const std::string& expression) {
  std::string text;
  for (char c : expression) {
    const bool blank = c == ' ' || c == '\n' || c == '\t';
    if (!blank) text += c;
    if (blank && !text.empty() && text.back() != ' ') text += ' ';
  }
  ReplaceAll(text, "<=", "\u2264");
  ReplaceAll(text, ">=", "\u2265");
  ReplaceAll(text, "!=", "\u2260");
  ReplaceAll(text, "==", "=");
  return text;
}

std::string DropoutApart(const std::string& label) {
  const size_t at = label.rfind(kDropout);
  if (at == label.npos || label.find_first_of(" )", at + kDropout.size()) != label.npos) return label;
  std::string rest = label.substr(0, at);
  if (Wrapped(rest)) rest = rest.substr(1, rest.size() - 2);
  const std::string dropout = label.substr(at + 3);
  return rest == kHole ? dropout : rest + ", " + dropout;
}

std::string ResidualLabel(const std::string& label) {
  if (label.find(" + ") == label.npos) return "";
  std::string dropout;
  for (size_t start = 0; start <= label.size();) {
    const size_t end = std::min(label.find(" + ", start), label.size());
    const std::string side = DropoutApart(label.substr(start, end - start));
    if (side.starts_with("dropout ") && dropout.empty()) {
      dropout = " " + side;
    } else if (side != kHole) {
      return "";
    }
    start = end + 3;
  }
  return "\u2295" + dropout;
}

}  // namespace heed::drawing
