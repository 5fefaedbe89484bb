// The parser of the textual form (text.cpp). Nodes are made as written: nothing is folded, no mask is added,
// and a written type must be the inferred one. Errors are values that name the line.
#include <cctype>
#include <charconv>
#include <map>

#include "ir/op.h"
#include "ir/text.h"

namespace heed::ir {
namespace {

/// Caught by ParseGraph; never leaves this file.
struct SyntaxError {
  std::string text;
};

/// One line, without its comment.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) { Skip(); }

  bool AtEnd() const { return rest_.empty(); }

  bool At(char c) const { return rest_.starts_with(c); }

  bool Take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    Skip();
    return true;
  }

  void Expect(std::string_view token) {
    if (!Take(token))
      throw SyntaxError{"expected '" + std::string(token) + "' before '" + std::string(rest_.substr(0, 20)) +
                        "'"};
  }

  /// Letters, digits and what axes and names of outputs are written with.
  std::string Word() {
    size_t end = 0;
    while (end < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[end])) ||
                                  std::string_view("_.'~^%*+-").find(rest_[end]) != std::string_view::npos)) {
      if (rest_.substr(end).starts_with("->")) break;
      ++end;
    }
    if (end == 0) throw SyntaxError{"expected a name before '" + std::string(rest_.substr(0, 20)) + "'"};
    std::string word(rest_.substr(0, end));
    rest_.remove_prefix(end);
    Skip();
    return word;
  }

  std::string String() {
    if (!rest_.starts_with('"')) throw SyntaxError{"expected a string"};
    std::string text;
    size_t i = 1;
    for (; i < rest_.size() && rest_[i] != '"'; ++i) {
      if (rest_[i] == '\\' && i + 1 < rest_.size()) {
        ++i;
        text += rest_[i] == 'n' ? '\n' : rest_[i];
      } else {
        text += rest_[i];
      }
    }
    if (i == rest_.size()) throw SyntaxError{"the string has no end"};
    rest_.remove_prefix(i + 1);
    Skip();
    return text;
  }

  template <typename T>
  T Number() {
    T value{};
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc())
      throw SyntaxError{"expected a number before '" + std::string(rest_.substr(0, 20)) + "'"};
    rest_.remove_prefix(end - rest_.data());
    Skip();
    return value;
  }

  AxisList Axes() {
    AxisList axes;
    Expect("[");
    while (!Take("]")) {
      if (!axes.empty()) Expect(",");
      axes.push_back(Axis(Word()));
    }
    return axes;
  }

  DType Dtype() {
    const std::string word = Word();
    for (DType dtype : {DType::Float, DType::Int, DType::Bool})
      if (word == Text(dtype)) return dtype;
    throw SyntaxError{"no element type: " + word};
  }

 private:
  void Skip() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\r'))
      rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), table_(std::make_shared<AxisTable>()) {}

  Result<std::shared_ptr<Graph>> Parse() {
    const auto error = [&](const std::string& what) {
      return Error{"line " + std::to_string(number_) + ": " + what};
    };
    try {
      auto graph = std::make_shared<Graph>(table_);
      if (Next() && line_ == "axes {") {
        Axes();
        Next();
      }
      Body(*graph, true);
      return graph;
    } catch (const SyntaxError& syntax) {
      return error(syntax.text);
    } catch (const InternalError& refused) {  // by the op's type rule
      return error(refused.what());
    }
  }

 private:
  using NamedRegions = std::map<std::string, std::shared_ptr<const AttentionRegions>>;

  /// Moves to the next line that is not empty; false at the end.
  bool Next() {
    done_ = true;
    while (!text_.empty()) {
      const size_t end = std::min(text_.find('\n'), text_.size());
      std::string_view line = text_.substr(0, end);
      text_.remove_prefix(std::min(end + 1, text_.size()));
      ++number_;
      comment_ = {};
      bool quoted = false;
      for (size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\' && quoted) {
          ++i;
        } else if (line[i] == '"') {
          quoted = !quoted;
        } else if (line[i] == '#' && !quoted) {
          comment_ = line.substr(i + 1);
          line = line.substr(0, i);
          break;
        }
      }
      line_ = Trimmed(line);
      if (line_.empty()) continue;
      done_ = false;
      return true;
    }
    line_ = {};
    return false;
  }

  static std::string_view Trimmed(std::string_view text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
    return text;
  }

  void Axes() {
    while (Next() && line_ != "}") {
      Line line(line_);
      const Axis root(line.Word());
      Extent extent;
      if (line.Take("static")) {
        extent.kind = Extent::Kind::Static;
        extent.size = line.Number<int64_t>();
      } else if (line.Take("dynamic")) {
        extent.kind = Extent::Kind::Dynamic;
        extent.size = line.Number<int64_t>();
      } else if (line.Take("lifted")) {
        extent.kind = Extent::Kind::Lifted;
      } else {
        throw SyntaxError{"an axis is static, dynamic or lifted"};
      }
      if (line.Take("{")) {
        while (!line.Take("}")) {
          if (!extent.enumerators.empty()) line.Expect(",");
          extent.enumerators.push_back(line.Word());
        }
      }
      if (!line.AtEnd()) throw SyntaxError{"more than an axis"};
      table_->Set(root, std::move(extent));
    }
    if (done_) throw SyntaxError{"the table of axes has no end"};
  }

  /// Lines up to the closing brace (or the end, at the top).
  void Body(Graph& graph, bool top) {
    std::map<int64_t, NodeId> nodes;
    NamedRegions regions;
    for (; !done_; Next()) {
      if (line_ == "}" && !top) return;
      Line line(line_);
      const auto node = [&] {
        line.Expect("%");
        const auto found = nodes.find(line.Number<int64_t>());
        if (found == nodes.end()) throw SyntaxError{"a node is used before it is made"};
        return found->second;
      };
      if (line.Take("%")) {
        const int64_t number = line.Number<int64_t>();
        line.Expect("=");
        if (!nodes.emplace(number, MakeNode(graph, line, node, regions)).second)
          throw SyntaxError{"%" + std::to_string(number) + " is made twice"};
      } else if (line.Take("region ")) {
        const std::string name = line.Word();
        line.Expect("{");
        regions[name] = Regions();
      } else if (line.Take("ragged ")) {
        const Axis root(line.Word());
        line.Expect("=");
        graph.ragged[root] = node();
      } else if (line.Take("generate ")) {
        Generate(graph, line, node);
      } else if (line.Take("output ")) {
        const std::string name = line.At('"') ? line.String() : line.Word();
        line.Expect("=");
        graph.SetOutput(name, node());
      } else if (line.Take("adjoint")) {
        graph.adjoint = true;
      } else {
        throw SyntaxError{"expected a node, region, ragged, generate or output"};
      }
      if (!line.AtEnd()) throw SyntaxError{"rubbish at the end of the line"};
    }
    if (!top) throw SyntaxError{"a region has no end"};
  }

  std::shared_ptr<const AttentionRegions> Regions() {
    auto regions = std::make_shared<AttentionRegions>();
    while (Next() && line_ != "}") {
      std::shared_ptr<const Graph>* region = line_ == "score {"           ? &regions->score
                                             : line_ == "gradient {"      ? &regions->gradient
                                             : line_ == "term {"          ? &regions->term
                                             : line_ == "term_gradient {" ? &regions->term_gradient
                                                                          : nullptr;
      if (!region) throw SyntaxError{"expected score, gradient, term or term_gradient"};
      auto graph = std::make_shared<Graph>(table_);
      Next();
      Body(*graph, false);
      *region = std::move(graph);
    }
    if (done_) throw SyntaxError{"a region has no end"};
    return regions;
  }

  template <typename ReadNode>
  NodeId MakeNode(Graph& graph, Line& line, const ReadNode& node, const NamedRegions& regions) {
    const std::string name = line.Word();
    const auto op = OpNamed(name);
    if (!op) throw SyntaxError{"no op: " + name};
    line.Expect("(");
    std::vector<NodeId> inputs;
    while (!line.Take(")")) {
      if (!inputs.empty()) line.Expect(",");
      inputs.push_back(node());
    }
    Attributes at;
    bool adjoint = false;
    while (!line.AtEnd() && !line.Take(":")) {
      const std::string key = line.Word();
      if (key == "adjoint") {
        adjoint = true;
        continue;
      }
      line.Expect("=");
      ReadAttribute(line, key, regions, at);
    }
    const bool typed = !line.AtEnd();
    const Type written = typed ? WrittenType(line) : Type{};
    graph.origin = {};
    ReadOrigin(graph);
    const bool outer = std::exchange(graph.adjoint, adjoint);
    const NodeId made = graph.Make(*op, std::move(inputs), std::move(at));
    graph.adjoint = outer;
    graph.origin = {};
    if (typed && graph.type(made) != written)
      throw SyntaxError{"the type is " + Text(graph.type(made)) + ", not " + Text(written)};
    return made;
  }

  void ReadAttribute(Line& line, const std::string& key, const NamedRegions& regions, Attributes& at) {
    if (key == "name") {
      at.name = line.String();
    } else if (key == "axes") {
      at.axes = line.Axes();
    } else if (key == "to") {
      at.to = line.Axes();
    } else if (key == "renames") {
      line.Expect("[");
      while (!line.Take("]")) {
        if (!at.renames.empty()) line.Expect(",");
        const Axis from(line.Word());
        line.Expect("->");
        at.renames.emplace_back(from, Axis(line.Word()));
      }
    } else if (key == "axis") {
      at.axis = Axis(line.Word());
    } else if (key == "query") {
      at.query = Axis(line.Word());
    } else if (key == "indexes") {
      at.indexes = Axis(line.Word());
    } else if (key == "dtype") {
      at.dtype = line.Dtype();
    } else if (key == "number") {
      at.number = line.Number<double>();
    } else if (key == "index") {
      at.index = line.Number<int64_t>();
    } else if (key == "captures") {
      at.captures = line.Number<int64_t>();
    } else if (key == "regions") {
      const auto found = regions.find(line.Word());
      if (found == regions.end()) throw SyntaxError{"no such region"};
      at.regions = found->second;
    } else {
      throw SyntaxError{"no attribute: " + key};
    }
  }

  static Type WrittenType(Line& line) {
    Type written;
    written.dtype = line.Dtype();
    if (line.Take("<")) {
      written.indexes = Axis(line.Word());
      line.Expect(">");
    }
    written.axes = line.Axes();
    return written;
  }

  /// The origin of the node on this line: its comment, an instance and after "@ " a place.
  void ReadOrigin(Graph& graph) const {
    std::string_view comment = Trimmed(comment_);
    if (const size_t split = comment.find("@ ");
        split != comment.npos && (split == 0 || comment[split - 1] == ' ')) {
      graph.origin = {std::string(Trimmed(comment.substr(0, split))),
                      Place::Parse(comment.substr(split + 2))};
    } else {
      graph.origin.instance = comment;
    }
  }

  template <typename ReadNode>
  void Generate(Graph& graph, Line& line, const ReadNode& node) {
    auto generate = std::make_shared<GenerateInfo>();
    while (!line.AtEnd()) {
      const std::string key = line.Word();
      line.Expect("=");
      if (key == "axis") {
        generate->axis = Axis(line.Word());
      } else if (key == "variable") {
        generate->variable = line.String();
      } else if (key == "prompt") {
        generate->prompt = line.String();
      } else if (key == "from") {
        generate->from = node();
      } else if (key == "until") {
        generate->until.push_back(node());
      } else if (key.starts_with("option.")) {
        generate->options[key.substr(7)] = line.Number<double>();
      } else {
        throw SyntaxError{"generate has no " + key};
      }
    }
    graph.generate = std::move(generate);
  }

  std::string_view text_, line_, comment_;
  int number_ = 0;
  bool done_ = false;
  std::shared_ptr<AxisTable> table_;
};

}  // namespace

Result<std::shared_ptr<Graph>> ParseGraph(std::string_view text) { return Parser(text).Parse(); }

}  // namespace heed::ir
