// The interner of places. Entries are never moved or freed, so what was read under the lock stays valid.
#include "ir/place.h"

#include <charconv>
#include <deque>
#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace heed::ir {
namespace {

constexpr std::string_view kCalledFrom = " < ";

/// Of all programs of a process; beyond it places are left out, which costs messages their place.
constexpr size_t kMostPlaces = size_t{1} << 27;

struct Entry {
  uint32_t file = 0;
  int line = 0, column = 0;
  uint32_t caller = 0;
  friend bool operator==(const Entry&, const Entry&) = default;
};

struct Hash {
  size_t operator()(const Entry& entry) const noexcept {
    size_t hash = entry.caller;
    for (const uint32_t part :
         {entry.file, static_cast<uint32_t>(entry.line), static_cast<uint32_t>(entry.column)})
      hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
  }
};

struct Interner {
  std::mutex mutex;
  std::deque<std::string> files;
  std::map<std::string_view, uint32_t> file_numbers;
  std::deque<Entry> entries{Entry{}};
  std::unordered_map<Entry, uint32_t, Hash> ids;

  /// The lock is held.
  uint32_t Add(std::string_view file, int line, int column, uint32_t caller) {
    auto number = file_numbers.find(file);
    if (number == file_numbers.end()) {
      const uint32_t next = static_cast<uint32_t>(files.size());
      number = file_numbers.emplace(files.emplace_back(file), next).first;
    }
    const Entry entry{number->second, line, column, caller};
    if (entries.size() >= kMostPlaces) return 0;
    const auto [known, fresh] = ids.try_emplace(entry, static_cast<uint32_t>(entries.size()));
    if (fresh) entries.push_back(entry);
    return known->second;
  }
};

Interner& Places() {
  static Interner& places = *new Interner;  // never destroyed: places are used until the very end
  return places;
}

Entry At(uint32_t id) {
  Interner& places = Places();
  const std::lock_guard lock(places.mutex);
  return places.entries[id];
}

/// Takes ":12" off the end of `text`; false (and nothing taken) if that is not what stands there.
bool TakeNumber(std::string_view& text, int& number) {
  const size_t colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return false;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, number);
  if (error != std::errc() || stop != end || number < 1) return false;
  text = text.substr(0, colon);
  return true;
}

}  // namespace

Place::Place(std::string_view file, int line, int column, Place caller) {
  Interner& places = Places();
  const std::lock_guard lock(places.mutex);
  id_ = places.Add(file, line, column, caller.id_);
}

Place Place::Parse(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(kCalledFrom), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + kCalledFrom.size(), text.size()));
  }
  Place place;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    std::string_view file = *part;
    int line = 0, column = 0;
    if (!TakeNumber(file, column) || !TakeNumber(file, line))
      place = Place(*part, 0, 0, place);
    else
      place = Place(file, line, column, place);
  }
  return place;
}

std::string_view Place::file() const {
  if (id_ == 0) return {};
  Interner& places = Places();
  const std::lock_guard lock(places.mutex);
  return places.files[places.entries[id_].file];
}

int Place::line() const { return At(id_).line; }
int Place::column() const { return At(id_).column; }

Place Place::caller() const {
  Place caller;
  caller.id_ = At(id_).caller;
  return caller;
}

Place Place::WithoutCallers() const { return *this ? Place(file(), line(), column()) : Place(); }

Place Place::Outermost() const {
  Place place = *this;
  while (const Place next = place.caller()) place = next;
  return place;
}

std::string Place::Text() const {
  std::string text;
  for (Place place = *this; place; place = place.caller()) {
    if (!text.empty()) text += kCalledFrom;
    text += place.file();
    if (place.line() > 0) text += ":" + std::to_string(place.line()) + ":" + std::to_string(place.column());
  }
  return text;
}

}  // namespace heed::ir
