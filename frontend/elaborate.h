// Elaboration: the body of an entry, with everything it calls, as one graph for one example.
//
// Functions are expanded at every call on the axes of that call, so each body is checked on concrete axes;
// `for` is unrolled; every node keeps its instance path and the chain of calls it came from. A value that
// could not be made is poison: whatever uses it stays silent, so independent mistakes are all reported. Names
// are not checked here (check.h); causality and reads past the end are the passes' affair.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "frontend/names.h"
#include "ir/graph.h"

namespace heed::frontend {

/// Which instance: the parts on the way to it from the top level, with the layers of those that are stacks.
/// Paths have other names (`as`, and none for the root), so two instances may have one path.
using InstanceKey = std::vector<std::pair<const PartBind*, std::string>>;

/// An instance of a module, or a stack of instances.
struct PartInstance {
  const Function* module = nullptr;
  const PartBind* bind = nullptr;
  std::vector<ir::AxisList> axes;  ///< what stands for each axis parameter; none if each call says it
  std::set<std::string> open;      ///< axis parameters whose axes differ from call to call
  ir::AxisList stack;
  std::string path;
  InstanceKey key;
};

struct Value {
  enum class Kind { Poison, Tensor, Tuple, Part } kind = Kind::Poison;
  ir::NodeId node;
  ir::AxisList order;  ///< the axes as their author would list them; the same set as the node's
  ir::AxisList reads;  ///< of elements: the axes they read where a value has them (of `n'(i)`: n')
  /// Of a whole number known here that no int can be, where it stands; its node is a float.
  std::optional<Loc> too_large;
  std::vector<Value> tuple;
  std::shared_ptr<const PartInstance> part;
  bool ok() const { return kind != Kind::Poison; }
};

/// The body that is being expanded: of a function called on some axes, or of an entry.
struct Frame {
  const Function* function = nullptr;  ///< null for an entry
  std::string name;
  std::map<std::string, ir::AxisList> axes;  ///< axis parameters
  std::set<std::string> open;                ///< those whose axes differ from call to call of the instance
  std::map<std::string, Value> variables;
  std::string path;
  InstanceKey key;
  ir::AxisList lifted;  ///< axes of arguments that the signature does not name
  std::optional<ir::AxisList> announced;
  const Frame* caller = nullptr;
  Loc call_loc;
  const Expr* call = nullptr;  ///< null for an entry
  ir::Place where;             ///< of the call, and of its callers
  bool prelude() const { return function != nullptr && function->prelude; }
};

/// A parameter as first met; its initial value may still be missing (initializers.h derives it).
struct ParameterInfo {
  Parameter parameter;
  const ParamBind* bind = nullptr;
  InstanceKey key;  ///< of the instance that declares it
};

class Elaborator {
 public:
  Elaborator(const Declarations& declarations, Diagnostics& diagnostics);

  /// The graph of an entry, with dropout if `train`; null after reporting. Fills in arguments and result
  /// axes.
  std::shared_ptr<ir::Graph> Build(const EntryDecl& decl, bool train, Entry& entry);
  /// In the order of their first appearance in any graph built.
  const std::vector<std::unique_ptr<ParameterInfo>>& parameters() const { return parameters_; }
  /// As Program::stacks.
  const std::map<std::string, std::string>& stacks() const { return stacks_; }
  const ProgramWords& words() const { return words_; }

