// Wires cut at the borders of modules, so that each module is a flat graph of its own: a level.
#pragma once

#include <map>
#include <vector>

#include "frontend/drawing/model.h"

namespace heed::drawing {

/// Where a value crosses the border of a module: however many take it inside, it comes in once.
struct Port {
  int value = 0;     ///< the box that makes it
  bool out = false;  ///< leaves the module
  friend auto operator<=>(const Port&, const Port&) = default;
};

/// An end of a stretch of wire: a box of the level, a port of one of its modules, or a port of its own.
struct End {
  enum class Kind { Box, Child, Border } kind = Kind::Box;
  int index = 0;  ///< of the box, or of the child module
  Port port = {};
  friend auto operator<=>(const End&, const End&) = default;
};

struct Stretch {
  End from, to;
  int wire = 0;  ///< the first that needs it
};

struct Level {
  std::vector<int> boxes, children;
  std::vector<Stretch> stretches;
  std::map<Port, bool> ports;  ///< own ones; true: of a value of the gradient
};

/// Indexed as Model::modules.
std::vector<Level> LevelsOf(const Model& model);

/// Ports of forward values that come in lie below, those that go out above; of gradients the other way round.
inline bool OnTop(const Port& port, bool gradient) { return port.out != gradient; }

}  // namespace heed::drawing
