// Entries and statements, and what all of elaboration shares: axes of a frame, messages, checks of operands.
#include "frontend/elaborate.h"

#include <algorithm>
#include <cmath>

#include "frontend/check.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::NodeId;
using ir::OpKind;

namespace {

constexpr int64_t kMaxSteps = 1'000'000;  // expressions evaluated for one graph
constexpr size_t kMaxNodes = 1'000'000;
constexpr int kMaxDepth = 1600;  // nested evaluations, calls included

struct OptionRange {
  std::string_view name;
  double least, most;
  bool whole;
};
constexpr OptionRange kOptions[] = {
    {"beam", 1, 4096, true},
    {"alpha", 0, 100, false},
    {"temperature", 0, 1000, false},
    {"top_k", 0, 2147483647, true},
    {"top_p", 0, 1, false},
    {"repetition_penalty", 0.01, 100, false},
    {"max_length", 1, 2147483647, true},
};

}  // namespace

std::string JoinPath(const std::string& a, const std::string& b) {
  return a.empty() ? b : b.empty() ? a : a + "." + b;
}

Elaborator::Elaborator(const Declarations& declarations, Diagnostics& diagnostics)
    : declarations_(declarations), diagnostics_(diagnostics), axes_(declarations.axes()) {}

// ---- Entries

std::shared_ptr<ir::Graph> Elaborator::Build(const EntryDecl& decl, bool train, Entry& entry) {
  graph_ = std::make_shared<ir::Graph>(axes_);
  train_ = train;
  aborted_ = false;
  steps_ = 0;
  depth_ = 0;
  sites_.clear();
  entry.kind = decl.kind;
  entry.name = decl.name.text;
  entry.loc = decl.name.loc;
  entry.arguments.clear();

  Frame frame;
  frame.name = decl.name.text;
  for (const PartBind* part : declarations_.parts())
    frame.variables[part->name.text] = MakePart(*part, frame, part->alias ? part->alias->text : "");
  bool failed = false;
  if (!Arguments(decl, frame, entry, failed)) failed = true;
  bool made = false;
  switch (decl.kind) {
    case EntryKind::Value: {
      const Value value = decl.value ? Eval(*decl.value, frame) : Value{};
      made = value.kind == Value::Kind::Tensor;
      if (value.kind == Value::Kind::Tuple)
        Report(frame, DiagnosticKind::WrongType, decl.value->loc, "an entry gives one value, not several");
      if (made) {
        graph_->SetOutput("value", value.node);
        entry.result_axes = value.order;
      }
      break;
    }
    case EntryKind::Minimize:
      made = Minimize(decl, frame);
      break;
    case EntryKind::Generate:
      made = Generate(decl, frame, entry);
      break;
  }
  graph_->origin = {};
  return made && !failed && !aborted_ ? std::move(graph_) : nullptr;
}

bool Elaborator::Arguments(const EntryDecl& decl, Frame& frame, Entry& entry, bool& failed) {
  for (const ParamDecl& param : decl.params) {
    Argument argument;
    argument.name = param.name.text;
    argument.loc = param.name.loc;
    const auto axes = Resolve(frame, param.type.axes);
    if (argument.name == "example") {
      Report(frame, DiagnosticKind::ReservedName, param.name.loc,
             "an argument cannot be called `example`: that is the number of the example");
      failed = true;
    }
    bool grouped = false;
    for (const AxisItem& item : param.type.axes) grouped = grouped || item.group;
    if (grouped) {
      Report(frame, DiagnosticKind::GroupPositions, param.type.loc,
             "an argument of an entry has separate axes; groups are for parameters");
      failed = true;
    }
    Value& value = frame.variables[param.name.text];
    value = {};
    if (!axes || grouped || !Distinct(frame, *axes, param.type.axes, param.type.loc)) {
      failed = true;
      continue;
    }
    argument.type.axes = *axes;
    if (param.type.element) {
      const std::string& element = param.type.element->text;
      if (element == "int" || element == "bool") {
        argument.type.dtype = element == "int" ? DType::Int : DType::Bool;
      } else if (element != "f32" && element != "bf16") {
        const AxisList root = Resolve(frame, element);
        if (root.size() != 1) {
          failed = true;
          continue;
        }
        argument.type.dtype = DType::Int;
        argument.type.indexes = root[0].root();
      }
    }
    SetOrigin(frame, param.name.loc);
    ir::Attributes attributes;
    attributes.name = argument.name;
    attributes.axes = argument.type.axes;
    attributes.dtype = argument.type.dtype;
    attributes.indexes = argument.type.indexes;
    value = Tensor(graph_->Make(OpKind::Input, {}, attributes), argument.type.axes);
    entry.arguments.push_back(std::move(argument));
  }
  return true;
}

