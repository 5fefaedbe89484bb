// See zip.h. The directory at the end of the archive says where members lie (APPNOTE.TXT of PKWARE, 4.3).
#include "runtime/data/zip.h"

#include <zlib.h>

#include <algorithm>
#include <string_view>

namespace heed {
namespace {

constexpr int64_t kEndBytes = 22, kEntryBytes = 46, kLocalBytes = 30, kLongestComment = 65535;
constexpr uint32_t kEndMark = 0x06054b50, kEntryMark = 0x02014b50, kLocalMark = 0x04034b50;
constexpr int64_t kElsewhere = 0xffffffff;  // a size that zip64 says

/// Numbers at places of the archive, 0 beyond it.
class Bytes {
 public:
  Bytes(const uint8_t* bytes, int64_t size) : bytes_(bytes), size_(size) {}
  int64_t Two(int64_t at) const { return One(at) | One(at + 1) << 8; }
  int64_t Four(int64_t at) const { return Two(at) | Two(at + 2) << 16; }
  bool Marked(int64_t at, uint32_t mark) const { return Has(at, 4) && Four(at) == mark; }
  bool Has(int64_t at, int64_t count) const {
    return at >= 0 && count >= 0 && at <= size_ && count <= size_ - at;
  }

 private:
  int64_t One(int64_t at) const { return at < size_ ? bytes_[at] : 0; }
  const uint8_t* bytes_;
  int64_t size_;
};

/// Where the end of the directory lies; -1: nowhere.
int64_t EndOf(const Bytes& bytes, int64_t size) {
  for (int64_t at = size - kEndBytes; at >= std::max<int64_t>(0, size - kEndBytes - kLongestComment); --at)
    if (bytes.Marked(at, kEndMark)) return at;
  return -1;
}

}  // namespace

Result<std::vector<ZipMember>> ZipMembers(const uint8_t* data, int64_t size) {
  const Error damaged{"is no zip archive, or it is cut short"};
  const Bytes bytes(data, size);
  const int64_t end = EndOf(bytes, size);
  if (end < 0) return damaged;
  std::vector<ZipMember> members;
  int64_t at = bytes.Four(end + 16);
  for (int64_t left = bytes.Two(end + 10); left > 0; --left) {
    if (!bytes.Marked(at, kEntryMark) || !bytes.Has(at, kEntryBytes)) return damaged;
    const int64_t method = bytes.Two(at + 10), name_bytes = bytes.Two(at + 28), local = bytes.Four(at + 42);
    ZipMember member{"", method == 8, nullptr, bytes.Four(at + 20), bytes.Four(at + 24)};
    if (!bytes.Has(at + kEntryBytes, name_bytes)) return damaged;
    member.name.assign(reinterpret_cast<const char*>(data) + at + kEntryBytes,
                       static_cast<size_t>(name_bytes));
    if (member.stored == kElsewhere || member.size == kElsewhere || local == kElsewhere)
      return Error{"has a member of 4 GB or more, `" + member.name + "`; save it as a .npy of its own"};
    if (method != 0 && method != 8)
      return Error{"has a member compressed by another method than deflate, `" + member.name + "`"};
    if (!bytes.Marked(local, kLocalMark)) return damaged;
    const int64_t begin = local + kLocalBytes + bytes.Two(local + 26) + bytes.Two(local + 28);
    if (!bytes.Has(begin, member.stored) || (!member.compressed && member.stored != member.size))
      return damaged;
    member.data = data + begin;
    members.push_back(std::move(member));
    at += kEntryBytes + name_bytes + bytes.Two(at + 30) + bytes.Two(at + 32);
  }
  return members;
}

Result<std::vector<uint8_t>> Inflated(const ZipMember& member) {
  const Error damaged{"has a damaged member, `" + member.name + "`"};
  constexpr int64_t kMostGained = 1032;  // bytes that deflate makes of one
  if (member.size > (member.stored + 1) * kMostGained) return damaged;
  std::vector<uint8_t> bytes(static_cast<size_t>(member.size) + 1);  // one more tells what is longer
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return damaged;
  stream.next_in = const_cast<uint8_t*>(member.data);
  stream.avail_in = static_cast<uInt>(member.stored);
  stream.next_out = bytes.data();
  stream.avail_out = static_cast<uInt>(bytes.size());
  const int outcome = inflate(&stream, Z_FINISH);
  const auto made = static_cast<int64_t>(stream.total_out);
  inflateEnd(&stream);
  if (outcome != Z_STREAM_END || made != member.size) return damaged;
  bytes.pop_back();
  return bytes;
}

}  // namespace heed
