// See npy.h. The header of an array is a dictionary as Python writes it:
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
#include "runtime/data/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>

#include "runtime/base/mapped_file.h"
#include "runtime/data/zip.h"

namespace heed {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct Kind {
  std::string_view descr;
  const char* dtype;
};
constexpr Kind kKinds[] = {{"<f4", "F32"}, {"<f2", "F16"}, {"<f8", "F64"}, {"<i4", "I32"},
                           {"<i8", "I64"}, {"<i2", "I16"}, {"|i1", "I8"},  {"|u1", "U8"},
                           {"<u2", "U16"}, {"<u4", "U32"}, {"<u8", "U64"}, {"|b1", "BOOL"}};

/// What stands after 'KEY': in the header.
std::optional<std::string_view> ValueOf(std::string_view header, std::string_view key) {
  const size_t at = header.find("'" + std::string(key) + "'");
  const size_t colon = at == header.npos ? at : header.find(':', at);
  if (colon == header.npos) return std::nullopt;
  const size_t begin = header.find_first_not_of(' ', colon + 1);
  if (begin == header.npos) return std::nullopt;
  return header.substr(begin);
}

/// "(3, 4)", "(3,)" or "()".
std::optional<std::vector<int64_t>> ShapeOf(std::string_view text) {
  const size_t end = text.find(')');
  if (!text.starts_with('(') || end == text.npos) return std::nullopt;
  std::vector<int64_t> shape;
  for (std::string_view rest = text.substr(1, end - 1); !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    std::string_view part = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    if (part.empty()) continue;
    int64_t extent = -1;
    const auto [stop, code] = std::from_chars(part.data(), part.data() + part.size(), extent);
    if (code != std::errc() || stop != part.data() + part.size() || extent < 0) return std::nullopt;
    shape.push_back(extent);
  }
  return shape;
}

std::string StemOf(const std::string& path) { return std::filesystem::path(path).stem().string(); }

/// A mapped .npy, added to `file` as `name`.
Status AddNpy(const std::string& path, const std::string& name, TensorFile& file,
              std::vector<std::shared_ptr<MappedFile>>& mappings) {
  Result<MappedFile> opened = MappedFile::Open(path);
  if (!opened) return opened.error();
  const auto mapping = std::make_shared<MappedFile>(std::move(*opened));
  Result<SafetensorsFile::Entry> entry = ParseNpy(mapping->data(), mapping->size());
  if (!entry) return Error{path + " " + entry.error().message};
  file.tensors.emplace(name, std::move(*entry));
  mappings.push_back(mapping);
  return Done{};
}

std::shared_ptr<const TensorFile> Held(TensorFile file, std::vector<std::shared_ptr<MappedFile>> mappings) {
  const auto held = std::make_shared<std::vector<std::shared_ptr<MappedFile>>>(std::move(mappings));
  file.keeps = held;
  file.unchanged = [held]() -> Status {
    for (const auto& mapping : *held)
      if (Status ok = mapping->CheckUnchanged(); !ok) return ok;
    return Done{};
  };
  return std::make_shared<const TensorFile>(std::move(file));
}

}  // namespace

Result<SafetensorsFile::Entry> ParseNpy(const uint8_t* bytes, int64_t size) {
  const Error damaged{"is no .npy file, or it is cut short"};
  const auto at = [&](int64_t i) { return static_cast<int64_t>(bytes[i]); };
  if (size < 12 || std::memcmp(bytes, kMagic.data(), kMagic.size()) != 0) return damaged;
  const bool old = at(6) == 1;
  const int64_t begin = old ? 10 : 12;
  const int64_t length = at(8) | at(9) << 8 | (old ? 0 : at(10) << 16 | at(11) << 24);
  if (length > size - begin) return damaged;
  const std::string_view header(reinterpret_cast<const char*>(bytes) + begin, static_cast<size_t>(length));
  const auto descr = ValueOf(header, "descr"), order = ValueOf(header, "fortran_order"),
             shape_text = ValueOf(header, "shape");
  const auto shape = shape_text ? ShapeOf(*shape_text) : std::nullopt;
  if (!descr || !order || !shape) return Error{"has a header that is not NumPy's"};
  const auto* const kind = std::ranges::find_if(kKinds, [&](const Kind& one) {
    return descr->size() > one.descr.size() + 1 && descr->substr(1).starts_with(one.descr) &&
           (*descr)[one.descr.size() + 1] == (*descr)[0];
  });
  if (kind == std::end(kKinds)) {
    return Error{"has elements of NumPy's type " + std::string(descr->substr(0, descr->find(','))) +
                 "; expected whole numbers, floats or bools, little-endian"};
  }
  if (!order->starts_with("False"))
    return Error{"is in Fortran's order; save it with numpy.ascontiguousarray"};
  int64_t count = ElementBytes(kind->dtype);
  for (const int64_t extent : *shape) {
    if (extent != 0 && count > size / extent) return damaged;
    count *= extent;
  }
  const int64_t data = begin + length;
  if (count != size - data) {
    return Error{"has " + std::to_string(size - data) + " bytes of elements; its header says " +
                 std::to_string(count)};
  }
  return SafetensorsFile::Entry{kind->dtype, *shape, bytes + data, count};
}

Result<std::shared_ptr<const TensorFile>> OpenNpy(const std::string& path, const std::string& name) {
  TensorFile file{path, {}, {}};
  std::vector<std::shared_ptr<MappedFile>> mappings;
  if (Status ok = AddNpy(path, name, file, mappings); !ok) return ok.error();
  return Held(std::move(file), std::move(mappings));
}

Result<std::shared_ptr<const TensorFile>> OpenNpyFolder(const std::string& path) {
  TensorFile file{path, {}, {}};
  std::vector<std::shared_ptr<MappedFile>> mappings;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(path, failed)) {
    const std::string each = entry.path().string();
    if (!each.ends_with(".npy")) continue;
    if (Status ok = AddNpy(each, StemOf(each), file, mappings); !ok) return ok.error();
  }
  if (failed) return Error{"cannot read " + path + ": " + failed.message()};
  if (mappings.empty()) return Error{path + " has no .npy files"};
  return Held(std::move(file), std::move(mappings));
}

Result<std::shared_ptr<const TensorFile>> OpenNpz(const std::string& path) {
  Result<MappedFile> opened = MappedFile::Open(path);
  if (!opened) return opened.error();
  struct Memory {
    MappedFile mapping;
    std::vector<std::vector<uint8_t>> inflated;
  };
  const auto memory = std::make_shared<Memory>(Memory{std::move(*opened), {}});
  const Result<std::vector<ZipMember>> members = ZipMembers(memory->mapping.data(), memory->mapping.size());
  if (!members) return Error{path + " " + members.error().message};
  TensorFile file{path, {}, memory, [memory] { return memory->mapping.CheckUnchanged(); }};
  for (const ZipMember& member : *members) {
    if (!member.name.ends_with(".npy")) continue;
    const uint8_t* bytes = member.data;
    if (member.compressed) {
      Result<std::vector<uint8_t>> inflated = Inflated(member);
      if (!inflated) return Error{path + " " + inflated.error().message};
      memory->inflated.push_back(std::move(*inflated));
      bytes = memory->inflated.back().data();
    }
    Result<SafetensorsFile::Entry> entry = ParseNpy(bytes, member.size);
    if (!entry) return Error{path + ": " + member.name + " " + entry.error().message};
    file.tensors.emplace(StemOf(member.name), std::move(*entry));
  }
  if (file.tensors.empty()) return Error{path + " has no .npy files"};
  return std::make_shared<const TensorFile>(std::move(file));
}

}  // namespace heed
