// A source text and places in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heed::frontend {

/// One file (or the prelude). Lines and columns count from 1; a column is a byte offset in its line.
class SourceFile {
 public:
  SourceFile(std::string name, std::string text);
  const std::string& name() const { return name_; }
  std::string base_name() const { return name_.substr(name_.rfind('/') + 1); }
  const std::string& text() const { return text_; }
  struct Position {
    int line, column;
  };
  Position PositionOf(uint32_t offset) const;
  std::string_view Line(int line) const;  ///< without the newline; "" past the end

 private:
  std::string name_, text_;
  std::vector<uint32_t> line_starts_;
};

/// A stretch of a source file. `file` is null for things no text stands behind.
struct Loc {
  const SourceFile* file = nullptr;
  uint32_t offset = 0, length = 0;
  std::string Text() const;  ///< "gpt2.heed:19:18", "prelude:10:3", the file as it was named
  /// The same without the file's folders, for what is written into files: those go elsewhere.
  std::string Place() const;
};
/// From the start of `first` to the end of `last`.
Loc Span(Loc first, Loc last);

}  // namespace heed::frontend
