// Functions, modules, their statements and their calls in random programs.
#include "tests/support/random_source_writer.h"

namespace heed::test {

namespace {

constexpr double kArgumentBound = 4;

}  // namespace

std::string SourceWriter::Indent(const std::vector<std::string>& lines, int by) const {
  std::string text;
  for (const std::string& line : lines) text += std::string(static_cast<size_t>(by), ' ') + line + "\n";
  return text;
}

// ---- Statements

void SourceWriter::Bind(Scope& scope, const Expression& value, bool announce) {
  Expression name = value;
  name.text = std::string(value.kind == Kind::Number  ? "v"
                          : value.kind == Kind::Whole ? "i"
                                                      : "b") +
              std::to_string(scope.next++);
  name.level = kPrimary;
  const std::string axes = announce ? "[" + Join(Shuffled(value.axes)) + "]" : "";
  scope.lines.push_back(name.text + axes + " = " + value.text);
  scope.values.push_back(name);
}

void SourceWriter::Unpacked(Scope& scope) {
  Expression x = Number(scope, 2);
  if (!x.axes.count("pair")) {
    if (!Fits(scope, Union(x.axes, {"pair"}))) return;
    x = WithAxis(scope, x, "pair");
  }
  Expression part = x;
  part.level = kPrimary;
  part.axes.erase("pair");
  part.kind = Kind::Number;
  std::vector<std::string> names;
  for (int i = 0; i < 2; ++i) {
    part.text = "v" + std::to_string(scope.next++);
    names.push_back(part.text);
    scope.values.push_back(part);
  }
  scope.lines.push_back("(" + Join(names) + ") = unpack[pair](" + x.text + ")");
}

void SourceWriter::Loop(Scope& scope) {
  // Carried through the layers: the same axes and bound after each.
  std::vector<size_t> numbers;
  for (size_t i = 0; i < scope.values.size(); ++i)
    if (scope.values[i].kind == Kind::Number && scope.values[i].text[0] == 'v') numbers.push_back(i);
  if (numbers.empty()) return;
  const size_t at = numbers[Below(numbers.size())];
  const Expression carried = scope.values[at];
  Scope inner = scope;
  inner.lines.clear();
  inner.loop = "l";
  inner.values[at].grain = -1;
  inner.values[at].bound = 2;
  if (Chance(50)) Statement(inner);
  Expression update = Number(inner, 2);
  for (const Callable& part : inner.callables) {
    if (!part.several_layers || !Chance(70)) continue;
    std::swap(inner.callables.back(), inner.callables[static_cast<size_t>(&part - inner.callables.data())]);
    if (const Maybe call = Call(inner, 2)) update = *call;
    break;
  }
  const Names extra = Minus(update.axes, carried.axes);
  if (Reducible(scope, extra) != extra) return;
  update = Fit(inner, update, carried.axes);
  inner.lines.push_back(carried.text + " = tanh(" + carried.text + " * 0.5 + " + update.As(kMul) + ")");
  uses_layers_ = true;
  scope.lines.push_back("for l in layer {");
  for (const std::string& line : inner.lines) scope.lines.push_back("  " + line);
  scope.lines.push_back("}");
  scope.next = inner.next;
  Expression& after = scope.values[at];
  after.grain = -1;
  after.bound = std::max(1.0, carried.bound);
  after.trained = after.trained || update.trained;
  after.text_seen = after.text_seen || update.text_seen;
  after.read = after.read || update.read;
}

void SourceWriter::Statement(Scope& scope) {
  switch (Below(12)) {
    case 0:
      return Bind(scope, Whole(scope, 3));
    case 1:
      return Bind(scope, Truth(scope, 3));
    case 2:
      if (!scope.axes[0].formal) return Unpacked(scope);
      break;
    case 3:
      if (scope.loop.empty() && !scope.axes[0].formal) return Loop(scope);
      break;
    case 4:
    case 5: {
      scope.announces = true;
      const Maybe value = Binary(scope, 1);
      scope.announces = false;
      if (value && Fits(scope, value->axes)) {
        const Expression tame = Tame(*value);
        return Bind(scope, tame, true);
      }
      break;
    }
    default:
      break;
  }
  const Expression value = Number(scope, 3);
  Bind(scope, value, Chance(10));
}

// ---- Parameters

void SourceWriter::DeclareParameter(Scope& scope) {
  Names axes;
  const size_t rank = Below(4);
  for (size_t i = 0; i < rank; ++i) axes.insert(Any(scope.axes).name);
  if (Chance(10) && rank > 0) axes.insert(*axes.begin() + "'");
  if (!Fits(scope, axes)) return;
  Expression w{"w" + std::to_string(scope.next++)};
  w.axes = axes;
  w.bound = 2;
  w.grain = 3;
  w.trained = true;
  std::vector<std::string> order = Shuffled(axes);
  std::string written;
  if (order.size() >= 2 && Chance(25)) {
    written = "[(" + order[0] + ", " + order[1] + ")";
    for (size_t i = 2; i < order.size(); ++i) written += ", " + order[i];
    written += "]";
  } else {
    written = "[" + Join(order) + "]";
  }
  const std::string initial =
      One({" = 0", " = 1", " = -0.5", " = 1 / 3", " ~ normal(0, 1)", " ~ normal(0, 1 / sqrt(2))",
           " ~ uniform(-1, 1)", " ~ uniform(-0.1, 0.5)", " ~ normal(1, 0)", " = half"});
  const std::string alias = Chance(10) ? " as \"" + w.text + ".file\"" : "";
  scope.lines.push_back("param " + w.text + written + initial + alias);
  scope.values.push_back(w);
  // One without an initial value is contracted at once, and nowhere else.
  if (Chance(30)) {
    const Expression x = Number(scope, 1);
    const Names along = Reducible(scope, x.axes);
    if (along.empty() || Contains(Names{w.text}, {x.text})) return;
    const std::string in = AnyOf(along), out = Any(scope.axes).name + "'";
    if (x.axes.count(out) || !Fits(scope, Union(x.axes, {out})) || Grows(scope, out)) return;
    const std::string name = "w" + std::to_string(scope.next++);
    scope.lines.push_back("param " + name + "[" + out + ", " + in + "]");
    Expression result = Infix("@" + in, kContract, {name}, x, Kind::Number);
    result.axes = Union(Minus(x.axes, {in}), {out});
    result.bound = x.bound * 2 * static_cast<double>(AxisOf(scope, in).size);
    result.trained = true;
    Bind(scope, Tame(result));
  }
}

// ---- Calls

SourceWriter::Maybe SourceWriter::Argument(Scope& scope, const std::vector<std::string>& axes,
                                           const Callable::Parameter& parameter, int depth) {
  const Names need(axes.begin(), axes.end());
  if (parameter.kind == Kind::Truth) {
    Expression x = Truth(scope, depth - 1);
    // A truth value without axes may stand for any.
    if (!Contains(x.axes, need)) return Expression{"true", kPrimary, Kind::Truth};
    return x;
  }
  if (parameter.kind == Kind::Whole) {
    for (const Expression& value : scope.values)
      if (value.kind == Kind::Whole && value.element == parameter.element && Contains(value.axes, need) &&
          (value.in_range || value.element.empty()) && Chance(70))
        return value;
    if (parameter.element.empty()) {
      Expression x = Whole(scope, depth - 1);
      if (!Contains(x.axes, need)) return {};
      return x;
    }
    Expression x = Element(scope, parameter.element, depth - 1);
    if (!Contains(x.axes, need)) return {};
    return x;
  }
  Expression x = Number(scope, depth - 1);
  for (const std::string& axis : need) {
    if (x.axes.count(axis)) continue;
    if (!Fits(scope, Union(x.axes, {axis}))) return {};
    x = WithAxis(scope, x, axis);
  }
  return Tame(x, kArgumentBound);
}

SourceWriter::Maybe SourceWriter::Call(Scope& scope, int depth) {
  if (scope.callables.empty()) return {};
  const Callable callee = Chance(40) ? scope.callables.back() : Any(scope.callables);
  std::map<std::string, std::string> actual;
  Maybe whole;  // what chooses a layer, if that is no constant
  std::string arguments = callee.name;
  if (callee.several_layers) {
    uses_layers_ = true;
    if (Chance(25)) {
      whole = {"layer", kPrimary, Kind::Whole, {"layer"}};
      if (options_.several_indices && Chance(40)) whole = Element(scope, "layer", depth - 1);
      arguments += "[" + whole->text + "]";
    } else {
      arguments += !scope.loop.empty() && Chance(80) ? "[" + scope.loop + "]" : One({"[0]", "[layer(0)]"});
    }
  }
  Names taken;
  if (callee.bound.empty() && !callee.formals.empty()) {
    for (const SourceAxis& formal : callee.formals) {
      const SourceAxis& axis = Any(scope.axes);
      if (taken.count(axis.name) || Grows(scope, axis.name) || (axis.dynamic && !formal.dynamic)) return {};
      if (axis.size > formal.size) return {};
      actual[formal.name] = axis.name;
      taken.insert(axis.name);
    }
    std::vector<std::string> names;
    for (const SourceAxis& formal : callee.formals) names.push_back(actual[formal.name]);
    arguments += "[" + Join(names) + "]";
  }
  for (size_t i = 0; i < callee.bound.size(); ++i) {
    actual[callee.formals[i].name] = callee.bound[i];
    taken.insert(callee.bound[i]);
  }
  const auto here = [&](std::vector<std::string> axes) {
    for (std::string& axis : axes) {
      const size_t end = std::min(axis.find('\''), axis.size());
      const auto found = actual.find(axis.substr(0, end));
      if (found != actual.end()) axis = found->second + axis.substr(end);
    }
    return axes;
  };
  Expression result;
  result.trained = callee.module;
  std::vector<std::string> given;
  Names lifted;
  for (const Callable::Parameter& parameter : callee.parameters) {
    Callable::Parameter local = parameter;
    local.element = parameter.element.empty() ? "" : here({parameter.element})[0];
    const std::vector<std::string> need = here(parameter.axes);
    for (const std::string& axis : need)
      if (std::none_of(scope.axes.begin(), scope.axes.end(),
                       [&](const SourceAxis& known) { return known.name == axis; }))
        return {};
    const Maybe x = Argument(scope, need, local, depth);
    if (!x) return {};
    given.push_back(x->text);
    lifted = Union(lifted, Minus(x->axes, Names(need.begin(), need.end())));
    result.trained = result.trained || x->trained;
    result.text_seen = result.text_seen || x->text_seen;
    result.read = result.read || x->read;
  }
  for (const std::string& axis : lifted)
    if (callee.mentions.count(axis) || taken.count(axis)) return {};
  const std::vector<std::string> own = here(callee.axes);
  for (const std::string& axis : own)
    if (lifted.count(axis)) return {};
  result.text = arguments + "(" + Join(given) + ")";
  result.level = kPrimary;
  result.axes = Union(lifted, Names(own.begin(), own.end()));
  if (whole) {
    if (taken.count("layer") || callee.mentions.count("layer")) return {};
    for (const std::string& axis : own)
      if (whole->axes.count(axis)) return {};
    result.axes = Union(result.axes, whole->axes);
    result.text_seen = result.text_seen || whole->text_seen;
    result.read = true;
  }
  if (!Fits(scope, result.axes)) return {};
  result.bound = callee.result_bound;
  return result;
}

// ---- Functions and modules

void SourceWriter::WriteFunction(bool module) {
  Scope scope;
  Callable function;
  function.module = module;
  function.name = (module ? "Module" : "f") + std::to_string(names_++);
  const size_t formals = 1 + Below(2);
  for (size_t i = 0; i < formals; ++i)
    scope.axes.push_back({std::string(1, static_cast<char>('p' + i)), 5, !module && Chance(50), true});
  function.formals = scope.axes;
  for (const auto& [name, value] : constants_)
    if (name == "half") scope.values.push_back({name, kPrimary, Kind::Number, {}, 1, 1});
  std::vector<std::string> written;
  const size_t count = 1 + Below(3);
  for (size_t i = 0; i < count; ++i) {
    Callable::Parameter parameter;
    parameter.name = "x" + std::to_string(i);
    Names axes;
    for (const SourceAxis& axis : scope.axes)
      if (Chance(60)) axes.insert(axis.name);
    parameter.axes = Shuffled(axes);
    const std::string brackets = axes.empty() ? "" : "[" + Join(parameter.axes) + "]";
    const size_t kind = i == 0 ? 9 : Below(10);
    Expression x{parameter.name};
    x.axes = axes;
    if (kind == 0) {
      parameter.kind = x.kind = Kind::Truth;
      written.push_back(x.text + ": bool" + brackets);
    } else if (kind == 1) {
      parameter.kind = x.kind = Kind::Whole;
      x.bound = 8;
      x.grain = 0;
      written.push_back(x.text + ": int" + brackets);
    } else if (kind == 2 && !scope.axes[0].dynamic) {
      parameter.kind = x.kind = Kind::Whole;
      parameter.element = x.element = scope.axes[0].name;
      x.grain = 0;
      x.bound = 5;
      x.read = x.in_range = true;
      written.push_back(x.text + ": " + x.element + brackets);
    } else {
      x.bound = kArgumentBound;
      written.push_back(x.text + (Chance(20) ? ": f32" + brackets : brackets));
    }
    scope.values.push_back(x);
    function.parameters.push_back(parameter);
  }
  if (module)
    for (size_t i = 0; i < 1 + Below(3); ++i) DeclareParameter(scope);
  const size_t statements = Below(4);
  for (size_t i = 0; i < statements; ++i) Statement(scope);
  const Expression result = Tame(Number(scope, 2), kArgumentBound);
  function.axes = Shuffled(result.axes);
  function.result_bound = result.bound;
  std::vector<std::string> names;
  for (const SourceAxis& axis : function.formals) names.push_back(axis.name);
  text_ += std::string(module ? "module " : "def ") + function.name + "[" + Join(names) + "](" +
           Join(written) + ") -> [" + Join(function.axes) + "]";
  if (scope.lines.empty() && Chance(70)) {
    text_ += (Chance(50) ? " =\n    " : " = ") + result.text + "\n\n";
  } else {
    text_ += " {\n" + Indent(scope.lines, 2) + "  " + result.text + "\n}\n\n";
  }
  (module ? modules_ : functions_).push_back(function);
}

void SourceWriter::WriteLinear() {
  Callable linear;
  linear.module = true;
  linear.groups = true;
  linear.name = "Linear";
  linear.formals = {{"inp", 40, false, true}, {"out", 40, false, true}};
  linear.parameters = {{"x", Kind::Number, "", {"inp"}}};
  linear.axes = {"out"};
  linear.result_bound = 8;
  text_ += "module Linear[inp, out](x[inp]) -> [out] {\n  param weight[" + One({"out, inp", "inp, out"}) +
           "]" + One({"", "", " ~ normal(0, 0.25)"}) + ", bias[out]" + One({" = 0", " ~ uniform(-1, 1)"}) +
           "\n  4 * tanh(weight @inp x / |inp| + bias)\n}\n\n";
  modules_.push_back(linear);
}

void SourceWriter::DeclarePart(Scope& scope, int number) {
  if (modules_.empty()) return;
  Callable part = Any(modules_);
  const std::string module = part.name;
  part.name = "p" + std::to_string(number);
  std::string written = "part " + part.name;
  part.several_layers = Chance(35);
  if (part.several_layers) {
    written += "[layer]";
    uses_layers_ = true;
  }
  written += " = " + module;
  if (!part.formals.empty()) {
    Names taken;
    std::vector<std::string> brackets;
    for (const SourceAxis& formal : part.formals) {
      const SourceAxis* axis = nullptr;
      for (int attempt = 0; attempt < 8 && !axis; ++attempt) {
        const SourceAxis& one = Any(scope.axes);
        if (!taken.count(one.name) && !one.dynamic && one.size <= formal.size) axis = &one;
      }
      if (!axis) return;
      taken.insert(axis->name);
      part.bound.push_back(axis->name);
      brackets.push_back(axis->name);
    }
    written += "[" + Join(brackets) + "]";
  }
  if (Chance(15)) written += " as \"" + part.name + "_named\"";
  scope.lines.push_back(written);
  scope.callables.push_back(part);
}

void SourceWriter::WriteNetwork(const std::string& growing) {
  Scope scope = GlobalScope(true);
  scope.growing = growing;
  Callable network;
  network.module = true;
  network.name = "Net" + std::to_string(names_++);
  std::vector<std::string> written;
  const size_t count = 1 + Below(3);
  for (size_t i = 0; i < count; ++i) {
    Callable::Parameter parameter;
    parameter.name = "x" + std::to_string(i);
    Expression x{parameter.name};
    Names axes;
    if (i == 0) {
      // The text.
      axes = {growing.empty() ? "s" : growing};
      parameter.kind = x.kind = Kind::Whole;
      parameter.element = x.element = "vocab";
      x.grain = 0;
      x.bound = 9;
      x.read = x.in_range = true;
      x.text_seen = !growing.empty();
      written.push_back(x.text + ": vocab[" + *axes.begin() + "]");
    } else {
      for (size_t j = Below(3); j > 0; --j) {
        const std::string axis = Any(scope.axes).name;
        if (!Grows(scope, axis)) axes.insert(axis);
      }
      if (!Fits(scope, axes)) axes.clear();
      x.bound = kArgumentBound;
      parameter.axes = Shuffled(axes);
      written.push_back(x.text + (axes.empty() ? "" : "[" + Join(parameter.axes) + "]"));
    }
    parameter.axes = Shuffled(axes);
    x.axes = axes;
    scope.values.push_back(x);
    network.parameters.push_back(parameter);
  }
  const size_t parts = Below(3);
  for (size_t i = 0; i < parts; ++i) DeclarePart(scope, static_cast<int>(i));
  for (size_t i = 0; i < 1 + Below(3); ++i) DeclareParameter(scope);
  // The embedding of the text.
  const std::string table = "table", width = One({"a", "b", "c"});
  scope.lines.push_back("param table[vocab, " + width + "] ~ normal(0, 1)");
  Expression embedded{"v" + std::to_string(scope.next++)};
  for (const Expression& value : scope.values)
    if (value.text == "x0") embedded.axes = Union(value.axes, {width});
  embedded.bound = 2;
  embedded.grain = 3;
  embedded.trained = true;
  embedded.text_seen = !growing.empty();
  embedded.read = true;
  Expression plain{table};
  plain.axes = {"vocab", width};
  plain.bound = 2;
  plain.grain = 3;
  plain.trained = true;
  scope.values.push_back(plain);
  scope.lines.push_back(embedded.text + " = table[x0]");
  scope.values.push_back(embedded);
  const size_t statements = 2 + Below(6);
  for (size_t i = 0; i < statements; ++i) Statement(scope);
  Expression result = Number(scope, 2);
  if (!growing.empty()) {
    const Names wanted = {growing, "vocab"};
    for (int attempt = 0; attempt < 10 && !result.text_seen && (!options_.ignored_text || attempt < 5);
         ++attempt)
      result = Number(scope, 2);
    if (!result.text_seen && !options_.ignored_text) result = embedded;
    if (Chance(50)) {
      result = Fit(scope, result, {growing, width});
      result = Infix("@" + width, kContract, plain, result, Kind::Number);
      result.axes.erase(width);
      result.bound = 40;
    }
    result = Fit(scope, result, wanted);
  }
  result = Tame(result, kArgumentBound);
  network.axes = Shuffled(result.axes);
  network.result_bound = result.bound;
  for (const SourceAxis& axis : scope.axes)
    network.mentions = Union(network.mentions, {axis.name, axis.name + "'"});
  text_ += "module " + network.name + "(" + Join(written) + ") -> [" + Join(network.axes) + "] {\n" +
           Indent(scope.lines, 2) + "  " + result.text + "\n}\n\n";
  modules_.push_back(network);
}

}  // namespace heed::test
