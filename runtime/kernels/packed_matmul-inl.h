// Product of rows with packed weights (heed_kernels.h says what exactly; packed_weights-inl.h where they
// lie).
//
// Blocks of rows are packed first: as they are for weights of floats, rounded to whole numbers for weights of
// whole numbers. Then panels of weights are read in order, each by all tiles of the block's rows. Few rows
// take all terms at once, so that every panel is read from its beginning to its end: one row runs at the
// speed of memory. An output's sums have one order whatever the number of rows; a row is rounded by itself.
//
// Left alone: products with a mask or with weights that differ along a loop; threads.
#if defined(HEED_RUNTIME_KERNELS_PACKED_MATMUL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_PACKED_MATMUL_INL_H_
#undef HEED_RUNTIME_KERNELS_PACKED_MATMUL_INL_H_
#else
#define HEED_RUNTIME_KERNELS_PACKED_MATMUL_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/finish-inl.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/pack-inl.h"
#include "runtime/kernels/packed_weights-inl.h"
#include "runtime/kernels/simd-inl.h"
#include "runtime/kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// A product with its descriptor read.
struct PackedMatmulState {
  const HeedMatmul* matmul;
  const uint8_t* weights;
  int64_t rows, columns, terms;
  Line a_m, a_k;
  FinishedSums result;
  int64_t panel_bytes;
  int64_t tile_rows, block_rows;  // of a: in the tallest tile, packed at a time
  uint8_t* packed;
};

constexpr int64_t kPackedBytes = 512 << 10;  // of rows, at a time: a part of L2
constexpr int64_t kStreamAhead = 2048;       // bytes that one tile fetches its panel ahead

/// Rows of floats: as the matrix product does it, in blocks of kBlockDepth terms.
template <class Columns>
struct FloatRows {
  static constexpr int64_t kBlock = kBlockDepth;  // terms whose sums are added to the result at a time
  static constexpr int64_t kTallest = kTileRows;
  static constexpr int64_t kStep = 1;  // terms that a tile takes at a time
  static constexpr int64_t kRowOfTerm = std::is_same_v<Columns, float> ? kPanel : kLanes;
  static_assert(std::is_same_v<Columns, float> || std::is_same_v<Columns, uint32_t>);
  static HWY_INLINE int64_t Bytes(int64_t rows, int64_t terms) { return 4 * rows * terms; }
  static HWY_INLINE int64_t PanelOffset(int64_t k) { return 4 * kRowOfTerm * k; }
  static HWY_INLINE void Pack(const PackedMatmulState& state, int64_t m, int64_t rows, int64_t height,
                              int64_t k, int64_t depth, uint8_t* to) {
    PackRows(state.matmul->a, state.a_m, state.a_k, m, rows, state.rows, k, depth, height,
             reinterpret_cast<float*>(to));
  }
  template <int kRows>
  static HWY_INLINE void Tile(int64_t depth, const uint8_t* a, const uint8_t* panel, float* sums,
                              Ahead ahead) {
    MatmulTile<kRows, kPanelVectors>(depth, reinterpret_cast<const float*>(a),
                                     reinterpret_cast<const Columns*>(panel), kRowOfTerm, sums, ahead);
  }
};

/// As many sums as the registers hold beside what a step needs.
constexpr int64_t WholeTileRows(int64_t step) {
  return kTileRows < 12 ? kSmallTileRows : kHasVnni && step == 4 ? kTileRows : 12;
}

/// Rows of whole numbers: for each group of terms a scale and the start of its sums for each row, then
/// [step][word of the step][row] words of four terms.
template <class Form>
struct WholeRows {
  static constexpr int64_t kBlock = INT64_MAX;
  static constexpr int64_t kTallest = WholeTileRows(Form::kStep);
  static constexpr int64_t kStep = Form::kStep;
  static constexpr int kWords = kStep / 4;
  static HWY_INLINE int64_t Bytes(int64_t rows, int64_t terms) {
    const int64_t groups = (terms + Form::kGroup - 1) / Form::kGroup;
    return 4 * rows * (2 * groups + kWords * Steps<Form>(terms));
  }
  static HWY_INLINE int64_t PanelOffset(int64_t k) { return 4 * PanelWords<Form>(k); }

