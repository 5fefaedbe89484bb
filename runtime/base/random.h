// Counter-based randomness shared by the interpreter, generated code and the runtime, so that all agree bit
// for bit.
//
// Random bits are a pure function of (seed, step, number of the example, site, number of the element): they
// depend neither on the batch nor on the order or number of threads. The generator is Philox4x32-10 (Salmon,
// Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011); only the first word of a
// block is used. Kernels include this file: no library but <cstdint>.
#pragma once

#include <cstdint>
#include <cstring>

namespace heed {

/// Four words of Philox4x32 after ten rounds.
struct PhiloxBlock {
  uint32_t word[4];
};

inline PhiloxBlock Philox4x32_10(PhiloxBlock counter, uint32_t key_low, uint32_t key_high) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = static_cast<uint64_t>(0xD2511F53u) * counter.word[0];
    const uint64_t b = static_cast<uint64_t>(0xCD9E8D57u) * counter.word[2];
    counter = {{static_cast<uint32_t>(b >> 32) ^ counter.word[1] ^ key_low, static_cast<uint32_t>(b),
                static_cast<uint32_t>(a >> 32) ^ counter.word[3] ^ key_high, static_cast<uint32_t>(a)}};
    key_low += 0x9E3779B9u;
    key_high += 0xBB67AE85u;
  }
  return counter;
}

/// The key of one step: seed and step stirred into 64 bits (the finalizer of SplitMix64, twice).
inline uint64_t RandomKey(uint64_t seed, uint64_t step) {
  uint64_t key = seed;
  for (int turn = 0; turn < 2; ++turn) {
    key += turn == 0 ? 0x9E3779B97F4A7C15u : step;
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9u;
    key = (key ^ (key >> 27)) * 0x94D049BB133111EBu;
    key ^= key >> 31;
  }
  return key;
}

/// The number of a site: FNV-1a-32 of its name.
inline uint32_t SiteHash(const char* name, uint64_t length) {
  uint32_t hash = 2166136261u;
  for (uint64_t i = 0; i < length; ++i) hash = (hash ^ static_cast<uint8_t>(name[i])) * 16777619u;
  return hash;
}

/// 32 random bits. `key` is RandomKey(seed, step), `element` the row-major number of the element within its
/// example where every axis counts with its bound and the axes stand in the alphabetical order of their
/// names.
inline uint32_t RandomBits(uint64_t key, uint32_t example, uint32_t site, uint64_t element) {
  const PhiloxBlock counter = {
      {static_cast<uint32_t>(element), static_cast<uint32_t>(element >> 32), example, site}};
  return Philox4x32_10(counter, static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)).word[0];
}

/// Uniform in [0, 1): a multiple of 2^-24, exact as a float.
inline float UniformFloat(uint32_t bits) { return static_cast<float>(bits >> 8) * 5.9604644775390625e-8f; }

/// Dropout's factor: 0 with probability p, else 1 / (1 - p).
inline float KeepFactor(uint32_t bits, float p) { return UniformFloat(bits) >= p ? 1.0f / (1.0f - p) : 0.0f; }

/// The logarithm of a positive normal float, good to 3 ulp. Only sums, products and quotients of floats, each
/// rounded, so that vectors, this function and any compiler that does not contract them give the same bits.
/// m in [0.7, 1.4) has log m = 2 artanh(s), s = (m - 1) / (m + 1), as a series.
inline float PlainLog(float x) {
  constexpr uint32_t kRootOfHalf = 0x3F3504F3u, kOne = 0x3F800000u;
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits += kOne - kRootOfHalf;
  const float exponent = static_cast<float>(static_cast<int32_t>(bits >> 23) - 127);
  bits = (bits & 0x7FFFFFu) + kRootOfHalf;
  float m;
  std::memcpy(&m, &bits, 4);
  const float f = m - 1.0f;
  const float s = f / (2.0f + f);
  const float z = s * s;
  float tail = z * (1.0f / 9);
  tail = (tail + 1.0f / 7) * z;
  tail = (tail + 1.0f / 5) * z;
  tail = (tail + 1.0f / 3) * z;
  const float log_m = (s + s * tail) * 2.0f;
  return exponent * 0.693147180559945309f + log_m;
}

/// A draw from Gumbel's distribution, -log(-log(u)) with u a multiple of 2^-24 in (0, 1): added to logits,
/// the largest is a draw from their softmax (Gumbel, 1954; Maddison, Tarlow and Minka, 2014).
inline float GumbelNoise(uint32_t bits) {
  const float u = (static_cast<float>(bits >> 9) + 0.5f) * 1.1920928955078125e-7f;
  return -PlainLog(-PlainLog(u));
}

}  // namespace heed
