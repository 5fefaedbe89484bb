// The file format: 8 bytes of header length (little endian), a JSON object {name: {dtype, shape,
// data_offsets}}, then the data without gaps. Reading trusts nothing; writing never leaves half a file under
// the real name. Which tensors a program wants is checkpoint.cpp's business.
#include "runtime/safetensors.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "runtime/json_input.h"
#include "runtime/names.h"
#include "runtime/whole_file.h"

namespace heed {
namespace {

using Json = nlohmann::json;
constexpr uint64_t kLargestHeader = 100'000'000;  // as in the reference implementation

std::string SystemError(int code) { return std::strerror(code); }

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

Result<std::pair<const uint8_t*, int64_t>> MapFile(const std::string& path, std::shared_ptr<void>* mapping) {
  const auto fail = [&](const std::string& why) { return Error{"cannot read " + path + ": " + why}; };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return fail(SystemError(errno));
  struct stat status;
  Result<std::pair<const uint8_t*, int64_t>> result = fail("not a regular file");
  if (fstat(file, &status) != 0) {
    result = fail(SystemError(errno));
  } else if (S_ISDIR(status.st_mode)) {
    result = fail("it is a folder");
  } else if (S_ISREG(status.st_mode)) {
    const int64_t size = status.st_size;
    if (size == 0) {
      result = fail("the file is empty");
    } else {
      void* data = mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_PRIVATE, file, 0);
      if (data == MAP_FAILED) {
        result = fail(SystemError(errno));
      } else {
        mapping->reset(data, [size](void* p) { munmap(p, static_cast<size_t>(size)); });
        result = std::make_pair(static_cast<const uint8_t*>(data), size);
      }
    }
  }
  close(file);
  return result;
}

// The temporary file of a write under way, removed if the process is told to end meanwhile.
char temporary_path[PATH_MAX];
std::atomic<bool> temporary_exists{false};

class Writer {
 public:
  explicit Writer(const std::string& path) : path_(path) {}
  ~Writer() {
    if (file_ >= 0) close(file_);
    if (temporary_exists.load() && !direct_) Remove();
  }

  Status Open() {
    // Through a symbolic link, so that the link stays.
    target_ = path_;
    if (char* real = realpath(path_.c_str(), nullptr)) {
      target_ = real;
      std::free(real);
    }
    mode_t mode = 0;
    struct stat status;
    if (stat(target_.c_str(), &status) == 0) {
      if (S_ISDIR(status.st_mode)) return Fail("it is a folder");
      direct_ = !S_ISREG(status.st_mode);  // a device or pipe is written to, not replaced
      mode = status.st_mode & 07777;
    }
    if (direct_) {
      file_ = open(target_.c_str(), O_WRONLY | O_CLOEXEC);
      return file_ < 0 ? Fail(SystemError(errno)) : Status(Done{});
    }
    const size_t slash = target_.rfind('/');
    folder_ = slash == std::string::npos ? "." : slash == 0 ? "/" : target_.substr(0, slash);
    for (int attempt = 0; attempt < 1000; ++attempt) {
      const std::string name =
          folder_ + "/.heed-" + std::to_string(getpid()) + "-" + std::to_string(attempt) + ".tmp";
      if (name.size() >= sizeof temporary_path) return Fail("the path is too long");
      std::memcpy(temporary_path, name.c_str(), name.size() + 1);
      file_ = open(temporary_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (file_ >= 0) {
        temporary_exists = true;
        // Someone who made the file private wants it private.
        if (mode != 0 && fchmod(file_, mode) != 0) errno = 0;
        return Done{};
      }
      if (errno != EEXIST) {
        return Fail(errno == ENOENT ? "there is no folder " + folder_ : SystemError(errno));
      }
    }
    return Fail("no free temporary name in " + folder_);
  }

  Status Write(const void* data, int64_t bytes) {
    const char* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = write(file_, at, static_cast<size_t>(std::min<int64_t>(bytes, 1 << 30)));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return FailWriting(written < 0 ? errno : ENOSPC);
      at += written;
      bytes -= written;
    }
    return Done{};
  }

  Status Finish() {
    if (!direct_ && fsync(file_) != 0) return FailWriting(errno);
    const int file = file_;
    file_ = -1;
    if (close(file) != 0) return FailWriting(errno);
    if (direct_) return Done{};
    if (rename(temporary_path, target_.c_str()) != 0) return FailWriting(errno);
    temporary_exists = false;
    // The name, too, must survive a power cut. Some file systems cannot sync a folder; the data are safe
    // then.
    const int folder = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
      fsync(folder);
      close(folder);
    }
    return Done{};
  }

 private:
  static void Remove() {
    temporary_exists = false;
    unlink(temporary_path);
  }
  Error Fail(const std::string& why) const { return Error{"cannot write " + path_ + ": " + why}; }
  Error FailWriting(int code) const {
    std::string why = SystemError(code);
    if (code == ENOSPC) why = "no space left on the device";
    if (code == EFBIG) why = "the file would be larger than the limit";
    return Fail(why + (direct_ ? "" : "; what was there before is unchanged"));
  }

  std::string path_, target_, folder_;
  int file_ = -1;
  bool direct_ = false;
};

}  // namespace

Status CheckCanWrite(const std::string& path) { return Writer(path).Open(); }