 private:
  // ---- elaborate.cpp: entries, statements
  bool Arguments(const EntryDecl& decl, Frame& frame, Entry& entry, bool& failed);
  bool TakesTexts(const Entry& entry) const;
  bool HaveNoOptionsNames(const Frame& frame, const Entry& entry);
  bool Separate(const Frame& frame, const TypeExpr& type, const char* what);
  bool ValueOf(const EntryDecl& decl, Frame& frame, Entry& entry);
  ir::AxisList OrderOf(const EntryDecl& decl, const Frame& frame, const Entry& entry,
                       const Value& value) const;
  bool Minimize(const EntryDecl& decl, Frame& frame);
  bool Generate(const EntryDecl& decl, Frame& frame, Entry& entry);
  struct Generation;
  Diagnostic& Refuse(Generation& made, DiagnosticKind kind, Loc loc, std::string message);
  /// Of the variable, or nothing after reporting: elements of a static axis along one dynamic axis.
  std::optional<ir::Type> SequenceType(const EntryDecl& decl, const Frame& frame);
  /// The prompt, or a constant.
  void Begin(Generation& made);
  void End(Generation& made);
  /// Inputs other than the prompt may not have the axis that grows.
  void CheckOthers(Generation& made);
  void Options(Generation& made);
  /// What `by` gives; poison after reporting that it is no number.
  Value Logits(Generation& made);
  std::optional<double> ElementConstant(const Frame& frame, const Expr& expr, ir::Axis element,
                                        const char* what);
  Value Body(const std::vector<Stmt>& body, Frame& frame);
  void Let(const Stmt& stmt, Frame& frame);
  void Unpack(const Stmt& stmt, Frame& frame);
  void For(const Stmt& stmt, Frame& frame);
  Value MakePart(const PartBind& bind, Frame& frame, const std::string& path);

  // ---- elaborate_params.cpp: parameters
  Value MakeParameter(const ParamBind& bind, Frame& frame);
  bool Closed(const AxisItems& items, const std::string& what, const Frame& frame);
  void SamePath(const ParamBind& bind, const Frame& frame, const ParameterInfo& other);
  /// False, after a message, if a checkpoint keeps something else under this path.
  bool CheckFileName(const std::string& name, const ParamBind& bind, const Frame& frame);
  void WrittenInitializer(const ParamBind& bind, const Frame& frame, Parameter& parameter);

  // ---- elaborate_expr.cpp: expressions but calls
  Value Eval(const Expr& expr, Frame& frame);
  Value EvalKind(const Expr& expr, Frame& frame);
  Value NameValue(const Expr& expr, Frame& frame);
  Value Size(const Expr& expr, Frame& frame);
  Value Unary(const Expr& expr, Frame& frame);
  Value Binary(const Expr& expr, Frame& frame);
  Value Contract(const Expr& expr, Frame& frame);
  Value Rename(const Expr& expr, Frame& frame);
  Value Regroup(const Value& x, const ir::AxisList& from, const ir::AxisList& to, const Expr& expr,
                Frame& frame);
  Value Index(const Expr& expr, Frame& frame);
  /// The axis of `x` that the index reads, or nothing after reporting why it reads none.
  std::optional<ir::Axis> ReadAxis(const Frame& frame, const Expr& expr, const Value& x, const Value& index,
                                   Loc index_loc);
  void NoElement(const Frame& frame, const Value& x, Loc x_loc, const Value& index, Loc index_loc);

  // ---- elaborate_call.cpp: calls of parts and functions; hygiene
  Value Call(const Expr& expr, Frame& frame);
  std::vector<Value> ArgumentsOf(const Expr& call, Frame& frame);
  /// A call of the body, on given axes; `instance`: of a module.
  Value Apply(const Expr& expr, const Function& function, const std::vector<ir::AxisList>& actual,
              const std::vector<Loc>& actual_locs, const PartInstance* instance, std::vector<Value> arguments,
              Frame& caller);
  struct Application;
  void OpenFrame(Application& call, const PartInstance* instance);
  /// What the signature asks for, on the axes of this call.
  void BindSignature(Application& call);
  void CheckArguments(Application& call);
  /// Argument `i` is of its parameter's type and has the axes that this needs, else reports. `picture`: what
  /// all arguments have.
  bool Fits(const Application& call, size_t i, const std::string& picture);
  void MissingAxis(const Application& call, size_t i, ir::Axis axis, const std::string& picture);
  /// Lifting: every other axis of an argument. One name cannot be lifted over here and mean something else
  /// there.
  void Lift(Application& call);
  /// Hygiene: axis parameters whose axes could be captured stand for fresh copies of them.
  void KeepApart(Application& call) const;
  void BindParameters(Application& call);
  /// Argument `i` on the axes of the body.
  Value Inside(const Application& call, size_t i);
  /// What the body gave, on the axes of the call.
  Value Outside(const Application& call, Value result);
  /// The declared axes, if the result of a body has them (and lifted ones) and is of the declared type; else
  /// nothing, after reporting.
  std::optional<ir::AxisList> CheckResult(const Frame& frame, const TypeExpr& type, const Value& result,
                                          Loc loc);
  bool CheckArgument(const Value& value, const ParamDecl& param, const Frame& callee, const std::string& name,
                     const Expr& argument, const Frame& caller);

