// How a program meets its surroundings: signals, standard descriptors, a reader that leaves, an end without
// warning.
#pragma once

#include <initializer_list>
#include <string_view>

namespace heed {

/// At the start of a program. Ctrl-C, SIGTERM and a lost terminal go to `on_signal` (what a shell's
/// background job and nohup ignore stays ignored). A file over the size limit, and a reader that has gone,
/// are errors of write(). A file opened while a standard descriptor is closed does not take its place.
void PrepareProcess(void (*on_signal)(int number));

/// True if the standard output is a pipe that nobody reads any more.
bool ReaderIsGone();

/// Ends with status 1 and these words on the standard error, and nothing unfinished left. Allocates nothing;
/// may be called in any thread and in a signal handler.
[[noreturn]] void EndAtOnce(std::initializer_list<std::string_view> words);

}  // namespace heed
