// heed fmt: programs in their usual form, in place.
#include <CLI/CLI.hpp>
#include <iostream>

#include "frontend/commands/command.h"
#include "frontend/commands/load.h"
#include "frontend/files.h"
#include "frontend/parser.h"
#include "ir/graph.h"

namespace heed::commands {
namespace {

class Fmt : public Command {
 public:
  std::string Name() const override { return "fmt"; }
  std::string Summary() const override { return "format programs in place"; }
  void Declare(CLI::App& app) override {
    app.add_option("FILE", files_, "the programs")->required();
    app.add_flag("--check", check_only_, "only say which would change (status 1 if any)");
    app.add_flag("--parens", parens_, "print with all grouping written out; the file stays");
    app.add_flag("-q", quiet_, "no messages but errors");
  }
  Result<int> Run() override;

 private:
  Result<int> FormatFile(const std::string& name) const;

  std::vector<std::string> files_;
  bool check_only_ = false, parens_ = false, quiet_ = false;
};

/// The status.
Result<int> Fmt::FormatFile(const std::string& name) const {
  Result<std::string> text = frontend::ReadText(name);
  if (!text) return text.error();
  const frontend::SourceFile file(name, std::move(*text));
  frontend::Diagnostics diagnostics;
  const frontend::SyntaxTree tree = frontend::Parse(file, diagnostics);
  Print(diagnostics);
  if (diagnostics.HasErrors()) return 1;
  const std::string formatted = frontend::Format(tree, parens_);
  if (parens_) {
    std::cout << formatted << std::flush;
    return 0;
  }
  // Never write what does not say the same.
  const frontend::SourceFile again(name, formatted);
  frontend::Diagnostics none;
  if (frontend::Format(frontend::Parse(again, none)) != formatted || none.HasErrors())
    throw ir::InternalError("the formatter changes the meaning of " + name);
  if (formatted == file.text()) return 0;
  if (check_only_) {
    std::cout << name << ": would change\n";
    return 1;
  }
  if (Status replaced = frontend::ReplaceText(name, formatted); !replaced) return replaced.error();
  if (!quiet_) std::cerr << name << ": formatted\n";
  return 0;
}

Result<int> Fmt::Run() {
  int status = 0;
  for (const std::string& name : files_) {
    const Result<int> formatted = FormatFile(name);
    if (!formatted) std::cerr << "heed: error: " << formatted.error().message << '\n';
    if (!formatted || *formatted != 0) status = 1;
  }
  return status;
}

}  // namespace

std::unique_ptr<Command> MakeFmt() { return std::make_unique<Fmt>(); }

}  // namespace heed::commands
