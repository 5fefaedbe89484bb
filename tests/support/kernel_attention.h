// Attentions for the kernels natively built: operands of any layout, a reference in double, and what compares
// them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/kernels/native.h"

namespace heed {

inline const float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kUntouched = -12345.678f;

struct Shape {
  int64_t batch, heads, groups, queries, keys, dots,
      values;                // `groups` query heads share the keys of one head
  bool interleaved = false;  // [batch, position, head, dim] instead of [.., head, position, dim]
  bool transposed = false;   // [.., dim, position]
};

/// Operands of one attention; loops are [batch, heads, groups].
struct Problem {
  Shape shape;
  HeedAttention attention = {};
  std::vector<float> q, k, v, o, lse, d_o, d_lse, dq, dk, dv;  // d_lse may be empty

  int64_t loops() const { return shape.batch * shape.heads * shape.groups; }
  int64_t Q(int64_t loop, int64_t i, int64_t d) const {
    return At(loop, &HeedAttentionLoop::q) + i * attention.q_query + d * attention.q_dot;
  }
  int64_t K(int64_t loop, int64_t j, int64_t d) const {
    return At(loop, &HeedAttentionLoop::k) + j * attention.k_key + d * attention.k_dot;
  }
  int64_t V(int64_t loop, int64_t j, int64_t e) const {
    return At(loop, &HeedAttentionLoop::v) + j * attention.v_key + e * attention.v_value;
  }
  int64_t O(int64_t loop, int64_t i, int64_t e) const {
    return At(loop, &HeedAttentionLoop::o) + i * attention.o_query + e * attention.o_value;
  }
  int64_t L(int64_t loop, int64_t i) const {
    return At(loop, &HeedAttentionLoop::lse) + i * attention.lse_query;
  }

  void Point() {
    attention.q = q.data();
    attention.k = k.data();
    attention.v = v.data();
    attention.o = o.data();
    attention.lse = lse.data();
    attention.d_o = d_o.data();
    attention.d_lse = d_lse.empty() ? nullptr : d_lse.data();
    attention.dq = dq.data();
    attention.dk = dk.data();
    attention.dv = dv.data();
  }

