// See step_work.h.
#include "runtime/engine/step_work.h"

#include <span>
#include <vector>

#include "runtime/kernels/heed_kernels.h"

namespace heed {
namespace {

double ValueOf(const HeedSizes& sizes, const HeedFrame& frame) {
  double sum = 0;
  for (int64_t i = 0; i < sizes.count; ++i) {
    const HeedSize& size = sizes.sizes[i];
    double product = static_cast<double>(size.factor);
    for (int64_t t = 0; t < size.term_count; ++t)
      product *= static_cast<double>(frame.extents[size.terms[t]]);
    sum += product;
  }
  return sum;
}

using MaskAxes = std::span<const HeedMatmulAxis* const>;
int64_t CountThere(const uint8_t* mask, MaskAxes axes) {
  if (axes.empty()) return *mask != 0;
  int64_t count = 0;
  for (int64_t i = 0; i < axes[0]->extent; ++i)
    count += CountThere(mask + i * axes[0]->mask, axes.subspan(1));
  return count;
}

/// The terms that the mask of a product leaves, over its loops and summed axes.
double TermsOf(const HeedMatmul& product) {
  std::vector<const HeedMatmulAxis*> masked;
  double repeated = 1;
  const int64_t columns_end = product.loops + product.ms + product.ns;
  for (int64_t i = 0; i < columns_end + product.ks; ++i) {
    if (i >= product.loops && i < columns_end) continue;
    const HeedMatmulAxis& axis = product.axes[i];
    if (axis.mask != 0) {
      masked.push_back(&axis);
    } else {
      repeated *= static_cast<double>(axis.extent);
    }
  }
  return repeated * static_cast<double>(CountThere(product.mask, masked));
}

/// Bytes of a packed matrix for each byte that it would have as f32.
double PackedShare(const HeedProgram& program, const HeedPackedWeights& weights) {
  if (weights.type == kHeedWeightsPlain || program.packing == nullptr) return 1;
  return static_cast<double>(program.packing->bytes(weights.type, weights.terms, weights.columns)) /
         (4.0 * static_cast<double>(weights.terms) * static_cast<double>(weights.columns));
}

}  // namespace

StepWork WorkOf(const HeedProgram& program, const HeedFunction& function, const HeedStep& step,
                const HeedFrame& frame, const void* context) {
  StepWork work;
  work.flops = ValueOf(step.flops, frame);
  if (const double each = ValueOf(step.flops_each, frame); each > 0) {
    double count = 0;
    if (step.pairs != nullptr) count = static_cast<double>(step.pairs(context));
    if (step.kind == kHeedStepMatmul) count = TermsOf(*static_cast<const HeedMatmul*>(context));
    work.flops += each * count;
  }
  for (int64_t i = 0; i < step.use_count; ++i) {
    const HeedUse& use = step.uses[i];
    const bool packed = function.buffers[use.buffer].kind == kHeedBufferPacked;
    const double share =
        packed ? PackedShare(program, *static_cast<const HeedPackedWeights*>(frame.buffers[use.buffer])) : 1;
    work.bytes_read += share * ValueOf(use.read, frame);
    work.bytes_written += ValueOf(use.written, frame);
  }
  return work;
}

}  // namespace heed
