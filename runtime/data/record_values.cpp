// See record_values.h.
#include "runtime/data/record_values.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include "runtime/base/json_input.h"

namespace heed {
namespace {

using Json = nlohmann::json;

std::string Found(const Json& value) {
  constexpr size_t kShown = 40;
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  size_t end = kShown;
  if (text.size() <= kShown) return text;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // whole characters
  return text.substr(0, end) + "...";
}

/// Collects the elements of one value.
class ValueReader {
 public:
  ValueReader(const DataArgument& argument, const EncodeText& encode)
      : argument_(argument), encode_(encode) {}

  Status Read(const Json& value) {
    widths_.assign(argument_.dims.size(), -1);
    if (argument_.IsText() && value.is_string()) {
      Result<std::vector<int32_t>> ids = encode_(argument_, value.get_ref<const std::string&>());
      if (!ids) return ids.error();
      ints_ = std::move(*ids);
      widths_[0] = static_cast<int64_t>(ints_.size());
      return Done{};
    }
    if (Status ok = ReadList(value, 0); !ok) return ok;
    for (int64_t& width : widths_) width = std::max<int64_t>(width, 0);
    return Done{};
  }
  const std::vector<int64_t>& widths() const { return widths_; }
  const std::vector<float>& floats() const { return floats_; }
  const std::vector<int32_t>& ints() const { return ints_; }

 private:
  Error Unlike(const Json& value) const {
    return Error{"found " + Found(value) + ", expected " + FormOf(argument_)};
  }

  Status ReadList(const Json& value, size_t dim) {
    if (dim == argument_.dims.size()) return ReadElement(value);
    if (!value.is_array()) return Unlike(value);
    const DataArgument::Dim& axis = argument_.dims[dim];
    const auto count = static_cast<int64_t>(value.size());
    const int64_t wanted = axis.ragged ? widths_[dim] : axis.size;
    if (wanted >= 0 && count != wanted) {
      return Error{"found a list of " + std::to_string(count) + " along " + axis.axis + ", expected " +
                   std::to_string(wanted) + (axis.ragged ? " as in the lists before it" : "")};
    }
    widths_[dim] = count;
    for (const Json& part : value)
      if (Status ok = ReadList(part, dim + 1); !ok) return ok;
    return Done{};
  }

  Status ReadElement(const Json& value) {
    if (argument_.dtype == kHeedFloat32) {
      if (!value.is_number() && !value.is_null()) return Unlike(value);
      floats_.push_back(value.is_null() ? std::numeric_limits<float>::quiet_NaN() : value.get<float>());
      return Done{};
    }
    int64_t number = 0;
    if (value.is_boolean() && argument_.dtype == kHeedBool8) {
      number = value.get<bool>() ? 1 : 0;
    } else if (value.is_number_integer()) {
      const bool large =
          value.is_number_unsigned() && value.get<uint64_t>() > std::numeric_limits<int64_t>::max();
      number = large ? std::numeric_limits<int64_t>::max() : value.get<int64_t>();
    } else if (value.is_string() && argument_.indexes != nullptr) {
      const Result<int64_t> named = Named(value);
      if (!named) return named.error();
      number = *named;
    } else {
      return Unlike(value);
    }
    if (const std::string problem = ProblemOf(argument_, number); !problem.empty()) {
      return Error{"found " + Found(value) + ", which " + problem + "; expected " + FormOf(argument_)};
    }
    ints_.push_back(static_cast<int32_t>(number));
    return Done{};
  }

  /// The element that a name or a token is.
  Result<int64_t> Named(const Json& value) const {
    const std::string& name = value.get_ref<const std::string&>();
    for (int64_t e = 0; e < argument_.indexes->enumerator_count; ++e)
      if (name == argument_.indexes->enumerators[e]) return e;
    if (!argument_.tokens) return Unlike(value);
    const Result<std::vector<int32_t>> ids = encode_(argument_, name);
    if (!ids) return ids.error();
    if (ids->size() == 1) return int64_t{(*ids)[0]};
    return Error{"found " + Found(value) + ", which is " + std::to_string(ids->size()) +
                 " tokens; expected exactly one"};
  }

  const DataArgument& argument_;
  const EncodeText& encode_;
  std::vector<int64_t> widths_;
  std::vector<float> floats_;
  std::vector<int32_t> ints_;
};

/// A number, a truth value or a name.
Json ScalarValue(std::string_view cell) {
  const std::string text(cell);
  char* end = nullptr;
  errno = 0;
  const long long whole = std::strtoll(text.c_str(), &end, 10);
  if (!text.empty() && *end == '\0' && errno == 0) return whole;
  const double number = std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == '\0') return number;
  if (text == "true") return true;
  if (text == "false") return false;
  return text;
}

}  // namespace

Status AddValue(const Json& value, const EncodeText& encode, int64_t line, MemoryColumn& column) {
  ValueReader reader(column.argument(), encode);
  if (Status ok = reader.Read(value); !ok) return ok;
  column.Add(line, reader.widths(), reader.floats(), reader.ints());
  return Done{};
}

Json CellValue(const DataArgument& argument, std::string_view cell) {
  if (argument.IsText()) return std::string(cell);
  constexpr int kDeepest = 64;
  if (!argument.dims.empty() && cell.starts_with('[') && !NestedBeyond(cell, kDeepest)) {
    JsonInput parsed = ParseJson(cell);
    if (!parsed.json.is_discarded()) return std::move(parsed.json);
  }
  if (argument.dims.size() != 1) return ScalarValue(cell);
  Json list = Json::array();
  for (size_t at = 0; at < cell.size();) {
    const size_t end = std::min(cell.find(' ', at), cell.size());
    if (end > at) list.push_back(ScalarValue(cell.substr(at, end - at)));
    at = end + 1;
  }
  return list;
}

}  // namespace heed