bool Elaborator::Minimize(const EntryDecl& decl, Frame& frame) {
  const auto number = [&](const ExprPtr& expr, const char* what) -> Value {
    if (!expr) return {};
    Value value = Eval(*expr, frame);
    if (!Check(frame, value, Need::Number, expr->loc, std::string("minimize's ") + what)) return {};
    if (!value.order.empty()) {
      Diagnostic& d = Report(
          frame, DiagnosticKind::LossAxes, expr->loc,
          std::string("the ") + what + " must be one number per example; it has " + Show(frame, value.order));
      d.notes.push_back("add it up: sum" + Show(frame, value.order) + "(...)");
      return {};
    }
    return value;
  };
  Value loss = number(decl.value, "loss");
  Value per = decl.per ? number(decl.per, "count") : Tensor(graph_->Const(1), {});
  if (per.ok()) {
    const NodeId root = per.node;
    for (NodeId id : graph_->Order(std::span(&root, 1))) {
      const ir::Node& node = (*graph_)[id];
      if (node.op != OpKind::Param) continue;
      Diagnostic& d =
          Report(frame, DiagnosticKind::PerParameters, decl.per->loc, "per must not depend on parameters");
      d.notes.push_back("it depends on `" + node.attributes.name + "`");
      return false;
    }
  }
  if (!loss.ok() || !per.ok()) return false;
  if (DTypeOf(loss) != DType::Float) loss.node = graph_->Pointwise(OpKind::Cast, {loss.node});
  graph_->SetOutput("loss", loss.node);
  graph_->SetOutput("per", per.node);
  return true;
}

std::optional<double> Elaborator::ElementConstant(const Frame& frame, const Expr& expr, Axis element,
                                                  const char* what) {
  const auto number = EvaluateNumber(expr, NumbersIn(frame), diagnostics_);
  if (!number) return std::nullopt;
  const double size = static_cast<double>(axes_->Bound(element));
  if (std::floor(number->value) != number->value || number->value < 0 || number->value >= size) {
    Report(frame, DiagnosticKind::GenerateBounds, expr.loc,
           std::string("`") + what + "` is " + NumberText(number->value) + ", but the elements of `" +
               element.text() + "` are 0 to " + NumberText(size - 1));
    return std::nullopt;
  }
  return number->value;
}