  // ---- elaborate_join.cpp
  struct Joining;
  Value Join(const Expr& expr, Frame& frame);
  /// Static axes whose sizes add up, each of its value, else reports.
  bool JoinsAxes(const Joining& join);
  Value Joined(const Joining& join);

  // ---- elaborate_parts.cpp: which instance of a module a call means
  struct PartCall;
  /// A call of one part, or of one of a stack whose index is a name.
  Value CallNamed(const Expr& expr, const PartInstance& part, Frame& frame);
  Value CallIndexed(const Expr& expr, const PartInstance& part, Frame& frame);
  Value LayerNamed(const Name& name, Frame& frame);
  /// The part of the top level that a function calls; null after reporting that the function was called from
  /// a module, whose parameters would not all be below its own path.
  std::shared_ptr<const PartInstance> RootPart(const std::string& name, const Expr& expr, const Frame& frame);
  Value CallPart(PartCall call);
  /// The instance once all indices from number `i` on have chosen.
  Value Choose(const PartCall& call, size_t i, PartInstance instance);
  Value ChooseAny(const PartCall& call, size_t i, const PartInstance& instance);
  Diagnostic& RefuseLayer(const PartCall& call, size_t i, std::string message);

  // ---- elaborate_builtins.cpp
  Value CallBuiltin(const Expr& expr, const std::string& name, Frame& frame);
  Value Elementwise(const Expr& expr, const std::string& name, const std::vector<Value>& arguments,
                    Frame& frame);
  /// `x` has the axes, and as many as `name` reduces, else reports.
  bool Reducible(const Expr& expr, const std::string& name, const ir::AxisList& axes, const Value& x,
                 const Frame& frame);
  Value Reduction(const Expr& expr, const std::string& name, const ir::AxisList& axes, const Value& x,
                  ir::NodeId mask, const ir::AxisList& mask_order, Frame& frame);
  Value WithSink(const Expr& expr, const ir::AxisList& axes, const std::vector<Value>& arguments,
                 ir::NodeId mask, const Value& softmax, Frame& frame);
  Value Dropout(const Expr& expr, const std::vector<Value>& arguments, Frame& frame);
  /// Logits whose largest is a draw from their softmax.
  ir::NodeId Noisy(const Value& logits, Frame& frame);
  /// A predicate as its author wrote it: where it is an argument, what the caller gives.
  static std::string Written(const Expr& predicate, const Frame& frame);
  // elaborate_order.cpp
  ir::NodeId Rank(ir::NodeId x, const ir::AxisList& axes, ir::NodeId mask);
  std::string RandomSite(const Frame& frame);  ///< the next one of an instance
  ir::NodeId ExampleNumber();
  Value Stack(const Expr& expr, ir::Axis axis, std::vector<Value> arguments, Frame& frame);
  Value UnpackAxis(const Expr& expr, ir::Axis axis, const Value& x, Frame& frame);
  Value Onehot(const Expr& expr, ir::Axis axis, const Value& index, Frame& frame);
  Value AxisElement(const Expr& expr, const std::string& name, Frame& frame);

