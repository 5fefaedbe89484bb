// The pool: every part runs exactly once, with its own aligned scratch, for any number of threads, also
// nested, more threads than cores, and for many small jobs (where late wakers are likely).
#include "runtime/engine/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <vector>

namespace heed {
namespace {

struct Counts {
  std::vector<std::atomic<int>> runs;
  int64_t parts;
  std::atomic<int> bad{0};
  explicit Counts(int64_t n) : runs(static_cast<size_t>(n)), parts(n) {}
};
void Count(const void* context, int64_t part, int64_t parts, void* scratch) {
  auto& counts = *const_cast<Counts*>(static_cast<const Counts*>(context));
  if (parts != counts.parts || part < 0 || part >= parts) ++counts.bad;
  if (reinterpret_cast<uintptr_t>(scratch) % 64 != 0) ++counts.bad;
  // Someone else using this scratch at the same time would change it.
  std::memset(scratch, static_cast<int>(part & 0xff), 300);
  for (int i = 0; i < 300; ++i) {
    if (static_cast<uint8_t*>(scratch)[i] != (part & 0xff)) ++counts.bad;
  }
  ++counts.runs[static_cast<size_t>(part)];
}

TEST(ThreadPool, RunsEveryPartOnce) {
  for (const int threads : {1, 2, 3, 16}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t parts : {1, 2, 3, 7, 64, 1000, 200000}) {
      Counts counts(parts);
      pool.Parallel(Count, &counts, parts, 300);
      int64_t once = 0;
      for (const auto& runs : counts.runs) once += runs == 1;
      EXPECT_EQ(once, parts) << threads << " threads";
      EXPECT_EQ(counts.bad, 0);
    }
  }
}

TEST(ThreadPool, NoParts) {
  ThreadPool pool(2);
  Counts counts(1);
  pool.Parallel(Count, &counts, 0, 300);
  EXPECT_EQ(counts.runs[0], 0);
}

TEST(ThreadPool, ManySmallJobsOnMoreThreadsThanCores) {
  ThreadPool pool(8);
  for (int job = 0; job < 3000; ++job) {
    const int64_t parts = 1 + job % 9;
    Counts counts(parts);  // on this stack: a late part of an earlier job would write here
    pool.Parallel(Count, &counts, parts, 300 + job % 5 * 5000);
    for (const auto& runs : counts.runs) ASSERT_EQ(runs, 1);
    ASSERT_EQ(counts.bad, 0);
  }
}

struct Nested {
  ThreadPool* pool;
  std::atomic<int>* inner;
};
void Inner(const void* context, int64_t, int64_t, void* scratch) {
  std::memset(scratch, 1, 128);
  ++*const_cast<Nested*>(static_cast<const Nested*>(context))->inner;
}
void Outer(const void* context, int64_t part, int64_t, void* scratch) {
  std::memset(scratch, static_cast<int>(part) + 2, 128);
  static_cast<const Nested*>(context)->pool->Parallel(Inner, context, 5, 128);
  // The inner call had scratch of its own.
  for (int i = 0; i < 128; ++i) {
    if (static_cast<uint8_t*>(scratch)[i] != part + 2) *static_cast<const Nested*>(context)->inner += 1000;
  }
}
TEST(ThreadPool, CallsFromInsideATaskRunInPlace) {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    std::atomic<int> inner{0};
    const Nested nested = {&pool, &inner};
    pool.Parallel(Outer, &nested, 6, 128);
    EXPECT_EQ(inner, 30);
    pool.Parallel(Outer, &nested, 1, 128);
    EXPECT_EQ(inner, 35);
  }
}

TEST(ThreadPool, ServicesCallThePool) {
  ThreadPool pool(3);
  const HeedServices& services = pool.services();
  EXPECT_EQ(services.threads, 3);
  Counts counts(10);
  services.parallel(services.pool, Count, &counts, 10, 300);
  for (const auto& runs : counts.runs) EXPECT_EQ(runs, 1);
}

TEST(ThreadPool, SleepingWorkersWakeAndEnd) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(4);
    if (i % 3 == 0) continue;  // ends without a job
    Counts counts(4);
    pool.Parallel(Count, &counts, 4, 300);
  }
}

void Denormal(const void* context, int64_t part, int64_t, void*) {
  volatile float small = 1e-30f;
  volatile float product = small * 1e-10f;  // 1e-40
  static_cast<float*>(const_cast<void*>(context))[part] = product * 1e20f;
}

TEST(ThreadPool, TasksTakeDenormalsForZeroOnEveryThreadAndLeaveTheCallersModeAlone) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (const int64_t parts : {1, 16}) {
      std::vector<float> products(static_cast<size_t>(parts), 1);
      pool.Parallel(Denormal, products.data(), parts, 0);
      for (const float product : products) EXPECT_EQ(product, 0);
    }
    volatile float small = 1e-20f;
    EXPECT_GT(small * small, 0);  // 1e-40 is a denormal
  }
}

}  // namespace
}  // namespace heed
