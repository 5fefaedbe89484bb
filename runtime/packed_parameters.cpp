// Matrices are packed a group of panels at a time: the part of the parameter that the group reads is brought
// to f32, in pieces by all threads, and its source let go; then all threads pack. So a table whose columns
// lie apart passes through a small piece of memory, and a matrix whose panels cross it through one of its
// size.
#include "runtime/packed_parameters.h"

#include <algorithm>
#include <cstdint>

#include "runtime/memory.h"

namespace heed {
namespace {

constexpr int64_t kGroupFloats = 1 << 20;  // read at a time, if that has whole panels
constexpr int64_t kPieceFloats = 1 << 16;  // of that by one thread at a time
constexpr int64_t kAlignment = 64;

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

/// Runs body(part) for each part on the pool's threads.
void InParallel(ThreadPool& threads, const std::function<void(int64_t part, int64_t parts)>& body) {
  const HeedTask task = [](const void* context, int64_t part, int64_t parts, void*) {
    (*static_cast<const std::function<void(int64_t, int64_t)>*>(context))(part, parts);
  };
  threads.Parallel(task, &body, threads.threads(), 0);
}

/// Elements [first, first + to.size()) of a parameter.
void Read(const ParameterSource& source, int64_t param, int64_t first, std::span<float> to,
          ThreadPool& threads) {
  const auto count = static_cast<int64_t>(to.size());
  const int64_t pieces = (count + kPieceFloats - 1) / kPieceFloats;
  InParallel(threads, [&](int64_t part, int64_t parts) {
    for (int64_t piece = pieces * part / parts; piece < pieces * (part + 1) / parts; ++piece) {
      const int64_t begin = piece * kPieceFloats, size = std::min(kPieceFloats, count - begin);
      source.read(param, first + begin, to.subspan(static_cast<size_t>(begin), static_cast<size_t>(size)));
      if (source.let_go) source.let_go(param, first + begin, size);
    }
  });
}

class Packer {
 public:
  Packer(const HeedPacking& packing, const HeedPackedMatrix& matrix, const HeedPackedWeights& weights,
         void* to)
      : packing_(packing),
        matrix_(matrix),
        columns_(weights.columns),
        width_(packing.panel_columns()),
        panels_((weights.columns + width_ - 1) / width_) {
    pack_.to = to;
    pack_.type = weights.type;
    pack_.ns = matrix.column_axes;
    pack_.ks = matrix.term_axes;
    for (int64_t i = 0; i < pack_.ns + pack_.ks; ++i) {
      pack_.axes[i] = {matrix.extents[i], matrix.strides[i]};
      if (i >= pack_.ns) terms_span_ += (matrix.extents[i] - 1) * matrix.strides[i];
    }
  }

  /// Panels packed at a time: all, if fewer would not read less.
  int64_t Group() const {
    int64_t group = panels_;
    while (group > 1 && Elements(0, group) > kGroupFloats &&
           Elements(0, group / 2) <= Elements(0, group) / 3 * 2)
      group /= 2;
    return group;
  }
  /// The most elements that a group of so many panels reads.
  int64_t MostElements(int64_t group) const {
    int64_t most = 0;
    for (int64_t first = 0; first < panels_; first += group)
      most = std::max(most, Elements(first, std::min(panels_, first + group)));
    return most;
  }
  void Run(const ParameterSource& source, int64_t group, std::span<float> floats, ThreadPool& threads) {
    for (int64_t first = 0; first < panels_; first += group) {
      const int64_t end = std::min(panels_, first + group);
      const Span reads = Reads(first, end);
      const auto part = floats.subspan(0, static_cast<size_t>(reads.high - reads.low + 1));
      Read(source, matrix_.param, matrix_.offset + reads.low, part, threads);
      pack_.from = part.data();
      pack_.first = reads.low;
      Pack(first, end, threads);
    }
  }

 private:
  struct Span {
    int64_t low, high;
  };
  /// The elements after the matrix' offset that panels [first, end) read lie between these.
  Span Reads(int64_t first, int64_t end) const {
    Span span{INT64_MAX, INT64_MIN};
    for (int64_t column = first * width_; column < std::min(end * width_, columns_); ++column) {
      int64_t offset = 0, rest = column;
      for (int64_t i = pack_.ns; i-- > 0; rest /= pack_.axes[i].extent)
        offset += rest % pack_.axes[i].extent * pack_.axes[i].stride;
      span.low = std::min(span.low, offset);
      span.high = std::max(span.high, offset + terms_span_);
    }
    return span;
  }
  int64_t Elements(int64_t first, int64_t end) const {
    const Span reads = Reads(first, end);
    return reads.high - reads.low + 1;
  }
  void Pack(int64_t first, int64_t end, ThreadPool& threads) {
    struct Context {
      const HeedPacking* packing;
      const HeedPack* pack;
      int64_t first, count;
    } context{&packing_, &pack_, first, end - first};
    const HeedTask task = [](const void* data, int64_t part, int64_t parts, void* scratch) {
      const auto& c = *static_cast<const Context*>(data);
      c.packing->pack(c.pack, c.first + c.count * part / parts, c.first + c.count * (part + 1) / parts,
                      scratch);
    };
    threads.Parallel(task, &context, threads.threads(), packing_.scratch(&pack_));
  }

