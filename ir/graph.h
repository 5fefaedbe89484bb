// The graph: values in SSA form on named axes, hash-consed, and the typed construction of every op.
//
// One node is one value. A graph is built through the functions below and never edited in place: a pass makes
// a new graph (Rebuild). Construction infers the type, folds constants of pointwise ops and, once `ragged`
// lists lengths, adds the length masks that a reduction over a ragged axis needs: the one place where that is
// done. Violated preconditions are compiler bugs (InternalError), never messages for a user: the front end
// checks first.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ir/place.h"
#include "ir/type.h"

namespace heed::ir {

/// A compiler bug. main() prints it with a request to report it.
struct InternalError : std::logic_error {
  using std::logic_error::logic_error;
};

enum class OpKind : uint8_t {
#define HEED_OP(Name, text, Family, inputs) Name,
#include "ir/ops.def"
};
enum class Family : uint8_t { Leaf, Pointwise, Reduce, Contract, Axes, Index, Random, Fused };

/// Typed index of a node in its graph.
struct NodeId {
  uint32_t value = UINT32_MAX;
  explicit operator bool() const { return value != UINT32_MAX; }
  friend bool operator==(NodeId, NodeId) = default;
  friend auto operator<=>(NodeId, NodeId) = default;
};

/// Where a value comes from; carried through every rewrite.
struct Origin {
  std::string instance;  ///< path of the module instance: "h.0.attn"
  Place where = {};
  friend auto operator<=>(const Origin&, const Origin&) = default;
};

class Graph;

/// What is fused into an attention: copies of the pointwise expressions around the sum s over an axis of
/// query and key, each for one pair. A capture that varies along differences (seq-) is read at key - query,
/// and has the axes of query and key here. s is the product of query and key, unless there is a term: then it
/// is the sum of that.
struct AttentionRegions {
  std::shared_ptr<const Graph> score;  ///< inputs s, c0, c1 ...; outputs score, mask, weight
  std::shared_ptr<const Graph>
      gradient;  ///< the same inputs, ds, dw; outputs dr (of s) and dc0 ... where needed
  std::shared_ptr<const Graph> term = {};  ///< inputs q, k, c0 ...; output term
  std::shared_ptr<const Graph> term_gradient =
      {};  ///< the same inputs, ds; outputs dq, dk, dc0 ... where needed
};

/// Everything about a node but its inputs. Which fields an op uses stands in ops.def; the others stay empty.
struct Attributes {
  AxisList axes = {};
  AxisList to = {};
  std::vector<std::pair<Axis, Axis>> renames = {};
  Axis axis = {};
  Axis indexes = {};
  DType dtype = DType::Float;
  std::string name = {};
  double number = 0;
  int64_t index = 0;
  int64_t captures = 0;  ///< Attention, AttentionGrad: how many inputs after q, k, v are captures
  std::shared_ptr<const AttentionRegions> regions = {};
  Axis query = {};  ///< Attention, AttentionGrad: the axis of queries; none if there is one query
  friend bool operator==(const Attributes&, const Attributes&) = default;
};
// Attention: axis = the key axis, axes = those s is summed over, to = all axes of the score.

struct Node {
  OpKind op;
  std::vector<NodeId> inputs;
  Attributes attributes;
  Type type;
  Origin origin;
  /// Made while gradients were built: rebuilding it adds no more masks than building it did (Graph::adjoint).
  bool adjoint = false;
};

/// An output check.N (runtime/abi_names.h; pass `checks`) and what it is about.
struct Check {
  std::string output;  ///< its name: the prefix and a number
  Place where;         ///< of the operation
  std::string what;    ///< what is wrong, %s standing for the value
};

/// How a `generate` entry was written; the options are numbers by name.
struct GenerateInfo {
  Axis axis;             ///< the axis that grows
  std::string variable;  ///< the input that is generated
  NodeId from;  ///< a constant; none if not written. A prompt makes `from` none and `prompt` its name
  std::vector<NodeId> until;  ///< constants, each of which ends a text
  std::string prompt;
  std::map<std::string, double> options;
};

class Graph {
 public:
  explicit Graph(std::shared_ptr<const AxisTable> axes) : axes_(std::move(axes)) {}

  const AxisTable& axes() const { return *axes_; }
  std::shared_ptr<const AxisTable> shared_axes() const { return axes_; }
  /// References to nodes stay valid while the graph lives.
  const Node& operator[](NodeId id) const { return nodes_[id.value]; }
  const Type& type(NodeId id) const { return nodes_[id.value].type; }
  OpKind op(NodeId id) const { return nodes_[id.value].op; }
  const AxisList& axes_of(NodeId id) const { return nodes_[id.value].type.axes; }
  size_t size() const { return nodes_.size(); }