bool Elaborator::Generate(const EntryDecl& decl, Frame& frame, Entry& entry) {
  bool ok = true;
  const auto refuse = [&](DiagnosticKind kind, Loc loc, const std::string& message) -> Diagnostic& {
    ok = false;
    return Report(frame, kind, loc, message);
  };
  const auto axes = Resolve(frame, decl.type.axes);
  const AxisList element = decl.type.element ? Resolve(frame, decl.type.element->text) : AxisList{};
  if (!axes) return false;
  const bool typed = element.size() == 1 && Primes(decl.type.element->text) == 0 &&
                     !axes_->IsDynamic(element[0]) && axes->size() == 1 && axes_->IsDynamic((*axes)[0]) &&
                     (*axes)[0] == (*axes)[0].root();
  if (!typed) {
    refuse(
        DiagnosticKind::GenerateType, decl.type.loc,
        "`" + decl.variable.text + "` must be a sequence of elements of a static axis along one dynamic axis")
        .notes.push_back("as in `generate y: vocab[seq] ...` with `axis vocab = 50257, seq <= 1024`");
    return false;
  }
  const Axis grows = (*axes)[0], vocabulary = element[0];
  ir::Type type{{grows}, DType::Int, vocabulary};
  auto info = std::make_shared<ir::GenerateInfo>();
  info->axis = grows;
  info->variable = decl.variable.text;

  // The prompt, or a constant.
  const ParamDecl* prompt = nullptr;
  if (decl.from && decl.from->kind == ExprKind::Name)
    for (const ParamDecl& param : decl.params)
      if (param.name.text == decl.from->name) prompt = &param;
  if (prompt) {
    info->prompt = prompt->name.text;
    for (const Argument& argument : entry.arguments)
      if (argument.name == prompt->name.text && argument.type != type)
        refuse(DiagnosticKind::GenerateBounds, decl.from->loc,
               "the prompt `" + argument.name + "` must be " + vocabulary.text() + "[" + grows.text() +
                   "], like `" + decl.variable.text + "`")
            .labels.push_back({argument.loc, "this is " + ir::Text(argument.type)});
  } else if (decl.from) {
    if (const auto value = ElementConstant(frame, *decl.from, vocabulary, "from"))
      info->from = graph_->ConstInt(static_cast<int64_t>(*value));
    else
      ok = false;
  }
  if (decl.until) {
    if (const auto value = ElementConstant(frame, *decl.until, vocabulary, "until"))
      info->until = graph_->ConstInt(static_cast<int64_t>(*value));
    else
      ok = false;
  }
  for (const ParamDecl& param : decl.params) {
    if (&param == prompt) continue;
    for (const Argument& argument : entry.arguments) {
      if (argument.name != param.name.text) continue;
      for (Axis axis : argument.type.axes) {
        if (axis.root() != grows) continue;
        Diagnostic& d = refuse(DiagnosticKind::GenerateAxis, param.name.loc,
                               "only `" + decl.variable.text + "` may have the axis `" + grows.text() +
                                   "`, which grows; `" + argument.name + "` has it too");
        d.notes.push_back(prompt ? "other inputs than the prompt need another axis"
                                 : "a prompt is passed by `from " + argument.name +
                                       "`; other inputs need another axis");
        break;
      }
    }
  }
  for (const Option& option : decl.options) {
    std::vector<std::string> names;
    const OptionRange* range = nullptr;
    for (const OptionRange& known : kOptions) {
      names.emplace_back(known.name);
      if (known.name == option.name.text) range = &known;
    }
    if (!range) {
      std::string all;
      for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
      refuse(DiagnosticKind::GenerateOption, option.name.loc,
             "unknown option `" + option.name.text + "`" + DidYouMean(option.name.text, names))
          .notes.push_back("the options are " + all);
      continue;
    }
    if (!option.value) continue;
    const auto number = EvaluateNumber(*option.value, NumbersIn(frame), diagnostics_);
    if (!number) {
      ok = false;
      continue;
    }
    const double v = number->value;
    if (!(v >= range->least && v <= range->most) || (range->whole && std::floor(v) != v)) {
      refuse(DiagnosticKind::GenerateOption, option.value->loc,
             "`" + option.name.text + "` is " + NumberText(v) + "; it must be a " +
                 (range->whole ? "whole number" : "number") + " from " + NumberText(range->least) + " to " +
                 NumberText(range->most));
    }
    if (info->options.count(option.name.text))
      refuse(DiagnosticKind::DuplicateName, option.name.loc, "option `" + option.name.text + "` twice");
    info->options[option.name.text] = v;
  }

  // Whoever elaborates `f` for `generate` cannot see the prompt: y begins with it.
  if (prompt) frame.variables.erase(prompt->name.text);
  SetOrigin(frame, decl.variable.loc);
  ir::Attributes attributes;
  attributes.name = decl.variable.text;
  attributes.axes = type.axes;
  attributes.dtype = DType::Int;
  attributes.indexes = vocabulary;
  frame.variables[decl.variable.text] = Tensor(graph_->Make(OpKind::Input, {}, attributes), {grows});
  const Value logits = decl.value ? Eval(*decl.value, frame) : Value{};
  if (!Check(frame, logits, Need::Number, decl.value ? decl.value->loc : decl.name.loc, "`by`")) return false;
  if (!ir::SameSet(logits.order, {grows, vocabulary})) {
    refuse(DiagnosticKind::GenerateType, decl.value->loc,
           "`by` must give one number for each position and element, [" + grows.text() + ", " +
               vocabulary.text() + "]; this has " + Show(frame, logits.order));
  }
  entry.result_axes = {grows, vocabulary};
  graph_->SetOutput("logits", logits.node);
  graph_->generate = std::move(info);
  return ok;
}

