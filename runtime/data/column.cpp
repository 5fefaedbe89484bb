// See column.h.
#include "runtime/data/column.h"

#include <algorithm>
#include <cstring>

namespace heed {

void DataHash::Add(const std::string& text) {
  Add(text.size());
  for (const char c : text) Add(static_cast<uint8_t>(c));
}

void DataHash::Add(const uint8_t* bytes, int64_t count) {
  constexpr int64_t kAll = 1 << 26, kWord = 8;
  Add(static_cast<uint64_t>(count));
  const int64_t step = kWord * std::max<int64_t>(1, count / kAll);
  int64_t at = 0;
  for (; at + kWord <= count; at += step) {
    uint64_t word;
    std::memcpy(&word, bytes + at, sizeof word);
    Add(word);
  }
  for (at = count - count % kWord; at < count; ++at) Add(bytes[at]);
}

void MemoryColumn::Add(int64_t line, const std::vector<int64_t>& widths, const std::vector<float>& floats,
                       const std::vector<int32_t>& ints) {
  lines_.push_back(line);
  begin_.push_back(static_cast<int64_t>(bytes_.size()));
  for (const int64_t width : widths) widths_.push_back(static_cast<int32_t>(width));
  const auto append = [&](const void* data, size_t bytes) {
    const auto* from = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + bytes);
  };
  if (argument_.dtype == kHeedFloat32) append(floats.data(), floats.size() * sizeof(float));
  if (argument_.dtype == kHeedInt32) append(ints.data(), ints.size() * sizeof(int32_t));
  if (argument_.dtype == kHeedBool8)
    for (const int32_t value : ints) bytes_.push_back(value != 0 ? 1 : 0);
}

std::vector<int64_t> MemoryColumn::Widths(int64_t row) const {
  const auto rank = static_cast<std::ptrdiff_t>(argument_.dims.size());
  const auto first = widths_.begin() + row * rank;
  return {first, first + rank};
}

int64_t MemoryColumn::LengthAlong(int64_t row, size_t dim) const {
  return widths_[static_cast<size_t>(row) * argument_.dims.size() + dim];
}

void MemoryColumn::Read(int64_t row, int64_t first, int64_t count, void* to) const {
  const int64_t width = DTypeBytes(argument_.dtype);
  if (count > 0)
    std::memcpy(to, bytes_.data() + begin_[static_cast<size_t>(row)] + first * width,
                static_cast<size_t>(count * width));
}

std::string MemoryColumn::NameOf(int64_t row) const {
  return constant_ ? from_ : "line " + std::to_string(lines_[static_cast<size_t>(row)]) + " of " + from_;
}

void MemoryColumn::AddTo(DataHash& hash) const {
  hash.Add(bytes_.data(), static_cast<int64_t>(bytes_.size()));
  for (const int32_t width : widths_) hash.Add(static_cast<uint64_t>(width));
}

}  // namespace heed
