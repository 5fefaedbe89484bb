// See memory_map.h. The picture is memory_svg.cpp's.
#include "runtime/commands/memory_map.h"

#include <algorithm>

#include "runtime/base/names.h"
#include "runtime/commands/step_names.h"
#include "runtime/engine/arena.h"
#include "runtime/text/labels.h"

namespace heed {
namespace {

bool InUse(const MemoryPiece& piece, int64_t step) { return piece.first <= step && step <= piece.last; }

std::string Share(int64_t part, int64_t whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%5.1f %%",
                100.0 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

/// A character for each stretch of steps and of addresses: how much of it is in use.
std::string Picture(const MemoryMap& map, int64_t width) {
  constexpr int64_t kRows = 12;
  static constexpr const char* kShades[] = {" ", "░", "▒", "▓", "█"};
  const int64_t columns = std::max<int64_t>(1, std::min(map.steps, width - 14));
  std::vector<double> filled(static_cast<size_t>(kRows * columns), 0);
  const double row_bytes = static_cast<double>(map.bytes) / kRows;
  for (const MemoryPiece& piece : map.pieces) {
    for (int64_t column = piece.first * columns / map.steps; column <= piece.last * columns / map.steps;
         ++column) {
      // Steps of the column in which the piece is in use.
      const double begin = static_cast<double>(column * map.steps) / static_cast<double>(columns);
      const double end = static_cast<double>((column + 1) * map.steps) / static_cast<double>(columns);
      const double steps = std::min(end, static_cast<double>(piece.last + 1)) -
                           std::max(begin, static_cast<double>(piece.first));
      if (steps <= 0) continue;
      for (int64_t row = 0; row < kRows; ++row) {
        const double low = std::max(row_bytes * static_cast<double>(row), static_cast<double>(piece.offset));
        const double high = std::min(row_bytes * static_cast<double>(row + 1),
                                     static_cast<double>(piece.offset + piece.bytes));
        if (high > low)
          filled[static_cast<size_t>(row * columns + column)] +=
              (high - low) / row_bytes * steps / (end - begin);
      }
    }
  }
  std::string text;
  for (int64_t row = kRows; row-- > 0;) {
    std::string label = row == kRows - 1 ? BytesText(map.bytes) : row == 0 ? "0" : "";
    label.insert(0, static_cast<size_t>(std::max<int64_t>(0, 10 - DisplayWidth(label))), ' ');
    text += label + " |";
    for (int64_t column = 0; column < columns; ++column) {
      const double share = filled[static_cast<size_t>(row * columns + column)];
      text += kShades[std::clamp(static_cast<int>(share * 4 + 0.5), share > 0.02 ? 1 : 0, 4)];
    }
    text += "|\n";
  }
  text += std::string(12 + static_cast<size_t>(map.peak_step * columns / map.steps), ' ') + "^ step " +
          std::to_string(map.peak_step + 1) + " of " + std::to_string(map.steps) + "\n";
  return text;
}

}  // namespace

Result<MemoryMap> MapMemory(const HeedFunction& function, std::span<const int64_t> extents) {
  MemoryMap map;
  map.name = function.name;
  for (int64_t i = 0; i < function.extent_count; ++i)
    map.name +=
        ", " + std::string(function.extents[i]) + " " + std::to_string(extents[static_cast<size_t>(i)]);
  const ArenaPlan plan = PlaceArena(function, extents);
  if (plan.bytes < 0) return Error{map.name + " needs more memory than a machine can address"};
  map.bytes = plan.bytes;
  map.steps = std::max<int64_t>(function.step_count, 1);
  std::vector<int64_t> in_use(static_cast<size_t>(map.steps), 0);
  for (int64_t i = 0; i < function.buffer_count; ++i) {
    const HeedBuffer& buffer = function.buffers[i];
    if (buffer.kind != kHeedBufferArena) continue;
    MemoryPiece piece{plan.offsets[static_cast<size_t>(i)], BufferBytes(buffer.size, extents), buffer.first,
                      std::min(buffer.last, map.steps - 1), ""};
    if (piece.first < function.step_count) piece.made_by = NameOf(function.steps[piece.first]);
    for (int64_t step = piece.first; step <= piece.last; ++step)
      in_use[static_cast<size_t>(step)] += piece.bytes;
    map.pieces.push_back(std::move(piece));
  }
  std::stable_sort(map.pieces.begin(), map.pieces.end(),
                   [](const MemoryPiece& a, const MemoryPiece& b) { return a.bytes > b.bytes; });
  map.peak_step = std::max_element(in_use.begin(), in_use.end()) - in_use.begin();
  map.in_use = in_use[static_cast<size_t>(map.peak_step)];
  if (map.peak_step < function.step_count) map.peak_name = NameOf(function.steps[map.peak_step]);
  return map;
}

std::string MemoryText(const MemoryMap& map, int64_t most, int64_t width) {
  std::string text =
      map.name + ": " + BytesText(map.bytes) + " for " + std::to_string(map.pieces.size()) + " buffers\n";
  if (map.pieces.empty()) return text;
  text += Picture(map, width);
  text += "  most is in use at step " + std::to_string(map.peak_step + 1) + ", " + map.peak_name + ": " +
          BytesText(map.in_use) + "; " + BytesText(map.bytes - map.in_use) + " lie between buffers\n";
  int64_t listed = 0, left = 0, left_bytes = 0;
  for (const MemoryPiece& piece : map.pieces) {
    if (!InUse(piece, map.peak_step)) continue;
    if (listed++ >= most) {
      ++left;
      left_bytes += piece.bytes;
      continue;
    }
    std::string bytes = BytesText(piece.bytes);
    bytes.insert(0, static_cast<size_t>(std::max<int64_t>(0, 10 - DisplayWidth(bytes))), ' ');
    std::string steps = std::to_string(piece.first + 1) + ".." + std::to_string(piece.last + 1);
    steps.insert(0, steps.size() < 11 ? 11 - steps.size() : 0, ' ');
    text += "  " + bytes + "  " + Share(piece.bytes, map.bytes) + "  steps " + steps + "  " + piece.made_by +
            "\n";
  }
  if (left > 0)
    text += "  and " + std::to_string(left) + " smaller ones, " + BytesText(left_bytes) + " together\n";
  return text;
}

}  // namespace heed
