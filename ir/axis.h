// Axes: names with variants, and the extents of their roots.
//
// An axis is a root and a variant, written as one word:
//   seq        the axis itself
//   seq'       its twin: same extent, another name (seq'' is a third one)
//   key~1      a fresh copy, made by the hygiene of axis parameters
//   seq^       storage at the bound of a dynamic axis (parameters, caches)
//   seq'%1024+256  a ring of 1024 slots that moves on by 256: slot j holds position f + j, where f is the
//              least multiple of 256 that leaves a slot to the newest position
//   seq-       differences of two positions of seq, from -n to n - 1 where n is the extent of seq
// All variants share the root; the plain, twin and fresh ones of a dynamic root share one extent, free until
// run time. Differences are made by the compiler only. Axes are interned: copying and comparing one costs
// what an int costs. What this file leaves alone: which axes a value has (type.h), and every order of storage
// (the back end's affair).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace heed::ir {

class Axis {
 public:
  constexpr Axis() = default;            ///< no axis
  explicit Axis(std::string_view text);  ///< interns `text`; thread-safe
  const std::string& text() const;       ///< as written above; "" for no axis
  Axis root() const;                     ///< seq for seq', seq~1, seq^, seq'%1024+256, seq-
  bool stored() const;                   ///< storage at the bound: ends in ^
  int64_t ring() const;                  ///< slots of a ring, 0 for every other axis
  int64_t ring_step() const;             ///< by which a ring moves on, 0 for every other axis
  bool difference() const;               ///< differences of positions: ends in -
  Axis Twin() const { return Axis(text() + "'"); }
  Axis Fresh(int number) const;  ///< replaces an earlier ~number
  Axis WithoutFresh() const;     ///< key~1 -> key
  Axis Stored() const { return Axis(text() + "^"); }
  Axis Ring(int64_t slots, int64_t step) const {
    return Axis(text() + "%" + std::to_string(slots) + "+" + std::to_string(step));
  }
  Axis Difference() const { return Axis(root().text() + "-"); }
  uint32_t id() const { return id_; }
  explicit operator bool() const { return id_ != 0; }
  friend bool operator==(Axis, Axis) = default;
  /// By text, so that whatever is ordered by axes is ordered the same way in every run.
  friend bool operator<(Axis a, Axis b) { return a.id_ != b.id_ && a.text() < b.text(); }

 private:
  uint32_t id_ = 0;
};

using AxisList = std::vector<Axis>;

// Sets of axes kept as lists in order of first appearance.
bool Contains(const AxisList& axes, Axis axis);
bool ContainsAll(const AxisList& axes, const AxisList& some);
AxisList Union(const AxisList& a, const AxisList& b);
AxisList Minus(const AxisList& a, const AxisList& b);
AxisList Intersection(const AxisList& a, const AxisList& b);
bool SameSet(const AxisList& a, const AxisList& b);
std::string Text(const AxisList& axes);  ///< "heads, key, seq"

/// What is known of a root at compile time.
struct Extent {
  enum class Kind {
    Static,   ///< `size` elements
    Dynamic,  ///< a number per example, at most `size`
    Lifted,   ///< added by the compiler (batch, beam): a number per call, unbounded
  };
  Kind kind = Kind::Static;
  int64_t size = 0;
  std::vector<std::string> enumerators;  ///< names of the elements of an enumerated axis, else empty
};

/// Extents by root. Shared by all graphs of a program.
class AxisTable {
 public:
  void Set(Axis root, Extent extent) { extents_[root] = std::move(extent); }
  bool Has(Axis axis) const { return extents_.count(axis.root()) != 0; }
  const Extent& Of(Axis axis) const;  ///< of the axis' root, which must be known
  /// True for the variants that have the root's positions, free until run time: not for ^, % and -.
  bool IsDynamic(Axis axis) const;
  bool IsLifted(Axis axis) const;
  /// Elements if static (or stored, or a ring), else the bound; of differences, twice that of the root.
  int64_t Bound(Axis axis) const;
  const std::map<Axis, Extent>& all() const { return extents_; }

 private:
  std::map<Axis, Extent> extents_;
};

}  // namespace heed::ir

template <>
struct std::hash<heed::ir::Axis> {
  size_t operator()(heed::ir::Axis a) const noexcept { return a.id(); }
};