  static HWY_NOINLINE void Pack(const PackedMatmulState& state, int64_t m, int64_t rows, int64_t height,
                                int64_t k, int64_t depth, uint8_t* to) {
    uint32_t* out = reinterpret_cast<uint32_t*>(to);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t group = k; group < k + depth; group += Form::kGroup) {
      const int64_t terms = Min(Form::kGroup, k + depth - group);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t i = 0; i < height; ++i) {
        if (i < rows) {
          PackGroup(state, m + i, group, terms, height, out + i);
        } else {
          PadGroup(terms, height, out + i);
        }
      }
      out += height * (2 + kWords * Steps<Form>(terms));
    }
  }

  template <int kRows>
  static HWY_NOINLINE void Tile(int64_t terms, const uint8_t* HWY_RESTRICT rows,
                                const uint8_t* HWY_RESTRICT panel, float* HWY_RESTRICT sums, Ahead ahead) {
    const FloatTag d;
    const IntTag di;
    const int32_t* a = reinterpret_cast<const int32_t*>(rows);
    const int32_t* b = reinterpret_cast<const int32_t*>(panel);
    // Few sums stay in registers, more of them in memory between groups.
    constexpr bool kFew = kRows <= 4;
    Floats few[kFew ? kRows : 1][kPanelVectors];
    Unroll<kRows>([&](auto i) HWY_ATTR {
      Unroll<kPanelVectors>([&](auto j) HWY_ATTR {
        if constexpr (kFew) {
          few[i][j] = hn::Zero(d);
        } else {
          hn::Store(hn::Zero(d), d, sums + i * kPanel + j * kLanes);
        }
      });
    });
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t k = 0; k < terms; k += Form::kGroup) {
      const int64_t steps = Steps<Form>(Min(Form::kGroup, terms - k));
      const float* const row_scales = reinterpret_cast<const float*>(a);
      const int32_t* const starts = a + kRows;
      Floats scale[kPanelVectors];
      LoadColumns(reinterpret_cast<const uint32_t*>(b), scale);
      a += 2 * kRows;
      b += kLanes;
      Ints sum[kRows][kPanelVectors];
      Unroll<kRows>([&](auto i) HWY_ATTR {
        const Ints start = Form::Dots::Start(hn::Set(di, starts[i]));
        Unroll<kPanelVectors>([&](auto j) HWY_ATTR { sum[i][j] = start; });
      });
      int64_t step = 0;
#pragma clang loop unroll(disable) vectorize(disable)
      do {
        ahead.Fetch<4 * kPanel>();
        Ints weights[kPanelVectors];
        Unroll<kPanelVectors>([&](auto j) HWY_ATTR { weights[j] = hn::LoadU(di, b + j * kLanes); });
        Unroll<kWords>([&](auto w) HWY_ATTR {
          Ints part[kPanelVectors];
          Unroll<kPanelVectors>([&](auto j) HWY_ATTR {
            if constexpr (kWords == 1) {
              part[j] = weights[j];
            } else {
              part[j] = hn::And(hn::ShiftRight<4 * w>(weights[j]), hn::Set(di, 0x0f0f0f0f));
            }
          });
          Unroll<kRows>([&](auto i) HWY_ATTR {
            const Ints row = hn::Set(di, a[w * kRows + i]);
            Unroll<kPanelVectors>([&](auto j)
                                      HWY_ATTR { sum[i][j] = Form::Dots::Add(sum[i][j], part[j], row); });
          });
        });
        a += kWords * kRows;
        b += kPanel;
      } while (++step < steps);
      Unroll<kRows>([&](auto i) HWY_ATTR {
        const Ints start = hn::Set(di, starts[i]);
        const Floats row_scale = hn::Set(d, row_scales[i]);
        Unroll<kPanelVectors>([&](auto j) HWY_ATTR {
          const Floats value = hn::ConvertTo(d, Form::Dots::Complete(sum[i][j], start));
          const Floats both = hn::Mul(row_scale, scale[j]);
          if constexpr (kFew) {
            few[i][j] = hn::MulAdd(value, both, few[i][j]);
          } else {
            float* const to = sums + i * kPanel + j * kLanes;
            hn::Store(hn::MulAdd(value, both, hn::Load(d, to)), d, to);
          }
        });
      });
      // Else the compiler keeps copies of all sums beside the registers that the next group needs.
      if constexpr (!kFew) asm volatile("" : : : "memory");
    }
    if constexpr (kFew) {
      Unroll<kRows>([&](auto i) HWY_ATTR {
        Unroll<kPanelVectors>([&](auto j)
                                  HWY_ATTR { hn::Store(few[i][j], d, sums + i * kPanel + j * kLanes); });
      });
    }
  }

 private:
  /// `terms` <= kGroup terms of one row, rounded; word `w` of the group goes to to[(2 + w) * stride].
  static HWY_INLINE void PackGroup(const PackedMatmulState& state, int64_t m, int64_t k, int64_t terms,
                                   int64_t stride, uint32_t* HWY_RESTRICT to) {
    const FloatTag d;
    const IntTag di;
    constexpr int64_t kVectors = (Form::kGroup + kLanes - 1) / kLanes;
    const float* from = state.matmul->a + state.a_m.At(m);
    HWY_ALIGN float lying_apart[kVectors * kLanes];
    if (state.a_k.Adjacent(k, terms)) {
      from += state.a_k.At(k);
    } else {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t i = 0; i < terms; ++i) lying_apart[i] = from[state.a_k.At(k + i)];
      from = lying_apart;
    }
    HWY_ALIGN float values[kVectors * kLanes];
    Ints largest = hn::Zero(di);  // magnitudes compare as whole numbers do, NaN above all
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < kVectors * kLanes; i += kLanes) {
      const int64_t count = terms - i;
      const Floats value = count >= kLanes ? hn::LoadU(d, from + i)
                           : count > 0     ? LoadFirst(from + i, count)
                                           : hn::Zero(d);
      hn::Store(value, d, values + i);
      largest = hn::Max(largest, hn::BitCast(di, hn::Abs(value)));
    }
    const float magnitude = hn::GetLane(hn::BitCast(d, hn::MaxOfLanes(di, largest)));
    // At most the largest float: nothing times it is NaN.
    const float most = 3.4028234664e38f;
    float inverse = 127 / magnitude;
    if (inverse > most) inverse = most;
    const Floats factor = hn::Set(d, inverse);
    HWY_ALIGN int8_t numbers[kVectors * kLanes];
    Ints total = hn::Zero(di);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < kVectors * kLanes; i += kLanes) {
      const Ints number = hn::NearestInt(hn::Mul(hn::Load(d, values + i), factor));
      total = hn::Add(total, number);
      const hn::Rebind<int8_t, IntTag> bytes;
      hn::StoreU(hn::DemoteTo(bytes, number), bytes, numbers + i);
    }
    const float scale = magnitude / 127;
    __builtin_memcpy(to, &scale, 4);
    const int32_t start = -Form::Dots::kOffset * hn::GetLane(hn::SumOfLanes(di, total));
    __builtin_memcpy(to + stride, &start, 4);
    const int64_t words = kWords * Steps<Form>(terms);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t w = 0; w < words; ++w) __builtin_memcpy(to + (2 + w) * stride, numbers + 4 * w, 4);
  }

  static HWY_INLINE void PadGroup(int64_t terms, int64_t stride, uint32_t* HWY_RESTRICT to) {
    const int64_t words = 2 + kWords * Steps<Form>(terms);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t w = 0; w < words; ++w) to[w * stride] = 0;
  }
};

