// Values from records: a JSON object a line, a table with a heading and tabs, or a value a line; and a value
// that is the same for all examples. Lines without anything are no records.
#include <algorithm>
#include <set>

#include "runtime/base/json_input.h"
#include "runtime/base/names.h"
#include "runtime/data/data.h"
#include "runtime/data/data_source.h"
#include "runtime/data/record_values.h"

namespace heed {
namespace {

using Json = nlohmann::json;

/// Calls back with the fields of each record, one after the other.
class Records : public DataSource {
 public:
  const std::string& name() const override { return name_; }
  std::vector<std::string> Names() const override { return {fields_.begin(), fields_.end()}; }
  bool Has(const std::string& argument) const override { return fields_.contains(argument); }

  Status AddTexts(const DataArgument& argument, std::vector<std::string>& texts) const override {
    return ForEach(argument, [&](const Json& value, const std::string&, int64_t) -> Status {
      if (value.is_string()) texts.push_back(value.get<std::string>());
      return Done{};
    });
  }

  Result<std::shared_ptr<const Column>> Read(const DataArgument& argument,
                                             const EncodeText& encode) const override {
    const auto column = std::make_shared<MemoryColumn>(argument, name_, IsConstant());
    const Status read =
        ForEach(argument, [&](const Json& value, const std::string& where, int64_t line) -> Status {
          if (Status added = AddValue(value, encode, line, *column); !added)
            return Error{where + ": `" + argument.name + "`: " + added.error().message};
          return Done{};
        });
    if (!read) return read.error();
    return std::shared_ptr<const Column>(column);
  }

 protected:
  /// A value with its place, for messages, and its line.
  using OnValue = std::function<Status(const Json& value, const std::string& where, int64_t line)>;
  virtual Status ForEach(const DataArgument& argument, const OnValue& on_value) const = 0;
  virtual bool IsConstant() const { return false; }

  std::string name_;
  std::set<std::string> fields_;
};

std::string PlaceOf(const TextFile& file, size_t line) {
  return file.path() + ":" + std::to_string(line + 1);
}

/// Whether there is nothing in a line but spaces.
bool IsBlank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

/// One JSON object a line.
class JsonLines final : public Records {
 public:
  static Result<DataSourcePtr> Make(std::vector<TextFile> files) {
    auto source = std::make_unique<JsonLines>();
    source->name_ = files[0].path() + (files.size() > 1 ? " and others" : "");
    source->files_ = std::move(files);
    // What the first record has is what there is; each must have it.
    bool first = true;
    for (const TextFile& file : source->files_) {
      const std::vector<std::string_view> lines = file.Lines();
      for (size_t i = 0; first && i < lines.size(); ++i) {
        if (IsBlank(lines[i])) continue;
        const Result<Json> record = RecordOf(lines[i], PlaceOf(file, i));
        if (!record) return record.error();
        for (const auto& [key, value] : record->items()) source->fields_.insert(key);
        first = false;
      }
    }
    if (first) return Error{source->name_ + " has no records"};
    return DataSourcePtr(std::move(source));
  }

 protected:
  Status ForEach(const DataArgument& argument, const OnValue& on_value) const override {
    for (const TextFile& file : files_) {
      const std::vector<std::string_view> lines = file.Lines();
      for (size_t i = 0; i < lines.size(); ++i) {
        if (IsBlank(lines[i])) continue;
        const std::string where = PlaceOf(file, i);
        const Result<Json> record = RecordOf(lines[i], where);
        if (!record) return record.error();
        const auto value = record->find(argument.name);
        if (value == record->end()) {
          std::vector<std::string> keys;
          for (const auto& [key, ignored] : record->items()) keys.push_back(key);
          return Error{where + ": the record has no `" + argument.name + "`; it has: " + ListNames(keys)};
        }
        if (Status ok = on_value(*value, where, static_cast<int64_t>(i + 1)); !ok) return ok;
      }
    }
    return Done{};
  }

 private:
  static Result<Json> RecordOf(std::string_view line, const std::string& where) {
    constexpr int kDeepest = 64;
    if (NestedBeyond(line, kDeepest)) return Error{where + ": lists are nested more than 64 deep"};
    JsonInput input = ParseJson(line, 1);
    if (!input.problem.empty())
      return Error{where + " is not JSON (" + input.problem + "); each line must be one object"};
    if (!input.json.is_object())
      return Error{where + " is no JSON object; each line must be one, {\"x\": ...}"};
    if (!input.twice.empty()) return Error{where + ": the record has `" + input.twice + "` twice"};
    return std::move(input.json);
  }

