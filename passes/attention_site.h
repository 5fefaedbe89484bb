// Attentions in a graph: contract[P](softmax[P | mask](score) [* factors], v), or logsumexp[P | mask](score)
// alone, and whether one can be fused.
// The score is a pointwise function of one sum over query and key: their product, or the sum of a pointwise
// term of both (a small network, as in additive attention).
//
// Knows the pattern and what the kernel of the back end can do. What becomes of a site is
// fuse_attention.cpp's affair; which parts of a score are functions of a distance is attention_tables.cpp's.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "passes/context.h"

namespace heed::passes {

/// A value that a region reads from outside.
struct Capture {
  NodeId value;
  bool table = false;  ///< of key - query: computed on the axis of differences instead
  friend bool operator==(const Capture&, const Capture&) = default;
};

/// An attention found in a graph.
struct Site {
  NodeId softmax;       ///< or the log-sum-exp of the same scores, alone: no weights, sum and v then
  NodeId weights, sum;  ///< weights: the softmax, or its product with all factors; sum: the contraction
  std::vector<NodeId> factors;  ///< of weights, along the keys
  std::vector<NodeId> scales;   ///< of weights, of whole rows: of the sum as well
  NodeId dot;                   ///< the sum over query and key that the score is a function of
  NodeId term;      ///< none: dot is the product of q and k; else the factor of dot that reads q and k
  NodeId q, k, v;   ///< q: none if a term reads no query apart from captures
  Axis key, query;  ///< query: none if there is one query
  AxisList score_axes;
  std::vector<NodeId> extra_masks;  ///< conjuncts of the sum's mask that the softmax lacks
  std::vector<Capture> captures;
};

/// Ops that go into a region, or that give the number they get.
bool IsRegionPart(const Node& node, Axis key);
bool IsTransparent(const Node& node);

class SiteFinder {
 public:
  explicit SiteFinder(const Graph& graph);

  /// Softmaxes and log-sum-exps over positions, or along static axes that keys and values lie on that are
  /// computed; others (over a vocabulary, say) are no attention.
  bool IsCandidate(NodeId id) const;
  /// What becomes of a softmax, log_softmax or logsumexp that is no candidate; "" for every other op.
  std::string Loop(NodeId id) const;
  /// A float that depends on a parameter: it may need a gradient.
  bool Varies(NodeId id) const { return varies_[id.value]; }
  /// The site of a candidate, or why there is none. Where there is one query, only what was decided with many
  /// can tell a term from a product: `kind`.
  std::optional<Site> Match(NodeId candidate, std::optional<SiteKind> kind, std::string& why) const;
  /// The softmax of the scores that a log-sum-exp adds up; none if there is none.
  NodeId SoftmaxOf(NodeId log_sum_exp) const;

 private:
  AxisList ValueAxes(const Site& site) const;
  bool OverPositions(const Node& softmax) const;
  bool ReadsComputedKeys(NodeId softmax) const;
  bool IsParameter(NodeId id) const;
  std::vector<NodeId> Uses(NodeId id) const;
  bool FindSum(Site& site, std::string& why) const;
  std::string WhyNoSum(const Site& site, const std::vector<NodeId>& uses) const;
  bool FindDot(Site& site, std::optional<SiteKind> kind, std::string& why) const;
  bool FindTerm(Site& site, NodeId dot, std::optional<SiteKind> kind, std::string& why) const;
  void TermLeaves(NodeId id, const AxisList& summed, std::vector<NodeId>& leaves) const;
  bool FindQuery(Site& site, std::string& why) const;
  void FindCaptures(Site& site) const;
  std::string KernelSupports(const Site& site) const;
  std::string OpsOf(const std::vector<NodeId>& values) const;

  const Graph& graph_;
  const std::vector<std::vector<NodeId>> users_;
  std::set<NodeId> outputs_;
  std::vector<bool> varies_;
};

}  // namespace heed::passes
