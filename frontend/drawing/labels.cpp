// Labels of a drawing: turns what is merely arithmetic on positions, or used once, into text.
#include "frontend/drawing/labels.h"

#include <charconv>

#include "ir/attention_operands.h"
#include "ir/axis_words.h"
#include "ir/op.h"
#include "runtime/abi_names.h"

namespace heed::drawing {
namespace {

using ir::AttentionOperands;
using ir::Attributes;
using ir::DType;
using ir::Family;
using ir::Graph;
using ir::Info;
using ir::IsPointwise;
using ir::Node;
using ir::NodeId;
using ir::OpKind;
using ir::Spoken;

constexpr size_t kLongestInlined = 34, kLongestLabel = 52;
constexpr const char* kHole = "\u00b7";

/// Six digits: enough to recognise a constant.
std::string NumberText(double value) {
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 6).ptr};
}

bool IsLength(const Node& node) {
  return node.op == OpKind::Input && node.attributes.name.starts_with(kLengthPrefix);
}

/// What decoding hands over from step to step has numbers only.
bool IsState(const Node& node) {
  return node.op == OpKind::Input &&
         (node.attributes.name.starts_with(kCachePrefix) || node.attributes.name.starts_with(kFixedPrefix));
}

/// A value that its user calls by name: a parameter or input of the same module, so that equal layers say the
/// same.
bool IsNamed(const Node& node, const Node& user) {
  return (node.op == OpKind::Param || (node.op == OpKind::Input && !IsLength(node) && !IsState(node))) &&
         node.origin.instance == user.origin.instance;
}

struct Infix {
  const char* symbol = nullptr;
  int precedence = 0;
};

Infix InfixOf(OpKind op) {
  switch (op) {
    case OpKind::Or:
      return {" or ", 1};
    case OpKind::And:
      return {" and ", 2};
    case OpKind::Eq:
      return {" = ", 4};
    case OpKind::Ne:
      return {" \u2260 ", 4};
    case OpKind::Lt:
      return {" < ", 4};
    case OpKind::Le:
      return {" \u2264 ", 4};
    case OpKind::Gt:
      return {" > ", 4};
    case OpKind::Ge:
      return {" \u2265 ", 4};
    case OpKind::Add:
      return {" + ", 5};
    case OpKind::Sub:
      return {" - ", 5};
    case OpKind::Mul:
      return {" * ", 6};
    case OpKind::Div:
      return {" / ", 6};
    case OpKind::Quotient:
      return {" // ", 6};
    case OpKind::Mod:
      return {" % ", 6};
    case OpKind::Pow:
      return {"^", 8};
    default:
      return {};
  }
}

bool IsTransparent(OpKind op) { return op == OpKind::Broadcast || op == OpKind::Rename; }

class Labels {
 public:
  Labels(const Graph& graph, bool wordy)
      : graph_(graph), wordy_(wordy), pieces_(graph.size()), uses_(graph.size()) {
    for (NodeId id : graph.Order()) {
      if (IsTransparent(graph.op(id))) continue;
      for (NodeId input : graph[id].inputs) ++uses_[Source(graph, input).value];
    }
    for (const auto& [name, value] : graph.outputs) ++uses_[Source(graph, value).value];
    for (NodeId id : graph.Order()) pieces_[id.value] = Make(id);
  }

  std::vector<Piece> Take() { return std::move(pieces_); }

 private:
  enum class Inline { Nothing, Leaves, All };

  Piece Make(NodeId id) {
    Piece piece;
    for (Inline inlined : {Inline::All, Inline::Leaves, Inline::Nothing}) {
      piece = MakeWith(id, inlined);
      if (piece.text.size() <= kLongestLabel) break;
    }
    return piece;
  }

  Piece MakeWith(NodeId id, Inline inlined) {
    const Node& node = graph_[id];
    switch (node.op) {
      case OpKind::Const:
      case OpKind::Positions:
      case OpKind::Length:
      case OpKind::Input:
      case OpKind::Param:
      case OpKind::Keep:
      case OpKind::Gumbel:
        return Leaf(node);
      case OpKind::Slice:
      case OpKind::Merge:
      case OpKind::Split:
        return OtherAxes(node);
      case OpKind::Contract:
      case OpKind::Gather:
        return WithBrackets(node, inlined);
      case OpKind::Attention:
      case OpKind::AttentionGrad:
        return Attention(node);
      default:
        break;
    }
    switch (Info(node.op).family) {
      case Family::Pointwise:
        return Pointwise(node, inlined);
      case Family::Reduce:
        return WithBrackets(node, inlined);
      default:
        return Named(node, inlined);
    }
  }