  const HeedPacking& packing_;
  const HeedPackedMatrix& matrix_;
  const int64_t columns_, width_, panels_;
  int64_t terms_span_ = 0;
  HeedPack pack_ = {};
};

constexpr struct {
  const char* name;
  HeedWeightsType type;
} kTypes[] = {{"f32", kHeedWeightsF32},
              {"bf16", kHeedWeightsBF16},
              {"int8", kHeedWeightsInt8},
              {"int4", kHeedWeightsInt4}};

}  // namespace

std::optional<HeedWeightsType> WeightsTypeOf(const std::string& name) {
  for (const auto& each : kTypes) {
    if (name == each.name) return each.type;
  }
  return std::nullopt;
}
const char* NameOf(HeedWeightsType type) {
  for (const auto& each : kTypes) {
    if (type == each.type) return each.name;
  }
  return "plain";
}

HeedWeightsType TypeOf(const HeedPackedMatrix&, HeedWeightsType wanted) { return wanted; }

PackedParameters::PackedParameters(const HeedProgram& program, std::span<const HeedFunction* const> functions,
                                   HeedWeightsType type, const ParameterSource& source, ThreadPool& threads) {
  const int64_t matrices = program.packing != nullptr ? program.packing->matrix_count : 0;
  std::vector<char> needs_plain(static_cast<size_t>(program.param_count), 0);
  std::vector<char> needs_packed(static_cast<size_t>(matrices), 0);
  for (const HeedFunction* function : functions) {
    for (int64_t i = 0; i < function->buffer_count; ++i) {
      const HeedBuffer& buffer = function->buffers[i];
      if (buffer.kind == kHeedBufferParam) needs_plain[static_cast<size_t>(buffer.index)] = 1;
      if (buffer.kind == kHeedBufferPacked) needs_packed[static_cast<size_t>(buffer.index)] = 1;
    }
  }
  plain_.assign(needs_plain.size(), nullptr);
  packed_.assign(needs_packed.size(), HeedPackedWeights{});

  // Where everything lies: one block each, so that nothing is lost to whole pages.
  std::vector<int64_t> plain_at(needs_plain.size()), packed_at(needs_packed.size());
  int64_t plain_bytes = 0, packed_bytes = 0, staging = 0;
  for (size_t i = 0; i < needs_plain.size(); ++i) {
    plain_at[i] = plain_bytes;
    if (needs_plain[i]) plain_bytes += RoundUp(4 * program.params[i].count, kAlignment);
  }
  for (size_t i = 0; i < needs_packed.size(); ++i) {
    const HeedPackedMatrix& matrix = program.packing->matrices[i];
    const MatrixSize size = SizeOf(matrix);
    packed_[i] = {nullptr, TypeOf(matrix, type), size.terms, size.columns};
    packed_at[i] = packed_bytes;
    if (!needs_packed[i]) continue;
    packed_bytes += RoundUp(program.packing->bytes(packed_[i].type, size.terms, size.columns), kAlignment);
    const Packer packer(*program.packing, matrix, packed_[i], nullptr);
    staging = std::max(staging, packer.MostElements(packer.Group()));
  }
  plain_memory_ = AllocateBlock(plain_bytes);
  packed_memory_ = AllocateBlock(packed_bytes);
  bytes_ = plain_bytes + packed_bytes;

  for (size_t i = 0; i < needs_plain.size(); ++i) {
    if (!needs_plain[i]) continue;
    float* const to = reinterpret_cast<float*>(static_cast<char*>(plain_memory_.get()) + plain_at[i]);
    plain_[i] = to;
    Read(source, static_cast<int64_t>(i), 0, {to, static_cast<size_t>(program.params[i].count)}, threads);
  }
  const std::shared_ptr<void> floats = AllocateBlock(4 * staging);
  for (size_t i = 0; i < needs_packed.size(); ++i) {
    if (!needs_packed[i]) continue;
    void* const to = static_cast<char*>(packed_memory_.get()) + packed_at[i];
    Packer packer(*program.packing, program.packing->matrices[i], packed_[i], to);
    packer.Run(source, packer.Group(), {static_cast<float*>(floats.get()), static_cast<size_t>(staging)},
               threads);
    packed_[i].data = to;
  }
}

}  // namespace heed
