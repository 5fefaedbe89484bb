// What a drawing says inside its boxes: expressions instead of single nodes. Private to the drawing
// (dot.cpp).
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace heed::ir {

/// A value as a drawing shows it: a text in which a dot stands for every operand that comes by an edge.
struct Piece {
  struct Operand {
    NodeId source;  ///< behind renames and broadcasts
    NodeId seen;    ///< as the user sees it: after the renames
  };
  std::string text;
  int precedence = 100;
  std::vector<Operand> operands;
  bool leaf = false;  ///< needs no edge at all: constants, positions, lengths and what is computed from them
};

/// One Piece for every node in Order(), indexed by node number. Constants, positions and lengths become text
/// where they are used; so do pointwise values with one user in the same module instance, while labels stay
/// short.
std::vector<Piece> Pieces(const Graph& graph);

/// Behind renames and broadcasts.
NodeId Source(const Graph& graph, NodeId id);

}  // namespace heed::ir
