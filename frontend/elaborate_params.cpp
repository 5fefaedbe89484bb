// Parameters: paths, storage axes, and the initial values that are written.
//
// A parameter is stored on distinct axes without the marks of hygiene; a dynamic root is stored at its bound
// and read at the positions of the axis of this call. What this file leaves alone: initial values that are
// not written (initializers.h).
#include <cmath>

#include "frontend/elaborate.h"
#include "runtime/abi_names.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::NodeId;
using ir::OpKind;

namespace {
constexpr double kMaxElements = 1099511627776;  // 2^40: 4 TiB of f32
// What checkpoints have besides parameters.
}  // namespace

Value Elaborator::MakeParameter(const ParamBind& bind, Frame& frame) {
  const auto groups = ResolveGroups(frame, bind.axes);
  if (!groups || !Closed(bind.axes, "parameter `" + bind.name.text + "`", frame)) return {};
  AxisList local;
  for (const AxisList& group : *groups) local.insert(local.end(), group.begin(), group.end());
  if (!Distinct(frame, local, bind.axes, bind.name.loc)) return {};
  AxisList stored;
  for (Axis axis : local) {
    const bool dynamic = axes_->IsDynamic(axis);
    const Axis plain = axis.WithoutFresh();
    Axis storage = dynamic ? plain.Stored() : plain;
    for (int k = 1; ir::Contains(stored, storage); ++k)
      storage = dynamic ? plain.Fresh(k).Stored() : plain.Fresh(k);
    stored.push_back(storage);
  }
  const std::string name = JoinPath(frame.path, bind.alias ? bind.alias->text : bind.name.text);
  if (name.empty()) return {};  // reported by check
  SetOrigin(frame, bind.name.loc);
  if (!CheckFileName(name, bind, frame)) return {};
  ParameterInfo*& info = by_name_[name];
  if (info && (info->bind != &bind || info->key != frame.key || info->parameter.axes != stored)) {
    SamePath(bind, frame, *info);
    return {};
  }
  if (!info) {
    auto fresh = std::make_unique<ParameterInfo>();
    Parameter& parameter = fresh->parameter;
    fresh->bind = &bind;
    fresh->key = frame.key;
    parameter.name = name;
    parameter.axes = stored;
    parameter.loc = bind.name.loc;
    double elements = 1;
    int next = 0;
    for (const AxisList& group : *groups) {
      std::vector<int> indices;
      double size = 1;
      for (size_t i = 0; i < group.size(); ++i) {
        indices.push_back(next++);
        size *= static_cast<double>(axes_->Bound(group[i]));
      }
      elements *= size;
      parameter.groups.push_back(std::move(indices));
      parameter.shape.push_back(size < 9e15 ? static_cast<int64_t>(size) : 0);
    }
    if (elements > kMaxElements) {
      Report(frame, DiagnosticKind::SizeTooLarge, bind.name.loc,
             "parameter `" + name + "` would have " + NumberText(elements) + " elements");
      by_name_.erase(name);
      return {};
    }
    WrittenInitializer(bind, frame, parameter);
    info = fresh.get();
    parameters_.push_back(std::move(fresh));
  }
  ir::Attributes attributes;
  attributes.name = name;
  attributes.axes = stored;
  NodeId node = graph_->Make(OpKind::Param, {}, attributes);
  std::vector<std::pair<Axis, Axis>> renames;
  for (size_t i = 0; i < local.size(); ++i)
    if (!stored[i].stored()) renames.emplace_back(stored[i], local[i]);
  node = graph_->Rename(node, renames);
  for (size_t i = 0; i < local.size(); ++i) {
    if (!stored[i].stored()) continue;
    attributes = {};
    attributes.axis = stored[i];
    node = graph_->Make(OpKind::Gather, {node, graph_->Positions(local[i])}, attributes);
  }
  return Tensor(node, local);
}

bool Elaborator::Closed(const AxisItems& items, const std::string& what, const Frame& frame) {
  for (const AxisItem& item : items) {
    for (const Name& name : item.names) {
      if (!frame.open.count(BaseName(name.text))) continue;
      Diagnostic& d = Report(frame, DiagnosticKind::OpenAxis, name.loc,
                             what + " has the axis `" + name.text +
                                 "`, which its part leaves open: it would be another one in each call");
      if (!frame.key.empty()) d.labels.push_back({frame.key[0].first->name.loc, "this part"});
      d.notes.push_back(
          "name the axes where the part is declared, or read a table at the positions, as in `P[place(" +
          name.text + ")]`");
      return false;
    }
  }
  return true;
}

