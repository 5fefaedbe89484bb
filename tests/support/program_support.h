// Programs as text: compiled, their messages found, their entries computed by the interpreter.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "frontend/program.h"
#include "ir/interp.h"
#include "ir/verify.h"
#include "tests/support/paths.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;

inline std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The programs of the repository, those that tests build among them.
inline std::vector<std::string> Programs() {
  std::vector<std::string> programs;
  for (const char* folder : {"examples", "tests/models"})
    for (const auto& file : std::filesystem::directory_iterator(test::Source(folder)))
      if (file.path().extension() == ".heed") programs.push_back(file.path().string());
  std::sort(programs.begin(), programs.end());
  return programs;
}

/// For short programs.
inline const std::string kCommonAxes =
    "axis a = 2, b = 3, c = 6, pair = {x0, x1}, wide = 4, vocab = 5, layer = 3, seq <= 8, src <= 8\n";

struct Compiled {
  std::unique_ptr<Program> program;
  Diagnostics diagnostics;
  std::string text() const { return diagnostics.Render(false); }
  const Diagnostic* Find(DiagnosticKind kind) const {
    for (const Diagnostic& d : diagnostics.all())
      if (d.kind == kind) return &d;
    return nullptr;
  }
  std::string Where(DiagnosticKind kind) const {
    const Diagnostic* d = Find(kind);
    if (!d) return "none";
    if (!d->loc.file) return "0:0";
    const auto position = d->loc.file->PositionOf(d->loc.offset);
    return std::to_string(position.line) + ":" + std::to_string(position.column);
  }
};

inline std::unique_ptr<Compiled> CompileText(std::string text, std::map<std::string, double> sizes = {},
                                             std::string name = "test.heed") {
  auto result = std::make_unique<Compiled>();
  result->program = Compile(std::make_unique<SourceFile>(std::move(name), std::move(text)),
                            {std::move(sizes)}, result->diagnostics);
  EXPECT_EQ(result->program == nullptr, result->diagnostics.HasErrors());
  return result;
}

inline const Entry& EntryNamed(const Program& program, const std::string& name) {
  for (const Entry& entry : program.entries)
    if (entry.name == name) return entry;
  ADD_FAILURE() << "no entry " << name;
  return program.entries[0];
}

using Data = std::map<std::string, std::vector<double>>;
using Extents = std::map<std::string, int64_t>;

/// Runs an entry on data in declared order; the result in the entry's order of axes.
inline ir::Tensor RunEntry(const Program& program, const std::string& name, const Data& data,
                           const Extents& extents = {}, const std::string& output = "value") {
  const Entry& entry = EntryNamed(program, name);
  ir::EvalOptions options;
  for (const auto& [root, n] : extents) options.extents[Axis(root)] = n;
  const auto size = [&](Axis axis) {
    return program.axes->IsDynamic(axis) ? options.extents.at(axis.root()) : program.axes->Bound(axis);
  };
  const auto add = [&](const std::string& key, const AxisList& axes) {
    const auto found = data.find(key);
    if (found == data.end()) return;
    ir::Tensor tensor{axes, {}, found->second};
    for (Axis axis : axes) tensor.shape.push_back(size(axis));
    ASSERT_EQ(tensor.count(), static_cast<int64_t>(tensor.data.size())) << key;
    options.values[key] = std::move(tensor);
  };
  for (const Argument& argument : entry.arguments) add(argument.name, argument.type.axes);
  for (const Parameter& parameter : program.parameters) add(parameter.name, parameter.axes);
  ir::Interpreter interpreter(*entry.infer, options);
  const ir::NodeId id = entry.infer->Output(output);
  EXPECT_TRUE(id) << output;
  const ir::Tensor& value = interpreter.Value(id);
  return entry.result_axes.empty() ? value : ir::Transposed(value, entry.result_axes);
}

/// One entry `f` on given data.
inline std::vector<double> Numbers(const std::string& text, const Data& data = {},
                                   const Extents& extents = {}) {
  auto compiled = CompileText(text);
  if (!compiled->program) {
    ADD_FAILURE() << text << "\n" << compiled->text();
    return {};
  }
  for (const std::string& bad : ir::Verify(*EntryNamed(*compiled->program, "f").graph)) ADD_FAILURE() << bad;
  return RunEntry(*compiled->program, "f", data, extents).data;
}

inline void ExpectNumbers(const std::vector<double>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12) << "element " << i;
}

}  // namespace heed::frontend
