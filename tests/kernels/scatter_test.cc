// Scatter with addition on every Highway target this machine runs: bit for bit against a plain loop that adds
// in row-major order, for rows of several layouts, masks, indices outside the table and any number of parts.
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/kernels/native.h"

namespace heed {
namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kUntouched = -12345.678f;

struct Problem {
  HeedScatter scatter = {};
  std::vector<float> out, dy;
  std::vector<int32_t> index;
  std::vector<uint8_t> mask;
};

/// out[kept..., size] from dy[summed..., kept...]; `size_innermost`: the table's axis is contiguous in out;
/// `index_kept`: indices differ along the first kept axis too.
Problem Build(const std::vector<int64_t>& kept, const std::vector<int64_t>& summed, int64_t size,
              bool size_innermost, bool index_kept, bool mask, uint32_t seed) {
  Problem p;
  HeedScatter& scatter = p.scatter;
  scatter.size = size;
  scatter.kept = static_cast<int64_t>(kept.size());
  scatter.summed = static_cast<int64_t>(summed.size());
  int64_t out = size_innermost ? size : 1, dy = 1, index = 1;
  scatter.out_stride = 1;
  for (int64_t i = scatter.kept; i-- > 0;) {
    scatter.axes[i].extent = kept[i];
    scatter.axes[i].out = out;
    scatter.axes[i].dy = dy;
    out *= kept[i];
    dy *= kept[i];
  }
  if (!size_innermost) {
    scatter.out_stride = out;
    out *= size;
  }
  for (int64_t i = scatter.summed; i-- > 0;) {
    HeedScatterAxis& axis = scatter.axes[scatter.kept + i];
    axis.extent = summed[i];
    axis.dy = dy;
    axis.index = axis.mask = index;
    dy *= summed[i];
    index *= summed[i];
  }
  if (index_kept && !kept.empty()) {
    scatter.axes[0].index = scatter.axes[0].mask = index;
    index *= kept[0];
  }
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  p.out.resize(out);
  p.dy.resize(dy);
  for (float& value : p.dy) value = normal(random);
  p.index.resize(index);
  for (int32_t& row : p.index) row = static_cast<int32_t>(random() % (size + 2)) - 1;  // some outside
  if (mask) {
    p.mask.resize(index);
    for (uint8_t& there : p.mask) there = random() % 3 != 0;
  }
  scatter.dy = p.dy.data();
  scatter.index = p.index.data();
  scatter.mask = mask ? p.mask.data() : nullptr;
  return p;
}

std::vector<float> Expected(const Problem& p) {
  const HeedScatter& scatter = p.scatter;
  std::vector<float> out(p.out.size(), 0);
  int64_t kept = 1, summed = 1;
  for (int64_t i = 0; i < scatter.kept + scatter.summed; ++i) {
    (i < scatter.kept ? kept : summed) *= scatter.axes[i].extent;
  }
  for (int64_t o = 0; o < kept; ++o) {
    for (int64_t s = 0; s < summed; ++s) {
      int64_t to = 0, from = 0, index = 0, rest = s;
      for (int64_t i = scatter.kept + scatter.summed; i-- > 0;) {
        if (i == scatter.kept - 1) rest = o;
        const HeedScatterAxis& axis = scatter.axes[i];
        to += rest % axis.extent * axis.out;
        from += rest % axis.extent * axis.dy;
        index += rest % axis.extent * axis.index;
        rest /= axis.extent;
      }
      const int32_t row = p.index[index];
      if ((!p.mask.empty() && !p.mask[index]) || row < 0 || row >= scatter.size) continue;
      out[to + row * scatter.out_stride] += p.dy[from];
    }
  }
  return out;
}

TEST(KernelsScatter, AddsInOrderForAnyNumberOfParts) {
  uint32_t seed = 1;
  const std::vector<std::vector<int64_t>> kept_nests = {{},    {1},     {7},     {40},
                                                        {768}, {3, 33}, {40, 3}, {2, 3, 5}};
  const std::vector<std::vector<int64_t>> summed_nests = {{}, {9}, {4, 11}};
  for (const NativeKernels* kernels : AllNativeKernels()) {
    for (const auto& kept : kept_nests) {
      for (const auto& summed : summed_nests) {
        for (int variant = 0; variant < 8; ++variant) {
          Problem p = Build(kept, summed, 6, variant & 1, variant & 2, variant & 4, seed++);
          // What is not there may be anything.
          for (size_t i = 0; i < p.mask.size() && kept.empty(); ++i) {
            if (!p.mask[i]) p.dy[i] = kNan;
          }
          const std::vector<float> expected = Expected(p);
          for (int64_t parts : {1, 2, 3, 8}) {
            p.out.assign(p.out.size(), kUntouched);
            p.scatter.out = p.out.data();
            for (int64_t part = parts; part-- > 0;) kernels->scatter_add(&p.scatter, part, parts, nullptr);
            for (size_t i = 0; i < expected.size(); ++i) {
              ASSERT_EQ(std::memcmp(&expected[i], &p.out[i], 4), 0)
                  << kernels->target << " variant " << variant << " parts " << parts << " at " << i << ": "
                  << p.out[i] << ", not " << expected[i];
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace heed
