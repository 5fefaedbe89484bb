#include "runtime/decode/session.h"

#include <algorithm>
#include <cstring>

#include "runtime/abi_names.h"
#include "runtime/base/names.h"
#include "runtime/engine/memory.h"

namespace heed {
namespace {

/// Capacity is an odd number of cache lines along what lies adjacent, so that rows of a cache do not compete
/// for the same sets of the first-level cache.
constexpr int64_t kLine = 16;  // floats
/// Positions that a text is expected to grow by: where nobody says, and at most, since texts end earlier.
constexpr int64_t kFirstCapacity = 256, kMostFirstCapacity = 4096;

int64_t RoundCapacity(int64_t positions) {
  const int64_t lines = (positions + kLine - 1) / kLine;
  return (lines | 1) * kLine;
}

/// Positions before slot 0 of a ring, when `position` is the newest.
int64_t RingStart(int64_t slots, int64_t step, int64_t position) {
  const int64_t u = std::max<int64_t>(position + step - slots, 0);
  return u - u % step;
}

std::shared_ptr<void> NewMemory(int64_t bytes) {
  std::shared_ptr<void> data = AllocateBlock(std::max<int64_t>(bytes, 1));
  if (Poison()) std::memset(data.get(), 0xff, static_cast<size_t>(bytes));
  return data;
}

Error DoesNotFit(const HeedEntry& entry, const std::string& what) {
  return Error{"entry `" + std::string(entry.name) + "`: " + what +
               "; the program was built by a different version of heed"};
}

}  // namespace

Result<Session> Session::Make(const HeedEntry& entry, Engine& engine, const Parameters& parameters) {
  if (entry.prefill == nullptr || entry.step == nullptr)
    return DoesNotFit(entry, "it has no step of decoding");
  Session session(entry, engine, parameters);
  if (Status ok = session.Prepare(); !ok) return ok.error();
  return session;
}

Status Session::Prepare() {
  const std::string axis = entry_->axis;
  const HeedFunction& step = step_.function();
  batch_extent_ = step_.ExtentNumber("batch");
  axis_extent_ = step_.ExtentNumber(axis);
  capacity_extent_ = step_.ExtentNumber(axis + "^");
  for (const BoundCall* call : {&prefill_, &step_}) {
    const int64_t number = call->OutputNumber(std::string(kLogitsOutput));
    if (number < 0) return DoesNotFit(*entry_, "it gives no logits");
    const HeedTensorInfo& logits = call->function().outputs[number];
    if (logits.rank != 2 || logits.dims[0].extent < 0 || logits.dims[1].extent >= 0)
      return DoesNotFit(*entry_, "it gives no logits [batch, " + std::string(entry_->indexes) + "]");
    vocabulary_ = logits.dims[1].size;
  }
  std::vector<bool> bound(static_cast<size_t>(step.input_count), false);
  for (int64_t i = 0; i < entry_->kept_count; ++i) {
    const HeedKept& kept = entry_->kept[i];
    Kept& memory = kept_.emplace_back();
    memory.name = step.inputs[kept.input].name;
    memory.output = kept.output;
    memory.input = kept.input;
    memory.growing = kept.growing;
    memory.slots = kept.slots;
    memory.ring_step = kept.ring_step;
    bound[static_cast<size_t>(kept.input)] = true;
    grows_ |= kept.growing >= 0 && kept.slots == 0;
  }
  for (int64_t i = 0; i < step.input_count; ++i) {
    const std::string name = step.inputs[i].name;
    if (bound[static_cast<size_t>(i)] || name == entry_->variable ||
        name == std::string(kLengthPrefix) + axis)
      continue;
    if (prefill_.InputNumber(name) < 0) return DoesNotFit(*entry_, "its step takes " + name);
    Kept& memory = kept_.emplace_back();
    memory.name = name;
    memory.input = i;
  }
  for (Kept& memory : kept_) {
    const HeedTensorInfo& info = step.inputs[memory.input];
    memory.by_row = info.rank > 0 && info.dims[0].extent >= 0 && info.dims[0].extent == batch_extent_;
    memory.element = DTypeBytes(info.dtype);
  }
  return Done{};
}

void Session::SetExtents(std::vector<int64_t>& extents, int64_t rows, int64_t longest) const {
  if (batch_extent_ >= 0) extents[static_cast<size_t>(batch_extent_)] = rows;
  if (axis_extent_ >= 0) extents[static_cast<size_t>(axis_extent_)] = longest;
  if (capacity_extent_ >= 0) extents[static_cast<size_t>(capacity_extent_)] = capacity_;
}

Status Session::Start(const std::map<std::string, HostTensor>& inputs, int64_t rows, int64_t longest) {
  const HeedFunction& prefill = prefill_.function();
  const std::string axis = entry_->axis;
  for (Kept& memory : kept_) memory.data.reset();  // the memory of an earlier start goes first

  const auto lengths = inputs.find(std::string(kLengthPrefix) + axis);
  const auto text = inputs.find(entry_->variable);
  int64_t prompt = 1;
  if (text != inputs.end() && text->second.shape().size() == 2) prompt = text->second.shape()[1];
  const int64_t bound = entry_->bound > 0 ? entry_->bound : INT64_MAX;
  const int64_t expected =
      longest > 0 ? std::min(longest, prompt + kMostFirstCapacity) : prompt + kFirstCapacity;
  capacity_ = RoundCapacity(std::max(prompt, std::min(bound, expected)));
  const Result<CheckedInputs> checked =
      CheckInputs(engine_->program(), prefill, inputs, {{axis + "^", capacity_}});
  if (!checked) return checked.error();
  if (Status ok = Measure(*checked, rows); !ok) return ok;
  if (Status ok = prefill_.Reserve(checked->extents); !ok) return ok;
  if (Status ok = Reserve(); !ok) return ok;
  if (Status ok = CheckMemory(); !ok) return ok;
  Bind(*checked);
  for (int64_t row = 0; row < rows_; ++row) {
    origins_[static_cast<size_t>(row)] = row;
    lengths_.ints()[static_cast<size_t>(row)] = lengths == inputs.end()
                                                    ? static_cast<int32_t>(prompt)
                                                    : lengths->second.ints()[static_cast<size_t>(row)];
  }
  prefill_.Run(checked->extents);
  return prefill_checks_.Outcome(rows_);
}

/// Rows and extents of the step, and what a row of each memory is.
Status Session::Measure(const CheckedInputs& checked, int64_t rows) {
  const HeedFunction& step = step_.function();
  const auto extent_of = [&](const char* root) -> int64_t {
    const int64_t number = prefill_.ExtentNumber(root);
    return number < 0 ? -1 : checked.extents[static_cast<size_t>(number)];
  };
  rows_ = std::max<int64_t>(extent_of("batch"), 1);
  most_rows_ = std::max(rows, rows_);
  extents_.assign(static_cast<size_t>(step.extent_count), 1);
  for (int64_t i = 0; i < step.extent_count; ++i) {
    if (i == batch_extent_ || i == axis_extent_ || i == capacity_extent_) continue;
    const int64_t extent = extent_of(step.extents[i]);
    if (extent < 0) return DoesNotFit(*entry_, "its step varies along " + std::string(step.extents[i]));
    extents_[static_cast<size_t>(i)] = extent;
  }
  SetExtents(extents_, rows_, capacity_);
  for (Kept& memory : kept_) {
    const HeedTensorInfo& info = step.inputs[memory.input];
    memory.outer = memory.count = memory.inner = 1;
    for (int64_t d = memory.by_row ? 1 : 0; d < info.rank; ++d) {
      const HeedDim& dim = info.dims[d];
      const int64_t size = dim.extent < 0 ? dim.size : extents_[static_cast<size_t>(dim.extent)];
      (d < memory.growing ? memory.outer : d == memory.growing ? memory.count : memory.inner) *= size;
    }
  }
  return Done{};
}

void Session::Bind(const CheckedInputs& checked) {
  for (Kept& memory : kept_) {
    memory.data = NewMemory(memory.RowBytes() * (memory.by_row ? most_rows_ : 1));
    step_.SetInput(memory.input, memory.data.get());
    if (memory.output >= 0) {
      prefill_.SetOutput(memory.output, memory.data.get());
      continue;
    }
    const HostTensor& given = checked.tensors[static_cast<size_t>(prefill_.InputNumber(memory.name))];
    std::memcpy(memory.data.get(), given.data(), static_cast<size_t>(given.bytes()));
  }
  logits_ = HostTensor::Unset(kHeedFloat32, {most_rows_, vocabulary_});
  ids_ = HostTensor(kHeedInt32, {most_rows_});
  lengths_ = HostTensor(kHeedInt32, {most_rows_});
  origins_.assign(static_cast<size_t>(most_rows_), -1);
  for (size_t i = 0; i < checked.tensors.size(); ++i)
    prefill_.SetInput(static_cast<int64_t>(i), checked.tensors[i].data());
  if (const int64_t number = step_.InputNumber(entry_->variable); number >= 0)
    step_.SetInput(number, ids_.data());
  if (const int64_t number = step_.InputNumber(std::string(kLengthPrefix) + entry_->axis); number >= 0)
    step_.SetInput(number, lengths_.data());
  for (BoundCall* call : {&prefill_, &step_})
    call->SetOutput(call->OutputNumber(std::string(kLogitsOutput)), logits_.data());
  prefill_checks_ = CheckOutputs(prefill_, checked.extents);
  std::vector<int64_t> most = extents_;
  SetExtents(most, most_rows_, capacity_);
  step_checks_ = CheckOutputs(step_, most);
}

Status Session::CheckMemory() const {
  const int64_t available = AvailableBytes();
  double needed = 4.0 * static_cast<double>(most_rows_) * static_cast<double>(vocabulary_) +
                  static_cast<double>(std::max(prefill_.arena_bytes(), step_.arena_bytes()));
  for (const Kept& memory : kept_)
    needed += static_cast<double>(memory.RowBytes()) * (memory.by_row ? static_cast<double>(most_rows_) : 1);
  if (needed <= static_cast<double>(available)) return Done{};
  return Error{std::to_string(most_rows_) + (most_rows_ == 1 ? " text of " : " texts of ") +
               std::to_string(capacity_) + " tokens at once need " +
               BytesText(static_cast<int64_t>(std::min(needed, 9e18))) +
               " beside the weights, but there is " + BytesText(available) +
               "; decode fewer at once (--batch, --beam, --n-best) or shorter ones (--max-length)"};
}

Status Session::Reserve() {
  std::vector<int64_t> most = extents_;
  SetExtents(most, most_rows_, capacity_);
  return step_.Reserve(most);
}

std::span<float> Session::logits(int64_t row) {
  const auto width = static_cast<size_t>(vocabulary_);
  return logits_.floats().subspan(static_cast<size_t>(row) * width, width);
}

Status Session::Add(std::span<const int32_t> ids) {
  int64_t longest = 0;
  for (int64_t row = 0; row < rows_; ++row) {
    int32_t& length = lengths_.ints()[static_cast<size_t>(row)];
    ids_.ints()[static_cast<size_t>(row)] = ids[static_cast<size_t>(row)];
    longest = std::max<int64_t>(longest, ++length);
    MoveRingsOn(row);
  }
  if (grows_ && longest > capacity_) Grow(longest);
  SetExtents(extents_, rows_, longest);
  step_.Run(extents_);
  return step_checks_.Outcome(rows_);
}

/// More capacity for every cache that grows with the text, one after the other, so that only one exists
/// twice.
void Session::Grow(int64_t positions) {
  const int64_t bound = entry_->bound > 0 ? entry_->bound : INT64_MAX;
  const int64_t old_capacity = capacity_;
  capacity_ = RoundCapacity(std::max(positions, std::min(bound, capacity_ + capacity_ / 2)));
  int64_t more = 0, largest = 0;
  for (const Kept& memory : kept_) {
    if (memory.growing < 0 || memory.slots > 0) continue;
    const int64_t bytes = memory.RowBytes() / memory.count * most_rows_;  // a position of all rows
    more += bytes * (capacity_ - old_capacity);
    largest = std::max(largest, bytes * old_capacity);
  }
  if (more + largest > AvailableBytes()) OutOfMemory();
  for (Kept& memory : kept_) {
    if (memory.growing < 0 || memory.slots > 0) continue;
    Kept larger = memory;
    larger.count = capacity_;
    larger.data = NewMemory(larger.RowBytes() * most_rows_);
    const auto filled = static_cast<size_t>((positions - 1) * memory.inner * memory.element);
    for (int64_t row = 0; row < rows_; ++row) {
      for (int64_t o = 0; o < memory.outer; ++o) {
        std::memcpy(larger.Row(row) + o * larger.count * memory.inner * memory.element,
                    memory.Row(row) + o * memory.count * memory.inner * memory.element, filled);
      }
    }
    memory = std::move(larger);
    step_.SetInput(memory.input, memory.data.get());
    ReleaseIdleBlocks();  // no other cache has use for the smaller one
  }
  // The extents only grew: what a machine can address was settled by the memory itself.
  if (!Reserve()) OutOfMemory();
}

/// Moves the rows of rings so that there is a slot for the newest position.
void Session::MoveRingsOn(int64_t row) {
  const int64_t newest = lengths_.ints()[static_cast<size_t>(row)] - 1;
  for (const Kept& memory : kept_) {
    if (memory.slots == 0) continue;
    const int64_t on = RingStart(memory.slots, memory.ring_step, newest) -
                       RingStart(memory.slots, memory.ring_step, newest - 1);
    if (on == 0) continue;
    const int64_t bytes = memory.inner * memory.element;
    for (int64_t o = 0; o < memory.outer; ++o) {
      char* const begin = memory.Row(row) + o * memory.count * bytes;
      std::memmove(begin, begin + on * bytes, static_cast<size_t>((memory.count - on) * bytes));
    }
  }
}

void Session::Copy(int64_t from, int64_t to) {
  if (from == to) return;
  const int32_t length = lengths_.ints()[static_cast<size_t>(from)];
  lengths_.ints()[static_cast<size_t>(to)] = length;
  const bool same_prompt = origins_[static_cast<size_t>(to)] == origins_[static_cast<size_t>(from)];
  origins_[static_cast<size_t>(to)] = origins_[static_cast<size_t>(from)];
  for (const Kept& memory : kept_) {
    if (!memory.by_row || (memory.growing < 0 && same_prompt)) continue;
    const int64_t bytes = memory.inner * memory.element;
    // Of a cache only what is filled.
    const int64_t filled =
        memory.growing < 0 || memory.slots > 0 ? memory.count : std::min<int64_t>(memory.count, length);
    for (int64_t o = 0; o < memory.outer; ++o) {
      std::memcpy(memory.Row(to) + o * memory.count * bytes, memory.Row(from) + o * memory.count * bytes,
                  static_cast<size_t>(filled * bytes));
    }
  }
}

int64_t Session::bytes() const {
  int64_t bytes = 0;
  for (const Kept& memory : kept_)
    if (memory.data) bytes += memory.RowBytes() * (memory.by_row ? most_rows_ : 1);
  return bytes;
}

}  // namespace heed
