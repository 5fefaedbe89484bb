// What a drawing says inside its boxes: expressions in the words of the program instead of single nodes.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace heed::drawing {

/// A value as a drawing shows it: a text in which a dot stands for every operand that comes by an edge.
struct Piece {
  struct Operand {
    ir::NodeId source;  ///< behind renames and broadcasts
    ir::NodeId seen;    ///< as the user sees it: after the renames
  };
  std::string text;
  int precedence = 100;
  std::vector<Operand> operands;
  bool leaf = false;  ///< needs no edge at all: constants, positions, lengths and what is computed from them
};

/// One Piece for every node in Order(), indexed by node number. Constants, positions and lengths become text
/// where they are used; so do pointwise values with one user in the same call, while labels stay short.
/// Parameters and inputs are called by their names. That padding is left out is not said. `wordy`: products
/// are written inside arithmetic, as programs do: "relu(W1 @model · + b1)".
std::vector<Piece> Pieces(const ir::Graph& graph, bool wordy);

/// Behind renames and broadcasts.
ir::NodeId Source(const ir::Graph& graph, ir::NodeId id);

/// The name of a parameter within its module: "weight" of "h.0.ln_1.weight".
std::string NameWithin(const ir::Node& parameter);

/// A predicate without the conditions that only leave out padding (`seq' < |seq|`); "" if nothing is left.
std::string WithoutPadding(const std::string& predicate);

}  // namespace heed::drawing