void Elaborator::SamePath(const ParamBind& bind, const Frame& frame, const ParameterInfo& other) {
  const std::string path = "`" + other.parameter.name + "`";
  size_t same = 0;
  while (same < frame.key.size() && same < other.key.size() && frame.key[same] == other.key[same]) ++same;
  const PartBind* part = same < frame.key.size() ? frame.key[same].first : nullptr;
  const PartBind* other_part = same < other.key.size() ? other.key[same].first : nullptr;
  if (part && other_part && part != other_part) {
    Diagnostic& d = Report(
        frame, DiagnosticKind::DuplicateParameter, part->name.loc,
        "parts `" + other_part->name.text + "` and `" + part->name.text + "` both have a parameter " + path);
    d.labels.push_back({other_part->name.loc, "the other one"});
    d.notes.push_back(same == 0 && !part->alias
                          ? "the name of a part at top level is not part of a path: give one a name with "
                            "`as \"...\"`, or call one part twice"
                          : "give one another name with `as \"...\"`, or call one part twice");
    return;
  }
  Diagnostic& d = Report(frame, DiagnosticKind::DuplicateParameter, part ? part->name.loc : bind.name.loc,
                         "two parameters have the path " + path);
  if (other.bind != &bind) d.labels.push_back({other.parameter.loc, "the other one"});
  d.notes.push_back("`as \"...\"` gives a part or parameter another path");
}

bool Elaborator::CheckFileName(const std::string& name, const ParamBind& bind, const Frame& frame) {
  const auto refuse = [&](const std::string& why, const std::string& note) -> Diagnostic& {
    Diagnostic& d = Report(frame, DiagnosticKind::ReservedName, bind.alias ? bind.alias->loc : bind.name.loc,
                           "a parameter cannot have the path `" + name + "`: " + why);
    d.notes.push_back(note);
    return d;
  };
  const std::string note = "`as \"...\"` gives a part or parameter another name";
  if (name == kMetadata) {
    refuse("in a checkpoint that is what is not a tensor", note);
    return false;
  }
  if (name.starts_with(kOptimizerPrefix)) {
    refuse("in a checkpoint names that begin with `optim.` are those of the optimizer's state", note);
    return false;
  }
  const auto known = [&](const std::string& other) -> const ParameterInfo* {
    const auto found = by_name_.find(other);
    return found == by_name_.end() ? nullptr : found->second;
  };
  const ParameterInfo* other = known(name + std::string(kScalesSuffix));
  if (other == nullptr && name.ends_with(kScalesSuffix))
    other = known(name.substr(0, name.size() - kScalesSuffix.size()));
  if (other == nullptr) return true;
  refuse("in a quantised checkpoint NAME.scale is the scales of NAME, and there is `" +
             other->parameter.name + "`",
         note)
      .labels.push_back({other->parameter.loc, "the other one"});
  return false;
}

void Elaborator::WrittenInitializer(const ParamBind& bind, const Frame& frame, Parameter& parameter) {
  if (bind.init == 0 || !bind.init_value) return;
  const Expr& expr = *bind.init_value;
  const auto refuse = [&](Loc loc, const std::string& message) -> Diagnostic& {
    return Report(frame, DiagnosticKind::BadInitializer, loc, message);
  };
  const bool call = expr.kind == ExprKind::Call && expr.children[0]->kind == ExprKind::Name;
  const std::string name = call ? expr.children[0]->name : "";
  if (bind.init == '=') {
    if (name == "normal" || name == "uniform") return;  // reported by check
    if (const auto number = EvaluateNumber(expr, NumbersIn(frame), diagnostics_)) {
      if (!std::isfinite(number->value)) refuse(expr.loc, "the initial value is not a finite number");
      parameter.init = {Initializer::Kind::Constant, number->value, 0};
    }
    return;
  }
  if (name != "normal" && name != "uniform") {
    refuse(expr.loc, "after ~ stands a distribution: normal(mean, deviation) or uniform(from, to)" +
                         (call ? DidYouMean(name, {"normal", "uniform"}) : ""));
    return;
  }
  if (expr.children.size() != 3 || !expr.items.empty() || expr.predicate) {
    refuse(expr.loc, name == "normal" ? "normal takes a mean and a deviation: normal(0, 0.02)"
                                      : "uniform takes two ends: uniform(-0.1, 0.1)");
    return;
  }
  const auto a = EvaluateNumber(*expr.children[1], NumbersIn(frame), diagnostics_);
  const auto b = EvaluateNumber(*expr.children[2], NumbersIn(frame), diagnostics_);
  if (!a || !b) return;
  if (!std::isfinite(a->value) || !std::isfinite(b->value)) {
    refuse(expr.loc, "the numbers of a distribution must be finite");
  } else if (name == "normal" && b->value < 0) {
    refuse(expr.children[2]->loc, "the deviation is " + NumberText(b->value) + "; it cannot be negative");
  } else if (name == "uniform" && a->value > b->value) {
    refuse(expr.loc, "uniform(" + NumberText(a->value) + ", " + NumberText(b->value) + ") is empty");
  }
  parameter.init = {name == "normal" ? Initializer::Kind::Normal : Initializer::Kind::Uniform, a->value,
                    b->value};
}

}  // namespace heed::frontend
