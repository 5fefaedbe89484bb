// The pool. One job at a time; its parts are handed out through one 64-bit ticket {job, groups, next group},
// so that a worker that wakes late can never run a part of a job it did not read: taking a ticket is a
// compare-and-swap, and it succeeds only while the job is unfinished, that is, while the caller has not
// returned and cannot have changed the job's fields. Nobody waits for a worker that sleeps: on a busy machine
// the caller does all parts itself.
#include "runtime/engine/threads.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "runtime/engine/float_mode.h"
#include "runtime/engine/memory.h"

namespace heed {
namespace {

constexpr int64_t kMaxGroups = 0xffff;
constexpr int kSpins = 4000;  // of a pause each: 50-200 microseconds, the gap between two kernels of a step

struct Scratch {
  void* data = nullptr;
  int64_t bytes = 0;
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::free(data); }
  void* Reserve(int64_t wanted) {
    if (wanted > bytes) {
      std::free(data);
      bytes = 0;
      const int64_t rounded = (wanted + 4095) / 4096 * 4096;
      data = std::aligned_alloc(4096, static_cast<size_t>(rounded));
      if (data == nullptr) OutOfMemory();
      bytes = rounded;
    }
    return data;
  }
};

thread_local bool inside_task = false;

void RunInPlace(HeedTask task, const void* context, int64_t parts, void* scratch) {
  for (int64_t part = 0; part < parts; ++part) task(context, part, parts, scratch);
}

int UsableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct ThreadPool::State {
  int threads = 1;
  int spins = 0;
  HeedServices services;
  std::vector<Scratch> scratch;
  std::vector<std::thread> workers;

  // {job: 32 bits, groups: 16, next: 16}. On its own cache line: every worker hammers it.
  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<int32_t> unfinished{0};
  alignas(64) std::atomic<uint32_t> published{0};  // what sleeping workers wait on
  std::atomic<bool> stop{false};
  // The job; written only while no ticket of it can be taken.
  std::atomic<HeedTask> task{nullptr};
  std::atomic<const void*> context{nullptr};
  std::atomic<int64_t> parts{0}, scratch_bytes{0};

  static uint64_t Ticket(uint32_t job, int64_t groups) {
    return uint64_t{job} << 32 | static_cast<uint64_t>(groups) << 16;
  }
  static int64_t Groups(uint64_t ticket) { return static_cast<int64_t>(ticket >> 16 & 0xffff); }
  static int64_t Next(uint64_t ticket) { return static_cast<int64_t>(ticket & 0xffff); }
  static bool Open(uint64_t ticket) { return Next(ticket) < Groups(ticket); }

  // Takes and runs groups of parts until there are none.
  void Work(int thread) {
    uint64_t seen = ticket.load(std::memory_order_acquire);
    while (Open(seen)) {
      const HeedTask run = task.load(std::memory_order_relaxed);
      const void* data = context.load(std::memory_order_relaxed);
      const int64_t count = parts.load(std::memory_order_relaxed);
      const int64_t bytes = scratch_bytes.load(std::memory_order_relaxed);
      if (!ticket.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
        continue;
      }
      const int64_t groups = Groups(seen), group = Next(seen);
      void* own = bytes > 0 ? scratch[thread].Reserve(bytes) : nullptr;
      for (int64_t part = count * group / groups, end = count * (group + 1) / groups; part < end; ++part) {
        run(data, part, count, own);
      }
      if (unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished.notify_one();
      seen = ticket.load(std::memory_order_acquire);
    }
  }

  void WorkerLoop(int thread) {
    const FlushDenormals flush;
    inside_task = true;
    while (!stop.load(std::memory_order_relaxed)) {
      const uint32_t version = published.load(std::memory_order_acquire);
      if (Open(ticket.load(std::memory_order_acquire))) {
        Work(thread);
        continue;
      }
      int spin = 0;
      while (spin < spins && published.load(std::memory_order_relaxed) == version) ++spin, Pause();
      if (spin == spins) published.wait(version, std::memory_order_acquire);
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.threads = std::max(1, threads);
  // With more threads than cores, spinning takes the core from the one that works.
  state.spins = state.threads <= UsableCores() ? kSpins : 0;
  state.scratch = std::vector<Scratch>(static_cast<size_t>(state.threads));
  state.services = {this, state.threads,
                    [](void* pool, HeedTask task, const void* context, int64_t parts, int64_t bytes) {
                      static_cast<ThreadPool*>(pool)->Parallel(task, context, parts, bytes);
                    }};
  // Signals are the business of the thread that made the pool: it may be waiting for one. A page of a mapped
  // file that is lost (SIGBUS) is that of the thread that touches it.
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 1; i < state.threads; ++i) {
    try {
      state.workers.emplace_back([&state, i] { state.WorkerLoop(i); });
    } catch (const std::system_error&) {
      break;  // the system refuses more threads; the parts are the same, fewer hands do them
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_relaxed);
  state_->published.fetch_add(1, std::memory_order_release);
  state_->published.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const { return state_->threads; }
const HeedServices& ThreadPool::services() const { return state_->services; }

void ThreadPool::Parallel(HeedTask task, const void* context, int64_t parts, int64_t scratch_bytes) {
  State& state = *state_;
  if (parts <= 0) return;
  const FlushDenormals flush;
  if (inside_task) {  // the thread's own scratch is in use by the task that calls
    Scratch own;
    RunInPlace(task, context, parts, scratch_bytes > 0 ? own.Reserve(scratch_bytes) : nullptr);
    return;
  }
  if (parts == 1 || state.workers.empty()) {
    inside_task = true;
    RunInPlace(task, context, parts, scratch_bytes > 0 ? state.scratch[0].Reserve(scratch_bytes) : nullptr);
    inside_task = false;
    return;
  }
  const int64_t groups = std::min(parts, kMaxGroups);
  state.task.store(task, std::memory_order_relaxed);
  state.context.store(context, std::memory_order_relaxed);
  state.parts.store(parts, std::memory_order_relaxed);
  state.scratch_bytes.store(scratch_bytes, std::memory_order_relaxed);
  state.unfinished.store(static_cast<int32_t>(groups), std::memory_order_relaxed);
  const uint32_t job = static_cast<uint32_t>(state.ticket.load(std::memory_order_relaxed) >> 32) + 1;
  state.ticket.store(State::Ticket(job, groups), std::memory_order_release);
  state.published.fetch_add(1, std::memory_order_release);
  state.published.notify_all();
  inside_task = true;
  state.Work(0);
  inside_task = false;
  for (int spin = 0; spin < state.spins && state.unfinished.load(std::memory_order_acquire) > 0; ++spin)
    Pause();
  for (int32_t left; (left = state.unfinished.load(std::memory_order_acquire)) > 0;) {
    state.unfinished.wait(left, std::memory_order_acquire);
  }
}

}  // namespace heed
