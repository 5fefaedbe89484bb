// Places: where in the text of a program a value comes from, with the calls that led there.
//
// A place is a file, a line, a column and the place of the caller, if there is one: "layers.heed:4:3 <
// gpt2.heed:30:3". Places are interned as axes are: copying and comparing one costs what an int costs, and
// the chains of a body that is expanded many times share their ends. The text form is for people and for
// files of graphs; nobody else takes it apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace heed::ir {

/// The file of code that no program contains: what the compiler brings along.
inline constexpr std::string_view kPreludeFile = "prelude";

class Place {
 public:
  constexpr Place() = default;  ///< nowhere
  /// `line` 0: somewhere in the file. Thread-safe.
  Place(std::string_view file, int line, int column, Place caller);
  Place(std::string_view file, int line, int column) : Place(file, line, column, Place()) {}
  static Place Parse(std::string_view text);  ///< what Text() gave

  std::string_view file() const;
  int line() const;
  int column() const;
  Place caller() const;  ///< nowhere: of the outermost
  Place WithoutCallers() const;
  Place Outermost() const;   ///< the last caller; itself if there is none
  std::string Text() const;  ///< innermost first, callers after " < "; "" for nowhere
  explicit operator bool() const { return id_ != 0; }
  friend bool operator==(Place, Place) = default;
  /// Some order, for maps: not that of the text.
  friend auto operator<=>(Place, Place) = default;

 private:
  uint32_t id_ = 0;
};

}  // namespace heed::ir
