// See argument_files.h.
#include "runtime/commands/argument_files.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "runtime/base/names.h"
#include "runtime/engine/program.h"

namespace heed {

void ArgumentFiles::Declare(CLI::App& app, const HeedProgram& program,
                            std::span<const HeedEntry* const> entries, const std::string& group) {
  const std::string held = prefix_.empty() ? "" : "held-out ";
  app.add_option(
         "--" + prefix_ + "data", data_,
         held + "arguments by name: .jsonl, .tsv, .safetensors, .npz, or a folder of .npy; repeatable")
      ->type_name("FILE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(group);
  for (const HeedEntry* entry : entries) {
    for (const DataArgument& argument : DataArguments(program, *entry)) {
      const bool prompt = entry->prompt != nullptr && argument.name == entry->prompt;
      const std::string option = "--" + prefix_ + argument.name;
      if (prompt || app.get_option_no_throw(option) != nullptr) continue;
      app.add_option(option, files_[argument.name],
                     held + "`" + argument.name + "`, a line each: " + FormOf(argument))
          ->type_name("FILE")
          ->group(group);
    }
  }
  if (!prefix_.empty()) return;
  app.add_option("--value", values_, "an argument that is the same for every example; repeatable")
      ->type_name("NAME=V")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(group);
}

bool ArgumentFiles::Given() const {
  return !data_.empty() || (prefix_.empty() && !values_.empty()) ||
         std::any_of(files_.begin(), files_.end(), [](const auto& file) { return !file.second.empty(); });
}

bool ArgumentFiles::GivenByLines(std::span<const TextArgument> texts) const {
  return data_.empty() && values_.empty() &&
         std::all_of(texts.begin(), texts.end(), [&](const TextArgument& text) {
           const auto file = files_.find(text.name);
           return file != files_.end() && !file->second.empty();
         });
}

void ArgumentFiles::AddRoles(FileRoles& roles) const {
  for (const std::string& path : data_) roles.Reads("--" + prefix_ + "data", path);
  for (const auto& [argument, path] : files_) roles.Reads("--" + prefix_ + argument, path);
}

Status ArgumentFiles::Open(const HeedEntry& entry, std::vector<DataArgument> arguments, bool skip_invalid) {
  const auto takes = [&](const std::string& name) {
    return std::any_of(arguments.begin(), arguments.end(),
                       [&](const DataArgument& a) { return a.name == name; });
  };
  const auto check = [&](const std::string& option, const std::string& name) -> Status {
    if (takes(name)) return Done{};
    std::vector<std::string> names;
    for (const DataArgument& argument : arguments) names.push_back(argument.name);
    return UsageError(option + ": entry `" + entry.name + "` takes no `" + name +
                      "`; it takes: " + ListNames(names));
  };
  for (const std::string& value : values_) {
    const size_t equals = value.find('=');
    if (equals == std::string::npos) return UsageError("--value takes NAME=V, not `" + value + "`");
    const std::string name = value.substr(0, equals), option = "--value " + name;
    if (Status ok = check(option, name); !ok) return ok;
    if (const auto file = files_.find(name); file != files_.end() && !file->second.empty())
      return UsageError("`" + name + "` is given twice: by --" + prefix_ + name + " and " + option);
    sources_.push_back(MakeConstant(name, value.substr(equals + 1), option));
  }
  for (const auto& [name, path] : files_) {
    if (path.empty()) continue;
    if (Status ok = check("--" + prefix_ + name, name); !ok) return ok;
    Result<DataSourcePtr> source = OpenArgument(name, path, skip_invalid);
    if (!source) return source.error();
    sources_.push_back(std::move(*source));
  }
  for (const std::string& path : data_) {
    Result<DataSourcePtr> source = OpenData(path, skip_invalid);
    if (!source) return source.error();
    sources_.push_back(std::move(*source));
  }
  for (DataArgument& argument : arguments) {
    const auto source = std::find_if(sources_.begin(), sources_.end(),
                                     [&](const DataSourcePtr& one) { return one->Has(argument.name); });
    if (source == sources_.end()) return Missing(entry, argument);
    found_.push_back({std::move(argument), source->get()});
  }
  return Done{};
}

Error ArgumentFiles::Missing(const HeedEntry& entry, const DataArgument& argument) const {
  std::string looked;
  for (const DataSourcePtr& source : sources_)
    looked += "; " + source->name() + " has: " + ListNames(source->Names());
  return Error{"nothing gives `" + argument.name + "` of entry `" + entry.name + "` (" + FormOf(argument) +
               ")" + looked + ". Give it with --" + prefix_ + "data F, --" + prefix_ + argument.name +
               " F or --value " + argument.name + "=V"};
}

Result<std::vector<std::string>> ArgumentFiles::Texts() const {
  std::vector<std::string> texts;
  for (const Found& found : found_) {
    if (!found.argument.IsText()) continue;
    if (Status ok = found.source->AddTexts(found.argument, texts); !ok) return ok.error();
  }
  return texts;
}

Result<ArgumentExamples> ArgumentFiles::Read(const EncodeText& encode,
                                             const ArgumentExamples::Options& options) const {
  std::vector<ArgumentExamples::Given> given;
  for (const Found& found : found_) {
    Result<std::shared_ptr<const Column>> column = found.source->Read(found.argument, encode);
    if (!column) return column.error();
    given.push_back({found.argument, std::move(*column)});
  }
  return ArgumentExamples::Make(std::move(given), options);
}

EncodeText EncoderFor(const HeedProgram& program, const HeedEntry& entry,
                      std::function<Result<TokenizerPtr>()> tokenizer, TextEnds more) {
  return [&program, &entry, tokenizer = std::move(tokenizer), more](
             const DataArgument& argument, std::string_view text) -> Result<std::vector<int32_t>> {
    const Result<TokenizerPtr> encoder = tokenizer();
    if (!encoder) return encoder.error();
    if (!argument.IsText()) return (*encoder)->Encode(text);
    const TextArgument along{argument.name, argument.dims[0].axis, argument.dims[0].size,
                             argument.indexes->name, argument.indexes->size};
    const TextEnds ends = RecordEnds(program, entry, along).With(more);
    std::vector<int32_t> ids = LineIds(**encoder, text, ends);
    // Ends alone are no text.
    const auto around = static_cast<size_t>(LineIds(**encoder, "", ends).size());
    if (ids.size() <= around) ids.clear();
    return ids;
  };
}

}  // namespace heed
