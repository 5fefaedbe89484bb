// See describe.h.
#include "frontend/commands/describe.h"

#include <filesystem>

#include "ir/batch_axis.h"
#include "runtime/abi.h"

namespace heed::commands {
namespace {

bool SeesBatch(const ir::Graph& graph) {
  for (const ir::NodeId id : graph.Order())
    for (const ir::Axis axis : graph.axes_of(id))
      if (axis.root() == ir::BatchAxis()) return true;
  return false;
}

}  // namespace

backend::EntrySpec Describe(const frontend::Program& program, const frontend::Entry& entry) {
  backend::EntrySpec spec;
  spec.name = entry.name;
  spec.kind = entry.kind == frontend::EntryKind::Minimize   ? kHeedEntryMinimize
              : entry.kind == frontend::EntryKind::Generate ? kHeedEntryGenerate
                                                            : kHeedEntryValue;
  for (const frontend::Argument& argument : entry.arguments)
    spec.arguments.push_back({argument.name, argument.type});
  spec.result_axes = entry.result_axes;
  spec.sees_batch = SeesBatch(*entry.graph);
  if (entry.kind == frontend::EntryKind::Value)
    spec.indexes = entry.graph->type(entry.graph->Output("value")).indexes.text();
  if (entry.graph->generate == nullptr) return spec;
  const ir::Graph& graph = *entry.graph;
  const ir::GenerateInfo& generate = *graph.generate;
  const auto constant = [&](ir::NodeId id) {
    return id ? static_cast<int64_t>(graph[id].op == ir::OpKind::Const
                                         ? graph[id].attributes.number
                                         : static_cast<double>(graph[id].attributes.index))
              : int64_t{-1};
  };
  spec.variable = generate.variable;
  spec.axis = generate.axis.text();
  spec.prompt = generate.prompt;
  spec.bound = program.axes->Bound(generate.axis);
  spec.from = constant(generate.from);
  for (const ir::NodeId end : generate.until) spec.until.push_back(constant(end));
  spec.options.assign(generate.options.begin(), generate.options.end());
  spec.indexes = entry.result_axes.at(1).text();  // [axis, vocabulary]
  return spec;
}

backend::ProgramSpec Describe(const frontend::Program& program, const ProgramOptions& options) {
  backend::ProgramSpec spec;
  spec.source_name = std::filesystem::path(options.file).filename().string();
  spec.axes = program.axes;
  spec.consts = program.consts;
  spec.stacks = program.stacks;
  for (size_t i = 2; i < program.files.size(); ++i) spec.imports.push_back(program.files[i]->short_name());
  for (const std::string& set : options.set) spec.set.push_back(set.substr(0, set.find('=')));
  for (const frontend::Parameter& parameter : program.parameters) {
    backend::ParamSpec& param = spec.params.emplace_back();
    param.name = parameter.name;
    param.axes = parameter.axes;
    param.groups = parameter.groups;
    param.shape = parameter.shape;
    param.a = parameter.init.a;
    param.b = parameter.init.b;
    switch (parameter.init.kind) {
      case frontend::Initializer::Kind::Constant:
        param.init = kHeedInitConstant;
        break;
      case frontend::Initializer::Kind::Normal:
        param.init = kHeedInitNormal;
        break;
      case frontend::Initializer::Kind::Uniform:
        param.init = kHeedInitUniform;
        break;
      case frontend::Initializer::Kind::Glorot:
        param.init = kHeedInitGlorot;
        break;
      case frontend::Initializer::Kind::Missing:
        param.init = kHeedInitMissing;
        break;
    }
  }
  return spec;
}

}  // namespace heed::commands
