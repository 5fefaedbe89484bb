// Matrix tiles (Intel AMX): the operating system saves their state only for processes that have asked for it.
// On Linux since 5.16, by arch_prctl (Documentation/arch/x86/xstate.rst).
#ifndef HEED_RUNTIME_KERNELS_TILES_H_
#define HEED_RUNTIME_KERNELS_TILES_H_

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace heed {

/// Asks for matrix tiles of bfloat16 for all threads of the process, present and future. False if the
/// processor or the system has none. Asking again is harmless.
inline bool AskForTiles() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr unsigned kAmxBfloat16 = 1u << 22, kAmxTile = 1u << 24;  // leaf 7, edx
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
  if (!(edx & kAmxBfloat16) || !(edx & kAmxTile)) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace heed

#endif  // HEED_RUNTIME_KERNELS_TILES_H_
