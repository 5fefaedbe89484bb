// A step is a call of the services' `parallel`: the profiler stands in for the pool, numbers the calls, and
// wraps the task so that each part notes when it ran and on which thread.
#include "runtime/engine/profiler.h"

#include <algorithm>
#include <atomic>

namespace heed {
namespace {

int ThisThread() {
  static std::atomic<int> next{0};
  thread_local const int number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace

struct Profiler::Running {
  Profiler* profiler;
  ThreadPool* threads;
  const HeedProgram* program;
  const HeedFunction* function;
  const HeedFrame* frame;
  FunctionProfile* profile;
  size_t step = 0;
  int64_t own = 0;  // nanoseconds that the profiler took for itself
};

namespace {
// A task in its wrapping.
template <typename Part>
struct Timed {
  const Profiler* profiler;
  HeedTask task;
  const void* context;
  Part* parts;
  static void Run(const void* context, int64_t part, int64_t parts, void* scratch) {
    const auto* const timed = static_cast<const Timed*>(context);
    Part& mine = timed->parts[part];
    mine.thread = ThisThread();
    mine.begin = timed->profiler->Now();
    timed->task(timed->context, part, parts, scratch);
    mine.end = timed->profiler->Now();
  }
};
}  // namespace

void Profiler::Parallel(void* pool, HeedTask task, const void* context, int64_t parts,
                        int64_t scratch_bytes) {
  Running& running = *static_cast<Running*>(pool);
  running.profiler->Step(running, task, context, parts, scratch_bytes);
}

void Profiler::Step(Running& running, HeedTask task, const void* context, int64_t parts,
                    int64_t scratch_bytes) {
  parts_.assign(static_cast<size_t>(std::max<int64_t>(parts, 0)), {});
  const Timed<Part> timed{this, task, context, parts_.data()};
  const int64_t begin = Now();
  running.threads->Parallel(Timed<Part>::Run, &timed, parts, scratch_bytes);
  const int64_t end = Now();
  const size_t number = running.step++;
  if (running.profile->steps.size() <= number) running.profile->steps.resize(number + 1);
  StepProfile& step = running.profile->steps[number];
  step.nanoseconds += end - begin;
  for (const Part& part : parts_) {
    step.busy += part.end - part.begin;
    Keep({running.function, static_cast<int64_t>(number), part.thread, part.begin, part.end});
  }
  if (static_cast<int64_t>(number) < running.function->step_count) {
    const StepWork work =
        WorkOf(*running.program, *running.function, running.function->steps[number], *running.frame, context);
    step.work.flops += work.flops;
    step.work.bytes_read += work.bytes_read;
    step.work.bytes_written += work.bytes_written;
  }
  running.own += Now() - end;
}

void Profiler::Run(const HeedProgram& program, const HeedFunction& function, const HeedFrame& frame,
                   ThreadPool& threads) {
  const auto [found, fresh] = numbers_.emplace(&function, records_.size());
  if (fresh) records_.emplace_back();
  Record& record = records_[found->second];
  FunctionProfile& profile = record.calls++ < skip_ ? record.early : record.counted;
  profile.function = &function;
  profile.steps.resize(static_cast<size_t>(function.step_count));
  profile.extents.resize(static_cast<size_t>(function.extent_count), 0);
  for (size_t i = 0; i < profile.extents.size(); ++i)
    profile.extents[i] = std::max(profile.extents[i], frame.extents[i]);
  Running running{this, &threads, &program, &function, &frame, &profile};
  const HeedServices services = {&running, frame.services->threads, Parallel};
  HeedFrame profiled = frame;
  profiled.services = &services;
  const int64_t begin = Now();
  function.run(&profiled);
  const int64_t end = Now();
  ++profile.calls;
  profile.nanoseconds += end - begin - running.own;
  own_ += running.own;
  in_functions_ += end - begin - running.own;
  Cover(begin, end);
}

void Profiler::AddSpan(const char* name, int64_t begin, int64_t end) {
  auto span =
      std::find_if(spans_.begin(), spans_.end(), [&](const SpanProfile& s) { return s.name == name; });
  if (span == spans_.end()) span = spans_.insert(span, {name});
  ++span->calls;
  span->nanoseconds += end - begin;
  Keep({nullptr, span - spans_.begin(), ThisThread(), begin, end});
  Cover(begin, end);
}

void Profiler::Cover(int64_t begin, int64_t end) {
  if (first_ < 0 || begin < first_) first_ = begin;
  last_ = std::max(last_, end);
}

std::vector<FunctionProfile> Profiler::functions() const {
  std::vector<FunctionProfile> functions;
  for (const Record& record : records_) {
    functions.push_back(record.counted.calls > 0 ? record.counted : record.early);
    FunctionProfile& profile = functions.back();
    profile.skipped = record.calls - profile.calls;
    for (size_t i = 0; i < profile.extents.size() && i < record.early.extents.size(); ++i)
      profile.extents[i] = std::max(profile.extents[i], record.early.extents[i]);
  }
  return functions;
}

}  // namespace heed