/// The share [m_first, m_end) x [n_first, n_end) of the product. Whole panels, but for the last one.
template <class Rows>
HWY_NOINLINE void PackedMatmulBlock(const PackedMatmulState& state, int64_t m_first, int64_t m_end,
                                    int64_t n_first, int64_t n_end) {
  HWY_ALIGN float sums[kTileRows * kPanel];
  const bool single = m_end - m_first == 1;
  const auto height_of = [&](int64_t left) HWY_ATTR { return TileHeight(left, single, Rows::kTallest); };
  const bool several_tiles = m_end - m_first > height_of(m_end - m_first);
  // Terms for which rows are packed: all, or those of a block.
  const int64_t packed_terms = several_tiles ? Min(state.terms, Rows::kBlock) : state.terms;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t m_block = m_first; m_block < m_end; m_block += state.block_rows) {
    const int64_t m_block_end = Min(m_end, m_block + state.block_rows);
    int64_t k_first = 0;
    do {  // once also without terms: sums are 0 then
      const int64_t k_end = Min(state.terms, k_first + packed_terms);
      // Rows: a tile after the other for each block of terms.
      uint8_t* to = state.packed;
      int64_t k = k_first;
      do {
        const int64_t depth = Min(Rows::kBlock, k_end - k);
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t m = m_block; m < m_block_end;) {
          const int64_t height = height_of(m_block_end - m);
          Rows::Pack(state, m, Min(height, m_block_end - m), height, k, depth, to);
          to += Rows::Bytes(height, depth);
          m += height;
        }
        k += depth;
      } while (k < k_end);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t n = n_first; n < n_end; n += kPanel) {
        const uint8_t* const panel = state.weights + n / kPanel * state.panel_bytes;
        const int64_t columns = Min(kPanel, n_end - n);
        const uint8_t* a = state.packed;
        k = k_first;
        do {
          const int64_t depth = Min(Rows::kBlock, k_end - k);
          const uint8_t* const b = panel + Rows::PanelOffset(k);
          // One tile reads its panel from memory. Of several the first would: so all of them fetch the next
          // panel, in shares.
          const int64_t bytes = Rows::PanelOffset(depth);
          const int64_t step = bytes * Rows::kStep / Max(depth, 1);
          const int64_t block_rows = m_block_end - m_block;
#pragma clang loop unroll(disable) vectorize(disable)
          for (int64_t m = m_block; m < m_block_end;) {
            const int64_t height = height_of(m_block_end - m);
            const int64_t rows = Min(height, m_block_end - m);
            Ahead ahead = {b + kStreamAhead, step};
            if (several_tiles) {
              PrefetchResult(state.result, m, rows, n);
              ahead.at = b + state.panel_bytes + bytes * (m - m_block) / block_rows;
              ahead.step = (step * height + block_rows - 1) / block_rows;
            }
            if (height == Rows::kTallest) {
              Rows::template Tile<Rows::kTallest>(depth, a, b, sums, ahead);
            } else if (single) {
              Rows::template Tile<1>(depth, a, b, sums, ahead);
            } else if constexpr (Rows::kTallest > kSmallTileRows) {
              if (height == kSmallTileRows) {
                Rows::template Tile<kSmallTileRows>(depth, a, b, sums, ahead);
              } else if constexpr (kMiddleTileRows > kSmallTileRows) {
                Rows::template Tile<kMiddleTileRows>(depth, a, b, sums, ahead);
              }
            }
            state.matmul->finish(&state.result, sums, kPanel, m, rows, n, columns, k == 0,
                                 k + depth == state.terms);
            a += Rows::Bytes(height, depth);
            m += height;
          }
          k += depth;
        } while (k < k_end);
      }
      k_first = k_end;
    } while (k_first < state.terms);
  }
}

