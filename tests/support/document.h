// Documents as tests read them: the fenced blocks of a Markdown file, and what each kind is for.
#pragma once

#include <fstream>
#include <string>
#include <vector>

namespace heed::test {

/// A fenced block. What stands after its fence says what it is:
///   sh            commands, run in order in one folder; `sh long` is left to the reader
///   output        lines in a row that the commands before it print, trailing spaces aside
///   heed FILE     a program; the first block of a FILE begins it, later ones are added to it
///   heed from F   part of the file F of this project
struct DocumentBlock {
  std::string kind, text;
  int line = 0;

  /// What follows `prefix` in the kind, or "" if the kind is another.
  std::string After(const std::string& prefix) const {
    return kind.rfind(prefix, 0) == 0 ? kind.substr(prefix.size()) : "";
  }
  std::string Excerpted() const { return After("heed from "); }
  std::string Program() const { return Excerpted().empty() ? After("heed ") : ""; }
  bool operator==(const DocumentBlock& other) const { return kind == other.kind && text == other.text; }
};

inline std::vector<std::string> DocumentLines(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Blocks that say what they are, in order; those that do not are only to be looked at.
inline std::vector<DocumentBlock> DocumentBlocks(const std::string& path) {
  std::vector<DocumentBlock> blocks;
  DocumentBlock block;
  bool inside = false;
  const std::vector<std::string> lines = DocumentLines(path);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].rfind("```", 0) != 0) {
      if (inside) block.text += lines[i] + "\n";
      continue;
    }
    if (inside && !block.kind.empty()) blocks.push_back(block);
    if (!inside) block = {lines[i].substr(3), "", static_cast<int>(i) + 1};
    inside = !inside;
  }
  return blocks;
}

/// A program as the blocks of a document make it: those of its name, an empty line between them.
inline std::string DocumentProgram(const std::vector<DocumentBlock>& blocks, const std::string& name) {
  std::string program;
  for (const DocumentBlock& block : blocks) {
    if (block.Program() == name) program += (program.empty() ? "" : "\n") + block.text;
  }
  return program;
}

}  // namespace heed::test
