// See file_kind.h.
#include "runtime/text/file_kind.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace heed {
namespace {

constexpr size_t kLookedAt = 1 << 16;  // bytes
constexpr int kLines = 64;

struct Magic {
  std::string_view bytes, meaning;
};
constexpr Magic kMagics[] = {
    {"\x1f\x8b", "compressed by gzip: unpack it"},
    {{"PK\3\4", 4}, "a zip archive (as .docx, .npz and PyTorch's files are)"},
    {"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it"},
    {"\xfd"
     "7zXZ",
     "compressed by xz: unpack it"},
    {"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"},
    {"%PDF-", "a PDF: take its text out first, as `pdftotext` does"},
    {"\xff\xfe", "UTF-16: turn it into UTF-8, as `iconv -f UTF-16 -t UTF-8` does"},
    {"\xfe\xff", "UTF-16: turn it into UTF-8, as `iconv -f UTF-16 -t UTF-8` does"},
    {"\x7f"
     "ELF",
     "a program"},
    {"\x89PNG", "a picture"},
    {"\xff\xd8\xff", "a picture"},
    {{"SQLite format 3\0", 16}, "a database"},
    {{"ARROW1\0\0", 8}, "of the format Arrow: take its text out first"},
};

// The length of a header of JSON, as safetensors files begin.
bool IsSafetensors(std::string_view bytes) {
  if (bytes.size() < 10 || bytes[8] != '{') return false;
  uint64_t length = 0;
  for (int i = 0; i < 8; ++i)
    length |= uint64_t{static_cast<uint8_t>(bytes[static_cast<size_t>(i)])} << (8 * i);
  return length >= 2 && length <= bytes.size() - 8;
}

}  // namespace

std::string OtherThanText(std::string_view bytes) {
  for (const Magic& magic : kMagics)
    if (bytes.starts_with(magic.bytes)) return std::string(magic.meaning);
  if (bytes.starts_with("BZh") && bytes.find("1AY&SY") == 4) return "compressed by bzip2: unpack it";
  if (bytes.size() >= 12 && bytes.starts_with("PAR1") && bytes.ends_with("PAR1"))
    return "of the format Parquet: take its text out first";
  if (IsSafetensors(bytes)) return "a safetensors file: weights, not text";
  // UTF-16 without a mark has zeros at every other place where letters are Latin; other files have them
  // anywhere.
  const std::string_view head = bytes.substr(0, kLookedAt);
  size_t zeros[2] = {0, 0};
  for (size_t i = 0; i < head.size(); ++i)
    if (head[i] == '\0') ++zeros[i % 2];
  const size_t all = zeros[0] + zeros[1], most = std::max(zeros[0], zeros[1]);
  if (all * 50 < head.size() || all == 0) return "";
  if (most * 10 >= all * 9 && most * 4 >= head.size())
    return "UTF-16: turn it into UTF-8, as `iconv -f UTF-16LE -t UTF-8` does";
  return "binary data (it has NUL bytes)";
}

bool IsJson(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (text[first] != '{' && text[first] != '[')) return false;
  int lines = 0, objects = 0;
  for (std::string_view rest = text; !rest.empty() && lines < kLines;) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) continue;
    ++lines;
    if (line[begin] == '{' && nlohmann::json::accept(line)) ++objects;
  }
  // A line that was cut off may be among them.
  return objects * 10 >= lines * 9 || nlohmann::json::accept(text);
}

}  // namespace heed