  std::vector<TextFile> files_;
};

std::vector<std::string_view> CellsOf(std::string_view line) {
  std::vector<std::string_view> cells;
  for (size_t at = 0;;) {
    const size_t end = line.find('\t', at);
    cells.push_back(line.substr(at, end - at));
    if (end == std::string_view::npos) return cells;
    at = end + 1;
  }
}

/// A heading, then a record a line, between tabs. There are no quotes.
class Table final : public Records {
 public:
  static Result<DataSourcePtr> Make(std::vector<TextFile> files) {
    auto source = std::make_unique<Table>();
    source->name_ = files[0].path() + (files.size() > 1 ? " and others" : "");
    for (const TextFile& file : files) {
      const std::vector<std::string_view> lines = file.Lines();
      if (lines.empty()) return Error{file.path() + " is empty; its first line must name the columns"};
      std::set<std::string> fields;
      for (const std::string_view cell : CellsOf(lines[0])) {
        if (!fields.emplace(cell).second)
          return Error{PlaceOf(file, 0) + ": two columns are called `" + std::string(cell) + "`"};
      }
      if (!source->fields_.empty() && source->fields_ != fields)
        return Error{PlaceOf(file, 0) + ": the columns are not those of " + source->name_};
      source->fields_ = std::move(fields);
    }
    source->files_ = std::move(files);
    return DataSourcePtr(std::move(source));
  }

 protected:
  Status ForEach(const DataArgument& argument, const OnValue& on_value) const override {
    for (const TextFile& file : files_) {
      const std::vector<std::string_view> lines = file.Lines(), heading = CellsOf(lines[0]);
      const size_t column =
          static_cast<size_t>(std::find(heading.begin(), heading.end(), argument.name) - heading.begin());
      for (size_t i = 1; i < lines.size(); ++i) {
        if (lines[i].empty()) continue;
        const std::string where = PlaceOf(file, i);
        const std::vector<std::string_view> cells = CellsOf(lines[i]);
        if (cells.size() != heading.size()) {
          return Error{where + " has " + std::to_string(cells.size()) +
                       " cells between tabs, the heading has " + std::to_string(heading.size())};
        }
        if (Status ok = on_value(CellValue(argument, cells[column]), where, static_cast<int64_t>(i + 1)); !ok)
          return ok;
      }
    }
    return Done{};
  }

 private:
  std::vector<TextFile> files_;
};

/// A value a line. An empty line is an empty text.
class ValueLines final : public Records {
 public:
  ValueLines(const std::string& argument, TextFile file) : file_(std::move(file)) {
    name_ = file_.path();
    fields_.insert(argument);
  }

 protected:
  Status ForEach(const DataArgument& argument, const OnValue& on_value) const override {
    const std::vector<std::string_view> lines = file_.Lines();
    for (size_t i = 0; i < lines.size(); ++i) {
      const Status ok =
          on_value(CellValue(argument, lines[i]), PlaceOf(file_, i), static_cast<int64_t>(i + 1));
      if (!ok) return ok;
    }
    return Done{};
  }

 private:
  TextFile file_;
};

class Constant final : public Records {
 public:
  Constant(const std::string& argument, std::string value, const std::string& option)
      : value_(std::move(value)) {
    name_ = option;
    fields_.insert(argument);
  }

 protected:
  Status ForEach(const DataArgument& argument, const OnValue& on_value) const override {
    return on_value(CellValue(argument, value_), name_, 0);
  }
  bool IsConstant() const override { return true; }

 private:
  std::string value_;
};

}  // namespace

Result<DataSourcePtr> OpenRecords(const std::vector<std::string>& paths, bool skip_invalid) {
  std::vector<TextFile> files;
  for (const std::string& path : paths) {
    Result<TextFile> file = TextFile::Read(path, skip_invalid);
    if (!file) return file.error();
    files.push_back(std::move(*file));
  }
  return paths[0].ends_with(".tsv") ? Table::Make(std::move(files)) : JsonLines::Make(std::move(files));
}

Result<DataSourcePtr> OpenLines(const std::string& argument, const std::string& path, bool skip_invalid) {
  Result<TextFile> file = TextFile::Read(path, skip_invalid);
  if (!file) return file.error();
  return DataSourcePtr(std::make_unique<ValueLines>(argument, std::move(*file)));
}

DataSourcePtr MakeConstant(const std::string& argument, const std::string& value, const std::string& option) {
  return std::make_unique<Constant>(argument, value, option);
}

}  // namespace heed
