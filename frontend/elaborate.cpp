// Entries and statements.
#include "frontend/elaborate.h"

#include <algorithm>
#include <cmath>

#include "frontend/builtins.h"
#include "runtime/abi_names.h"
#include "runtime/option_names.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::NodeId;
using ir::OpKind;

namespace {

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

/// The argument that a generated text begins with; null: none.
const ParamDecl* PromptOf(const EntryDecl& decl) {
  if (!decl.from || decl.from->kind != ExprKind::Name) return nullptr;
  for (const ParamDecl& param : decl.params)
    if (param.name.text == decl.from->name) return &param;
  return nullptr;
}

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
  kind_ = decl.kind;
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
  root_parts_.clear();
  for (const PartBind* part : declarations_.parts())
    root_parts_[part->name.text] = MakePart(*part, frame, part->alias ? part->alias->text : "");
  frame.variables = root_parts_;
  bool failed = false;
  if (!Arguments(decl, frame, entry, failed)) failed = true;
  if (TakesTexts(entry)) failed = !HaveNoOptionsNames(frame, entry) || failed;
  // Whoever elaborates `f` for `generate` cannot see the prompt: y begins with it.
  if (const ParamDecl* prompt = PromptOf(decl)) frame.variables.erase(prompt->name.text);
  Body(decl.body, frame);
  bool made = false;
  switch (decl.kind) {
    case EntryKind::Value:
      made = ValueOf(decl, frame, entry);
      break;
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
    if (argument.name == kExampleInput) {
      Report(frame, DiagnosticKind::ReservedName, param.name.loc,
             "an argument cannot be called `example`: that is the number of the example");
      failed = true;
    }
    const bool grouped = !Separate(frame, param.type, "an argument");
    failed = failed || grouped;
    Value& value = frame.variables[param.name.text];
    value = {};
    if (!axes || grouped || !Distinct(frame, *axes, param.type.axes, param.type.loc)) {
      failed = true;
      continue;
    }
    argument.type.axes = *axes;
    Axis reads;
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
        reads = root[0];
      }
    }
    SetOrigin(frame, param.name.loc);
    ir::Attributes attributes;
    attributes.name = argument.name;
    attributes.axes = argument.type.axes;
    attributes.dtype = argument.type.dtype;
    attributes.indexes = argument.type.indexes;
    value = Tensor(graph_->Make(OpKind::Input, {}, attributes), argument.type.axes);
    if (reads != reads.root()) value.reads = {reads};
    entry.arguments.push_back(std::move(argument));
  }
  return true;
}

/// Its command has an option for each argument (TextArguments in runtime/engine/program.h).
bool Elaborator::TakesTexts(const Entry& entry) const {
  if (entry.kind != EntryKind::Value || entry.name == "score") return false;
  AxisList along;
  for (const Argument& argument : entry.arguments) {
    const ir::Type& type = argument.type;
    if (!type.indexes || axes_->IsDynamic(type.indexes) || !axes_->Of(type.indexes).enumerators.empty() ||
        type.axes.size() != 1 || !axes_->IsDynamic(type.axes[0]) || ir::Contains(along, type.axes[0]))
      return false;
    along.push_back(type.axes[0]);
  }
  return true;
}

bool Elaborator::HaveNoOptionsNames(const Frame& frame, const Entry& entry) {
  bool free = true;
  for (const Argument& argument : entry.arguments) {
    if (std::ranges::find(kTextEntryOptions, argument.name) == std::end(kTextEntryOptions)) continue;
    free = false;
    Report(frame, DiagnosticKind::ReservedName, argument.loc,
           "an argument of `" + entry.name + "` cannot be called `" + argument.name +
               "`: its command has an option --" + argument.name + " already")
        .notes.push_back(
            "the command takes each text by an option of the argument's name, as in --x FILE for `x`");
  }
  return free;
}

