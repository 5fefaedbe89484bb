// One value of a record, as an element of a column: what JSON or a cell of text says, checked against what
// the argument takes.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "runtime/data/data_source.h"

namespace heed {

/// Adds the value of line `line`. The error says what was found and what was expected, not where.
Status AddValue(const nlohmann::json& value, const EncodeText& encode, int64_t line, MemoryColumn& column);
/// What a cell of a table or a line says: a text, a number, a name, numbers between spaces, or lists as JSON.
nlohmann::json CellValue(const DataArgument& argument, std::string_view cell);

}  // namespace heed