  // ---- elaborate_shared.cpp
  Diagnostic& Report(const Frame& frame, DiagnosticKind kind, Loc loc, std::string message);
  void SetOrigin(const Frame& frame, Loc loc);
  ir::AxisList Resolve(const Frame& frame, const std::string& name) const;  ///< empty: no such axis
  /// Flattened; nothing if a name is no axis (reported by check).
  std::optional<ir::AxisList> Resolve(const Frame& frame, const AxisItems& items) const;
  std::optional<std::vector<ir::AxisList>> ResolveGroups(const Frame& frame, const AxisItems& items) const;
  /// The one axis that `item` stands for, or nothing after reporting a group.
  std::optional<ir::Axis> Single(const Frame& frame, const AxisItem& item);
  /// No axis twice, else reports; what is written twice was reported by check.
  bool Distinct(const Frame& frame, const ir::AxisList& axes, const AxisItems& items, Loc loc);
  std::string Show(const Frame& frame, ir::Axis axis) const;
  std::string Show(const Frame& frame, const ir::AxisList& axes) const;  ///< "[heads, key]"
  std::string ShowType(const Frame& frame, const Value& value) const;    ///< "vocab[seq]", "float[key]"
  NumberScope NumbersIn(const Frame& frame);
  Value Tensor(ir::NodeId node, const ir::AxisList& order) const;
  /// A copy of `axis` that is none of `used`.
  static ir::Axis Another(ir::Axis axis, const ir::AxisList& used);
  /// All numbers or all truth values, and of one type afterwards, else reports. `who` takes them, as the
  /// arguments of `call`.
  bool Unite(const Frame& frame, const std::string& who, const Expr& call, std::vector<Value>& values);
  /// The same elements as those of `x`, in other places.
  Value Moved(const Value& x, ir::NodeId node, const ir::AxisList& order) const;
  /// A whole number known here; one that no int can be is a float where a float is wanted, and nowhere else.
  Value WholeNumber(double number, Loc loc) const;
  Value Pointwise(const Frame& frame, Loc loc, ir::OpKind op, const std::vector<Value>& arguments);
  /// Reports a number that no int can be where an int is needed.
  bool TooLarge(const Frame& frame, const Value& value);
  /// Number, truth value or both, else reports; false for poison too.
  enum class Need { Number, Bool, Any };
  bool Check(const Frame& frame, const Value& value, Need need, Loc loc, const std::string& who);
  /// Whether a number is a whole one; complains for `who` if it is not.
  bool CheckWhole(const Frame& frame, const Value& value, Loc loc, const std::string& who);
  /// Whether other examples can be seen here, if these axes are about them; complains if they cannot.
  bool SeesBatch(const Frame& frame, const ir::AxisList& axes, Loc loc);
  /// `x[batch -> batch']`, the values of all examples.
  Value AllExamples(const Value& x, const ir::AxisList& from, const ir::AxisList& to, const Expr& expr,
                    Frame& frame);
  /// Complains if a value is reduced along the hidden axis itself; `what` says how one would write it.
  bool IsOwnExample(const Frame& frame, ir::Axis axis, Loc loc, const std::string& what);
  /// `int(x)`.
  Value ToWhole(const Expr& expr, const Value& x, Frame& frame);
  /// Notes which product of values that have `axis` may have been meant as a contraction.
  void WhyNotSummed(const Frame& frame, const Value& value, ir::Axis axis, Diagnostic& diagnostic) const;
  /// Notes what made a float of whole numbers, if `value` is one.
  void WhyFloat(const Value& value, Diagnostic& diagnostic) const;
  bool CheckBroadcast(const Frame& frame, const Value& a, const Value& b, const Expr& expr,
                      const std::string& op, Loc a_loc, Loc b_loc);
  ir::Axis ElementOf(const Value& value) const { return graph_->type(value.node).indexes; }
  ir::DType DTypeOf(const Value& value) const { return graph_->type(value.node).dtype; }
  std::optional<int64_t> IntConstant(const Value& value) const;
  bool Step(const Frame& frame, Loc loc);  ///< false: the program is beyond all bounds

  const Declarations& declarations_;
  Diagnostics& diagnostics_;
  std::shared_ptr<ir::AxisTable> axes_;
  std::vector<std::unique_ptr<ParameterInfo>> parameters_;
  std::map<std::string, ParameterInfo*> by_name_;
  std::map<std::string, std::string> stacks_;
  ProgramWords words_;
  std::set<std::tuple<DiagnosticKind, const SourceFile*, uint32_t>> reported_;
  Diagnostic repeated_;  ///< takes the labels of a message that was given before

  // Of the graph being built.
  std::shared_ptr<ir::Graph> graph_;
  bool train_ = false;
  EntryKind kind_ = EntryKind::Value;  ///< of the entry that is built
  bool aborted_ = false;
  int64_t steps_ = 0;
  int depth_ = 0;
  std::map<std::string, Value> root_parts_;
  std::map<std::string, int> sites_;  ///< dropouts and samples so far, by path
};

/// `a.b`, or the one that is not empty.
std::string JoinPath(const std::string& a, const std::string& b);

}  // namespace heed::frontend