bool Elaborator::Separate(const Frame& frame, const TypeExpr& type, const char* what) {
  for (const AxisItem& item : type.axes) {
    if (!item.group) continue;
    Report(frame, DiagnosticKind::GroupPositions, type.loc,
           std::string(what) + " of an entry has separate axes; groups are for parameters");
    return false;
  }
  return true;
}

bool Elaborator::ValueOf(const EntryDecl& decl, Frame& frame, Entry& entry) {
  Value value = decl.value ? Eval(*decl.value, frame) : Value{};
  if (value.kind == Value::Kind::Tuple)
    Report(frame, DiagnosticKind::WrongType, decl.value->loc, "an entry gives one value, not several");
  if (value.kind != Value::Kind::Tensor) return false;
  if (!decl.result) {
    if (TooLarge(frame, value)) return false;
    entry.result_axes = OrderOf(decl, frame, entry, value);
  } else {
    if (!Separate(frame, *decl.result, "the result")) return false;
    const auto axes = CheckResult(frame, *decl.result, value, decl.value->loc);
    if (!axes) return false;
    entry.result_axes = *axes;
    const bool floats =
        !decl.result->element || decl.result->element->text == "f32" || decl.result->element->text == "bf16";
    if (floats && DTypeOf(value) == DType::Int) value.node = graph_->Pointwise(OpKind::Cast, {value.node});
  }
  graph_->SetOutput(kValueOutput, value.node);
  return true;
}

