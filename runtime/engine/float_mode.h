// Denormal numbers as zeros, for as long as an object lives, on its thread. Probabilities and their gradients
// fade below 1e-38 all the time; arithmetic on such numbers changes no result that matters and takes a
// hundred times as long. Every task of the pool runs like this, whichever thread it is on, so results don't
// depend on that.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace heed {

class FlushDenormals {
 public:
#if defined(__SSE__)
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }  // flush results, read as zero
  ~FlushDenormals() { _mm_setcsr(before_); }
#else
  FlushDenormals() = default;
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned before_ = 0;
};

}  // namespace heed