// ---- Statements

Value Elaborator::Body(const std::vector<Stmt>& body, Frame& frame) {
  Value result;
  for (const Stmt& stmt : body) {
    if (aborted_) return {};
    switch (stmt.kind) {
      case StmtKind::Param:
        for (const ParamBind& bind : stmt.params)
          frame.variables[bind.name.text] = MakeParameter(bind, frame);
        break;
      case StmtKind::Part:
        for (const PartBind& bind : stmt.parts) {
          const std::string& own = bind.alias ? bind.alias->text : bind.name.text;
          frame.variables[bind.name.text] = MakePart(bind, frame, JoinPath(frame.path, own));
        }
        break;
      case StmtKind::Let:
        Let(stmt, frame);
        break;
      case StmtKind::Tuple:
        Unpack(stmt, frame);
        break;
      case StmtKind::For:
        For(stmt, frame);
        break;
      case StmtKind::Result:
        result = stmt.value ? Eval(*stmt.value, frame) : Value{};
        break;
    }
  }
  return result;
}

void Elaborator::Let(const Stmt& stmt, Frame& frame) {
  if (!stmt.announced) {
    frame.variables[stmt.names[0].text] = stmt.value ? Eval(*stmt.value, frame) : Value{};
    return;
  }
  const auto announced = Resolve(frame, *stmt.announced);
  frame.announced = announced ? *announced : AxisList{};
  Value value = stmt.value ? Eval(*stmt.value, frame) : Value{};
  frame.announced.reset();
  if (!announced) value = {};
  if (value.kind == Value::Kind::Tensor) {
    const AxisList own = ir::Minus(value.order, ir::Minus(frame.lifted, *announced));
    if (!ir::SameSet(own, *announced)) {
      Diagnostic& d = Report(frame, DiagnosticKind::AnnouncedAxes, stmt.value->loc,
                             "`" + stmt.names[0].text + "` is announced with " + Show(frame, *announced) +
                                 "; the value has " + Show(frame, own));
      d.labels.push_back({stmt.names[0].loc, ""});
      value = {};
    } else {
      value.order = ir::Union(ir::Minus(value.order, *announced), *announced);
    }
  }
  frame.variables[stmt.names[0].text] = value;
}

void Elaborator::Unpack(const Stmt& stmt, Frame& frame) {
  const Value value = stmt.value ? Eval(*stmt.value, frame) : Value{};
  std::vector<Value> values(stmt.names.size());
  if (value.kind == Value::Kind::Tuple) {
    if (value.tuple.size() == stmt.names.size()) {
      values = value.tuple;
    } else {
      Report(
          frame, DiagnosticKind::ElementCount, stmt.loc,
          std::to_string(stmt.names.size()) + " names for " + std::to_string(value.tuple.size()) + " values")
          .labels.push_back({stmt.value->loc, "gives " + std::to_string(value.tuple.size())});
    }
  } else if (value.ok()) {
    Report(frame, DiagnosticKind::WrongType, stmt.value->loc,
           "several names on the left need several values; this is one value, " + ShowType(frame, value))
        .notes.push_back("unpack[axis](x) gives one value for each element of a static axis");
  }
  for (size_t i = 0; i < values.size(); ++i) frame.variables[stmt.names[i].text] = values[i];
}

void Elaborator::For(const Stmt& stmt, Frame& frame) {
  const AxisList axes = Resolve(frame, stmt.axis.text);
  if (axes.empty() || stmt.names.empty()) return;
  if (axes.size() > 1) {
    Report(frame, DiagnosticKind::GroupPositions, stmt.axis.loc,
           "`" + stmt.axis.text + "` is the group " + Show(frame, axes) +
               " here; a loop runs over a single axis");
    return;
  }
  if (axes_->IsDynamic(axes[0])) {
    Report(frame, DiagnosticKind::DynamicAxis, stmt.axis.loc,
           "a loop needs a static axis; `" + stmt.axis.text + "` has a length of its own in each example");
    return;
  }
  const int64_t count = axes_->Bound(axes[0]);
  for (int64_t i = 0; i < count && Step(frame, stmt.loc); ++i) {
    Value& variable = frame.variables[stmt.names[0].text];
    variable = Tensor(graph_->ConstInt(i), {});
    variable.element = axes[0].root();
    Body(stmt.body, frame);
  }
}

