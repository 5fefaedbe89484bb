// The file format: 8 bytes of header length (little endian), a JSON object {name: {dtype, shape,
// data_offsets}}, then the data without gaps. Reading trusts nothing. Which tensors a program wants is
// checkpoint.cpp's business.
#include "runtime/weights/safetensors.h"

#include <algorithm>

#include "runtime/abi_names.h"
#include "runtime/base/file_writer.h"
#include "runtime/base/json_input.h"
#include "runtime/base/names.h"

namespace heed {
namespace {

using Json = nlohmann::json;
constexpr uint64_t kLargestHeader = 100'000'000;  // as in the reference implementation

// A whole number of the header.
bool ReadNumber(const Json& json, int64_t* number) {
  if (!json.is_number_unsigned()) return false;
  const uint64_t value = json.get<uint64_t>();
  if (value > uint64_t{1} << 62) return false;
  *number = static_cast<int64_t>(value);
  return true;
}

// What a file is that begins with these bytes, if they are not a header's length.
std::string OtherFormat(std::string_view bytes) {
  if (bytes.starts_with("PK")) return "it looks like PyTorch's format; convert it to safetensors";
  if (bytes.starts_with("GGUF")) return "it is of the format GGUF; use the safetensors it was made from";
  if (bytes.starts_with("version ")) return "it may be Git LFS's pointer to the file: run git lfs pull";
  return "is it of another format?";
}

/// Where the header and the data of a file lie. What is wrong with a file is said in these functions without
/// its name.
struct Parts {
  std::string_view header;
  const uint8_t* data;
  int64_t data_bytes;
};

Result<Parts> FindParts(const uint8_t* bytes, int64_t size) {
  if (size < 8) return Error{"it has only " + std::to_string(size) + " bytes"};
  uint64_t header_bytes = 0;
  for (int i = 0; i < 8; ++i) header_bytes |= uint64_t{bytes[i]} << (8 * i);
  if (header_bytes > kLargestHeader) {
    return Error{"its header claims to have " + std::to_string(header_bytes) + " bytes (" +
                 OtherFormat({reinterpret_cast<const char*>(bytes), 8}) + ")"};
  }
  if (static_cast<int64_t>(header_bytes) > size - 8) {
    return Error{"the header has " + std::to_string(header_bytes) + " bytes, but the file ends after " +
                 std::to_string(size - 8) + " of them (a partial download?)"};
  }
  const uint8_t* const begin = bytes + 8;
  if (header_bytes == 0 || *begin != '{') return Error{"the header does not begin with '{'"};
  return Parts{{reinterpret_cast<const char*>(begin), header_bytes},
               begin + header_bytes,
               size - 8 - static_cast<int64_t>(header_bytes)};
}

Status ReadMetadata(const Json& value, std::map<std::string, std::string>& metadata) {
  if (value.is_null()) return Done{};  // an optional field of the reference implementation: the same as none
  if (!value.is_object()) return Error{"__metadata__ is not an object"};
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) return Error{"__metadata__ has `" + key + "`, which is not a string"};
    metadata[key] = text.get<std::string>();
  }
  return Done{};
}

/// A tensor from its record in the header.
Result<SafetensorsFile::Entry> ReadEntry(const std::string& name, const Json& value, const Parts& parts) {
  if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets") || !value["dtype"].is_string() || !value["shape"].is_array() ||
      !value["data_offsets"].is_array() || value["data_offsets"].size() != 2) {
    return Error{"the header of tensor `" + name + "` lacks a dtype, shape or data_offsets"};
  }
  SafetensorsFile::Entry entry;
  entry.dtype = value["dtype"].get<std::string>();
  int64_t count = 1;
  for (const Json& dimension : value["shape"]) {
    int64_t extent = 0;
    if (!ReadNumber(dimension, &extent))
      return Error{"tensor `" + name + "` has a shape that is not of whole numbers"};
    entry.shape.push_back(extent);
    if (__builtin_mul_overflow(count, extent, &count))
      return Error{"the shape of tensor `" + name + "` overflows"};
  }
  int64_t from = 0, to = 0;
  if (!ReadNumber(value["data_offsets"][0], &from) || !ReadNumber(value["data_offsets"][1], &to) ||
      from > to) {
    return Error{"tensor `" + name + "` has bad data_offsets"};
  }
  if (to > parts.data_bytes) {
    return Error{"tensor `" + name + "` ends at byte " + std::to_string(to) + " of the data, which has " +
                 std::to_string(parts.data_bytes) + " (a partial download?)"};
  }
  entry.data = parts.data + from;
  entry.bytes = to - from;
  if (const int64_t element = ElementBytes(entry.dtype)) {
    int64_t wanted = 0;
    if (__builtin_mul_overflow(count, element, &wanted) || wanted != entry.bytes) {
      return Error{"tensor `" + name + "` of " + entry.dtype + " " + ShapeText(entry.shape) + " has " +
                   std::to_string(entry.bytes) + " bytes"};
    }
  }
  return entry;
}

