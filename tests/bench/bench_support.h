// What the benchmarks of kernels share: clocks, memory, options.
#pragma once

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace heed {

inline double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds this thread has computed: others on the machine don't count.
inline double ThreadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Options of the command line.
struct BenchOptions {
  std::string target, filter;
  double seconds = 0.2;  ///< of each measurement

  bool Wants(const std::string& name) const {
    return filter.empty() || name.find(filter) != std::string::npos;
  }
  bool WantsTarget(const char* name) const { return target.empty() || target == name; }
};
inline BenchOptions options;

/// False, and the usage printed, if they are not understood. `example` is that of a target.
inline bool ReadBenchOptions(int argc, char** argv, const char* example) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.rfind("--target=", 0) == 0) {
      options.target = argument.substr(9);
    } else if (argument.rfind("--filter=", 0) == 0) {
      options.filter = argument.substr(9);
    } else if (argument.rfind("--seconds=", 0) == 0) {
      options.seconds = atof(argument.c_str() + 10);
    } else {
      fprintf(stderr, "usage: %s [--target=%s] [--filter=text] [--seconds=0.2]\n", argv[0], example);
      return false;
    }
  }
  return true;
}

/// On huge pages where there are some, as generated programs have it.
inline float* Allocate(int64_t count) {
  constexpr size_t kPage = 2 << 20;
  const size_t bytes = (static_cast<size_t>(count) * 4 + kPage - 1) / kPage * kPage;
  float* const data = static_cast<float*>(aligned_alloc(kPage, bytes));
  madvise(data, bytes, MADV_HUGEPAGE);
  uint32_t state = 12345;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    data[i] = static_cast<float>(state >> 8) * 0x1p-23f - 1;
  }
  return data;
}

struct Buffers {
  std::vector<void*> all;
  float* Floats(int64_t count) {
    float* const data = Allocate(count);
    all.push_back(data);
    return data;
  }
  ~Buffers() {
    for (void* data : all) free(data);
  }
};

inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace heed