Value Elaborator::MakePart(const PartBind& bind, Frame& frame, const std::string& path) {
  const Function* module = declarations_.Find(bind.module.text, frame.prelude());
  const auto axes = ResolveGroups(frame, bind.axes);
  const auto stack = Resolve(frame, bind.stack);
  if (!module || !module->decl->is_module || !axes || !stack || axes->size() != module->decl->axes.size())
    return {};
  for (size_t i = 0; i < axes->size(); ++i)
    if (!Distinct(frame, (*axes)[i], {}, bind.axes[i].loc)) return {};
  for (Axis axis : *stack) {
    if (!axes_->IsDynamic(axis)) continue;
    Report(frame, DiagnosticKind::DynamicAxis, bind.name.loc,
           "a stack of parts needs a static axis; `" + Show(frame, axis) +
               "` has a length of its own in each example");
    return {};
  }
  auto part = std::make_shared<PartInstance>();
  part->module = module;
  part->bind = &bind;
  part->axes = *axes;
  part->stack = *stack;
  part->path = path;
  Value value;
  value.kind = Value::Kind::Part;
  value.part = std::move(part);
  return value;
}

// ---- Helpers

Diagnostic& Elaborator::Report(const Frame& frame, DiagnosticKind kind, Loc loc, std::string message) {
  // Inside the prelude the author's own call is the place to point at.
  const Loc inner = loc;
  const Frame* at = &frame;
  while (at->prelude() && at->caller) {
    loc = at->call_loc;
    at = at->caller;
  }
  if (!reported_.insert({kind, loc.file, loc.offset}).second) {
    repeated_ = {kind, loc, "", {}, {}};
    return repeated_;
  }
  Diagnostic& d = diagnostics_.Report(kind, loc, std::move(message));
  if (at != &frame) d.labels.push_back({inner, "here, in `" + frame.name + "`"});
  if (at->function && at->caller && (!at->axes.empty() || !at->lifted.empty())) {
    std::string note = "`" + at->name + "` called at " + at->call_loc.Text();
    std::string with;
    for (const AxisItem& item : at->function->decl->axes)
      for (const Name& name : item.names) {
        const auto found = at->axes.find(name.text);
        if (found == at->axes.end()) continue;
        std::string actual;
        for (Axis axis : found->second) actual += (actual.empty() ? "" : ", ") + axis.WithoutFresh().text();
        with += (with.empty() ? " with " : ", ") + name.text + " = " +
                (found->second.size() == 1 ? actual : "(" + actual + ")");
      }
    if (!at->lifted.empty())
      with += (with.empty() ? " lifted over " : ", lifted over ") + Show(*at->caller, at->lifted);
    d.notes.push_back(note + with);
  }
  return d;
}

void Elaborator::SetOrigin(const Frame& frame, Loc loc) {
  graph_->origin = {frame.path, loc.Text() + frame.where};
}

AxisList Elaborator::Resolve(const Frame& frame, const std::string& name) const {
  const std::string base = BaseName(name);
  const int primes = Primes(name);
  AxisList result;
  if (const auto found = frame.axes.find(base); found != frame.axes.end()) {
    for (Axis axis : found->second) {
      for (int i = 0; i < primes; ++i) axis = axis.Twin();
      result.push_back(axis);
    }
  } else if (!frame.prelude() && declarations_.IsAxis(name)) {
    result.push_back(Axis(name));
  }
  return result;
}

std::optional<AxisList> Elaborator::Resolve(const Frame& frame, const AxisItems& items) const {
  AxisList result;
  for (const AxisItem& item : items) {
    for (const Name& name : item.names) {
      const AxisList axes = Resolve(frame, name.text);
      if (axes.empty()) return std::nullopt;
      result.insert(result.end(), axes.begin(), axes.end());
    }
  }
  return result;
}

