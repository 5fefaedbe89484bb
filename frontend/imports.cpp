// Depth first, so that a file met again while it is being read closes a cycle. The result is the reverse of
// the order in which files are done.
#include "frontend/imports.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "frontend/parser.h"

namespace heed::frontend {
namespace {

constexpr size_t kMostFiles = 1000;  // of one program; they are read within one another

/// The same for all names of one file.
std::string Identity(const std::string& name) {
  struct stat status;
  if (stat(name.c_str(), &status) != 0) return std::filesystem::path(name).lexically_normal().string();
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

class Importer {
 public:
  Importer(std::vector<std::unique_ptr<SourceFile>>& texts, const TextReader& read, Diagnostics& diagnostics)
      : texts_(texts), read_(read), diagnostics_(diagnostics) {}

  std::vector<ProgramFile> Run() {
    Visit(*texts_.back());
    std::reverse(done_.begin(), done_.end());
    return std::move(done_);
  }

 private:
  /// A file that is being read, and the import in it that is being followed.
  struct Open {
    const SourceFile* source;
    Loc import;
  };

  void Visit(const SourceFile& source) {
    known_[Identity(source.name())] = &source;
    open_.push_back({&source, {}});
    ProgramFile file{&source, Parse(source, diagnostics_), {}};
    for (const Decl& decl : file.tree.decls) {
      if (decl.kind != DeclKind::Import) continue;
      open_.back().import = decl.import.loc;
      const SourceFile* imported = Import(source, decl.import);
      if (imported == nullptr) continue;
      file.imports.insert(imported);
      const auto done = std::find_if(done_.begin(), done_.end(),
                                     [&](const ProgramFile& other) { return other.source == imported; });
      if (done != done_.end()) file.imports.insert(done->imports.begin(), done->imports.end());
    }
    open_.pop_back();
    done_.push_back(std::move(file));
  }

  /// The file that `import` names, read if it was not yet; null after reporting why there is none.
  const SourceFile* Import(const SourceFile& from, const Name& import) {
    const auto refuse = [&](const std::string& why) -> Diagnostic& {
      return diagnostics_.Report(DiagnosticKind::ImportFile, import.loc, why);
    };
    const auto control = [](unsigned char c) { return c < ' ' || c == 0x7F; };
    if (import.text.empty() || std::any_of(import.text.begin(), import.text.end(), control)) {
      refuse(import.text.empty() ? "the name of a file cannot be empty"
                                 : "the name of a file cannot have control characters");
      return nullptr;
    }
    const std::string name = (std::filesystem::path(from.name()).parent_path() / import.text).string();
    if (const auto known = known_.find(Identity(name)); known != known_.end())
      return Cycle(known->second, import) ? nullptr : known->second;
    if (known_.size() >= kMostFiles) {
      refuse("a program has at most " + std::to_string(kMostFiles) + " files");
      return nullptr;
    }
    Result<std::string> text = read_(name);
    if (!text) {
      refuse("cannot import " + text.error().message)
          .notes.push_back("the name of an imported file is relative to the folder of the file that says it");
      return nullptr;
    }
    const SourceFile& source = *texts_.emplace_back(
        std::make_unique<SourceFile>(name, std::move(*text), ShortName(name, import.text)));
    Visit(source);
    return &source;
  }

  /// True, after a message, if `file` is among those that are being read.
  bool Cycle(const SourceFile* file, const Name& import) {
    const auto first =
        std::find_if(open_.begin(), open_.end(), [&](const Open& open) { return open.source == file; });
    if (first == open_.end()) return false;
    std::string way;
    for (auto step = first; step != open_.end(); ++step) way += step->source->short_name() + " -> ";
    Diagnostic& d =
        diagnostics_.Report(DiagnosticKind::ImportCycle, import.loc,
                            "`" + file->short_name() + "` imports itself: " + way + file->short_name());
    for (auto step = first; step + 1 < open_.end(); ++step)
      d.labels.push_back({step->import, "imports `" + (step + 1)->source->short_name() + "`"});
    d.notes.push_back("what two files need of each other belongs into one that both import");
    return true;
  }

  /// What places call a file: no two files of a program the same.
  std::string ShortName(const std::string& name, const std::string& said) const {
    for (const std::string& candidate : {SourceFile::WithoutFolders(name), said})
      if (std::none_of(texts_.begin(), texts_.end(),
                       [&](const auto& text) { return text->short_name() == candidate; }))
        return candidate;
    return name;
  }

  std::vector<std::unique_ptr<SourceFile>>& texts_;
  const TextReader& read_;
  Diagnostics& diagnostics_;
  std::map<std::string, const SourceFile*> known_;  // by identity
  std::vector<Open> open_;
  std::vector<ProgramFile> done_;
};

}  // namespace

std::vector<ProgramFile> ReadFiles(std::vector<std::unique_ptr<SourceFile>>& texts, const TextReader& read,
                                   Diagnostics& diagnostics) {
  return Importer(texts, read, diagnostics).Run();
}

}  // namespace heed::frontend
