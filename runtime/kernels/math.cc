// The vector functions as bitcode: what generated loops call by name, and what is inlined into them. The raw
// vector types are the target's full vector (8 floats on x86-64-v3, 16 on x86-64-v4). Built once per CPU
// level.
#include "runtime/kernels/level.h"
#include "runtime/kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {
extern "C" {

RawFloats heed_v_exp(RawFloats x) { return Exp(Wrap(x)).raw; }
RawFloats heed_v_log(RawFloats x) { return Log(Wrap(x)).raw; }
RawFloats heed_v_tanh(RawFloats x) { return Tanh(Wrap(x)).raw; }
RawFloats heed_v_erf(RawFloats x) { return Erf(Wrap(x)).raw; }
RawFloats heed_v_sin(RawFloats x) { return Sin(Wrap(x)).raw; }
RawFloats heed_v_cos(RawFloats x) { return Cos(Wrap(x)).raw; }
RawFloats heed_v_sigmoid(RawFloats x) { return Sigmoid(Wrap(x)).raw; }
RawFloats heed_v_pow(RawFloats x, RawFloats y) { return Pow(Wrap(x), Wrap(y)).raw; }

RawFloats heed_v_keep(uint32_t key_low, uint32_t key_high, RawInts example, RawInts element_low,
                      RawInts element_high, uint32_t site, float p) {
  return Keep(key_low, key_high, Wrap(example), Wrap(element_low), Wrap(element_high), site, p).raw;
}

RawFloats heed_v_gumbel(uint32_t key_low, uint32_t key_high, RawInts example, RawInts element_low,
                        RawInts element_high, uint32_t site) {
  return Gumbel(key_low, key_high, Wrap(example), Wrap(element_low), Wrap(element_high), site).raw;
}

}  // extern "C"
}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
