// Which matrices of parameters a function reads in packed form: those it multiplies by, and tables it looks
// rows up in. Only functions that do not train do so; what they pack is the runtime's business, which has
// the table of these matrices. Private to the back end.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backend/plan/layout.h"
#include "backend/plan/plan.h"

namespace heed::backend {

/// Smaller matrices are read where they lie.
constexpr int64_t kLeastPackedTerms = 4, kLeastPackedColumns = 4;

/// Look-ups in `tables` that become steps of their own: for each gather the product that multiplies by the
/// same matrix, or none if there is none.
std::map<ir::NodeId, ir::NodeId> FindLookups(const ir::Graph& graph, const std::set<std::string>& tables);

/// The parameter of which a value is a renaming; none if it is something else.
ir::NodeId ParamUnderNames(const ir::Graph& graph, ir::NodeId id);

/// The matrix of a parameter that lies as `view` says, its columns `ns` and terms `ks` as nests of extents
/// and strides; nothing if that is no whole static matrix, or a small one.
std::optional<PackedMatrix> MakePackedMatrix(const Plan& plan, const View& view,
                                             const std::vector<std::pair<Size, Size>>& ns,
                                             const std::vector<std::pair<Size, Size>>& ks);
/// A buffer that stands for the matrix; equal matrices have one.
Base PackedBase(Plan& plan, const PackedMatrix& matrix);

/// Names of parameters in which functions only look rows up, all along the same axis, or which they multiply
/// by without that axis. Only of those are look-ups packed, in all functions: so a row is rounded everywhere
/// or nowhere, and nobody needs the parameter as it is. `graphs`: of every function that does not train.
std::set<std::string> FindTables(const std::vector<const ir::Graph*>& graphs);

}  // namespace heed::backend
