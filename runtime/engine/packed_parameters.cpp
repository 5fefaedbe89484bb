// Matrices are packed a group of panels at a time: the part of the parameter that the group reads is brought
// to f32, in pieces by all threads, and its source let go; then all threads pack. So a table whose columns
// lie apart passes through a small piece of memory, and a matrix whose panels cross it through one of its
// size.
#include "runtime/engine/packed_parameters.h"

#include <algorithm>
#include <cstdint>

#include "runtime/engine/memory.h"

namespace heed {
namespace {

constexpr int64_t kPartFloats = 1 << 19;   // read at a time, where so few can be packed
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
        terms_(weights.terms),
        width_(packing.panel_columns()),
        panels_((weights.columns + width_ - 1) / width_) {
    pack_.to = to;
    pack_.type = weights.type;
    pack_.ns = matrix.column_axes;
    pack_.ks = matrix.term_axes;
    for (int64_t i = 0; i < pack_.ns + pack_.ks; ++i) {
      pack_.axes[i] = {matrix.extents[i], matrix.strides[i]};
    }
  }

  /// The most elements that are read at a time.
  int64_t MostElements() {
    int64_t most = 0;
    ForEachPart([&](int64_t, int64_t, Span reads) { most = std::max(most, reads.Elements()); });
    return most;
  }
  void Run(const ParameterSource& source, float* floats, ThreadPool& threads) {
    std::vector<uint16_t> scales;
    if (source.scales) scales = source.scales(matrix_.param, static_cast<HeedWeightsType>(pack_.type));
    pack_.scales = scales.empty() ? nullptr : scales.data();
    ForEachPart([&](int64_t first, int64_t end, Span reads) {
      const std::span<float> part(floats, static_cast<size_t>(reads.Elements()));
      Read(source, matrix_.param, matrix_.offset + reads.low, part, threads);
      pack_.from = part.data();
      pack_.first = reads.low;
      Pack(first, end, threads);
    });
  }

 private:
  struct Span {
    int64_t low, high;
    int64_t Elements() const { return high - low + 1; }
  };
  /// Elements of a nest, from `first` to before `end`, lie between these offsets.
  static Span SpanOf(const HeedPackAxis* axes, int64_t count, int64_t first, int64_t end) {
    Span span{INT64_MAX, INT64_MIN};
    for (int64_t element = first; element < end; ++element) {
      int64_t offset = 0, rest = element;
      for (int64_t i = count; i-- > 0; rest /= axes[i].extent)
        offset += rest % axes[i].extent * axes[i].stride;
      span.low = std::min(span.low, offset);
      span.high = std::max(span.high, offset);
    }
    return span;
  }
  /// The elements after the matrix' offset that packing panels [first, end) of terms [first_term, end_term)
  /// reads lie in this.
  Span Reads(int64_t first, int64_t end, int64_t first_term, int64_t end_term) const {
    const Span columns = SpanOf(pack_.axes, pack_.ns, first * width_, std::min(end * width_, columns_));
    const Span terms = SpanOf(pack_.axes + pack_.ns, pack_.ks, first_term, end_term);
    return {columns.low + terms.low, columns.high + terms.high};
  }

  /// Panels and terms (in pack_) in parts that read few elements: whichever of them lies apart is split.
  template <class Body>
  void ForEachPart(const Body& body) {
    int64_t panels = panels_, terms = terms_;
    const auto elements = [&](int64_t p, int64_t t) { return Reads(0, p, 0, t).Elements(); };
    while (elements(panels, terms) > kPartFloats) {
      const int64_t now = elements(panels, terms) / 4 * 3;
      if (const int64_t fewer = (panels + 1) / 2; fewer < panels && elements(fewer, terms) <= now) {
        panels = fewer;
      } else if (const int64_t less = RoundUp((terms + 1) / 2, kHeedInt8Group);
                 less < terms && elements(panels, less) <= now) {
        terms = less;
      } else {
        break;
      }
    }
    for (int64_t first = 0; first < panels_; first += panels) {
      const int64_t end = std::min(panels_, first + panels);
      for (pack_.first_term = 0; pack_.first_term < terms_; pack_.first_term += terms) {
        pack_.end_term = std::min(terms_, pack_.first_term + terms);
        body(first, end, Reads(first, end, pack_.first_term, pack_.end_term));
      }
    }
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
  const int64_t columns_, terms_, width_, panels_;
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

PackedParameters::PackedParameters(const HeedProgram& program, std::span<const HeedFunction* const> functions,
                                   HeedWeightsType type, const ParameterSource& source, ThreadPool& threads)
    : type_(type) {
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
    packed_[i] = {nullptr, type, size.terms, size.columns};
    packed_at[i] = packed_bytes;
    if (!needs_packed[i]) continue;
    packed_bytes += RoundUp(program.packing->bytes(packed_[i].type, size.terms, size.columns), kAlignment);
    staging = std::max(staging, Packer(*program.packing, matrix, packed_[i], nullptr).MostElements());
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
  const auto floats = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(staging));
  for (size_t i = 0; i < needs_packed.size(); ++i) {
    if (!needs_packed[i]) continue;
    void* const to = static_cast<char*>(packed_memory_.get()) + packed_at[i];
    Packer(*program.packing, program.packing->matrices[i], packed_[i], to).Run(source, floats.get(), threads);
    packed_[i].data = to;
  }
}

}  // namespace heed
