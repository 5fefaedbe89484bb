// See program.h.
#include "runtime/engine/program.h"

#include <set>

#include "runtime/base/names.h"

namespace heed {

const HeedAxis* FindAxis(const HeedProgram& program, std::string_view name) {
  for (int64_t i = 0; i < program.axis_count; ++i) {
    if (program.axes[i].name == name) return &program.axes[i];
  }
  return nullptr;
}

std::string RootOf(std::string_view axis) { return std::string(axis.substr(0, axis.find_first_of("'^%~"))); }

std::string ArgumentText(const HeedArgument& argument) {
  std::string text = argument.name;
  if (argument.dtype == kHeedInt32) text += std::string(": ") + (argument.indexes ? argument.indexes : "int");
  if (argument.dtype == kHeedBool8) text += ": bool";
  for (int64_t i = 0; i < argument.rank; ++i)
    text += (i == 0 ? "[" : ", ") + std::string(argument.dims[i].axis);
  return argument.rank > 0 ? text + "]" : text;
}

std::optional<TextArgument> AsText(const HeedProgram& program, const HeedArgument& argument) {
  if (argument.dtype != kHeedInt32 || argument.rank != 1 || !argument.dynamic[0] || !argument.indexes) {
    return std::nullopt;
  }
  const HeedAxis* vocabulary = FindAxis(program, argument.indexes);
  if (!vocabulary || vocabulary->dynamic || vocabulary->enumerator_count > 0) return std::nullopt;
  return TextArgument{argument.name, argument.dims[0].axis, argument.dims[0].size, argument.indexes,
                      vocabulary->size};
}

Result<std::vector<TextArgument>> TextArguments(const HeedProgram& program, const HeedEntry& entry) {
  std::vector<TextArgument> texts;
  std::set<std::string> axes;
  for (int64_t i = 0; i < entry.argument_count; ++i) {
    const auto text = AsText(program, entry.arguments[i]);
    if (!text) {
      return Error{"entry `" + std::string(entry.name) + "` takes `" + ArgumentText(entry.arguments[i]) +
                   "`, which is not text (one dynamic axis of numbers that index a vocabulary); use `call " +
                   entry.name + "` with tensors"};
    }
    if (!axes.insert(text->axis).second) {
      return Error{"entry `" + std::string(entry.name) + "` has two texts along `" + text->axis +
                   "`, which must be equally long; use `call " + entry.name + "` with tensors"};
    }
    texts.push_back(*text);
  }
  if (texts.empty()) return Error{"entry `" + std::string(entry.name) + "` takes no text"};
  return texts;
}

Result<const HeedEntry*> FindEntry(const HeedProgram& program, const std::string& name) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < program.entry_count; ++i) {
    if (name == program.entries[i].name) return &program.entries[i];
    names.push_back(program.entries[i].name);
  }
  return UsageError(std::string(program.source_name) + " has no entry `" + name +
                    "`; it has: " + ListNames(names, 32));
}

std::vector<const HeedEntry*> EntriesOfKind(const HeedProgram& program, HeedEntryKind kind) {
  std::vector<const HeedEntry*> entries;
  for (int64_t i = 0; i < program.entry_count; ++i) {
    if (program.entries[i].kind == kind) entries.push_back(&program.entries[i]);
  }
  return entries;
}

std::string ImportsText(const HeedProgram& program) {
  std::string text;
  for (int64_t i = 0; i < program.import_count; ++i)
    text += (i > 0 ? ", " : "") + std::string(program.imports[i]);
  return text;
}

std::map<std::string, std::string> ProgramMetadata(const HeedProgram& program) {
  std::map<std::string, std::string> metadata = {{"program", program.source_name},
                                                 {"heed", program.heed_version}};
  if (program.import_count > 0) metadata["imports"] = ImportsText(program);
  return metadata;
}

}  // namespace heed
