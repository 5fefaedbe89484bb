// See places.h.
#include "runtime/base/places.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>

namespace heed {
namespace {

constexpr int kMostLinks = 40;  // as the kernel's

/// The descriptor that a path names, or -1.
int DescriptorOf(std::string_view path) {
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(folder)) continue;
    const std::string_view digits = path.substr(folder.size());
    if (digits.empty() || digits.size() > 6 || digits.find_first_not_of("0123456789") != digits.npos)
      continue;
    return std::stoi(std::string(digits));
  }
  return -1;
}

bool Look(const Place& place, struct stat* status) {
  return (place.descriptor >= 0 ? fstat(place.descriptor, status) : stat(place.path.c_str(), status)) == 0;
}

bool SameNode(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Result<Place> PlaceOf(const std::string& path) {
  Place place{path};
  for (int links = 0; links <= kMostLinks; ++links) {
    place.descriptor = DescriptorOf(place.path);
    if (place.descriptor >= 0) return place;
    char target[PATH_MAX];
    const ssize_t length = readlink(place.path.c_str(), target, sizeof target - 1);
    if (length < 0) return place;  // no link, or nothing there
    const std::string to(target, static_cast<size_t>(length));
    place.path = to.starts_with('/') ? to : FolderOf(place.path) + "/" + to;
  }
  return Error{path + ": " + std::strerror(ELOOP)};
}

bool SameFile(const std::string& a, const std::string& b) {
  const Result<Place> first = PlaceOf(a), second = PlaceOf(b);
  if (!first || !second) return false;
  struct stat one, other;
  const bool is_one = Look(*first, &one), is_other = Look(*second, &other);
  if (is_one != is_other) return false;
  if (is_one) return S_ISREG(one.st_mode) && SameNode(one, other);
  return stat(FolderOf(first->path).c_str(), &one) == 0 &&
         stat(FolderOf(second->path).c_str(), &other) == 0 && SameNode(one, other) &&
         NameOf(first->path) == NameOf(second->path);
}

}  // namespace heed
