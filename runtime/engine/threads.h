// A small pool with a fixed partition: part i of n always means the same share of the work, whoever runs it.
// Workers spin briefly, then sleep. Each worker keeps its own scratch.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/abi.h"

namespace heed {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  ///< at least 1; 1 starts no worker
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  int threads() const;
  /// As HeedServices::parallel. Calls from inside a task run in place.
  void Parallel(HeedTask task, const void* context, int64_t parts, int64_t scratch_bytes);
  const HeedServices& services() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// body(0) ... body(count - 1), shared among the threads; each call must depend on its number alone.
template <typename Body>
void ParallelFor(ThreadPool& pool, int64_t count, const Body& body) {
  pool.Parallel(
      [](const void* context, int64_t part, int64_t, void*) { (*static_cast<const Body*>(context))(part); },
      &body, count, 0);
}

}  // namespace heed