std::optional<std::vector<AxisList>> Elaborator::ResolveGroups(const Frame& frame,
                                                               const AxisItems& items) const {
  std::vector<AxisList> result;
  for (const AxisItem& item : items) {
    const auto axes = Resolve(frame, AxisItems{item});
    if (!axes) return std::nullopt;
    result.push_back(*axes);
  }
  return result;
}

std::optional<Axis> Elaborator::Single(const Frame& frame, const AxisItem& item) {
  const auto axes = Resolve(frame, AxisItems{item});
  if (!axes) return std::nullopt;
  if (axes->size() == 1) return (*axes)[0];
  Report(frame, DiagnosticKind::GroupPositions, item.loc,
         "a single axis is needed here; this is the group " + Show(frame, *axes));
  return std::nullopt;
}

bool Elaborator::Distinct(const Frame& frame, const AxisList& axes, const AxisItems& items, Loc loc) {
  std::set<std::string> written;
  bool silent = false;
  for (const AxisItem& item : items)
    for (const Name& name : item.names) silent = !written.insert(name.text).second || silent;
  for (size_t i = 0; i < axes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (axes[i] != axes[j]) continue;
      if (silent) return false;
      Report(frame, DiagnosticKind::DuplicateAxis, loc,
             "axis `" + Show(frame, axes[i]) + "` twice in " + Show(frame, axes))
          .notes.push_back("the twin `" + Show(frame, axes[i]) + "'` has the same size and another name");
      return false;
    }
  }
  return true;
}

std::string Elaborator::Show(const Frame& frame, Axis axis) const {
  if (axis.WithoutFresh() == axis) return axis.text();
  // A fresh copy is known to the author by the parameter's name.
  for (const auto& [formal, actual] : frame.axes) {
    if (actual.size() != 1) continue;
    std::string name = formal;
    for (Axis variant = actual[0]; variant.text().size() <= axis.text().size(); variant = variant.Twin()) {
      if (variant == axis) return name;
      name += "'";
    }
  }
  return axis.WithoutFresh().text();
}

std::string Elaborator::Show(const Frame& frame, const AxisList& axes) const {
  std::string text;
  for (Axis axis : axes) text += (text.empty() ? "" : ", ") + Show(frame, axis);
  return "[" + text + "]";
}

std::string Elaborator::ShowType(const Frame& frame, const Value& value) const {
  if (value.kind == Value::Kind::Tuple) return std::to_string(value.tuple.size()) + " values";
  if (value.kind != Value::Kind::Tensor) return "?";
  const DType dtype = DTypeOf(value);
  std::string name = ir::Text(dtype);
  if (dtype == DType::Int && ElementOf(value)) name = ElementOf(value).text();
  return value.order.empty() ? name : name + Show(frame, value.order);
}

NumberScope Elaborator::NumbersIn(const Frame& frame) {
  NumberScope scope;
  scope.size = [this, &frame](const std::string& name, Loc) -> std::optional<Number> {
    const AxisList axes = Resolve(frame, name);
    if (axes.empty()) return std::nullopt;
    Number product{1, true};
    for (Axis axis : axes) product.value *= static_cast<double>(axes_->Bound(axis));
    return product;
  };
  scope.value = [this, &frame](const std::string& name, Loc loc) -> std::optional<Number> {
    const auto variable = frame.variables.find(name);
    if (variable != frame.variables.end()) {
      const Value& value = variable->second;
      if (!value.ok()) return std::nullopt;
      if (value.kind == Value::Kind::Tensor && graph_->op(value.node) == OpKind::Const &&
          DTypeOf(value) != DType::Bool)
        return Number{(*graph_)[value.node].attributes.number, DTypeOf(value) == DType::Int};
      Report(frame, DiagnosticKind::NotConstant, loc, "`" + name + "` is not known at compile time");
      return std::nullopt;
    }
    if (!frame.prelude())
      if (const auto found = declarations_.consts().find(name); found != declarations_.consts().end())
        return found->second;
    if (!Resolve(frame, name).empty())
      Report(frame, DiagnosticKind::AxisAsNumber, loc,
             "axis `" + name + "` is used as a number; did you mean `|" + name + "|`?");
    return std::nullopt;  // an unknown name was reported by check
  };
  return scope;
}

