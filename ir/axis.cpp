// The interner of axis names, sets of axes as lists, and the table of extents.
//
// Entries are never moved or freed, so that texts may be read without a lock: a chunk is published before an
// id in it is handed out. What this file leaves alone: types of values and every order of storage.
#include "ir/axis.h"

#include <array>
#include <atomic>
#include <mutex>
#include <unordered_map>

#include "ir/graph.h"

namespace heed::ir {
namespace {

struct Entry {
  std::string text;
  uint32_t root = 0;
  int64_t ring = 0, ring_step = 0;
  bool stored = false;
  bool difference = false;
};

/// The number that `text` begins with; what does not fit 32 bits is no number of slots.
int64_t Digits(std::string_view text) {
  int64_t number = 0;
  for (size_t i = 0; i < text.size() && text[i] >= '0' && text[i] <= '9' && number < INT32_MAX; ++i)
    number = number * 10 + (text[i] - '0');
  return number;
}

constexpr uint32_t kChunk = 1024;
constexpr uint32_t kChunks = 1024;

struct Interner {
  std::mutex mutex;
  std::unordered_map<std::string, uint32_t> ids;
  std::array<std::atomic<Entry*>, kChunks> chunks{};
  uint32_t count = 0;

  Interner() { Add(""); }

  const Entry& operator[](uint32_t id) const {
    return chunks[id / kChunk].load(std::memory_order_acquire)[id % kChunk];
  }

  /// The lock is held (or nobody else can see the interner yet).
  uint32_t Add(std::string_view text) {
    auto [found, fresh] = ids.try_emplace(std::string(text), count);
    if (!fresh) return found->second;
    if (count == kChunk * kChunks) throw InternalError("too many axis names");
    const uint32_t id = count++;
    Entry* chunk = chunks[id / kChunk].load(std::memory_order_relaxed);
    if (!chunk) {
      chunk = new Entry[kChunk];
      chunks[id / kChunk].store(chunk, std::memory_order_release);
    }
    Entry& entry = chunk[id % kChunk];
    entry.text = text;
    entry.stored = text.find('^') != text.npos;
    entry.difference = text.ends_with('-');
    if (const size_t percent = text.find('%'); percent != text.npos) {
      entry.ring = Digits(text.substr(percent + 1));
      const size_t plus = text.find('+', percent);
      if (plus != text.npos) entry.ring_step = Digits(text.substr(plus + 1));
    }
    const size_t end = text.find_first_of("'~^%-");
    entry.root = end == text.npos || end == 0 ? id : Add(text.substr(0, end));
    return id;
  }
};

Interner& Names() {
  static Interner& names = *new Interner;  // never destroyed: axes are used until the very end
  return names;
}

}  // namespace

Axis::Axis(std::string_view text) {
  Interner& names = Names();
  std::lock_guard lock(names.mutex);
  id_ = names.Add(text);
}

const std::string& Axis::text() const { return Names()[id_].text; }

Axis Axis::root() const {
  Axis root;
  root.id_ = Names()[id_].root;
  return root;
}

bool Axis::stored() const { return Names()[id_].stored; }

int64_t Axis::ring() const { return Names()[id_].ring; }
int64_t Axis::ring_step() const { return Names()[id_].ring_step; }

bool Axis::difference() const { return Names()[id_].difference; }

Axis Axis::WithoutFresh() const {
  std::string name = text();
  const size_t start = name.find('~');
  if (start == name.npos) return *this;
  size_t end = start + 1;
  while (end < name.size() && name[end] >= '0' && name[end] <= '9') ++end;
  return Axis(name.erase(start, end - start));
}

Axis Axis::Fresh(int number) const { return Axis(WithoutFresh().text() + "~" + std::to_string(number)); }

bool Contains(const AxisList& axes, Axis axis) {
  for (Axis a : axes)
    if (a == axis) return true;
  return false;
}

bool ContainsAll(const AxisList& axes, const AxisList& some) {
  for (Axis a : some)
    if (!Contains(axes, a)) return false;
  return true;
}

AxisList Union(const AxisList& a, const AxisList& b) {
  AxisList result;
  for (const AxisList* list : {&a, &b})
    for (Axis x : *list)
      if (!Contains(result, x)) result.push_back(x);
  return result;
}

AxisList Minus(const AxisList& a, const AxisList& b) {
  AxisList result;
  for (Axis x : a)
    if (!Contains(b, x)) result.push_back(x);
  return result;
}

AxisList Intersection(const AxisList& a, const AxisList& b) {
  AxisList result;
  for (Axis x : a)
    if (Contains(b, x)) result.push_back(x);
  return result;
}

bool SameSet(const AxisList& a, const AxisList& b) { return ContainsAll(a, b) && ContainsAll(b, a); }

std::string Text(const AxisList& axes) {
  std::string text;
  for (Axis a : axes) {
    if (!text.empty()) text += ", ";
    text += a.text();
  }
  return text;
}

const Extent& AxisTable::Of(Axis axis) const {
  const auto found = extents_.find(axis.root());
  if (found == extents_.end()) throw InternalError("axis " + axis.text() + " has no extent");
  return found->second;
}

bool AxisTable::IsDynamic(Axis axis) const {
  if (axis.stored() || axis.ring() || axis.difference()) return false;
  const auto found = extents_.find(axis.root());
  return found != extents_.end() && found->second.kind == Extent::Kind::Dynamic;
}

bool AxisTable::IsLifted(Axis axis) const {
  const auto found = extents_.find(axis.root());
  return found != extents_.end() && found->second.kind == Extent::Kind::Lifted;
}

int64_t AxisTable::Bound(Axis axis) const {
  if (axis.ring()) return axis.ring();
  return axis.difference() ? 2 * Of(axis).size : Of(axis).size;
}

}  // namespace heed::ir
