// Whole random programs: axes and constants, what is declared at top level, entries.
#include "tests/support/random_source_writer.h"

namespace heed::test {

std::string RandomSource(const SourceOptions& options) { return SourceWriter(options).Program(); }

void SourceWriter::WriteAxes() {
  const auto size = [&] { return static_cast<int64_t>(std::vector<int>{1, 2, 3, 4, 5, 7, 8}[Below(7)]); };
  axes_ = {{"a", 1 + static_cast<int64_t>(Below(4))},
           {"b", 1 + static_cast<int64_t>(Below(4))},
           {"c", size()},
           {"pair", 2},
           {"vocab", 5 + static_cast<int64_t>(Below(5))},
           {"layer", 1 + static_cast<int64_t>(Below(3))},
           {"s", 6 + static_cast<int64_t>(Below(3)), true},
           {"t", 6 + static_cast<int64_t>(Below(3)), true}};
  if (Chance(15)) axes_[2].size = 17;
  const auto number = [&](size_t i) { return std::to_string(axes_[i].size); };
  std::vector<std::string> binds = {
      "a = " + number(0),
      "b = " + number(1),
      Chance(30) ? "c = 2 * " + number(2) + " - |a| * 0 - " + number(2) : "c = " + number(2),
      One({"pair = {left, right}", "pair = 2", "pair = {sin, cos}"}),
      Chance(30) ? "vocab = few + " + std::to_string(axes_[4].size - 3) : "vocab = " + number(4),
      "layer = " + number(5),
      "s <= " + number(6),
      "t <= " + number(7)};
  if (axes_[0].size * axes_[1].size <= 16) {
    axes_.push_back({"ab", axes_[0].size * axes_[1].size});
    binds.push_back("ab = |a| * |b|");
  }
  axes_.push_back({"both", axes_[0].size + axes_[1].size});
  binds.push_back("both = |a| + |b|");
  std::shuffle(binds.begin(), binds.end(), random_);
  const size_t cut = Below(binds.size());
  std::vector<std::string> first(binds.begin(), binds.begin() + static_cast<long>(cut)),
      second(binds.begin() + static_cast<long>(cut), binds.end());
  const std::string constants = "const few = 3, half = 0.5, twice = 2 * half, many = few * |layer|\n";
  constants_ = {{"few", 3}, {"half", 0.5}, {"twice", 1}};
  text_ += Chance(30) ? "# Drawn at random.\n" : "";
  if (Chance(50)) text_ += constants;
  if (!first.empty()) text_ += "axis " + Join(first) + "\n";
  text_ += "axis " + Join(second) + "\n";
  if (text_.find(constants) == std::string::npos) text_ += constants;
  text_ += "\n";
}

Scope SourceWriter::GlobalScope(bool dynamic) const {
  Scope scope;
  for (const SourceAxis& axis : axes_)
    if (dynamic || !axis.dynamic) scope.axes.push_back(axis);
  for (const auto& [name, value] : constants_) {
    Expression x{name};
    x.bound = value;
    x.grain = 1;
    if (name == "few") x.kind = Kind::Whole;
    scope.values.push_back(x);
  }
  scope.callables = functions_;
  return scope;
}

std::string SourceWriter::EntryArguments(Scope& scope, const std::string& growing) {
  std::vector<std::string> written;
  const auto add = [&](const std::string& type, Expression x) {
    const std::string brackets = x.axes.empty() ? "" : "[" + Join(Shuffled(x.axes)) + "]";
    written.push_back(x.text + (type.empty() ? brackets : ": " + type + brackets));
    scope.values.push_back(std::move(x));
  };
  const auto some_axes = [&](size_t most) {
    Names axes;
    for (size_t i = Below(most + 1); i > 0; --i) {
      const std::string axis = Any(scope.axes).name;
      if (!Grows(scope, axis)) axes.insert(axis);
    }
    return Fits(scope, axes) ? axes : Names{};
  };
  if (growing.empty()) {
    Expression x{"x", kPrimary, Kind::Whole, {Chance(50) ? "s" : "t"}, 9, 0, "vocab"};
    x.read = x.in_range = true;
    add("vocab", x);
    if (Chance(40)) {
      Expression y = x;
      y.text = "y";
      y.axes = {x.axes.count("s") ? "t" : "s"};
      add("vocab", y);
    }
  }
  if (Chance(70)) add(One({"", "", "f32"}), {"u", kPrimary, Kind::Number, some_axes(3), 2, 3});
  if (Chance(40)) add("", {"z", kPrimary, Kind::Number, some_axes(2), 2, 3});
  if (Chance(30)) add("int", {"n", kPrimary, Kind::Whole, some_axes(1), 3, 0});
  if (Chance(25)) add("bool", {"m", kPrimary, Kind::Truth, some_axes(2)});
  if (Chance(25)) {
    Expression i{"k", kPrimary, Kind::Whole, some_axes(2), 4, 0, One({"a", "c", "pair"})};
    i.read = i.in_range = true;
    add(i.element, i);
  }
  return Join(written);
}

void SourceWriter::EntryStatements(Scope& scope) {
  scope.callables = functions_;
  if (Chance(35))
    for (size_t i = 0; i < 1 + Below(3); ++i) Statement(scope);
}

std::string SourceWriter::EntryBody(const Scope& scope, const std::string& result) {
  if (!scope.lines.empty()) return " {\n" + Indent(scope.lines, 2) + "  " + result + "\n}\n\n";
  return " =" + One({" ", "\n  "}) + result + "\n\n";
}

void SourceWriter::ValueEntry() {
  Scope scope = GlobalScope(true);
  const std::string arguments = EntryArguments(scope, "");
  EntryStatements(scope);
  for (const Callable& part : parts_) scope.callables.push_back(part);
  Expression value = Number(scope, 4);
  for (const Callable& part : parts_) {
    if (!Chance(60)) continue;
    scope.callables = {part};
    if (const Maybe call = Call(scope, 3)) value = *call;
  }
  const size_t kind = Below(8);
  if (kind == 0) value = Whole(scope, 3);
  if (kind == 1) value = Truth(scope, 3);
  const bool declared = value.kind == Kind::Number && Chance(30);
  text_ += "entry value" + std::to_string(names_++) + "(" + arguments + ")" +
           (declared ? " -> [" + Join(Shuffled(value.axes)) + "]" : "") + EntryBody(scope, value.text);
}

void SourceWriter::MinimizeEntry() {
  Scope scope = GlobalScope(true);
  const std::string arguments = EntryArguments(scope, "");
  EntryStatements(scope);
  Expression loss;
  for (int attempt = 0; attempt < 6; ++attempt) {
    scope.callables = parts_;
    if (const Maybe call = Call(scope, 3)) {
      loss = *call;
      break;
    }
    scope.callables = functions_;
    loss = Number(scope, 3);
  }
  // The usual loss of a text, where there is one to predict.
  std::string text;
  for (const Expression& value : scope.values) {
    if (value.element != "vocab" || value.axes.size() != 1 || !loss.axes.count("vocab")) continue;
    const std::string along = *value.axes.begin();
    if (!loss.axes.count(along)) continue;
    Expression logits = Fit(scope, loss, {"vocab", along});
    text = "sum[" + along + " | " + along + " + 1 < |" + along + "|](xent[vocab](" + logits.text + ", " +
           value.text + "[" + along + " + 1]" + One({"", ", 0.1"}) + "))";
    break;
  }
  if (text.empty()) {
    const std::string square = Chance(50) ? loss.As(kPostfix) + " ^ 2" : loss.text;
    std::string predicate;
    if (const Expression only = Truth(scope, 2); Chance(40) && Contains(loss.axes, only.axes))
      predicate = " | " + only.text;
    text = loss.axes.empty()
               ? square
               : One({"sum", "mean"}) + "[" + Join(Shuffled(loss.axes)) + predicate + "](" + square + ")";
  }
  text = "minimize " + text;
  const Expression per = Whole(scope, 2);
  if (per.axes.empty() && Chance(50)) text += One({" per ", "\n    per "}) + "1 + abs(" + per.text + ")";
  text_ += "entry train" + std::to_string(names_++) + "(" + arguments + ")" + EntryBody(scope, text);
}

void SourceWriter::GenerateEntry() {
  Scope scope = GlobalScope(true);
  scope.growing = growing_;
  std::string arguments = EntryArguments(scope, growing_);
  const bool prompt = Chance(60);
  if (prompt) arguments = "p: vocab[" + growing_ + "]" + (arguments.empty() ? "" : ", " + arguments);
  Expression y{"y0", kPrimary, Kind::Whole, {growing_}, 9, 0, "vocab"};
  y.text_seen = y.read = y.in_range = true;
  scope.values.push_back(y);
  for (const Callable& part : parts_) {
    scope.callables = {part};
    if (!Contains({growing_, "vocab"}, Names(part.axes.begin(), part.axes.end()))) continue;
    for (int attempt = 0; attempt < 20; ++attempt) {
      const Maybe call = Call(scope, 2);
      if (!call || call->axes != Names{growing_, "vocab"} || !call->text_seen) continue;
      text_ += "entry complete" + std::to_string(names_++) + "(" + arguments + ") =\n  generate y0: vocab[" +
               growing_ + "] from " + (prompt ? "p" : "1") + One({"", " until 0", " until |vocab| - 1"}) +
               " by " + call->text +
               One({"", "", " with top_k = 2", " with temperature = 0.5, top_p = 0.9",
                    "\n    with beam = 2, alpha = 0.5, max_length = 3", " with repetition_penalty = 1.5"}) +
               "\n\n";
      return;
    }
  }
}

std::string SourceWriter::Program() {
  WriteAxes();
  for (size_t i = Below(3); i > 0; --i) WriteFunction(false);
  if (Chance(50)) WriteLinear();
  for (size_t i = Below(3); i > 0; --i) WriteFunction(true);
  const bool generates = Chance(45);
  if (generates) growing_ = Chance(50) ? "t" : "s";
  WriteNetwork(growing_);
  const Callable network = modules_.back();
  std::vector<std::string> lines;
  Callable root = network;
  root.name = "net";
  parts_.push_back(root);
  text_ += "part net = " + network.name + "\n";
  if (Chance(25)) {
    Scope scope = GlobalScope(true);
    modules_.pop_back();
    DeclarePart(scope, 9);
    for (const std::string& line : scope.lines)
      text_ += line + (line.find(" as ") < line.size() ? "" : " as \"other\"") + "\n";
    if (!scope.lines.empty()) parts_.insert(parts_.begin(), scope.callables.back());
  }
  text_ += "\n";
  if (generates) {
    GenerateEntry();
    growing_.clear();
  }
  const size_t more = (generates ? 0 : 1) + Below(2);
  for (size_t i = 0; i < more; ++i) Chance(50) ? MinimizeEntry() : ValueEntry();
  if (text_.find("\nentry ") == std::string::npos) ValueEntry();
  while (text_.ends_with("\n\n")) text_.pop_back();
  return text_;
}

}  // namespace heed::test
