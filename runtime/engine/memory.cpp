// Blocks from 1 MB on are mapped by hand and recycled by size through a short list; smaller ones are malloc's
// business.
#include "runtime/engine/memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

namespace heed {
namespace {

constexpr int64_t kMapped = 1 << 20;
constexpr int64_t kHugePage = 2 << 20;
constexpr int64_t kWholePages = 8 * kHugePage;  // from here on sizes are multiples of huge pages
constexpr int64_t kKept = int64_t{1} << 30;     // bytes that may lie idle

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Idle blocks by size. Leaked on purpose: tensors with static lifetime may return theirs after main.
struct Recycler {
  std::mutex mutex;
  std::multimap<int64_t, void*> idle;
  int64_t idle_bytes = 0;

  void* Take(int64_t bytes, int64_t* size) {
    std::lock_guard lock(mutex);
    const auto found = idle.lower_bound(bytes);
    if (found == idle.end() || found->first > bytes + bytes / 4) return nullptr;
    void* data = found->second;
    *size = found->first;
    idle_bytes -= found->first;
    idle.erase(found);
    return data;
  }
  void Return(void* data, int64_t size) {
    std::lock_guard lock(mutex);
    idle.emplace(size, data);
    idle_bytes += size;
    Shrink(kKept);
  }
  // The lock is held.
  void Shrink(int64_t most) {
    while (idle_bytes > most) {
      const auto largest = std::prev(idle.end());
      munmap(largest->second, static_cast<size_t>(largest->first));
      idle_bytes -= largest->first;
      idle.erase(largest);
    }
  }
};
Recycler& TheRecycler() {
  static Recycler* const recycler = new Recycler;
  return *recycler;
}

void* Map(int64_t size) {
  // Over-map and cut, so that the block starts on a huge page.
  const int64_t slack = size >= kHugePage ? kHugePage : 0;
  void* mapped = mmap(nullptr, static_cast<size_t>(size + slack), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) OutOfMemory();
  if (slack == 0) return mapped;
  char* const begin = static_cast<char*>(mapped);
  const auto address = reinterpret_cast<intptr_t>(begin);
  char* const aligned = begin + (RoundUp(address, kHugePage) - address);
  if (aligned > begin) munmap(begin, static_cast<size_t>(aligned - begin));
  char* const end = begin + size + slack;
  if (end > aligned + size) munmap(aligned + size, static_cast<size_t>(end - aligned - size));
  madvise(aligned, static_cast<size_t>(size), MADV_HUGEPAGE);  // advice: a refusal changes nothing
  return aligned;
}

// Memory and swap of the machine. Linux grants more than that and ends the process when it is used.
int64_t MachineBytes() {
  static const int64_t bytes = [] {
    struct sysinfo info;
    if (sysinfo(&info) != 0) return int64_t{1} << 46;
    return static_cast<int64_t>((uint64_t{info.totalram} + info.totalswap) * info.mem_unit);
  }();
  return bytes;
}

std::shared_ptr<void> Allocate(int64_t bytes, bool zeros) {
  if (bytes < 0 || bytes > MachineBytes()) OutOfMemory();
  if (bytes < kMapped) {
    const size_t size = static_cast<size_t>(std::max<int64_t>(64, RoundUp(bytes, 64)));
    void* data = std::aligned_alloc(64, size);
    if (data == nullptr) OutOfMemory();
    if (zeros) std::memset(data, 0, size);
    return {data, [](void* p) { std::free(p); }};
  }
  int64_t size = RoundUp(bytes, bytes >= kWholePages ? kHugePage : 4096);
  void* data = TheRecycler().Take(size, &size);
  if (data == nullptr) {
    data = Map(size);
  } else if (zeros) {
    std::memset(data, 0, static_cast<size_t>(bytes));
  }
  return {data, [size](void* p) { TheRecycler().Return(p, size); }};
}

}  // namespace

void OutOfMemory() {
  if (const std::new_handler handler = std::get_new_handler()) handler();
  throw std::bad_alloc();
}

int64_t AvailableBytes() {
  int64_t kilobytes = -1;
  if (FILE* file = std::fopen("/proc/meminfo", "re")) {
    char line[256];
    while (std::fgets(line, sizeof line, file)) {
      long long value;
      if (std::sscanf(line, "MemAvailable: %lld kB", &value) == 1 ||
          std::sscanf(line, "SwapFree: %lld kB", &value) == 1)
        kilobytes = std::max<int64_t>(kilobytes, 0) + value;
    }
    std::fclose(file);
  }
  return kilobytes < 0 ? MachineBytes() : std::min(MachineBytes(), kilobytes * 1024);
}

void ReleaseIdleBlocks() {
  malloc_trim(0);
  Recycler& recycler = TheRecycler();
  std::lock_guard lock(recycler.mutex);
  recycler.Shrink(0);
}

std::shared_ptr<void> AllocateBlock(int64_t bytes) { return Allocate(bytes, false); }
std::shared_ptr<void> AllocateZeros(int64_t bytes) { return Allocate(bytes, true); }

}  // namespace heed
