// See argument_examples.h.
#include "runtime/data/argument_examples.h"

#include <algorithm>
#include <numeric>

#include "runtime/abi_names.h"
#include "runtime/base/names.h"
#include "runtime/data/batch_tensors.h"

namespace heed {
namespace {

int64_t RowOf(const Column& column, int64_t row) { return column.constant() ? 0 : row; }

/// Calls run(from, to, count) for neighbouring elements of a block of `lengths` in two row-major memories.
template <typename Run>
void ForEachRun(const std::vector<int64_t>& lengths, const std::vector<int64_t>& from_widths,
                const std::vector<int64_t>& to_widths, Run run) {
  if (std::ranges::find(lengths, 0) != lengths.end()) return;
  // Dimensions that are full in both memories, innermost first, are one.
  size_t outer = lengths.size();
  int64_t count = 1;
  while (outer > 0) {
    count *= lengths[--outer];
    if (from_widths[outer] != lengths[outer] || to_widths[outer] != lengths[outer]) break;
  }
  std::vector<int64_t> place(outer, 0);
  const auto offset = [&](const std::vector<int64_t>& widths) {
    int64_t at = 0;
    for (size_t d = 0; d < widths.size(); ++d) at = at * widths[d] + (d < outer ? place[d] : 0);
    return at;
  };
  for (;;) {
    run(offset(from_widths), offset(to_widths), count);
    size_t d = outer;
    while (d > 0 && ++place[d - 1] == lengths[d - 1]) place[--d] = 0;
    if (d == 0) return;
  }
}

std::string PlaceText(const std::string& name, const std::vector<int64_t>& widths, int64_t element) {
  if (widths.empty()) return "`" + name + "`";
  std::vector<int64_t> place(widths.size());
  for (size_t d = widths.size(); d-- > 0; element /= widths[d]) place[d] = element % widths[d];
  return "`" + name + "`" + ShapeText(place);
}

}  // namespace

Result<ArgumentExamples> ArgumentExamples::Make(std::vector<Given> given, const Options& options) {
  ArgumentExamples made(std::move(given));
  for (const Given& one : made.given_) {
    for (const DataArgument::Dim& dim : one.argument.dims) {
      if (dim.ragged && std::ranges::find(made.roots_, dim.root) == made.roots_.end())
        made.roots_.push_back(dim.root);
    }
  }
  made.lengths_.resize(made.roots_.size());
  const Result<int64_t> rows = made.CountRows(options.examples);
  if (!rows) return rows.error();
  made.read_ = *rows;
  for (int64_t row = 0; row < *rows; ++row) {
    const Result<RowLengths> lengths = made.LengthsOf(row);
    if (!lengths) return lengths.error();
    if (options.leaves_out && (lengths->empty || lengths->too_long)) {
      ++(lengths->empty ? made.empty_ : made.too_long_);
      continue;
    }
    made.rows_.push_back(row);
    const int64_t example = made.size() - 1;
    for (size_t side = 0; side < made.roots_.size(); ++side)
      made.lengths_[side].push_back(static_cast<int32_t>(lengths->lengths[side]));
    for (const Given& one : made.given_) {
      const bool text = one.argument.IsText();
      if (!options.leaves_out && text && (lengths->empty || lengths->too_long)) {
        const DataArgument::Dim& axis = one.argument.dims[0];
        const int64_t length = made.LengthAlong(example, axis.root);
        if (length == 0)
          return Error{made.NameOf(example) + ": `" + one.argument.name + "` is an empty text"};
        if (axis.size > 0 && length > axis.size) {
          return Error{made.NameOf(example) + ": `" + one.argument.name + "` has " + std::to_string(length) +
                       " tokens; " + axis.axis + " is bounded by " + std::to_string(axis.size)};
        }
      }
      if (Status ok = made.CheckElements(example, one); !ok) return ok.error();
    }
  }
  for (const Given& one : made.given_)
    if (Status unchanged = one.column->CheckUnchanged(); !unchanged) return unchanged.error();
  if (made.size() > 0) return made;
  const std::string from = made.given_.empty() ? "the data" : made.given_[0].column->From();
  return Error{"nothing to use in " + from + ": " +
               (made.read_ == 0 ? "it has no examples" : made.LeftOutNotice("examples"))};
}

Result<int64_t> ArgumentExamples::CountRows(int64_t otherwise) const {
  const Given* first = nullptr;
  for (const Given& one : given_) {
    if (one.column->constant()) continue;
    if (first == nullptr) first = &one;
    if (one.column->size() == first->column->size()) continue;
    const auto text = [](const Given& what) {
      return what.column->From() + " has " + std::to_string(what.column->size()) + " examples of `" +
             what.argument.name + "`";
    };
    return Error{text(*first) + ", but " + text(one) + "; there must be one of each for every example"};
  }
  return first != nullptr ? first->column->size() : otherwise;
}

size_t ArgumentExamples::SideOf(const std::string& root) const {
  return static_cast<size_t>(std::ranges::find(roots_, root) - roots_.begin());
}

Result<ArgumentExamples::RowLengths> ArgumentExamples::LengthsOf(int64_t row) const {
  RowLengths result;
  result.lengths.assign(roots_.size(), -1);
  std::vector<const DataArgument*> from(roots_.size(), nullptr);
  const auto place = [&](const Given& one) { return one.column->NameOf(RowOf(*one.column, row)); };
  for (const bool said : {true, false}) {  // what says a length goes before what only has room for it
    for (const Given& one : given_) {
      const int64_t at = RowOf(*one.column, row);
      const std::vector<int64_t> widths = one.column->Widths(at);
      for (size_t d = 0; d < widths.size(); ++d) {
        const DataArgument::Dim& dim = one.argument.dims[d];
        if (!dim.ragged) continue;
        const int64_t length = one.column->LengthAlong(at, d);
        if ((length >= 0) != said) continue;
        const size_t side = SideOf(dim.root);
        const std::string has = place(one) + ": `" + one.argument.name + "` has ";
        if (from[side] == nullptr) {
          result.lengths[side] = said ? length : widths[d];
          from[side] = &one.argument;
          if (one.argument.IsText() && said) {
            result.empty = result.empty || length == 0;
            result.too_long = result.too_long || (dim.size > 0 && length > dim.size);
          } else if (dim.size > 0 && result.lengths[side] > dim.size) {
            return Error{has + std::to_string(result.lengths[side]) + " elements along " + dim.axis +
                         ", which is bounded by " + std::to_string(dim.size)};
          }
          continue;
        }
        const int64_t own = said ? length : widths[d];
        if (said ? own == result.lengths[side] : own >= result.lengths[side]) continue;
        return Error{has + std::to_string(own) + " elements along " + dim.axis + ", but `" +
                     from[side]->name + "` has " + std::to_string(result.lengths[side]) +
                     "; lengths along an axis must agree"};
      }
    }
  }
  return result;
}

std::vector<int64_t> ArgumentExamples::LengthsIn(int64_t example, const DataArgument& argument) const {
  std::vector<int64_t> lengths;
  for (const DataArgument::Dim& dim : argument.dims)
    lengths.push_back(dim.ragged ? Length(example, SideOf(dim.root)) : dim.size);
  return lengths;
}

Status ArgumentExamples::CheckElements(int64_t example, const Given& given) const {
  if (!given.column->doubtful()) return Done{};
  const int64_t row = RowOf(*given.column, NumberOf(example));
  const std::vector<int64_t> widths = given.column->Widths(row);
  std::string problem;
  ForEachRun(LengthsIn(example, given.argument), widths, widths, [&](int64_t first, int64_t, int64_t count) {
    for (int64_t i = first; problem.empty() && i < first + count; ++i) {
      problem = given.column->Problem(row, i);
      if (!problem.empty())
        problem =
            given.column->NameOf(row) + ": " + PlaceText(given.argument.name, widths, i) + " " + problem;
    }
  });
  return problem.empty() ? Status(Done{}) : Error{problem};
}

std::string ArgumentExamples::NameOf(int64_t example) const {
  const int64_t row = NumberOf(example);
  for (const Given& one : given_)
    if (!one.column->constant()) return one.column->NameOf(row);
  return "example " + std::to_string(row);
}

uint64_t ArgumentExamples::Fingerprint() const {
  DataHash hash;
  for (const Given& one : given_) {
    hash.Add(one.argument.name);
    one.column->AddTo(hash);
  }
  for (const auto& lengths : lengths_)
    for (const int32_t length : lengths) hash.Add(static_cast<uint64_t>(length));
  for (const int64_t row : rows_) hash.Add(static_cast<uint64_t>(row));
  return hash.value();
}

int64_t ArgumentExamples::LengthAlong(int64_t example, const std::string& root) const {
  const size_t side = SideOf(root);
  return side < roots_.size() ? Length(example, side) : -1;
}

std::vector<int32_t> ArgumentExamples::IdsOf(int64_t example, const Given& text) const {
  std::vector<int32_t> ids(static_cast<size_t>(LengthAlong(example, text.argument.dims[0].root)));
  text.column->Read(RowOf(*text.column, NumberOf(example)), 0, static_cast<int64_t>(ids.size()), ids.data());
  return ids;
}

std::string ArgumentExamples::LeftOutNotice(const std::string& what) const {
  if (empty_ + too_long_ == 0) return "";
  std::string text =
      "left out " + std::to_string(empty_ + too_long_) + " of " + std::to_string(read_) + " " + what + ": ";
  if (empty_ > 0) text += std::to_string(empty_) + " with an empty text";
  if (empty_ > 0 && too_long_ > 0) text += ", ";
  if (too_long_ > 0) text += std::to_string(too_long_) + " with a text longer than its axis allows";
  return text;
}

HostTensor ArgumentExamples::TensorOf(const Given& given, const Batch& batch) const {
  const DataArgument& argument = given.argument;
  std::vector<int64_t> shape = {static_cast<int64_t>(batch.size())}, widths;
  for (const DataArgument::Dim& dim : argument.dims) {
    int64_t width = dim.ragged ? 1 : dim.size;
    if (dim.ragged)
      for (const int64_t example : batch) width = std::max(width, Length(example, SideOf(dim.root)));
    widths.push_back(width);
  }
  shape.insert(shape.end(), widths.begin(), widths.end());
  const int64_t each = std::accumulate(widths.begin(), widths.end(), int64_t{1}, std::multiplies<>());
  HostTensor tensor(argument.dtype, shape);
  for (size_t b = 0; b < batch.size(); ++b) {
    const int64_t row = RowOf(*given.column, NumberOf(batch[b]));
    auto* const to =
        static_cast<uint8_t*>(tensor.data()) + static_cast<int64_t>(b) * each * DTypeBytes(argument.dtype);
    ForEachRun(LengthsIn(batch[b], argument), given.column->Widths(row), widths,
               [&](int64_t from, int64_t at, int64_t count) {
                 given.column->Read(row, from, count, to + at * DTypeBytes(argument.dtype));
               });
  }
  return tensor;
}

template <typename Wanted>
Result<std::map<std::string, HostTensor>> ArgumentExamples::Collect(const Batch& batch, Wanted wanted) const {
  std::map<std::string, HostTensor> inputs;
  const auto add_numbers = [&](const std::string& name, auto number) {
    if (!wanted(name)) return;
    HostTensor numbers(kHeedInt32, {static_cast<int64_t>(batch.size())});
    for (size_t b = 0; b < batch.size(); ++b) numbers.ints()[b] = static_cast<int32_t>(number(batch[b]));
    inputs.emplace(name, std::move(numbers));
  };
  for (const Given& one : given_)
    if (wanted(one.argument.name)) inputs.emplace(one.argument.name, TensorOf(one, batch));
  for (size_t side = 0; side < roots_.size(); ++side)
    add_numbers(std::string(kLengthPrefix) + roots_[side],
                [&](int64_t example) { return Length(example, side); });
  add_numbers(std::string(kExampleInput), [&](int64_t example) { return NumberOf(example); });
  for (const Given& one : given_)
    if (Status unchanged = one.column->CheckUnchanged(); !unchanged) return unchanged.error();
  return inputs;
}

Result<std::map<std::string, HostTensor>> ArgumentExamples::InputsOf(const HeedFunction& function,
                                                                     const Batch& batch) const {
  return Collect(batch, [&](const std::string& name) { return HasInput(function, name); });
}

Result<std::map<std::string, HostTensor>> ArgumentExamples::AllInputs(const Batch& batch) const {
  return Collect(batch, [](const std::string& name) { return name != kExampleInput; });
}

}  // namespace heed
