// The printer of the textual form. The form, line by line:
//
//   axes {
//     batch lifted
//     seq dynamic 1024
//     phase static 2 {sin, cos}
//   }
//   region r0 {
//     score {
//       %0 = input() name="s" axes=[seq, seq'] : float[seq, seq']
//       ...
//       output score = %7
//     }
//     gradient { ... }
//     term { ... }
//     term_gradient { ... }
//   }
//   %0 = input() name="x" axes=[seq] dtype=int indexes=vocab : int<vocab>[seq]   # h.0.attn @ gpt2.heed:19:18
//   ragged seq = %1
//   generate axis=seq variable="y" prompt="p" beam=4
//   output value = %9
//
// Nodes are numbered anew in Order(), so that equal graphs print equally. Attributes stand only where they
// differ from their defaults. The parser is text_parse.cpp.
#include "ir/text.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <map>

#include "ir/op.h"

namespace heed::ir {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

/// The shortest text that reads back as the same number.
std::string Number(double value) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

/// Quoted where it could not be read back bare.
std::string OutputName(const std::string& name) {
  for (char c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.') return Quoted(name);
  return name.empty() ? Quoted(name) : name;
}

class Printer {
 public:
  std::string Graph(const ir::Graph& graph) {
    out_ += "axes {\n";
    for (const auto& [root, extent] : graph.axes().all()) {
      out_ += "  " + root.text();
      switch (extent.kind) {
        case Extent::Kind::Static:
          out_ += " static " + std::to_string(extent.size);
          break;
        case Extent::Kind::Dynamic:
          out_ += " dynamic " + std::to_string(extent.size);
          break;
        case Extent::Kind::Lifted:
          out_ += " lifted";
          break;
      }
      if (!extent.enumerators.empty()) {
        out_ += " {";
        for (size_t i = 0; i < extent.enumerators.size(); ++i)
          out_ += (i ? ", " : "") + extent.enumerators[i];
        out_ += "}";
      }
      out_ += "\n";
    }
    out_ += "}\n";
    Body(graph, "");
    return std::move(out_);
  }

 private:
  void Body(const ir::Graph& graph, const std::string& indent) {
    std::vector<NodeId> roots;
    for (const auto& [root, length] : graph.ragged) roots.push_back(length);
    for (const auto& [name, value] : graph.outputs) roots.push_back(value);
    if (graph.generate) {
      std::vector<NodeId> tokens = graph.generate->until;
      tokens.insert(tokens.begin(), graph.generate->from);
      for (NodeId id : tokens)
        if (id.value < graph.size()) roots.push_back(id);
    }
    std::vector<NodeId> order;
    if (!roots.empty()) order = graph.Order(roots);
    std::map<NodeId, size_t> numbers;
    std::map<const AttentionRegions*, size_t> regions;
    for (NodeId id : order) {
      const Node& node = graph[id];
      if (!node.attributes.regions || regions.count(node.attributes.regions.get())) continue;
      const size_t number = regions.size();
      regions[node.attributes.regions.get()] = number;
      out_ += indent + "region r" + std::to_string(number) + " {\n";
      const AttentionRegions& both = *node.attributes.regions;
      for (const auto& [name, region] : {std::pair{"score", &both.score},
                                         {"gradient", &both.gradient},
                                         {"term", &both.term},
                                         {"term_gradient", &both.term_gradient}}) {
        if (!*region) continue;
        out_ += indent + "  " + name + " {\n";
        Body(**region, indent + "    ");
        out_ += indent + "  }\n";
      }
      out_ += indent + "}\n";
    }
    for (NodeId id : order) {
      const size_t number = numbers.size();
      numbers[id] = number;
      const Node& node = graph[id];
      out_ += indent + "%" + std::to_string(number) + " = " + std::string(Info(node.op).name) + "(";
      for (size_t i = 0; i < node.inputs.size(); ++i)
        out_ += (i ? ", %" : "%") + std::to_string(numbers.at(node.inputs[i]));
      out_ += ")" + AttributesText(node.attributes, regions);
      if (node.adjoint) out_ += " adjoint";
      out_ += " : " + Text(node.type);
      const Origin& origin = node.origin;
      if (!origin.instance.empty() || origin.where)
        out_ += "  # " + origin.instance + (origin.where ? " @ " + origin.where.Text() : "");
      out_ += "\n";
    }
    for (const auto& [root, length] : graph.ragged)
      out_ += indent + "ragged " + root.text() + " = %" + std::to_string(numbers.at(length)) + "\n";
    if (graph.generate) {
      const GenerateInfo& generate = *graph.generate;
      out_ += indent + "generate axis=" + generate.axis.text() + " variable=" + Quoted(generate.variable);
      if (!generate.prompt.empty()) out_ += " prompt=" + Quoted(generate.prompt);
      if (numbers.count(generate.from)) out_ += " from=%" + std::to_string(numbers.at(generate.from));
      for (NodeId end : generate.until)
        if (numbers.count(end)) out_ += " until=%" + std::to_string(numbers.at(end));
      for (const auto& [name, value] : generate.options) out_ += " option." + name + "=" + Number(value);
      out_ += "\n";
    }
    if (graph.adjoint) out_ += indent + "adjoint\n";
    for (const auto& [name, value] : graph.outputs)
      out_ += indent + "output " + OutputName(name) + " = %" + std::to_string(numbers.at(value)) + "\n";
  }

  std::string AttributesText(const Attributes& at, const std::map<const AttentionRegions*, size_t>& regions) {
    std::string text;
    if (!at.name.empty()) text += " name=" + Quoted(at.name);
    if (!at.axes.empty()) text += " axes=[" + Text(at.axes) + "]";
    if (!at.to.empty()) text += " to=[" + Text(at.to) + "]";
    if (!at.renames.empty()) {
      text += " renames=[";
      for (size_t i = 0; i < at.renames.size(); ++i)
        text += (i ? ", " : "") + at.renames[i].first.text() + " -> " + at.renames[i].second.text();
      text += "]";
    }
    if (at.axis) text += " axis=" + at.axis.text();
    if (at.query) text += " query=" + at.query.text();
    if (at.indexes) text += " indexes=" + at.indexes.text();
    if (at.dtype != DType::Float) text += " dtype=" + Text(at.dtype);
    if (at.number != 0 || std::signbit(at.number)) text += " number=" + Number(at.number);
    if (at.index != 0) text += " index=" + std::to_string(at.index);
    if (at.captures != 0) text += " captures=" + std::to_string(at.captures);
    if (at.regions) text += " regions=r" + std::to_string(regions.at(at.regions.get()));
    return text;
  }

  std::string out_;
};

}  // namespace

std::string Print(const Graph& graph) { return Printer().Graph(graph); }

}  // namespace heed::ir
