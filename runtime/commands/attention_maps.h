// The weights of attention as maps: for each site of a program and each of its heads, what every query gives
// to every key, with the names of both. Which sites and heads are wanted is a choice by name and number.
// Drawing and printing are the callers' business.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"

namespace heed {

/// A softmax over positions.
struct AttentionSite {
  const HeedTensorInfo* info = nullptr;  ///< its weights, an output of HeedEntry::weights
  std::string name;                      ///< "dec.1.cross": the instance that attends
  int64_t layer = -1;                    ///< the first number in its name; -1: none
  std::vector<HeedDim> heads;            ///< static axes, and dynamic ones but the last
  std::string query, key;                ///< axes; query is empty if there is one query
  int64_t head_count = 1;                ///< of the static axes
};
/// In the order in which the program computes them.
std::vector<AttentionSite> AttentionSites(const HeedFunction& weights);

/// Whole numbers as they are written on a command line: "0,2-3".
class NumberList {
 public:
  /// Nothing if the text is no such list.
  static std::optional<NumberList> Parse(std::string_view text);
  /// An empty list has all numbers.
  bool Has(int64_t number) const;
  bool empty() const { return ranges_.empty(); }
  /// The first number of the list that is not below `count`.
  std::optional<int64_t> Beyond(int64_t count) const;

 private:
  std::vector<std::pair<int64_t, int64_t>> ranges_;
};

struct AttentionChoice {
  std::string sites;  ///< a pattern with * and ?; empty: all
  NumberList layers, heads;
};
/// The sites that are chosen; an error names what there is.
Result<std::vector<AttentionSite>> ChooseSites(const std::vector<AttentionSite>& sites,
                                               const AttentionChoice& choice);

/// One head at one site.
struct AttentionMap {
  std::string site, title;  ///< title: "dec.1.cross head 3"
  int64_t layer = -1, head = 0;
  std::string query, key;                  ///< axes
  std::vector<std::string> rows, columns;  ///< names of queries and keys
  std::vector<float> weights;              ///< [rows, columns]; exactly 0 where masked
};
/// Names of the positions along each text axis.
using AxisLabels = std::map<std::string, std::vector<std::string>>;
/// The chosen heads of `sites` from what HeedEntry::weights gave for one example at its full length.
std::vector<AttentionMap> AttentionMaps(const HeedProgram& program, std::span<const AttentionSite> sites,
                                        const NumberList& heads,
                                        const std::map<std::string, HostTensor>& results,
                                        const AxisLabels& labels);

/// Leaves only these positions.
void KeepOnly(AttentionMap& map, const NumberList& rows, const NumberList& columns);
/// Leaves all names, but only the weights between these positions.
void HideOthers(AttentionMap& map, const NumberList& rows, const NumberList& columns);

}  // namespace heed
