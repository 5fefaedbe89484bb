// Walking several strided operands through one index space; what the evaluator's loops are made of.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ir/interp.h"

namespace heed::ir {

using Strides = std::vector<int64_t>;

/// Strides of `tensor` along `axes`; 0 along those it lacks.
inline Strides StridesAlong(const Tensor& tensor, const AxisList& axes) {
  Strides strides(axes.size(), 0);
  int64_t stride = 1;
  for (size_t i = tensor.axes.size(); i-- > 0;) {
    for (size_t j = 0; j < axes.size(); ++j)
      if (axes[j] == tensor.axes[i]) strides[j] = stride;
    stride *= tensor.shape[i];
  }
  return strides;
}

/// Calls body(offsets) for every index of `shape`, row-major; offsets[k] moves by strides[k] from start[k].
template <size_t kCount, typename Body>
void Walk(const std::vector<int64_t>& shape, const std::array<Strides, kCount>& strides,
          std::array<int64_t, kCount> at, Body&& body) {
  constexpr size_t kMaxRank = 24;
  const size_t rank = shape.size();
  if (rank > kMaxRank) throw InternalError("more axes than the evaluator takes");
  for (int64_t extent : shape)
    if (extent == 0) return;
  if (rank == 0) {
    body(at);
    return;
  }
  std::array<int64_t, kMaxRank> index{};
  while (true) {
    std::array<int64_t, kCount> inner = at;
    for (int64_t i = 0; i < shape[rank - 1]; ++i) {
      body(inner);
      for (size_t k = 0; k < kCount; ++k) inner[k] += strides[k][rank - 1];
    }
    size_t d = rank - 1;
    while (d-- > 0) {
      for (size_t k = 0; k < kCount; ++k) at[k] += strides[k][d];
      if (++index[d] < shape[d]) break;
      for (size_t k = 0; k < kCount; ++k) at[k] -= strides[k][d] * shape[d];
      index[d] = 0;
    }
    if (d == SIZE_MAX) return;
  }
}

template <size_t kCount, typename Body>
void Walk(const std::vector<int64_t>& shape, const std::array<Strides, kCount>& strides, Body&& body) {
  Walk(shape, strides, std::array<int64_t, kCount>{}, body);
}

}  // namespace heed::ir