/// Whether tensors from and to these bytes fill the data without gaps.
Status CheckRanges(std::vector<std::pair<int64_t, int64_t>> ranges, int64_t data_bytes) {
  std::sort(ranges.begin(), ranges.end());
  int64_t end = 0;
  for (const auto& [from, to] : ranges) {
    if (from < end) return Error{"tensors overlap at byte " + std::to_string(from) + " of the data"};
    if (from > end)
      return Error{"no tensor has bytes " + std::to_string(end) + " to " + std::to_string(from) +
                   " of the data"};
    end = to;
  }
  if (end != data_bytes)
    return Error{std::to_string(data_bytes - end) + " bytes follow after the last tensor"};
  return Done{};
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  SafetensorsFile file;
  Result<MappedFile> mapped = MappedFile::Open(path);
  if (!mapped) return mapped.error();
  const uint8_t* const bytes = mapped->data();
  const int64_t size = mapped->size();
  file.mappings_.push_back(std::make_shared<MappedFile>(std::move(*mapped)));
  const auto fail = [&](const std::string& why) {
    return Error{path + " is not a usable safetensors file: " + why};
  };

  const Result<Parts> parts = FindParts(bytes, size);
  if (!parts) return fail(parts.error().message);
  const JsonInput input = ParseJson(parts->header, 1);
  const Json& header = input.json;
  if (header.is_discarded() || !header.is_object()) return fail("the header is not a JSON object");
  if (!input.twice.empty()) return fail("the header has `" + input.twice + "` twice");

  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadata) {
      if (Status read = ReadMetadata(value, file.metadata_); !read) return fail(read.error().message);
      continue;
    }
    Result<Entry> entry = ReadEntry(name, value, *parts);
    if (!entry) return fail(entry.error().message);
    const int64_t from = entry->data - parts->data;
    ranges.emplace_back(from, from + entry->bytes);
    file.tensors_[name] = std::move(*entry);
  }
  if (Status filled = CheckRanges(std::move(ranges), parts->data_bytes); !filled)
    return fail(filled.error().message);
  return file;
}

std::vector<std::string> SafetensorsFile::Paths() const {
  std::vector<std::string> paths;
  for (const auto& mapping : mappings_) paths.push_back(mapping->path());
  return paths;
}

Status SafetensorsFile::CheckUnchanged() const {
  for (const auto& mapping : mappings_)
    if (Status status = mapping->CheckUnchanged(); !status) return status;
  return Done{};
}

Status WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  // Wide elements first, so that all are aligned in a mapped file.
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const int64_t wide = ElementBytes(a->dtype), other = ElementBytes(b->dtype);
    return wide != other ? wide > other : a < b;
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(kMetadata)] = metadata;
  int64_t offset = 0;
  std::vector<int64_t> sizes;
  for (const NamedTensor* tensor : order) {
    int64_t bytes = ElementBytes(tensor->dtype);
    if (bytes == 0 || header.contains(tensor->name)) {
      return Error{"cannot write " + path + ": tensor `" + tensor->name + "` has the unknown type " +
                   tensor->dtype + " or appears twice"};
    }
    for (const int64_t extent : tensor->shape) bytes *= extent;
    header[tensor->name] = {
        {"dtype", tensor->dtype}, {"shape", tensor->shape}, {"data_offsets", {offset, offset + bytes}}};
    sizes.push_back(bytes);
    offset += bytes;
  }
  // Names may hold any bytes; those that are not UTF-8 are replaced rather than refused.
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');
  uint8_t length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<uint8_t>(text.size() >> (8 * i));

  FileWriter writer(path);
  if (Status status = writer.Open(); !status) return status;
  if (Status status = writer.Write(length, 8); !status) return status;
  if (Status status = writer.Write(text.data(), static_cast<int64_t>(text.size())); !status) return status;
  for (size_t i = 0; i < order.size(); ++i) {
    if (Status status = writer.Write(order[i]->data, sizes[i]); !status) return status;
  }
  return writer.Finish();
}

}  // namespace heed
