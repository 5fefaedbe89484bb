// Lines and columns of a text. Positions are found by bisection in the table of line starts; nothing is
// decoded here (the renderer of diagnostics knows about UTF-8 and tabs).
#include "frontend/source.h"

#include <algorithm>
#include <cctype>

namespace heed::frontend {

SourceFile::SourceFile(std::string name, std::string text, std::string short_name)
    : name_(std::move(name)), short_name_(std::move(short_name)), text_(std::move(text)) {
  line_starts_.push_back(0);
  for (size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') line_starts_.push_back(static_cast<uint32_t>(i + 1));
  }
}

SourceFile::Position SourceFile::PositionOf(uint32_t offset) const {
  offset = std::min<uint32_t>(offset, static_cast<uint32_t>(text_.size()));
  const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const int line = static_cast<int>(next - line_starts_.begin());
  return {line, static_cast<int>(offset - line_starts_[line - 1]) + 1};
}

std::string_view SourceFile::Line(int line) const {
  if (line < 1 || line > static_cast<int>(line_starts_.size())) return "";
  const size_t start = line_starts_[line - 1];
  size_t end = line < static_cast<int>(line_starts_.size()) ? line_starts_[line] - 1 : text_.size();
  if (end > start && text_[end - 1] == '\r') --end;
  return std::string_view(text_).substr(start, end - start);
}

Loc SourceFile::At(int line, int column) const {
  if (line < 1 || line > static_cast<int>(line_starts_.size()) || column < 1) return {};
  const std::string_view text = Line(line);
  if (static_cast<size_t>(column) > text.size() + 1) return {};
  const auto in_name = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '\'';
  };
  const std::string_view rest = text.substr(column - 1);
  const auto end = std::find_if_not(rest.begin(), rest.end(), in_name);
  return {this, static_cast<uint32_t>(rest.data() - text_.data()),
          std::max(static_cast<uint32_t>(end - rest.begin()), 1u)};
}

std::string Loc::Text() const {
  if (file == nullptr) return "<generated>";
  const SourceFile::Position position = file->PositionOf(offset);
  return file->name() + ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
}

ir::Place Loc::Place(ir::Place caller) const {
  if (file == nullptr) return {"<generated>", 0, 0, caller};
  const SourceFile::Position position = file->PositionOf(offset);
  return {file->short_name(), position.line, position.column, caller};
}

Loc Span(Loc first, Loc last) {
  if (first.file == nullptr) return last;
  if (first.file != last.file || last.offset < first.offset) return first;
  return {first.file, first.offset, last.offset + last.length - first.offset};
}

}  // namespace heed::frontend
