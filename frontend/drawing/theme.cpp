// See theme.h.
#include "frontend/drawing/theme.h"

#include "ir/graph.h"

namespace heed::drawing {
namespace {

constexpr Colour kColours[] = {
    {"page", "#ffffff", "#0f1419"},
    {"ink", "#1b1f24", "#e6edf3"},
    {"soft", "#57606a", "#9da7b1"},
    {"line", "#6e7781", "#8b949e"},
    {"gradient", "#b3261e", "#ff8f85"},
    {"saved", "#6f42c1", "#c8a6ff"},
    {"open", "#f6f8fa", "#161c23"},
    {"closed", "#e8eef4", "#253241"},
    {"product", "#d6e6ff", "#17375f"},
    {"attention", "#ffd9d6", "#5a2522"},
    {"reduce", "#ffe0c2", "#4a3218"},
    {"index", "#e9ddf7", "#3a2a55"},
    {"parameter", "#fff1c2", "#453a12"},
    {"end", "#dff0d8", "#1f3a26"},
    {"pointwise", "#ffffff", "#222a33"},
    {"axes", "#eef0f2", "#2a3038"},
    {"random", "#e4e4e4", "#3a3a3a"},
    {"cache", "#c9f0ee", "#12424a"},
    // Of time: one hue, so that they are told apart by how light they are, whoever looks.
    {"cold", "#ffffff", "#1a2027"},
    {"heat1", "#fff0d9", "#33291c"},
    {"heat2", "#ffd59e", "#50361a"},
    {"heat3", "#fbb163", "#6a4416"},
    {"heat4", "#ef8a3c", "#824d0c"},
    {"heat5", "#e06a2b", "#9c5600"},
};

struct KindWords {
  std::string_view role, words;
};

KindWords WordsFor(Kind kind) {
  switch (kind) {
    case Kind::Input:
      return {"end", "input"};
    case Kind::Output:
      return {"end", "output"};
    case Kind::Parameter:
      return {"parameter", "parameter"};
    case Kind::Cache:
      return {"cache", "cache: kept from step to step"};
    case Kind::Pointwise:
      return {"pointwise", "arithmetic"};
    case Kind::Reduce:
      return {"reduce", "reduction"};
    case Kind::Product:
      return {"product", "sum of products"};
    case Kind::Axes:
      return {"axes", "axes taken apart or joined"};
    case Kind::Index:
      return {"index", "read or written by index"};
    case Kind::Random:
      return {"random", "chance"};
    case Kind::Attention:
      return {"attention", "attention"};
    case Kind::Sum:
      return {"pointwise", "\u2295 sum of two paths"};
    case Kind::Module:
      return {"closed", "module"};
  }
  return {"pointwise", ""};
}

}  // namespace

std::span<const Colour> Colours() { return kColours; }

const Colour& ColourOf(std::string_view role) {
  for (const Colour& colour : kColours)
    if (colour.role == role) return colour;
  throw ir::InternalError("drawings have no colour for " + std::string(role));
}

std::string_view RoleOf(Kind kind) { return WordsFor(kind).role; }
std::string_view RoleOf(const Model& model, const Box& box) {
  return model.scale ? HeatRole(box.work, *model.scale) : RoleOf(box.kind);
}
std::string_view Words(Kind kind) { return WordsFor(kind).words; }

}  // namespace heed::drawing
