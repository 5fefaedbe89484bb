// Options that name where an entry's arguments come from, the same for every command: --data F for many of
// them,
// --NAME F for one, line by line, --value NAME=V for one that is the same for every example.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/commands/command.h"
#include "runtime/commands/file_roles.h"
#include "runtime/commands/text_lines.h"
#include "runtime/data/argument_examples.h"
#include "runtime/data/data_source.h"

namespace heed {

class ArgumentFiles {
 public:
  /// `prefix` of the options: "" or "valid-".
  explicit ArgumentFiles(std::string prefix = "") : prefix_(std::move(prefix)) {}
  /// Adds the options for arguments of some entries. A name that is an option already gets none: such an
  /// argument is given by --data.
  void Declare(CLI::App& app, const HeedProgram& program, std::span<const HeedEntry* const> entries,
               const std::string& group);
  /// The file of one argument, from an option of another command's making.
  void Name(const std::string& argument, const std::string& path) { files_[argument] = path; }
  /// Whether any option was given.
  bool Given() const;
  /// Whether these arguments are given, each by a file of its own and nothing else.
  bool GivenByLines(std::span<const TextArgument> texts) const;
  const std::string& FileOf(const std::string& argument) const { return files_.at(argument); }
  void AddRoles(FileRoles& roles) const;
  /// Values for every example that were given with another set of files hold for this one too.
  void ShareValues(const ArgumentFiles& other) { values_ = other.values_; }

  /// Opens what was named and finds each of `arguments` in it. --NAME and --value go before --data.
  Status Open(const HeedEntry& entry, std::vector<DataArgument> arguments, bool skip_invalid);
  /// The texts that go through a tokenizer, to make one of them.
  Result<std::vector<std::string>> Texts() const;
  /// Reads what was opened.
  Result<ArgumentExamples> Read(const EncodeText& encode, const ArgumentExamples::Options& options) const;

 private:
  struct Found {
    DataArgument argument;
    const DataSource* source;
  };
  Error Missing(const HeedEntry& entry, const DataArgument& argument) const;

  std::string prefix_;
  std::vector<std::string> data_, values_;
  std::map<std::string, std::string> files_;  // by argument
  std::vector<DataSourcePtr> sources_;        // --NAME and --value first
  std::vector<Found> found_;
};

/// Encodes texts as `train` does along their axes, with more ends if asked for; what should be a token alone
/// as it is. `tokenizer` is asked when there is a text.
EncodeText EncoderFor(const HeedProgram& program, const HeedEntry& entry,
                      std::function<Result<TokenizerPtr>()> tokenizer, TextEnds more = {});

}  // namespace heed