Value Elaborator::Tensor(NodeId node, const AxisList& order) const {
  Value value;
  value.kind = Value::Kind::Tensor;
  value.node = node;
  value.order = ir::SameSet(order, graph_->axes_of(node)) ? order : graph_->axes_of(node);
  return value;
}

Value Elaborator::Pointwise(OpKind op, const std::vector<Value>& arguments) const {
  std::vector<NodeId> nodes;
  AxisList order;
  for (const Value& value : arguments) {
    nodes.push_back(value.node);
    order = ir::ContainsAll(value.order, order) ? value.order : ir::Union(order, value.order);
  }
  return Tensor(graph_->Pointwise(op, std::move(nodes)), order);
}

bool Elaborator::Check(const Frame& frame, const Value& value, Need need, Loc loc, const std::string& who) {
  if (!value.ok()) return false;
  const bool boolean = value.kind == Value::Kind::Tensor && DTypeOf(value) == DType::Bool;
  if (value.kind == Value::Kind::Tensor && (need == Need::Any || (need == Need::Bool) == boolean))
    return true;
  const char* what = need == Need::Number ? "a number" : need == Need::Bool ? "a truth value" : "one value";
  if (value.kind == Value::Kind::Part) return false;  // reported by check
  Report(frame, DiagnosticKind::WrongType, loc,
         who + " needs " + what + "; this is " + ShowType(frame, value));
  return false;
}

bool Elaborator::CheckBroadcast(const Frame& frame, const Value& a, const Value& b, const Expr& expr,
                                const std::string& op, Loc a_loc, Loc b_loc) {
  if (DTypeOf(a) != DType::Float || DTypeOf(b) != DType::Float) return true;
  const AxisList own_a = ir::Minus(a.order, frame.lifted), own_b = ir::Minus(b.order, frame.lifted);
  if (ir::ContainsAll(own_a, own_b) || ir::ContainsAll(own_b, own_a)) return true;
  const AxisList all = ir::Union(own_a, own_b);
  if (frame.announced && ir::ContainsAll(*frame.announced, all)) return true;
  Diagnostic& d = Report(frame, DiagnosticKind::TwoWayBroadcast, expr.op_loc.file ? expr.op_loc : expr.loc,
                         "two-way broadcast: " + Show(frame, own_a) + " " + op + " " + Show(frame, own_b) +
                             " gives " + Show(frame, all));
  d.labels.push_back({a_loc, "has " + Show(frame, own_a)});
  d.labels.push_back({b_loc, "has " + Show(frame, own_b)});
  d.notes.push_back("write the axes on the left if meant: `s" + Show(frame, all) + " = ...`");
  return false;
}

Axis Elaborator::ElementOf(const Value& value) const {
  return value.element ? value.element : graph_->type(value.node).indexes;
}

std::optional<int64_t> Elaborator::IntConstant(const Value& value) const {
  if (value.kind != Value::Kind::Tensor || graph_->op(value.node) != OpKind::Const ||
      DTypeOf(value) != DType::Int)
    return std::nullopt;
  const double number = (*graph_)[value.node].attributes.number;
  if (!(std::fabs(number) < 9e15)) return std::nullopt;
  return static_cast<int64_t>(number);
}

bool Elaborator::Step(const Frame& frame, Loc loc) {
  if (aborted_) return false;
  if (++steps_ <= kMaxSteps && graph_->size() <= kMaxNodes && depth_ <= kMaxDepth) return true;
  aborted_ = true;
  Report(frame, DiagnosticKind::ProgramTooLarge, loc,
         depth_ > kMaxDepth ? "calls and expressions are nested too deeply here"
                            : "expanding this program takes more than " +
                                  NumberText(graph_->size() > kMaxNodes ? kMaxNodes : kMaxSteps) +
                                  (graph_->size() > kMaxNodes ? " operations" : " steps"))
      .notes.push_back("loops over static axes are unrolled and every call is expanded");
  return false;
}

}  // namespace heed::frontend