  Piece Leaf(const Node& node) {
    const Attributes& at = node.attributes;
    Piece piece;
    piece.leaf = true;
    switch (node.op) {
      case OpKind::Const:
        piece.text =
            node.type.dtype == DType::Bool ? (at.number != 0 ? "true" : "false") : NumberText(at.number);
        return piece;
      case OpKind::Positions:
        piece.text = Spoken(at.axis);
        return piece;
      case OpKind::Length:
        piece.text = "|" + Spoken(at.axis) + "|";
        return piece;
      case OpKind::Input:
        piece.text = at.name;
        piece.leaf = IsLength(node);
        if (piece.leaf) piece.text = "|" + at.name.substr(kLengthPrefix.size()) + "|";
        return piece;
      case OpKind::Keep:
        piece.text = "dropout " + NumberText(at.number);
        piece.precedence = 7;
        return piece;
      case OpKind::Gumbel:
        piece.text = "chance";
        return piece;
      default:  // Param
        piece.text = NameWithin(node);
        piece.leaf = false;
        return piece;
    }
  }

  /// One element of an axis, or axes for others.
  Piece OtherAxes(const Node& node) {
    const Attributes& at = node.attributes;
    Piece piece;
    Hole(node, 0, piece);
    if (node.op == OpKind::Slice) {
      const ir::Extent& extent = graph_.axes().Of(at.axis);
      const bool named = at.index < static_cast<int64_t>(extent.enumerators.size());
      piece.text =
          Spoken(at.axis) + " = " + (named ? extent.enumerators[at.index] : std::to_string(at.index));
    } else if (node.op == OpKind::Merge) {
      piece.text = Spoken(at.axes) + " \u2192 " + Spoken(at.axis);
    } else {
      piece.text = Spoken(at.axis) + " \u2192 " + Spoken(at.to);
    }
    return piece;
  }

  /// Contractions, reads and reductions: what acts along axes, with a mask or a place as text.
  Piece WithBrackets(const Node& node, Inline inlined) {
    const Attributes& at = node.attributes;
    Piece piece;
    const auto operand = [&](size_t i) -> Piece { return OperandOf(node, i, inlined, piece); };
    const auto mask = [&] {
      const NodeId mask = MaskOf(node);
      const std::string predicate = mask ? WithoutPadding(operand(node.inputs.size() - 1).text) : "";
      return predicate.empty() ? "" : " | " + predicate;
    };
    const auto name = [&](size_t i) {
      Hole(node, i, piece);
      const Node& source = graph_[Source(graph_, node.inputs[i])];
      return IsNamed(source, node) ? pieces_[Source(graph_, node.inputs[i]).value].text : std::string(kHole);
    };
    if (node.op == OpKind::Contract) {
      const std::string left = name(0), right = name(1), predicate = mask();
      const bool brackets = at.axes.size() != 1 || !predicate.empty();
      piece.text =
          left + " @" + (brackets ? "[" + Spoken(at.axes) + predicate + "]" : Spoken(at.axes)) + " " + right;
    } else if (node.op == OpKind::Gather) {
      piece.text = name(0);
      piece.text += "[" + operand(1).text + "]";
    } else {
      Hole(node, 0, piece);
      piece.text = std::string(Info(node.op).name) + " [" + Spoken(at.axes) + mask() + "]";
    }
    return piece;
  }

