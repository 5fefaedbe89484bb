// The pipeline: graphs in, graphs out. passes.def lists the passes, one sentence each and what holds after
// it; Pipeline says which of them run for a variant, and in which order.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/diagnostic_kind.h"
#include "ir/graph.h"
#include "ir/variant.h"

namespace heed::passes {

/// A property of the program that a pass proved false; becomes a diagnostic of the front end.
struct Complaint {
  frontend::DiagnosticKind kind;
  ir::Place where;  ///< of the value at fault
  std::string message;
  std::vector<std::string> notes;
};

/// What a pass has to say to people.
struct Remark {
  ir::Origin origin;  ///< of what it is about; the instance is empty where it is about none
  std::string text;
  std::string Text() const;  ///< "gpt2.heed:19:10 (h.0.attn): softmax[seq'] fused over seq'"
};

using ir::Name;
using ir::Variant;

/// An optional rewrite.
struct Rewrite {
  int number;
  std::string_view pass, rule;
  const ir::Origin& origin;
};

struct PassOptions {
  std::vector<std::string> print_after;  ///< names of passes; the printer is called with the graph after each
  /// `changed`: since the pass before.
  std::function<void(std::string_view pass, const ir::Graph& graph, bool changed)> print;
  /// Called for each optional rewrite, with its number as `bisect` counts; may be empty.
  std::function<void(const Rewrite& rewrite)> trace;
  bool verify = true;     ///< after every pass; a complaint is an InternalError
  int64_t ring_step = 0;  ///< by which rings of caches move on; 0: as the kernels need it
  int bisect = -1;        ///< run only the first N optional rewrites (counted over all passes)
  std::vector<std::pair<std::string, double>>* times = nullptr;  ///< seconds by pass, appended
  std::vector<Remark>* remarks = nullptr;  ///< why attention was fused or not, one a site
};

/// Per-example checks of an entry: what is impossible in every example, causality of `generate`.
std::vector<Complaint> CheckEntry(const ir::Graph& graph);

/// The passes of a variant, in order.
std::vector<std::string_view> Pipeline(Variant variant);

/// Runs the whole pipeline for one variant of an entry's per-example graph.
ir::Graph RunPipeline(const ir::Graph& entry, Variant variant, const PassOptions& options);

/// Runs named passes on any graph, for tests from text, as part of the pipeline of `variant` (default: train
/// for a graph with a loss, else forward). Unknown name: nullopt.
std::optional<ir::Graph> RunPasses(const ir::Graph& graph, const std::vector<std::string>& names,
                                   const PassOptions& options, std::optional<Variant> variant = {});
std::vector<std::string_view> PassNames();

/// A line of passes.def.
struct PassText {
  std::string_view name, what, after;
};
std::vector<PassText> AllPasses();

}  // namespace heed::passes
