// Elements of safetensors files: their sizes, their conversion to f32, and the pages they lie on.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/weights/safetensors.h"

namespace heed {
namespace {

// Without branches, so that the loop is vectorised, and without denormal operands, so that no mode of the
// processor flushes what is small: a subnormal half is a whole number times 2^-24.
float FromHalf(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffu, sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t normal = (magnitude << 13) + (112u << 23);  // another bias of the exponent
  const auto small = std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  const uint32_t special = magnitude << 13 | 0x7f800000u;  // infinity or NaN
  return std::bit_cast<float>((magnitude >= 0x7c00u ? special : magnitude < 0x400u ? small : normal) | sign);
}
float FromBfloat(uint16_t half) { return std::bit_cast<float>(uint32_t{half} << 16); }

template <typename From, typename Convert>
void CopyAs(const uint8_t* from, std::span<float> to, Convert convert) {
  for (size_t i = 0; i < to.size(); ++i) {
    From value;  // the file need not be aligned
    std::memcpy(&value, from + i * sizeof value, sizeof value);
    to[i] = convert(value);
  }
}

}  // namespace

int64_t ElementBytes(const std::string& dtype) {
  static const std::map<std::string, int64_t> kBytes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
      {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
      {"F32", 4},  {"F64", 8}, {"I64", 8}, {"U64", 8},     {"C64", 8}};
  const auto found = kBytes.find(dtype);
  return found == kBytes.end() ? 0 : found->second;
}

bool IsFloat(const std::string& dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

bool ConvertToFloat(const SafetensorsFile::Entry& entry, int64_t first, std::span<float> to) {
  if (!IsFloat(entry.dtype)) return false;
  const uint8_t* const from = entry.data + first * ElementBytes(entry.dtype);
  if (entry.dtype == "F32") {
    if (!to.empty()) std::memcpy(to.data(), from, to.size_bytes());
  } else if (entry.dtype == "F16") {
    CopyAs<uint16_t>(from, to, FromHalf);
  } else if (entry.dtype == "BF16") {
    CopyAs<uint16_t>(from, to, FromBfloat);
  } else {
    CopyAs<double>(from, to, [](double value) { return static_cast<float>(value); });
  }
  return true;
}

void LetGo(const SafetensorsFile::Entry& entry, int64_t first, int64_t count) {
  const int64_t element = ElementBytes(entry.dtype), page = sysconf(_SC_PAGESIZE);
  // Whole pages only: neighbours may be in use.
  const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(entry.data));
  const int64_t begin = (address + first * element + page - 1) / page * page - address;
  const int64_t end = (address + (first + count) * element) / page * page - address;
  if (begin < end) {
    auto* const data = const_cast<uint8_t*>(entry.data);
    madvise(data + begin, static_cast<size_t>(end - begin), MADV_DONTNEED);
  }
}

}  // namespace heed