  // ---- Outputs, in order: `value`; `loss`, `per`, `d.NAME`...; `logits`
  std::vector<std::pair<std::string, NodeId>> outputs;
  NodeId Output(std::string_view name) const;  ///< none if absent
  void SetOutput(std::string_view name, NodeId value);

  /// Root of a ragged axis -> its length per example (an Input `len.ROOT` on the batch axis). Filled by
  /// `batch`.
  std::map<Axis, NodeId> ragged;
  /// While gradients are built: a cotangent without the batch axis is already summed and is not masked again.
  bool adjoint = false;
  /// Given to every node made from now on.
  Origin origin;
  std::vector<Check> checks;                     ///< outputs that are checks; Rebuild carries them over
  std::shared_ptr<const GenerateInfo> generate;  ///< of a generate entry; Rebuild carries its NodeIds over

  // ---- Construction
  NodeId Make(OpKind op, std::vector<NodeId> inputs, Attributes attributes = {});  ///< infers, hash-conses
  NodeId Const(double value);
  NodeId ConstInt(int64_t value);
  NodeId ConstBool(bool value);
  NodeId Positions(Axis axis);
  NodeId Length(Axis axis);
  /// Any pointwise op; folds constants and the identities that hold bit for bit (x * 1, x / 1, true and m).
  NodeId Pointwise(OpKind op, std::vector<NodeId> inputs);
  NodeId Add(NodeId a, NodeId b) { return Pointwise(OpKind::Add, {a, b}); }
  NodeId Sub(NodeId a, NodeId b) { return Pointwise(OpKind::Sub, {a, b}); }
  NodeId Mul(NodeId a, NodeId b) { return Pointwise(OpKind::Mul, {a, b}); }
  NodeId Div(NodeId a, NodeId b) { return Pointwise(OpKind::Div, {a, b}); }
  NodeId Neg(NodeId a) { return Pointwise(OpKind::Neg, {a}); }
  NodeId And(NodeId a, NodeId b) { return Pointwise(OpKind::And, {a, b}); }
  NodeId Select(NodeId condition, NodeId yes, NodeId no) {
    return Pointwise(OpKind::Select, {condition, yes, no});
  }
  /// Reduce over `axes` (x is broadcast to them); `mask` may be none. Adds length masks. No axes:
  /// select(mask, x, 0).
  NodeId Reduce(OpKind op, NodeId x, const AxisList& axes, NodeId mask = {});
  NodeId Contract(NodeId a, NodeId b, const AxisList& axes, NodeId mask = {});
  NodeId ScatterAdd(NodeId dy, NodeId index, Axis axis, const AxisList& to);
  NodeId Broadcast(NodeId x, const AxisList& axes);  ///< to the union; x itself if it has them all
  NodeId Rename(NodeId x, const std::vector<std::pair<Axis, Axis>>& renames);  ///< axes x lacks are ignored
  /// The same op on other inputs (length masks included), at the origin of `node`; `node` may be of another
  /// graph.
  NodeId Again(const Node& node, std::vector<NodeId> inputs);
  NodeId Again(const Node& node, std::vector<NodeId> inputs, Attributes attributes);

  // ---- Reading
  /// Nodes that the roots (default: all outputs) need, inputs before users; deterministic.
  std::vector<NodeId> Order(std::span<const NodeId> roots = {}) const;
  /// Users of each node among Order(); indexed by node number.
  /// A user stands once for every operand: x * x is two users of x.
  std::vector<std::vector<NodeId>> Users() const;

 private:
  NodeId LengthMask(const AxisList& reduced, const AxisList& have);  ///< which of the ragged axes need one
  NodeId WithLengthMask(NodeId mask, const AxisList& reduced, const AxisList& have);

  std::shared_ptr<const AxisTable> axes_;
  std::deque<Node> nodes_;  // a deque: references to nodes stay valid while nodes are made
  std::unordered_map<std::string, NodeId> interned_;
};

/// A copy of `graph` for the same program: `replace(copy, id, node, inputs)` may return another value for a
/// node, or none to copy it as it is. The one way passes make new graphs. Ragged lengths and `generate` are
/// carried over.
using Replace =
    std::function<NodeId(Graph& copy, NodeId id, const Node& node, const std::vector<NodeId>& inputs)>;
Graph Rebuild(const Graph& graph, const Replace& replace);
/// The same in another order of the nodes that outputs need, in which users still come after what they use.
Graph Rebuild(const Graph& graph, const std::vector<NodeId>& order, const Replace& replace);
/// The same into a given graph, which may have `ragged` already (then that of `graph` is not carried over).
void RebuildInto(Graph& copy, const Graph& graph, const Replace& replace);

/// Gives `copy` the `generate` of `graph`, with `from` and `until` made anew.
void CarryGenerate(Graph& copy, const Graph& graph);

/// The conjuncts of a mask: the leaves of its `and` tree.
std::vector<NodeId> Conjuncts(const Graph& graph, NodeId mask);

}  // namespace heed::ir
