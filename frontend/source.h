// A source text and places in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/place.h"

namespace heed::frontend {

struct Loc;

/// One file (or the prelude). Lines and columns count from 1; a column is a byte offset in its line.
class SourceFile {
 public:
  /// `short_name`: what places call it, by default its name without folders: places are written into files,
  /// and those go elsewhere.
  SourceFile(std::string name, std::string text, std::string short_name);
  SourceFile(std::string name, std::string text) : SourceFile(name, std::move(text), WithoutFolders(name)) {}
  static std::string WithoutFolders(const std::string& name) { return name.substr(name.rfind('/') + 1); }
  const std::string& name() const { return name_; }
  const std::string& short_name() const { return short_name_; }
  const std::string& text() const { return text_; }
  struct Position {
    int line, column;
  };
  Position PositionOf(uint32_t offset) const;
  std::string_view Line(int line) const;  ///< without the newline; "" past the end
  Loc At(int line, int column) const;     ///< the name that stands there, or the one character

 private:
  std::string name_, short_name_, text_;
  std::vector<uint32_t> line_starts_;
};

/// A stretch of a source file. `file` is null for things no text stands behind.
struct Loc {
  const SourceFile* file = nullptr;
  uint32_t offset = 0, length = 0;
  std::string Text() const;  ///< "gpt2.heed:19:18", "prelude:10:3", the file as it was named
  ir::Place Place(ir::Place caller = {}) const;  ///< where it begins
};
/// From the start of `first` to the end of `last`.
Loc Span(Loc first, Loc last);

}  // namespace heed::frontend
