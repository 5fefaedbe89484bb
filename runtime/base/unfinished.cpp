// A list that only grows, so that a handler can walk it whatever it interrupted; a note that is no longer
// needed is used again for the same path. Allocation happens when a note is made, never in the handler.
#include "runtime/base/unfinished.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <utility>

namespace heed {
namespace {

enum Kind { kFile, kFolder, kChild };
enum State { kFree, kTaken, kNoted };

void RemoveFolder(const char* path) {
  // Somebody who was just ended may still be making a file in it.
  for (int attempt = 0; attempt < 20 && rmdir(path) != 0; ++attempt) {
    if (attempt > 0) poll(nullptr, 0, 1);
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return;
    alignas(dirent64) char block[4096];
    for (ssize_t bytes; (bytes = getdents64(folder, block, sizeof block)) > 0;) {
      for (ssize_t at = 0; at < bytes;) {
        const auto* const entry = reinterpret_cast<const dirent64*>(block + at);
        unlinkat(folder, entry->d_name, 0);
        at += entry->d_reclen;
      }
    }
    close(folder);
  }
}

}  // namespace

struct Unfinished::Slot {
  int kind;
  std::string path;
  std::atomic<pid_t> child;
  std::atomic<int> state{kTaken};
  Slot* next = nullptr;
  static std::atomic<Slot*> first;
};
std::atomic<Unfinished::Slot*> Unfinished::Slot::first{nullptr};

Unfinished Unfinished::Of(int kind, const std::string& path, pid_t child) {
  Unfinished note;
  for (Slot* slot = Slot::first.load(); slot != nullptr; slot = slot->next) {
    int expected = kFree;
    if (slot->kind != kind || slot->path != path || !slot->state.compare_exchange_strong(expected, kTaken))
      continue;
    note.slot_ = slot;
    break;
  }
  if (note.slot_ == nullptr) {
    note.slot_ = new Slot{kind, path, child};
    note.slot_->next = Slot::first.load();
    while (!Slot::first.compare_exchange_weak(note.slot_->next, note.slot_)) {
    }
  }
  note.slot_->child = child;
  note.slot_->state = kNoted;
  return note;
}

Unfinished Unfinished::File(const std::string& path) { return Of(kFile, path, 0); }
Unfinished Unfinished::Folder(const std::string& path) { return Of(kFolder, path, 0); }
Unfinished Unfinished::Child(pid_t group) { return Of(kChild, "", group); }
Unfinished::Unfinished(Unfinished&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
Unfinished& Unfinished::operator=(Unfinished&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}
void Unfinished::Forget() {
  if (slot_ != nullptr) slot_->state = kFree;
  slot_ = nullptr;
}

void EndUnfinished() {
  for (const int kind : {kChild, kFile, kFolder}) {
    for (Unfinished::Slot* slot = Unfinished::Slot::first.load(); slot != nullptr; slot = slot->next) {
      if (slot->kind != kind || slot->state != kNoted) continue;
      if (kind == kFile) unlink(slot->path.c_str());
      if (kind == kFolder) RemoveFolder(slot->path.c_str());
      if (kind != kChild) continue;
      kill(-slot->child, SIGKILL);
      waitpid(slot->child, nullptr, 0);
    }
  }
}

SignalsWait::SignalsWait() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, &before_);
}

}  // namespace heed