AxisList Elaborator::OrderOf(const EntryDecl& decl, const Frame& frame, const Entry& entry,
                             const Value& value) const {
  // What a function or part gives has the order of its declaration.
  if (decl.value->kind == ExprKind::Call) {
    const Expr& callee = *decl.value->children[0];
    const auto part = frame.variables.find(callee.name);
    if (callee.kind == ExprKind::Index || (part != frame.variables.end() && part->second.part) ||
        (!declarations_.BuiltinCalled(callee.name, false) && declarations_.Find(callee.name, false)))
      return value.order;
  }
  AxisList order;
  for (const Argument& argument : entry.arguments) order = ir::Union(order, argument.type.axes);
  order = ir::Intersection(order, value.order);
  AxisList rest = ir::Minus(value.order, order);
  std::sort(rest.begin(), rest.end(), [&](Axis a, Axis b) {
    const auto line = [&](Axis axis) { return declarations_.axis_bind(axis.root().text()).name.loc.offset; };
    return line(a) != line(b) ? line(a) < line(b) : a.text().size() < b.text().size();
  });
  return ir::Union(order, rest);
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
  graph_->SetOutput(kLossOutput, loss.node);
  graph_->SetOutput(kCountOutput, per.node);
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

/// A `generate` while it is checked.
struct Elaborator::Generation {
  const EntryDecl& decl;
  const Entry& entry;
  Frame& frame;
  ir::Type type;  ///< of the variable
  std::shared_ptr<ir::GenerateInfo> info = std::make_shared<ir::GenerateInfo>();
  const ParamDecl* prompt = nullptr;
  bool ok = true;

  Axis grows() const { return type.axes[0]; }
  Axis vocabulary() const { return type.indexes; }
};

Diagnostic& Elaborator::Refuse(Generation& made, DiagnosticKind kind, Loc loc, std::string message) {
  made.ok = false;
  return Report(made.frame, kind, loc, std::move(message));
}

bool Elaborator::Generate(const EntryDecl& decl, Frame& frame, Entry& entry) {
  const auto type = SequenceType(decl, frame);
  if (!type) return false;
  Generation made{.decl = decl, .entry = entry, .frame = frame, .type = *type};
  made.info->axis = made.grows();
  made.info->variable = decl.variable.text;
  Begin(made);
  End(made);
  CheckOthers(made);
  Options(made);
  Value logits = Logits(made);
  if (!logits.ok()) return false;
  entry.result_axes = {made.grows(), made.vocabulary()};
  graph_->SetOutput(kLogitsOutput, logits.node);
  graph_->generate = std::move(made.info);
  return made.ok;
}

std::optional<ir::Type> Elaborator::SequenceType(const EntryDecl& decl, const Frame& frame) {
  const auto axes = Resolve(frame, decl.type.axes);
  const AxisList element = decl.type.element ? Resolve(frame, decl.type.element->text) : AxisList{};
  if (!axes) return std::nullopt;
  const bool typed = element.size() == 1 && Primes(decl.type.element->text) == 0 &&
                     !axes_->IsDynamic(element[0]) && axes->size() == 1 && axes_->IsDynamic((*axes)[0]) &&
                     (*axes)[0] == (*axes)[0].root();
  if (typed) return ir::Type{{(*axes)[0]}, DType::Int, element[0]};
  Report(
      frame, DiagnosticKind::GenerateType, decl.type.loc,
      "`" + decl.variable.text + "` must be a sequence of elements of a static axis along one dynamic axis")
      .notes.push_back("as in `generate y: vocab[seq] ...` with `axis vocab = 50257, seq <= 1024`");
  return std::nullopt;
}

void Elaborator::Begin(Generation& made) {
  const EntryDecl& decl = made.decl;
  made.prompt = PromptOf(decl);
  if (made.prompt) {
    made.info->prompt = made.prompt->name.text;
    for (const Argument& argument : made.entry.arguments)
      if (argument.name == made.prompt->name.text && argument.type != made.type)
        Refuse(made, DiagnosticKind::GenerateBounds, decl.from->loc,
               "the prompt `" + argument.name + "` must be " + made.vocabulary().text() + "[" +
                   made.grows().text() + "], like `" + decl.variable.text + "`")
            .labels.push_back({argument.loc, "this is " + ir::Text(argument.type)});
  } else if (decl.from) {
    if (const auto value = ElementConstant(made.frame, *decl.from, made.vocabulary(), "from"))
      made.info->from = graph_->ConstInt(static_cast<int64_t>(*value));
    else
      made.ok = false;
  }
}

void Elaborator::End(Generation& made) {
  std::map<double, Loc> ends;
  for (const ExprPtr& end : made.decl.until) {
    const auto value = ElementConstant(made.frame, *end, made.vocabulary(), "until");
    if (!value) {
      made.ok = false;
      continue;
    }
    const auto [first, fresh] = ends.emplace(*value, end->loc);
    if (!fresh) {
      Refuse(made, DiagnosticKind::GenerateBounds, end->loc,
             "`until` has element " + NumberText(*value) + " twice")
          .labels.push_back({first->second, "the other one"});
    }
    made.info->until.push_back(graph_->ConstInt(static_cast<int64_t>(*value)));
  }
}

void Elaborator::CheckOthers(Generation& made) {
  for (const ParamDecl& param : made.decl.params) {
    if (&param == made.prompt) continue;
    for (const Argument& argument : made.entry.arguments) {
      if (argument.name != param.name.text) continue;
      for (Axis axis : argument.type.axes) {
        if (axis.root() != made.grows()) continue;
        Diagnostic& d =
            Refuse(made, DiagnosticKind::GenerateAxis, param.name.loc,
                   "only `" + made.decl.variable.text + "` may have the axis `" + made.grows().text() +
                       "`, which grows; `" + argument.name + "` has it too");
        d.notes.push_back(made.prompt ? "other inputs than the prompt need another axis"
                                      : "a prompt is passed by `from " + argument.name +
                                            "`; other inputs need another axis");
        break;
      }
    }
  }
}

void Elaborator::Options(Generation& made) {
  for (const Option& option : made.decl.options) {
    std::vector<std::string> names;
    const OptionRange* range = nullptr;
    for (const OptionRange& known : kOptions) {
      names.emplace_back(known.name);
      if (known.name == option.name.text) range = &known;
    }
    if (!range) {
      std::string all;
      for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
      Refuse(made, DiagnosticKind::GenerateOption, option.name.loc,
             "unknown option `" + option.name.text + "`" + DidYouMean(option.name.text, names))
          .notes.push_back("the options are " + all);
      continue;
    }
    if (!option.value) continue;
    const auto number = EvaluateNumber(*option.value, NumbersIn(made.frame), diagnostics_);
    if (!number) {
      made.ok = false;
      continue;
    }
    const double v = number->value;
    if (!(v >= range->least && v <= range->most) || (range->whole && std::floor(v) != v)) {
      Refuse(made, DiagnosticKind::GenerateOption, option.value->loc,
             "`" + option.name.text + "` is " + NumberText(v) + "; it must be a " +
                 (range->whole ? "whole number" : "number") + " from " + NumberText(range->least) + " to " +
                 NumberText(range->most));
    }
    if (made.info->options.count(option.name.text))
      Refuse(made, DiagnosticKind::DuplicateName, option.name.loc, "option `" + option.name.text + "` twice");
    made.info->options[option.name.text] = v;
  }
}

Value Elaborator::Logits(Generation& made) {
  const EntryDecl& decl = made.decl;
  Frame& frame = made.frame;
  SetOrigin(frame, decl.variable.loc);
  ir::Attributes attributes;
  attributes.name = decl.variable.text;
  attributes.axes = made.type.axes;
  attributes.dtype = DType::Int;
  attributes.indexes = made.vocabulary();
  frame.variables[decl.variable.text] = Tensor(graph_->Make(OpKind::Input, {}, attributes), {made.grows()});
  Value logits = decl.value ? Eval(*decl.value, frame) : Value{};
  if (!Check(frame, logits, Need::Number, decl.value ? decl.value->loc : decl.name.loc, "`by`")) return {};
  if (!ir::SameSet(logits.order, {made.grows(), made.vocabulary()})) {
    Refuse(made, DiagnosticKind::GenerateType, decl.value->loc,
           "`by` must give one number for each position and element, [" + made.grows().text() + ", " +
               made.vocabulary().text() + "]; this has " + Show(frame, logits.order));
  }
  if (DTypeOf(logits) != DType::Float) logits.node = graph_->Pointwise(OpKind::Cast, {logits.node});
  return logits;
}

// ---- Statements

Value Elaborator::Body(const std::vector<Stmt>& body, Frame& frame) {
  Value result;
  for (const Stmt& stmt : body) {
    if (aborted_) return {};
    const bool misplaced =
        frame.function == nullptr && (stmt.kind == StmtKind::Param || stmt.kind == StmtKind::Part);
    if (misplaced) continue;
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
    const ir::Attributes attributes = {
        .indexes = axes[0].root(), .dtype = DType::Int, .number = static_cast<double>(i)};
    variable = Tensor(graph_->Make(OpKind::Const, {}, attributes), {});
    Body(stmt.body, frame);
  }
}

Value Elaborator::MakePart(const PartBind& bind, Frame& frame, const std::string& path) {
  const Function* module = declarations_.Find(bind.module.text, frame.prelude());
  const auto axes = ResolveGroups(frame, bind.axes);
  const auto stack = Resolve(frame, bind.stack);
  if (!module || !module->decl->is_module || !axes || !stack) return {};
  const std::vector<AxisItem>& formals = module->decl->axes;
  if (axes->size() != formals.size() && !axes->empty()) return {};
  if (!Closed(bind.stack, "the stack `" + bind.name.text + "`", frame)) return {};
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
  for (size_t i = 0; i < formals.size(); ++i) {
    bool open = axes->empty();
    if (!open)
      for (const Name& name : bind.axes[i].names) open = open || frame.open.count(BaseName(name.text)) != 0;
    for (const Name& formal : formals[i].names)
      if (open) part->open.insert(formal.text);
  }
  part->key = frame.key;
  part->key.emplace_back(&bind, "");
  if (!stack->empty()) stacks_[path + "."] = stack->front().root().text();
  Value value;
  value.kind = Value::Kind::Part;
  value.part = std::move(part);
  return value;
}

}  // namespace heed::frontend
