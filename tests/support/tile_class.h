// The class of a tile, by bounds that are numbers and by the code that kernels compute them with.
#pragma once

#include <functional>
#include <optional>

#include "ir/interval.h"

namespace heed::test {

enum class TileClass { None, All, Mixed };
using NumberBounds = ir::Interval<ir::NumberAlgebra::Value>;
/// Of what is neither constant nor pointwise; none: unknown.
using NumberLeaf = std::function<std::optional<NumberBounds>(ir::NodeId)>;

TileClass ClassByNumbers(const ir::Graph& graph, ir::NodeId mask, const NumberLeaf& leaf);
/// Of the code on constants, folded; none if it is not constant, as where vector functions are called.
std::optional<TileClass> ClassByCode(const ir::Graph& graph, ir::NodeId mask, const NumberLeaf& leaf);

}  // namespace heed::test