/// The same for weights of a type that is not plain.
HWY_INLINE void PackedMatmulOfType(const PackedMatmulState& state, int64_t type, int64_t m_first,
                                   int64_t m_end, int64_t n_first, int64_t n_end) {
  switch (type) {
    case kHeedWeightsF32:
      PackedMatmulBlock<FloatRows<float>>(state, m_first, m_end, n_first, n_end);
      break;
    case kHeedWeightsBF16:
      PackedMatmulBlock<FloatRows<uint32_t>>(state, m_first, m_end, n_first, n_end);
      break;
    case kHeedWeightsInt8:
      PackedMatmulBlock<WholeRows<Int8Form>>(state, m_first, m_end, n_first, n_end);
      break;
    default:
      PackedMatmulBlock<WholeRows<Int4Form>>(state, m_first, m_end, n_first, n_end);
      break;
  }
}

/// Bytes of `rows` packed rows, all terms.
HWY_INLINE int64_t PackedRowsBytes(int64_t type, int64_t rows, int64_t terms) {
  switch (type) {
    case kHeedWeightsInt8:
      return WholeRows<Int8Form>::Bytes(rows, terms);
    case kHeedWeightsInt4:
      return WholeRows<Int4Form>::Bytes(rows, terms);
    default:
      return FloatRows<float>::Bytes(rows, terms);
  }
}

