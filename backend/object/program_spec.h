// A described program: what the back end is given beside options, in its own words and those of the graph.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "ir/variant.h"

namespace heed::backend {

struct ParamSpec {
  std::string name;
  ir::AxisList axes;                     ///< flattened storage order, as of the Param node
  std::vector<std::vector<int>> groups;  ///< storage dimensions as indices into `axes`
  std::vector<int64_t> shape;
  int init = 4;  ///< HeedInit
  double a = 0, b = 0;
};
struct ArgumentSpec {
  std::string name;
  ir::Type type;  ///< axes in declared order, per example
};
struct EntrySpec {
  std::string name;
  int kind = 0;  ///< HeedEntryKind
  std::vector<ArgumentSpec> arguments;
  ir::AxisList result_axes;  ///< Value: declared order; Generate: [axis, vocabulary]
  ir::PerVariant<std::shared_ptr<const ir::Graph>> graphs;        ///< after the passes; null: absent
  std::vector<std::pair<std::string, ir::AxisList>> weight_axes;  ///< order of the axes of its outputs
  std::string variable, axis, indexes, prompt;                    ///< Generate; indexes: Value, too
  int64_t bound = 0, from = -1;
  std::vector<int64_t> until;
  std::vector<std::pair<std::string, double>> options;
  bool sees_batch = false;  ///< Minimize: the loss of an example depends on the others of its batch
};
struct ProgramSpec {
  std::string source_name;
  std::vector<std::string> imports;  ///< names of the files that it imports
  std::shared_ptr<const ir::AxisTable> axes;
  std::vector<ParamSpec> params;
  std::vector<EntrySpec> entries;
  /// What the passes said of a function ("train/NAME"): the plan repeats it.
  std::map<std::string, std::vector<std::string>> remarks;
  std::map<std::string, double> consts;       ///< declared constants
  std::map<std::string, std::string> stacks;  ///< as frontend::Program's
  std::vector<std::string> set;               ///< axes and constants that were given a value
};

}  // namespace heed::backend
