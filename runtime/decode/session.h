// The state of decoding: texts that grow by one element a step, and what the compiled step keeps of them.
//
// Rows are texts, whoever they belong to; what a row holds does not depend on its place or on its neighbours.
// A row takes as much memory as the capacity of its caches: as many positions as it is said to reach, or more
// by and by. Knows nothing of how the next element is chosen.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine/bound_call.h"
#include "runtime/engine/checks.h"

namespace heed {

class Session {
 public:
  /// `entry` is a `generate` entry. An error if its functions do not fit each other.
  static Result<Session> Make(const HeedEntry& entry, Engine& engine, const Parameters& parameters);

  /// Reads prompts: inputs of the prefill by name, checked here. There will be at most `rows` rows (at least
  /// one a prompt), and no text of more than `longest` elements, if that is known (0: it is not).
  Status Start(const std::map<std::string, HostTensor>& inputs, int64_t rows, int64_t longest);
  int64_t rows() const { return rows_; }
  /// Of the element that follows the row's text. Not const: a caller may adjust what it chooses from.
  std::span<float> logits(int64_t row);
  /// Adds an element to every row; ids lie in the vocabulary, and no text is at its bound.
  Status Add(std::span<const int32_t> ids);
  /// Row `to` goes on from where row `from` is. Its logits are not copied.
  void Copy(int64_t from, int64_t to);
  /// Rows from `rows` on leave, or new ones come, which must be copied to.
  void Resize(int64_t rows) { rows_ = rows; }
  /// Bytes of what is kept.
  int64_t bytes() const;

 private:
  /// Memory by rows (or shared by all of them) that the step reads.
  struct Kept {
    std::string name;
    int64_t output = -1, input = -1;  ///< of prefill (-1: an input of it that the step reads again), of step
    int64_t growing = -1, slots = 0, ring_step = 0;
    bool by_row = true;
    int64_t element = 4;                      ///< bytes
    int64_t outer = 1, count = 1, inner = 1;  ///< elements of a row: before, along and after `growing`
    std::shared_ptr<void> data;
    int64_t RowBytes() const { return outer * count * inner * element; }
    char* Row(int64_t row) const { return static_cast<char*>(data.get()) + (by_row ? row * RowBytes() : 0); }
  };

  Session(const HeedEntry& entry, Engine& engine, const Parameters& parameters)
      : entry_(&entry),
        engine_(&engine),
        prefill_(engine, *entry.prefill, parameters),
        step_(engine, *entry.step, parameters) {}
  Status Prepare();
  Status Measure(const CheckedInputs& checked, int64_t rows);
  void Bind(const CheckedInputs& checked);
  /// Extents of the step: rows, the longest text, capacity of caches.
  void SetExtents(std::vector<int64_t>& extents, int64_t rows, int64_t longest) const;
  Status Reserve();
  /// An error if the machine does not have what is about to be used.
  Status CheckMemory() const;
  void Grow(int64_t positions);
  void MoveRingsOn(int64_t row);

  const HeedEntry* entry_;
  Engine* engine_;
  BoundCall prefill_, step_;
  CheckOutputs prefill_checks_, step_checks_;
  std::vector<Kept> kept_;
  int64_t vocabulary_ = 0;
  int64_t rows_ = 0, most_rows_ = 0, capacity_ = 0;
  std::vector<int64_t> extents_;  ///< of the step; those of other axes stay
  int64_t batch_extent_ = -1, axis_extent_ = -1, capacity_extent_ = -1;
  bool grows_ = false;  ///< some cache grows with the text
  HostTensor logits_, ids_, lengths_;
  std::vector<int64_t> origins_;  ///< of each row: the prompt it goes on from
};

}  // namespace heed
