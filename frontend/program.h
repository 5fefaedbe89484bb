// A checked program: its axes, parameters and entries, and each entry's graph for one example.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/ast.h"
#include "frontend/diagnostics.h"
#include "ir/graph.h"
#include "runtime/base/result.h"

namespace heed::frontend {

/// How a parameter starts. Glorot: uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010).
struct Initializer {
  enum class Kind { Constant, Normal, Uniform, Glorot, Missing } kind = Kind::Missing;
  double a = 0,
         b = 0;  ///< Constant: a; Normal: mean a, deviation b; Uniform: from a to b; Glorot: fan in, out
};
struct Parameter {
  std::string name;                      ///< path of instance names: "h.0.attn.c_attn.weight"
  ir::AxisList axes;                     ///< as of the Param node: distinct, dynamic roots as seq^
  std::vector<std::vector<int>> groups;  ///< storage dimensions: indices into `axes`; one each but for groups
  std::vector<int64_t> shape;            ///< of the storage dimensions
  Initializer init;
  Loc loc;
};
struct Argument {
  std::string name;
  ir::Type type;  ///< axes in declared order
  Loc loc;
};
struct Entry {
  EntryKind kind;
  std::string name;
  std::vector<Argument> arguments;         ///< as written; a generate entry's prompt included
  ir::AxisList result_axes;                ///< Value: declared order of the result's axes
  std::shared_ptr<const ir::Graph> graph;  ///< outputs: value | loss, per | logits. Train form for Minimize
  std::shared_ptr<const ir::Graph> infer;  ///< Minimize: the same without dropout; else the same graph
  Loc loc;
};
/// What a program calls things that a graph knows by their places only.
struct ProgramWords {
  struct Call {
    std::string name;     ///< of the function, or of the module of the part
    bool module = false;  ///< a part is called
  };
  std::map<ir::Place, Call> calls;              ///< by the place of the call, its callers included
  std::map<std::string, std::string> modules;   ///< the module of an instance, by its path
  std::map<ir::Place, std::string> predicates;  ///< by the place of what they restrict, as written
};
struct Program {
  std::shared_ptr<const ir::AxisTable> axes;
  std::map<std::string, double> consts;
  std::vector<Parameter> parameters;  ///< of all entries, in order of first appearance; a name once
  /// Of parts that are made for each element of an axis: what names of their parameters have before the
  /// number of the element ("h."), and the (first) axis.
  std::map<std::string, std::string> stacks;
  ProgramWords words;
  std::vector<Entry> entries;
  /// What Locs point into: the prelude, the program, and what that imports.
  std::vector<std::unique_ptr<SourceFile>> files;
};

struct Overrides {
  std::map<std::string, double> values;  ///< --set NAME=N: axes (derived ones included) and consts
  int64_t most_steps = 1'000'000;        ///< expressions evaluated for one graph: a fuzzer has less patience
};

/// The text of a file; nothing, and `error` says why with the file's name, if it cannot be read (files.h).
using TextReader = std::function<Result<std::string>(const std::string& name)>;

/// Parses, checks and elaborates; `read` gives the files that are imported. Null if there were errors. Checks
/// included here: everything but causality and reads past the end (passes/), i.e. names, axes, lifting,
/// two-way broadcasts, types, initialisers.
std::unique_ptr<Program> Compile(std::unique_ptr<SourceFile> file, const Overrides& overrides,
                                 Diagnostics& diagnostics, const TextReader& read);
/// The same with files as they are on disk.
std::unique_ptr<Program> Compile(std::unique_ptr<SourceFile> file, const Overrides& overrides,
                                 Diagnostics& diagnostics);

}  // namespace heed::frontend