void RemoveTemporaryFile() {
  if (temporary_exists.load()) unlink(temporary_path);
}

Result<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  SafetensorsFile file;
  std::shared_ptr<void> mapping;
  const auto mapped = MapFile(path, &mapping);
  if (!mapped) return mapped.error();
  file.mappings_.push_back(std::move(mapping));
  const auto [bytes, size] = *mapped;
  const auto fail = [&](const std::string& why) {
    return Error{path + " is not a usable safetensors file: " + why};
  };

  if (size < 8) return fail("it has only " + std::to_string(size) + " bytes");
  uint64_t header_bytes = 0;
  for (int i = 0; i < 8; ++i) header_bytes |= uint64_t{bytes[i]} << (8 * i);
  if (header_bytes > kLargestHeader) {
    return fail("its header claims to have " + std::to_string(header_bytes) + " bytes (" +
                OtherFormat({reinterpret_cast<const char*>(bytes), 8}) + ")");
  }
  if (static_cast<int64_t>(header_bytes) > size - 8) {
    return fail("the header has " + std::to_string(header_bytes) + " bytes, but the file ends after " +
                std::to_string(size - 8) + " of them (a partial download?)");
  }
  const uint8_t* const begin = bytes + 8;
  const uint8_t* const data = begin + header_bytes;
  const int64_t data_bytes = size - 8 - static_cast<int64_t>(header_bytes);
  if (header_bytes == 0 || *begin != '{') return fail("the header does not begin with '{'");

  const JsonInput input = ParseJson({reinterpret_cast<const char*>(begin), header_bytes}, 1);
  const Json& header = input.json;
  if (header.is_discarded() || !header.is_object()) return fail("the header is not a JSON object");
  if (!input.twice.empty()) return fail("the header has `" + input.twice + "` twice");

  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (value.is_null()) continue;  // an optional field of the reference implementation: the same as none
      if (!value.is_object()) return fail("__metadata__ is not an object");
      for (const auto& [key, text] : value.items()) {
        if (!text.is_string()) return fail("__metadata__ has `" + key + "`, which is not a string");
        file.metadata_[key] = text.get<std::string>();
      }
      continue;
    }
    if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") ||
        !value.contains("data_offsets") || !value["dtype"].is_string() || !value["shape"].is_array() ||
        !value["data_offsets"].is_array() || value["data_offsets"].size() != 2) {
      return fail("the header of tensor `" + name + "` lacks a dtype, shape or data_offsets");
    }
    Entry entry;
    entry.dtype = value["dtype"].get<std::string>();
    int64_t count = 1;
    for (const Json& dimension : value["shape"]) {
      int64_t extent = 0;
      if (!ReadNumber(dimension, &extent))
        return fail("tensor `" + name + "` has a shape that is not of whole numbers");
      entry.shape.push_back(extent);
      if (__builtin_mul_overflow(count, extent, &count))
        return fail("the shape of tensor `" + name + "` overflows");
    }
    int64_t from = 0, to = 0;
    if (!ReadNumber(value["data_offsets"][0], &from) || !ReadNumber(value["data_offsets"][1], &to) ||
        from > to) {
      return fail("tensor `" + name + "` has bad data_offsets");
    }
    if (to > data_bytes) {
      return fail("tensor `" + name + "` ends at byte " + std::to_string(to) + " of the data, which has " +
                  std::to_string(data_bytes) + " (a partial download?)");
    }
    entry.data = data + from;
    entry.bytes = to - from;
    if (const int64_t element = ElementBytes(entry.dtype)) {
      int64_t wanted = 0;
      if (__builtin_mul_overflow(count, element, &wanted) || wanted != entry.bytes) {
        return fail("tensor `" + name + "` of " + entry.dtype + " " + ShapeText(entry.shape) + " has " +
                    std::to_string(entry.bytes) + " bytes");
      }
    }
    ranges.emplace_back(from, to);
    file.tensors_[name] = std::move(entry);
  }
  std::sort(ranges.begin(), ranges.end());
  int64_t end = 0;
  for (const auto& [from, to] : ranges) {
    if (from < end) return fail("tensors overlap at byte " + std::to_string(from) + " of the data");
    if (from > end)
      return fail("no tensor has bytes " + std::to_string(end) + " to " + std::to_string(from) +
                  " of the data");
    end = to;
  }
  if (end != data_bytes) {
    return fail(std::to_string(data_bytes - end) + " bytes follow after the last tensor");
  }
  return file;
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
  if (!metadata.empty()) header["__metadata__"] = metadata;
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

  Writer writer(path);
  if (Status status = writer.Open(); !status) return status;
  if (Status status = writer.Write(length, 8); !status) return status;
  if (Status status = writer.Write(text.data(), static_cast<int64_t>(text.size())); !status) return status;
  for (size_t i = 0; i < order.size(); ++i) {
    if (Status status = writer.Write(order[i]->data, sizes[i]); !status) return status;
  }
  return writer.Finish();
}

Status WriteWholeFile(const std::string& path, std::string_view bytes) {
  Writer writer(path);
  if (Status status = writer.Open(); !status) return status;
  if (Status status = writer.Write(bytes.data(), static_cast<int64_t>(bytes.size())); !status) return status;
  return writer.Finish();
}

}  // namespace heed