  /// Any other op: its name, its axis and those operands that are text.
  Piece Named(const Node& node, Inline inlined) {
    const Attributes& at = node.attributes;
    Piece piece;
    piece.text = Info(node.op).name;
    if (at.axis) piece.text += " [" + Spoken(at.axis) + "]";
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Piece part = OperandOf(node, i, inlined, piece);
      if (part.text != kHole) piece.text += " " + part.text;
    }
    return piece;
  }

  /// An operand that is needed by an edge, whatever it is.
  void Hole(const Node& node, size_t i, Piece& user) {
    user.operands.push_back({Source(graph_, node.inputs[i]), Seen(node.inputs[i])});
  }

  Piece Pointwise(const Node& node, Inline inlined) {
    Piece piece;
    piece.leaf = true;
    const auto text = [&](size_t i, int least) {
      const Piece part = OperandOf(node, i, inlined, piece);
      if (!part.leaf) piece.leaf = false;
      return part.precedence < least ? "(" + part.text + ")" : part.text;
    };
    if (const Infix infix = InfixOf(node.op); infix.symbol) {
      const int p = infix.precedence;
      const bool power = node.op == OpKind::Pow;
      piece.precedence = p;
      const std::string left = text(0, power ? p + 1 : p);
      piece.text = left + infix.symbol + text(1, power ? p : p + 1);
    } else if (node.op == OpKind::Neg) {
      piece.precedence = 7;
      piece.text = "-" + text(0, 7);
    } else if (node.op == OpKind::Not) {
      piece.precedence = 3;
      piece.text = "not " + text(0, 3);
    } else if (node.op == OpKind::Cast) {
      const Piece part = OperandOf(node, 0, inlined, piece);
      piece.text = part.text;
      piece.precedence = part.precedence;
      piece.leaf = part.leaf;
      if (!part.leaf) piece.text = "float(" + part.text + ")";
    } else {
      piece.text = std::string(Info(node.op).name) + "(";
      for (size_t i = 0; i < node.inputs.size(); ++i) piece.text += (i ? ", " : "") + text(i, 0);
      piece.text += ")";
    }
    return piece;
  }

  /// The text of an operand; what it needs by edges is added to `user`.
  Piece OperandOf(const Node& node, size_t i, Inline inlined, Piece& user) {
    const NodeId source = Source(graph_, node.inputs[i]);
    const Piece& part = pieces_[source.value];
    const bool renamed = Seen(node.inputs[i]) != source;
    bool take = graph_.op(source) == OpKind::Const;
    if (part.leaf && !renamed && inlined != Inline::Nothing) take = part.text.size() <= kLongestInlined;
    if (!part.leaf && !renamed && inlined == Inline::All && OneExpression(source, node) &&
        part.text.size() <= kLongestInlined)
      take = true;
    if (take) {
      user.operands.insert(user.operands.end(), part.operands.begin(), part.operands.end());
      return part;
    }
    user.operands.push_back({source, Seen(node.inputs[i])});
    Piece hole;
    hole.text = IsNamed(graph_[source], node) ? part.text : kHole;
    return hole;
  }

  /// Whether a value is written inside that of its user: arithmetic, or the read of a parameter, of one call.
  bool OneExpression(NodeId source, const Node& user) const {
    const Node& node = graph_[source];
    const bool product = wordy_ && node.op == OpKind::Contract;
    const bool look_up =
        node.op == OpKind::Gather && graph_.op(Source(graph_, node.inputs[0])) == OpKind::Param;
    return IsPointwise(user.op) &&
           (product || look_up || (IsPointwise(node.op) && node.op != OpKind::Stop)) &&
           uses_[source.value] == 1 && node.adjoint == user.adjoint &&
           node.origin.instance == user.origin.instance &&
           node.origin.where.caller() == user.origin.where.caller();
  }

  /// The region's expressions in place of its captures where those are text.
  Piece Attention(const Node& node) {
    const Attributes& at = node.attributes;
    Piece piece;
    for (size_t i : {AttentionOperands::kQuery, AttentionOperands::kKey, AttentionOperands::kValue})
      piece.operands.push_back({Source(graph_, node.inputs[i]), Seen(node.inputs[i])});
    std::map<std::string, std::string> known = {{"s", "q \u00b7 k"}};
    for (size_t i = AttentionOperands::capture(0); i < node.inputs.size(); ++i) {
      const NodeId source = Source(graph_, node.inputs[i]);
      const Piece& part = pieces_[source.value];
      if (part.leaf && Seen(node.inputs[i]) == source && part.text.size() <= kLongestInlined) {
        known["c" + std::to_string(AttentionOperands::CaptureNumber(i))] = part.text;
      } else {
        piece.operands.push_back({source, Seen(node.inputs[i])});
      }
    }
    const bool gradient = node.op == OpKind::AttentionGrad;
    piece.text = gradient ? "attention_grad" : at.index == 0 ? "attention" : "attention log-sum-exp";
    piece.text += " [" + Spoken(at.axis);
    const Graph& region = *at.regions->score;
    const auto expression = [&](const char* output) {
      const NodeId id = region.Output(output);
      return id ? RegionText(region, id, known, 0) : std::string();
    };
    const std::string mask = WithoutPadding(expression("mask")), weight = expression("weight");
    if (!mask.empty()) piece.text += " | " + mask;
    piece.text += "]";
    if (gradient) {
      static constexpr const char* kOf[] = {"query", "key", "value"};
      const size_t of = static_cast<size_t>(at.index);
      piece.text += AttentionOperands::IsCapture(of)
                        ? "\nof capture " + std::to_string(AttentionOperands::CaptureNumber(of))
                        : std::string("\nof the ") + kOf[of];
      return piece;
    }
    if (at.index == 0) {
      piece.text += "\n" + expression("score");
      if (!weight.empty() && weight != "1") piece.text += "\nweight " + weight;
    }
    return piece;
  }

  std::string RegionText(const Graph& region, NodeId id, const std::map<std::string, std::string>& known,
                         int depth) {
    const Node& node = region[id];
    if (depth > 12) return "...";
    const auto part = [&](size_t i) { return RegionText(region, node.inputs[i], known, depth + 1); };
    const auto wrapped = [&](size_t i, int least) {
      const Infix infix = InfixOf(region.op(node.inputs[i]));
      return infix.symbol && infix.precedence < least ? "(" + part(i) + ")" : part(i);
    };
    switch (node.op) {
      case OpKind::Const:
        return node.type.dtype == DType::Bool ? (node.attributes.number != 0 ? "true" : "false")
                                              : NumberText(node.attributes.number);
      case OpKind::Positions:
        return Spoken(node.attributes.axis);
      case OpKind::Input: {
        const auto found = known.find(node.attributes.name);
        return found == known.end() ? node.attributes.name : found->second;
      }
      case OpKind::Keep:
        return "dropout " + NumberText(node.attributes.number);
      case OpKind::Gumbel:
        return "chance";
      case OpKind::Neg:
        return "-" + wrapped(0, 7);
      case OpKind::Cast:
      case OpKind::Broadcast:
      case OpKind::Rename:
        return part(0);
      default:
        break;
    }
    if (const Infix infix = InfixOf(node.op); infix.symbol)
      return wrapped(0, infix.precedence) + infix.symbol + wrapped(1, infix.precedence + 1);
    std::string text = std::string(Info(node.op).name) + "(";
    for (size_t i = 0; i < node.inputs.size(); ++i) text += (i ? ", " : "") + part(i);
    return text + ")";
  }

  /// The operand behind broadcasts only.
  NodeId Seen(NodeId id) const {
    while (graph_.op(id) == OpKind::Broadcast) id = graph_[id].inputs[0];
    return id;
  }

  const Graph& graph_;
  const bool wordy_;
  std::vector<Piece> pieces_;
  std::vector<int> uses_;
};