 private:
  int64_t At(int64_t loop, int64_t HeedAttentionLoop::* stride) const {
    int64_t offset = 0;
    for (int64_t i = attention.loops; i-- > 0;) {
      offset += loop % attention.loop[i].extent * (attention.loop[i].*stride);
      loop /= attention.loop[i].extent;
    }
    return offset;
  }
};

inline Problem Build(const Shape& shape, uint32_t seed) {
  Problem p;
  p.shape = shape;
  HeedAttention& at = p.attention;
  at.queries = shape.queries;
  at.keys = shape.keys;
  at.dots = shape.dots;
  at.values = shape.values;
  at.loops = 3;
  at.loop[0].extent = shape.batch;
  at.loop[1].extent = shape.heads;
  at.loop[2].extent = shape.groups;
  // Strides of [batch, head, group, position, dim], in one of three orders in memory.
  auto place = [&](int64_t groups, int64_t positions, int64_t dims, int64_t HeedAttentionLoop::* stride,
                   int64_t* position, int64_t* dim) {
    const int64_t heads = shape.heads * groups;
    int64_t head;
    if (shape.transposed) {
      *position = 1;
      *dim = positions;
      head = positions * dims;
    } else if (shape.interleaved) {
      *dim = 1;
      *position = heads * dims;
      head = dims;
    } else {
      *dim = 1;
      *position = dims;
      head = positions * dims;
    }
    at.loop[0].*stride = heads * positions * dims;
    at.loop[1].*stride = groups * head;
    at.loop[2].*stride = groups == 1 ? 0 : head;
    return shape.batch * heads * positions * dims;
  };
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  auto fill = [&](std::vector<float>& data, int64_t size) {
    data.resize(size);
    for (float& value : data) value = normal(random);
  };
  int64_t unused;
  fill(p.q, place(shape.groups, shape.queries, shape.dots, &HeedAttentionLoop::q, &at.q_query, &at.q_dot));
  fill(p.k, place(1, shape.keys, shape.dots, &HeedAttentionLoop::k, &at.k_key, &at.k_dot));
  fill(p.v, place(1, shape.keys, shape.values, &HeedAttentionLoop::v, &at.v_key, &at.v_value));
  fill(p.d_o,
       place(shape.groups, shape.queries, shape.values, &HeedAttentionLoop::o, &at.o_query, &at.o_value));
  p.o.assign(p.d_o.size(), kUntouched);
  p.lse.assign(place(shape.groups, shape.queries, 1, &HeedAttentionLoop::lse, &at.lse_query, &unused),
               kUntouched);
  p.dq.assign(p.q.size(), kUntouched);
  p.dk.assign(p.k.size(), kUntouched);
  p.dv.assign(p.v.size(), kUntouched);
  fill(p.d_lse, static_cast<int64_t>(p.lse.size()));
  p.Point();
  return p;
}

struct Reference {
  std::vector<double> o, lse, dq, dk, dv;
  // Of the slope and the biases, one for each loop element; of pairs summed over them.
  std::vector<double> slope, query, key, difference, pair, factors;
};

inline Reference Compute(const Problem& p, const TestScore& test) {
  Reference r;
  r.o.assign(p.o.size(), 0);
  r.lse.assign(p.lse.size(), -std::numeric_limits<double>::infinity());
  r.dq.assign(p.q.size(), 0);
  r.dk.assign(p.k.size(), 0);
  r.dv.assign(p.v.size(), 0);
  const Shape& shape = p.shape;
  r.slope.assign(p.loops(), 0);
  r.query.assign(p.loops() * shape.queries, 0);
  r.key.assign(p.loops() * shape.keys, 0);
  r.difference.assign(p.loops() * 2 * shape.queries, 0);
  r.pair.assign(shape.queries * shape.keys, 0);
  r.factors.assign(p.loops() * shape.dots, 0);
  std::vector<double> s(shape.keys), t(shape.keys), y(shape.keys);
  for (int64_t loop = 0; loop < p.loops(); ++loop) {
    for (int64_t i = 0; i < shape.queries; ++i) {
      double highest = -1e300, sum = 0;
      for (int64_t j = 0; j < shape.keys; ++j) {
        if (!TestPresent(test, loop, i, j)) continue;
        s[j] = 0;
        for (int64_t d = 0; d < shape.dots; ++d) {
          const double q = p.q[p.Q(loop, i, d)], k = p.k[p.K(loop, j, d)];
          s[j] += test.factors ? test.factors[d] * std::tanh(q + k) : q * k;
        }
        y[j] = test.cap != 0 ? std::tanh(s[j] * test.scale / test.cap) : 0;
        t[j] = (test.cap != 0 ? test.cap * y[j] : s[j] * test.scale) +
               test.slope * static_cast<double>(j - i - test.key_offset);
        if (test.query_bias) t[j] += test.query_bias[i];
        if (test.key_bias) t[j] += test.key_bias[j];
        if (test.difference_bias) t[j] += test.difference_bias[j - i + test.queries];
        if (test.pair_bias) t[j] += test.pair_bias[i * test.keys + j];
        highest = std::max(highest, t[j]);
      }
      for (int64_t j = 0; j < shape.keys; ++j) {
        if (TestPresent(test, loop, i, j)) sum += std::exp(t[j] - highest);
      }
      if (sum == 0) continue;
      r.lse[p.L(loop, i)] = highest + std::log(sum);
      double dot_o = p.d_lse.empty() ? 0 : -double{p.d_lse[p.L(loop, i)]};
      for (int64_t pass = 0; pass < 2; ++pass) {
        for (int64_t j = 0; j < shape.keys; ++j) {
          if (!TestPresent(test, loop, i, j)) continue;
          const double probability = std::exp(t[j] - highest) / sum, weight = TestWeight(test, loop, i, j);
          double dp = 0;
          for (int64_t e = 0; e < shape.values; ++e) {
            const double d_o = p.d_o[p.O(loop, i, e)], v = p.v[p.V(loop, j, e)];
            dp += d_o * v;
            if (pass == 0) {
              r.o[p.O(loop, i, e)] += probability * weight * v;
              dot_o += d_o * probability * weight * v;
            } else {
              r.dv[p.V(loop, j, e)] += probability * weight * d_o;
            }
          }
          if (pass == 0) continue;
          double ds = probability * (weight * dp - dot_o);
          r.slope[loop] += ds * static_cast<double>(j - i - test.key_offset);
          r.query[loop * shape.queries + i] += ds;
          r.key[loop * shape.keys + j] += ds;
          if (shape.queries == shape.keys)
            r.difference[loop * 2 * shape.queries + j - i + shape.queries] += ds;
          r.pair[i * shape.keys + j] += ds;
          ds *= test.scale;
          if (test.cap != 0) ds *= 1 - y[j] * y[j];
          for (int64_t d = 0; d < shape.dots; ++d) {
            const double q = p.q[p.Q(loop, i, d)], k = p.k[p.K(loop, j, d)];
            if (test.factors) {
              const double y = std::tanh(q + k), slope = ds * test.factors[d] * (1 - y * y);
              r.dq[p.Q(loop, i, d)] += slope;
              r.dk[p.K(loop, j, d)] += slope;
              r.factors[loop * shape.dots + d] += ds * y;
              continue;
            }
            r.dq[p.Q(loop, i, d)] += ds * k;
            r.dk[p.K(loop, j, d)] += ds * q;
          }
        }
      }
    }
  }
  return r;
}

/// Runs forward and backward; `outputs`: which of dq, dk, dv are wanted (bits 1, 2, 4).
inline void RunParts(const NativeKernels& kernels, Problem& p, const TestScore& test, int64_t parts,
                     int outputs = 7, bool plain = false) {
  p.o.assign(p.o.size(), kUntouched);
  p.lse.assign(p.lse.size(), kUntouched);
  p.dq.assign(p.q.size(), kUntouched);
  p.dk.assign(p.k.size(), kUntouched);
  p.dv.assign(p.v.size(), kUntouched);
  p.Point();
  p.attention.context = &test;
  if (!(outputs & 1)) p.attention.dq = nullptr;
  if (!(outputs & 2)) p.attention.dk = nullptr;
  if (!(outputs & 4)) p.attention.dv = nullptr;
  for (bool backward : {false, true}) {
    if (backward && outputs == 0) break;
    const int64_t bytes =
        (backward ? kernels.attention_backward_scratch : kernels.attention_scratch)(&p.attention);
    ASSERT_EQ(bytes % 64, 0);
    uint8_t* const scratch = static_cast<uint8_t*>(aligned_alloc(64, bytes + 64));
    for (int64_t part = parts; part-- > 0;) {
      std::memset(scratch, 0xff, bytes + 64);  // NaN
      if (test.factors) {
        (backward ? kernels.attention_backward_term : kernels.attention_term)(&p.attention, part, parts,
                                                                              scratch);
      } else if (backward) {
        (plain ? kernels.attention_backward_plain : kernels.attention_backward)(&p.attention, part, parts,
                                                                                scratch);
      } else {
        (plain ? kernels.attention_plain : kernels.attention)(&p.attention, part, parts, scratch);
      }
      for (int64_t i = bytes; i < bytes + 64; ++i)
        ASSERT_EQ(scratch[i], 0xff) << "wrote behind the scratch memory";
    }
    free(scratch);
  }
}

inline void ExpectClose(const std::vector<double>& expected, const std::vector<float>& got, double bound,
                        const std::string& what) {
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = got[i] == expected[i] ? 0
                         : std::isnan(got[i])  ? 1e30
                                               : std::fabs(got[i] - expected[i]);
    if (error > worst) {
      worst = error;
      at = i;
    }
  }
  ASSERT_LE(worst, bound) << what << " at " << at << ": " << (got.empty() ? 0 : got[at]) << ", expected "
                          << (expected.empty() ? 0 : expected[at]);
}

