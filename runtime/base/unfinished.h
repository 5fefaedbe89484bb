// What must not stay behind when the process ends before its time: temporary files and folders, and child
// processes. Whoever makes one says so; what a signal handler (or a lack of memory) then has to do is one
// call.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <string>

namespace heed {

/// A note of one such thing. It holds as long as the object lives, or until Forget.
class Unfinished {
 public:
  Unfinished() = default;
  static Unfinished File(const std::string& path);
  /// With the files in it; folders in it must be noted before.
  static Unfinished Folder(const std::string& path);
  /// A child process that leads a process group.
  static Unfinished Child(pid_t group);
  Unfinished(Unfinished&& other) noexcept;
  Unfinished& operator=(Unfinished&& other) noexcept;
  ~Unfinished() { Forget(); }
  void Forget();

 private:
  struct Slot;
  friend void EndUnfinished();
  static Unfinished Of(int kind, const std::string& path, pid_t child);
  Slot* slot_ = nullptr;
};

/// Ends children and removes files and folders that are noted. Only for a process that is about to end; may
/// be called in a signal handler.
void EndUnfinished();

/// Signals that end the process wait while this lives (in this thread, which is the one that gets them): for
/// making something and noting it without a gap.
class SignalsWait {
 public:
  SignalsWait();
  ~SignalsWait() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;
  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_;
};

}  // namespace heed