/// `text` at every " and " outside parentheses; nothing is taken apart that an `or` binds.
std::vector<std::string> Conditions(const std::string& text) {
  std::vector<std::string> conditions(1);
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(' || text[i] == '[') ++depth;
    if (text[i] == ')' || text[i] == ']') --depth;
    if (depth == 0 && text.compare(i, 4, " or ") == 0) return {text};
    if (depth == 0 && text.compare(i, 5, " and ") == 0) {
      conditions.emplace_back();
      i += 4;
    } else {
      conditions.back() += text[i];
    }
  }
  return conditions;
}

/// `seq' < |seq|`.
bool IsPadding(const std::string& condition) {
  const size_t less = condition.find(" < |");
  if (less == condition.npos || condition.back() != '|') return false;
  std::string axis = condition.substr(0, less);
  while (axis.ends_with("'")) axis.pop_back();
  return condition.substr(less + 4) == axis + "|";
}

}  // namespace

std::string NameWithin(const Node& parameter) {
  const std::string &name = parameter.attributes.name, prefix = parameter.origin.instance + ".";
  return prefix.size() > 1 && name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

std::string WithoutPadding(const std::string& predicate) {
  if (predicate == "true") return "";
  std::string kept;
  for (const std::string& condition : Conditions(predicate))
    if (!IsPadding(condition)) kept += (kept.empty() ? "" : " and ") + condition;
  return kept;
}

NodeId Source(const Graph& graph, NodeId id) {
  while (IsTransparent(graph.op(id))) id = graph[id].inputs[0];
  return id;
}

std::vector<Piece> Pieces(const Graph& graph, bool wordy) { return Labels(graph, wordy).Take(); }

}  // namespace heed::drawing