inline void ExpectSame(const std::vector<float>& expected, const std::vector<float>& got,
                       const std::string& what) {
  ASSERT_EQ(expected.size(), got.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(std::memcmp(&expected[i], &got[i], 4), 0)
        << what << " at " << i << ": " << got[i] << ", not " << expected[i];
  }
}

inline void ExpectSame(const Problem& expected, const Problem& got, const std::string& what) {
  ExpectSame(expected.o, got.o, what + " o");
  ExpectSame(expected.lse, got.lse, what + " lse");
  ExpectSame(expected.dq, got.dq, what + " dq");
  ExpectSame(expected.dk, got.dk, what + " dk");
  ExpectSame(expected.dv, got.dv, what + " dv");
}

/// Against the reference, for several numbers of parts, with and without classes of tiles.
inline void Check(const Shape& shape, TestScore test, uint32_t seed) {
  Problem p = Build(shape, seed);
  const Reference reference = Compute(p, test);
  for (const NativeKernels* kernels : AllNativeKernels()) {
    const std::string what = std::string(kernels->target) + " " + std::to_string(shape.queries) + "x" +
                             std::to_string(shape.keys) + "x" + std::to_string(shape.dots) + " seed " +
                             std::to_string(seed);
    RunParts(*kernels, p, test, 1);
    ExpectClose(reference.o, p.o, 1.5e-6, what + " o");
    ExpectClose(reference.lse, p.lse, 4e-6, what + " lse");
    const double shared = static_cast<double>(shape.groups);
    ExpectClose(reference.dq, p.dq, 1e-5, what + " dq");
    ExpectClose(reference.dk, p.dk, 1e-5 * shared, what + " dk");
    ExpectClose(reference.dv, p.dv, 1e-5 * shared, what + " dv");
    if (testing::Test::HasFatalFailure()) return;
    const Problem one = p;
    for (int64_t parts : {2, 3, 5}) {
      RunParts(*kernels, p, test, parts);
      ExpectSame(one, p, what + " parts " + std::to_string(parts));
    }
    TestScore mixed = test;
    mixed.classes = false;
    RunParts(*kernels, p, mixed, 2);
    ExpectSame(one, p, what + " without classes");
    if (testing::Test::HasFatalFailure()) return;
  }
}

inline TestScore Causal(float scale) {
  TestScore test;
  test.scale = scale;
  test.causal = true;
  return test;
}

}  // namespace heed