/// The product as one with parameters where they lie, if the weights are plain.
HWY_INLINE HeedMatmul PlainMatmul(const HeedPackedMatmul& packed) {
  HeedMatmul matmul = packed.matmul;
  matmul.b = static_cast<const float*>(packed.weights->data);
  return matmul;
}

/// Reads the descriptor. With null scratch only sizes are found out; `bytes` gets what scratch must have.
HWY_INLINE PackedMatmulState ReadPackedMatmul(const HeedPackedMatmul& packed, void* scratch, int64_t& bytes) {
  using Axis = HeedMatmulAxis;
  const HeedMatmul& matmul = packed.matmul;
  PackedMatmulState state;
  state.matmul = &matmul;
  state.weights = static_cast<const uint8_t*>(packed.weights->data);
  const Axis* const m = matmul.axes;
  const Axis* const n = m + matmul.ms;
  const Axis* const k = n + matmul.ns;
  state.rows = NestSize(m, matmul.ms);
  state.columns = NestSize(n, matmul.ns);
  state.terms = NestSize(k, matmul.ks);
  LineReader<Axis> line{static_cast<int64_t*>(scratch)};
  state.a_m = line(m, matmul.ms, &Axis::a);
  const Line c_m = line(m, matmul.ms, &Axis::c);
  const Line c_n = line(n, matmul.ns, &Axis::c);
  state.a_k = line(k, matmul.ks, &Axis::a);
  state.result = MakeFinishedSums(matmul.c, c_m, c_n, matmul.context);
  const int64_t type = packed.weights->type;
  state.panel_bytes = PanelBytes(type, state.terms);
  // Blocks of terms of floats, all terms of whole numbers.
  const bool floats = type == kHeedWeightsF32 || type == kHeedWeightsBF16;
  const int64_t depth = floats ? Min(state.terms, kBlockDepth) : state.terms;
  state.tile_rows = type == kHeedWeightsInt8   ? WholeRows<Int8Form>::kTallest
                    : type == kHeedWeightsInt4 ? WholeRows<Int4Form>::kTallest
                                               : kTileRows;
  const int64_t tile = Max(PackedRowsBytes(type, state.tile_rows, depth), 1);
  state.block_rows = Max(kPackedBytes / tile, 1) * state.tile_rows;
  // The last tile may be padded; one tile has all its terms. Packing floats writes a vector behind the end.
  const int64_t one = PackedRowsBytes(type, kTileRows, state.terms);
  const int64_t block = PackedRowsBytes(type, Min(state.block_rows, state.rows) + kTileRows, depth);
  if (scratch) {
    const uintptr_t end = reinterpret_cast<uintptr_t>(line.tables);
    state.packed = reinterpret_cast<uint8_t*>(end + (64 - end % 64) % 64);
  }
  bytes = RoundUp(line.entries * 8, 64) + Max(one, block) + kLanes * 4 + 64;
  return state;
}

HWY_INLINE int64_t PackedMatmulScratch(const HeedPackedMatmul& matmul) {
  int64_t bytes = 0;
  ReadPackedMatmul(matmul, nullptr, bytes);
  return RoundUp(bytes, 64);
}

/// Weights that are not plain.
HWY_INLINE void PackedMatmul(const HeedPackedMatmul& matmul, int64_t part, int64_t parts, void* scratch) {
  int64_t bytes = 0;
  const PackedMatmulState state = ReadPackedMatmul(matmul, scratch, bytes);
  int64_t m_first = 0, m_end = state.rows, n_first = 0, n_end = state.columns;
  // Many rows are shared out by rows, so that each is packed once; few by columns.
  const int64_t tiles = (state.rows + state.tile_rows - 1) / state.tile_rows;
  if (tiles >= 4 * parts) {
    m_first = Min(tiles * part / parts * state.tile_rows, state.rows);
    m_end = Min(tiles * (part + 1) / parts * state.tile_rows, state.rows);
  } else {
    const int64_t panels = PackedPanels(state.columns);
    n_first = Min(panels * part / parts * kPanel, state.columns);
    n_end = Min(panels * (part + 1) / parts * kPanel, state.columns);
  }
  if (m_first >= m_end || n_first >= n_end) return;
  PackedMatmulOfType(state, matmul.weights->type, m_first, m_end, n_first, n_end);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
