// Numbers of the kernels by which the compiler decides as well. Plain C, includes nothing.
#ifndef HEED_RUNTIME_KERNELS_LIMITS_H_
#define HEED_RUNTIME_KERNELS_LIMITS_H_

// How sums are cut: part of the results.
enum { kHeedKeyTile = 256 };     // keys of attention that are summed at a time
enum { kHeedBlockDepth = 384 };  // terms of a matrix product between additions to its result
enum { kHeedMostLanes = 64 };    // elements that a loop sums at a time, at most

enum { kHeedMaxGradients = 8 };  // of captures of one attention

#endif  // HEED_RUNTIME_KERNELS_LIMITS_H_
