// Where the time of compiled functions goes. While an engine has a profiler, their runs go through services
// that time each step and each thread's part of it, and count what the step does. Without one, generated
// code calls the thread pool itself: nothing differs.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/abi.h"
#include "runtime/engine/step_work.h"
#include "runtime/engine/threads.h"

namespace heed {

/// What a step did in all counted calls.
struct StepProfile {
  int64_t nanoseconds = 0;
  int64_t busy = 0;  ///< nanoseconds in which a thread worked, added up over threads
  StepWork work;
};
struct FunctionProfile {
  const HeedFunction* function = nullptr;
  int64_t calls = 0, skipped = 0;
  int64_t nanoseconds = 0;         ///< of the calls that count: steps and what lies between them
  std::vector<StepProfile> steps;  ///< as HeedFunction has them
  std::vector<int64_t> extents;    ///< the largest of any call
};
/// Work beside compiled functions: an optimizer's step, the choice of a token.
struct SpanProfile {
  std::string name;
  int64_t calls = 0, nanoseconds = 0;
};
/// A thread's part of a step, for a trace; of spans `function` is null.
struct TraceEvent {
  const HeedFunction* function;
  int64_t step;  ///< or number of the span
  int thread;
  int64_t begin, end;  ///< nanoseconds since the profiler was made
};

class Profiler {
 public:
  /// `skip`: so many first calls of a function do not count, if there are more. `most_events`: of the trace.
  explicit Profiler(int64_t skip = 1, size_t most_events = 100000) : skip_(skip), most_events_(most_events) {}
  void Skip(int64_t calls) { skip_ = calls; }
  /// Runs a compiled function, profiled.
  void Run(const HeedProgram& program, const HeedFunction& function, const HeedFrame& frame,
           ThreadPool& threads);
  int64_t Now() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count();
  }
  void AddSpan(const char* name, int64_t begin, int64_t end);

  /// In order of first use.
  std::vector<FunctionProfile> functions() const;
  const std::vector<SpanProfile>& spans() const { return spans_; }
  const std::vector<TraceEvent>& events() const { return events_; }
  /// Events beyond the most are left out.
  bool all_events() const { return events_.size() < most_events_; }
  /// From the first call or span to the end of the last, without what profiling itself took.
  int64_t wall() const { return last_ - first_ - own_; }
  /// All calls of all functions, those that do not count included.
  int64_t in_functions() const { return in_functions_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Part {
    int64_t begin = 0, end = 0;
    int thread = 0;
  };
  struct Record {
    FunctionProfile early, counted;
    int64_t calls = 0;
  };
  /// What the services' `pool` is during a run.
  struct Running;
  static void Parallel(void* pool, HeedTask task, const void* context, int64_t parts, int64_t scratch_bytes);
  void Step(Running& running, HeedTask task, const void* context, int64_t parts, int64_t scratch_bytes);
  void Cover(int64_t begin, int64_t end);
  void Keep(const TraceEvent& event) {
    if (events_.size() < most_events_) events_.push_back(event);
  }

  int64_t skip_;
  size_t most_events_;
  const Clock::time_point start_ = Clock::now();
  std::map<const HeedFunction*, size_t> numbers_;
  std::vector<Record> records_;
  std::vector<SpanProfile> spans_;
  std::vector<TraceEvent> events_;
  std::vector<Part> parts_;
  int64_t first_ = -1, last_ = -1, own_ = 0, in_functions_ = 0;
};

/// Times what happens while it lives; of a null profiler nothing.
class ProfileSpan {
 public:
  ProfileSpan(Profiler* profiler, const char* name)
      : profiler_(profiler), name_(name), begin_(profiler ? profiler->Now() : 0) {}
  ~ProfileSpan() {
    if (profiler_) profiler_->AddSpan(name_, begin_, profiler_->Now());
  }
  ProfileSpan(const ProfileSpan&) = delete;
  ProfileSpan& operator=(const ProfileSpan&) = delete;

 private:
  Profiler* profiler_;
  const char* name_;
  int64_t begin_;
};

}  // namespace heed
