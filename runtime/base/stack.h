// Stacks that are large enough whatever `ulimit -s` says.
#pragma once

#include <functional>

namespace heed {

/// Runs `work` and gives its result, on a stack of its own if that of the process may not grow to the usual
/// 8 MiB. Threads that are made from then on have as much. Signals go to the thread that runs `work`. Where
/// there is no memory for a stack, `work` does not run, and what `without` is for happens instead; that is 1.
int OnLargeStack(const std::function<int()>& work, const std::function<void()>& without);

}  // namespace heed
