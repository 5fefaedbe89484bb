// What `train` learns from: its options about data, the tokenizer, and the examples of both kinds, texts as
// they are (--text, --source and --target) and arguments of any type (argument_files.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/progress.h"
#include "runtime/commands/argument_files.h"
#include "runtime/commands/text_lines.h"
#include "runtime/data/batch_tensors.h"

namespace CLI {
class Option;
}

namespace heed {

class TrainingData {
 public:
  void Declare(CLI::App& app, const HeedProgram& program);
  /// Options named by arguments; to be declared after all others.
  void DeclareArguments(CLI::App& app, const HeedProgram& program);
  /// What the options mean for this entry; a usage error if they do not fit it.
  Status Choose(const HeedProgram& program, const HeedEntry& entry);
  void AddRoles(FileRoles& roles) const;
  /// The starting point of a run, whose tokenizer and size of batches hold if no option says otherwise.
  struct Start {
    std::string weights;     ///< --resume or --init; empty: none
    bool resumed = false;    ///< --resume
    BatchSize batch = 4096;  ///< of what is resumed
  };
  Status Read(const Start& start, bool quiet, Progress& progress);

  const Examples& examples() const { return *examples_; }
  const Examples* valid() const { return valid_.get(); }
  BatchSize batch() const { return size_; }
  /// Null if there is no text.
  const TokenizerPtr& tokenizer() const { return tokenizer_; }
  /// The arguments, if they are texts as they are; else empty.
  const std::vector<TextArgument>& texts() const { return texts_; }
  /// Lines of held-out pairs, if there are.
  const std::vector<InputLine>& valid_sources() const { return valid_source_lines_; }
  const std::vector<std::string>& valid_targets() const { return valid_target_lines_; }
  bool has_valid_pairs() const { return !valid_source_.empty(); }
  /// "1,234 pairs, 5,678 tokens; held out: 100".
  std::string Text() const;
  /// "--batch 4096".
  std::string BatchText() const;

 private:
  Status CheckTexts() const;
  Status ReadTexts(const Start& start, bool quiet, Progress& progress);
  Result<std::unique_ptr<TextExamples>> LoadTexts(const std::vector<TextFile>& files, bool quiet,
                                                  const char* what) const;
  Status ReadArguments(const Start& start, Progress& progress);
  Status ChooseBatch(const Start& start);
  /// `texts`: to make a tokenizer of; none: it is there already or not needed.
  Status ChooseTokenizer(const Start& start, const std::vector<std::string_view>& texts, bool lines,
                         Progress& progress);
  Status CheckEnds(const std::string& axis) const;
  std::vector<TextArgument> TextsOfEntry() const;
  int64_t Window() const { return texts_[0].bound > 1 ? texts_[0].bound : 256; }

  const HeedProgram* program_ = nullptr;
  const HeedEntry* entry_ = nullptr;
  std::string source_, target_, text_, valid_source_, valid_target_, valid_text_, tokenizer_name_;
  ArgumentFiles files_, valid_files_{"valid-"};
  bool skip_invalid_ = false;
  int64_t batch_ = 4096, batch_examples_ = 0;
  CLI::Option *batch_option_ = nullptr, *batch_examples_option_ = nullptr;

  std::vector<TextArgument> texts_;
  TokenizerPtr tokenizer_;
  BatchSize size_ = 4096;
  std::unique_ptr<Examples> examples_, valid_;
  std::string counted_;  // "pairs, 5,678 tokens"
  std::vector<InputLine> valid_source_lines_;
  std::vector<std::string> valid_target_lines_;
};

}  // namespace heed
