// See stack.h. The library takes the size of threads' stacks from the limit of the process.
#include "runtime/base/stack.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>

namespace heed {
namespace {

constexpr size_t kStack = size_t{8} << 20;

struct Job {
  const std::function<int()>* work;
  int result;
};

}  // namespace

int OnLargeStack(const std::function<int()>& work, const std::function<void()>& without) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= kStack) return work();
  pthread_attr_t attributes;
  size_t usual = 0;
  pthread_getattr_default_np(&attributes);
  pthread_attr_getstacksize(&attributes, &usual);
  pthread_attr_setstacksize(&attributes, std::max(usual, kStack));
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
  Job job{&work, 1};
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    Job& own = *static_cast<Job*>(argument);
    own.result = (*own.work)();
    return nullptr;
  };
  if (pthread_create(&thread, nullptr, run, &job) != 0) {
    without();
    return job.result;
  }
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  pthread_join(thread, nullptr);
  return job.result;
}

}  // namespace heed
