// Messages for the author of a program: typed kinds (diagnostics.def), labels on every place that
// contributes, notes, and the renderer (source line, carets, labels, `=` notes). Never aborts; several errors
// a run.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/diagnostic_kind.h"
#include "frontend/source.h"

namespace heed::frontend {

enum class Severity { Error, Warning };

struct Label {
  Loc loc;
  std::string text;  ///< may be empty: just underlines
};
struct Diagnostic {
  DiagnosticKind kind;
  Loc loc;                         ///< the narrowest place
  std::string message;             ///< lower case, no full stop; names in backquotes
  std::vector<Label> labels;       ///< further places; those on the line of `loc` are drawn with it
  std::vector<std::string> notes;  ///< `= ` lines: the axis picture, then the suggestion
};
std::string_view KindName(DiagnosticKind kind);  ///< "MissingAxis"
Severity SeverityOf(DiagnosticKind kind);

std::string_view KindDoc(DiagnosticKind kind);  ///< its line in diagnostics.def
const std::vector<DiagnosticKind>& AllKinds();

/// Collects messages. At most 20 errors are kept; the rest are counted. A message that repeats an earlier one
/// at the same place (a module instantiated twice) is dropped.
class Diagnostics {
 public:
  /// The message is added at once; labels and notes may be added to what is returned until the next Report.
  Diagnostic& Report(DiagnosticKind kind, Loc loc, std::string message);
  bool HasErrors() const { return errors_ > 0; }
  int errors() const { return errors_; }
  const std::vector<Diagnostic>& all() const { return all_; }
  /// The texts that messages point into must outlive Render: a file that no Program owns is kept here.
  void Keep(std::unique_ptr<SourceFile> file) { files_.push_back(std::move(file)); }
  /// All messages, drawn as diagnostics.cpp shows, in the order of their places.
  std::string Render(bool color) const;

 private:
  std::vector<Diagnostic> all_;
  std::vector<std::unique_ptr<SourceFile>> files_;
  Diagnostic dropped_;
  int errors_ = 0;
};

}  // namespace heed::frontend
