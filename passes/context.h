// What the passes share: the state of one run of the pipeline, and the names of the graph's types.
//
// Private to passes/; users of the pipeline include pass.h.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "ir/graph.h"
#include "ir/op.h"
#include "passes/pass.h"

namespace heed::passes {

using ir::Attributes;
using ir::Axis;
using ir::AxisList;
using ir::Graph;
using ir::InternalError;
using ir::Node;
using ir::NodeId;
using ir::OpKind;

/// What the score of a fused attention is a function of: the product of query and key, or a sum of terms.
enum class SiteKind { kProduct, kTerm };

/// A place of the program, and whether its softmax or its log-sum-exp is meant.
using SiteName = std::pair<ir::Origin, OpKind>;
inline SiteName NameOf(const Node& node) { return {node.origin, node.op}; }

/// State of one run: options, and what one pass tells a later one.
struct Context {
  Variant variant = Variant::Forward;
  const PassOptions& options;
  int rewrites = 0;  ///< optional rewrites made so far
  /// Where attention is fused. Unset: FuseAttention decides itself.
  std::optional<std::map<SiteName, SiteKind>> sites = std::nullopt;
  Axis growing = {};  ///< of a prefill or step: the generated axis, which has an element

  std::string_view pass = {};  ///< that runs

  /// Asked before every optional rewrite, with its rule and where it applies; false once `bisect` of them
  /// have been made.
  bool Allow(std::string_view rule, const ir::Origin& origin);
  void Remark(ir::Origin origin, std::string text) {
    if (options.remarks) options.remarks->push_back({std::move(origin), std::move(text)});
  }
};

#define HEED_PASS(Function, name, what, after) Graph Function(const Graph& graph, Context& context);
#include "passes/passes.def"

/// "softmax[seq']": an op and the axes it acts along, as an author would write it.
std::string Call(const Node& node);

}  // namespace heed::passes
