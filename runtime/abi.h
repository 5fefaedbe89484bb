// What the compiler tells the runtime about a compiled program: plain constant tables in the generated
// object, and the frame through which a compiled function is called. Of the runtime's headers the compiler
// includes this one, random.h and the kernels' descriptors. All pointers are to constant data that lives as
// long as the process.
#ifndef HEED_RUNTIME_ABI_H_
#define HEED_RUNTIME_ABI_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kHeedAbiVersion = 7 };

enum HeedDType { kHeedFloat32 = 0, kHeedInt32 = 1, kHeedBool8 = 2 };

// One axis of a tensor as it is stored: dense, row-major in the listed order.
struct HeedDim {
  const char* axis;  // "batch", "seq", "heads"; "seq^" for storage at the bound
  int64_t extent;    // index into the function's extents, or -1; of a cache its capacity, "seq^"
  int64_t size;      // elements if `extent` is -1, else the bound (0: unbounded)
};

// A declared axis (roots only).
struct HeedAxis {
  const char* name;
  int64_t dynamic;  // 1: `size` is a bound
  int64_t size;
  int64_t enumerator_count;
  const char* const* enumerators;
};

enum HeedInit {
  kHeedInitConstant = 0,
  kHeedInitNormal = 1,
  kHeedInitUniform = 2,
  kHeedInitGlorot = 3,
  kHeedInitMissing = 4
};
struct HeedParam {
  const char* name;  // "h.0.attn.c_attn.weight"
  int64_t rank;
  const int64_t* shape;         // storage dimensions, as in the checkpoint
  const char* const* dim_axes;  // of each storage dimension: "model", "(qkv, heads, key)"
  int64_t axis_count;           // axes, groups flattened, row-major
  const char* const* axes;
  const int64_t* axis_sizes;
  int64_t count;  // elements
  int64_t init;   // HeedInit
  double a, b;    // constant: a; normal: mean, deviation; uniform: from, to; Glorot: fan in, fan out
};

// An argument of an entry, per example (no batch axis).
struct HeedArgument {
  const char* name;
  int64_t dtype;
  const char* indexes;  // root that the whole numbers index, or null
  int64_t rank;
  const struct HeedDim*
      dims;                // `extent` is unused (-1); dynamic ones carry the bound in `size` and `dynamic`
  const int64_t* dynamic;  // one flag a dimension
};

// bytes = factor * product of extents[terms[i]], i < term_count
struct HeedSize {
  int64_t factor;
  int64_t term_count;
  const int64_t* terms;
};

enum HeedBufferKind {
  kHeedBufferArena =
      0,  // placed by the runtime once the extents are known; `first`..`last` step of use, inclusive
  kHeedBufferInput = 1,   // `index` into inputs
  kHeedBufferOutput = 2,  // `index` into outputs
  kHeedBufferParam = 3,   // `index` into the program's params
  kHeedBufferPacked = 4,  // `index` into the program's packed matrices: points to a HeedPackedWeights
  kHeedBufferUnused = 5,  // a parameter that the function does not read; any pointer will do
};
struct HeedBuffer {
  int64_t kind;
  int64_t index;
  struct HeedSize size;
  int64_t first, last;
};

struct HeedTensorInfo {  // an input or output of a function
  const char* name;      // an argument, "len.seq", "example"; "value", "logits", "loss", "per", "d.PARAM"
  int64_t dtype;
  int64_t rank;
  const struct HeedDim*
      dims;  // inputs: batch first, then declared order; d.PARAM: the parameter's axes, flattened
};

struct HeedFrame;
typedef void (*HeedTask)(const void* context, int64_t part, int64_t parts, void* scratch);
struct HeedServices {
  void* pool;
  int64_t threads;
  // Runs task(context, part, parts, scratch) for each part, on that many threads at most; returns when all
  // are done. Each call of task has its own scratch of at least scratch_bytes, 64-byte aligned. parts == 1
  // runs in place.
  void (*parallel)(void* pool, HeedTask task, const void* context, int64_t parts, int64_t scratch_bytes);
};
struct HeedFrame {
  const int64_t* extents;  // in the order of HeedFunction.extents
  void* const* buffers;    // one pointer for each HeedFunction.buffers, 64-byte aligned except for inputs
  const struct HeedServices* services;
  uint32_t key[2];  // of random bits: RandomKey(seed, step), low word first
  float dropout;    // 1: on; 0: every Keep is exactly 1
  float reserved;
};

// An output that says whether something impossible was needed: F32, the largest wrong value of each example
// (or of all), minus infinity where there is none.
struct HeedCheck {
  int64_t output;     // its number
  const char* where;  // "lm.heed:4:3"
  const char* what;   // what is wrong, %s standing for the value
};

// A value that a step computes.
struct HeedOrigin {
  const char* op;        // "contract"
  const char* instance;  // path of the module instance: "h.0.attn"; "" outside all
  const char* where;  // "prelude:4:3 < lm.heed:19:5": innermost first, with the calls that led there; or ""
  int64_t gradient;   // 1: it was made by differentiation
};
struct HeedSizes {  // a sum
  int64_t count;
  const struct HeedSize* sizes;
};
struct HeedUse {  // of a buffer by a step, in bytes, each element once; packed matrices as if they were f32
  int64_t buffer;
  struct HeedSizes read, written;
};
enum HeedStepKind {
  kHeedStepLoop = 0,
  kHeedStepMatmul = 1,        // HeedMatmul
  kHeedStepPackedMatmul = 2,  // HeedPackedMatmul
  kHeedStepAttention = 3,     // HeedAttention
  kHeedStepAttentionBackward = 4,
  kHeedStepScatter = 5,
  kHeedStepLookup = 6,
  kHeedStepGroupedMatmul = 7  // HeedGroupedMatmul
};
// What a step of a function is, for profiles. `run` does the steps in this order, each by one call of
// HeedServices.parallel, whose context is the descriptor of its kind.
struct HeedStep {
  int64_t kind;
  const char* kernel;  // equal for steps that do the same: "matmul batch*seq x 3072 x 768"
  int64_t origin_count;
  const struct HeedOrigin* origins;
  int64_t result;  // the origin that the others are computed for, or with
  // Floating-point operations. `flops_each`: more for each pair of an attention (`pairs` counts those that
  // its mask leaves), for each term of a product with a mask that this leaves.
  struct HeedSizes flops, flops_each;
  int64_t use_count;
  const struct HeedUse* uses;
  int64_t (*pairs)(const void* attention);  // null but for attention
};

struct HeedFunction {
  const char* name;  // "train/Train"
  int64_t extent_count;
  const char* const* extents;  // roots: "batch", "src", "tgt"; "tgt^": the capacity of caches over tgt
  int64_t input_count;
  const struct HeedTensorInfo* inputs;
  int64_t output_count;
  const struct HeedTensorInfo* outputs;
  int64_t buffer_count;
  const struct HeedBuffer* buffers;
  void (*run)(const struct HeedFrame* frame);
  int64_t check_count;
  const struct HeedCheck* checks;
  int64_t step_count;
  const struct HeedStep* steps;
};

enum HeedEntryKind { kHeedEntryValue = 0, kHeedEntryMinimize = 1, kHeedEntryGenerate = 2 };
struct HeedOption {
  const char* name;
  double value;
};
// Carried state, from one step of decoding to the next: an output of `prefill` that is an input of `step`.
struct HeedKept {
  int64_t output;  // number among the outputs of prefill
  int64_t input;   // number among the inputs of step; the same dimensions in the same order
  // The dimension with a row for each position, which step writes in place; -1: nothing changes.
  int64_t growing;
  // 0: slot p holds position p, up to the capacity. Else a ring: slot j holds position
  // f + j, f being the least multiple of `ring_step` over the current position - slots.
  int64_t slots;
  int64_t ring_step;
};
struct HeedEntry {
  const char* name;
  int64_t kind;
  int64_t argument_count;
  const struct HeedArgument* arguments;  // as written; a generate entry's prompt included
  // Minimize: train (loss and per summed over the batch, gradients of the summed loss), loss. Value: forward.
  // Generate: forward (logits at every position), prefill (logits after a prompt, and what is kept), step
  // (logits after one more element: inputs `variable` [batch], len.AXIS counting it, what is kept, and inputs
  // of prefill). Others are null.
  const struct HeedFunction* train;
  const struct HeedFunction* loss;
  const struct HeedFunction* forward;
  const struct HeedFunction* prefill;
  const struct HeedFunction* step;
  // Generate only:
  const char* variable;  // input of forward, prefill and step that is generated
  const char* axis;      // root it grows along
  int64_t bound;         // of that axis
  const char* indexes;   // root of its elements (the vocabulary); Value: of those of the result, or null
  const char* prompt;    // the argument that starts it, or null
  int64_t from;          // an element, or -1
  int64_t until_count;   // elements that end a text
  const int64_t* until;
  int64_t option_count;
  const struct HeedOption* options;
  int64_t kept_count;
  const struct HeedKept* kept;
  // Any:
  // The weights of each attention, recomputed to be looked at, or null: outputs w.SITE[KEY], where SITE is
  // the instance that attends and KEY the last dimension; batch is the first, then heads, then queries.
  const struct HeedFunction* weights;
  int64_t sees_batch;  // Minimize: 1 if the loss of an example depends on the others of its batch
};

struct HeedConst {  // a declared constant
  const char* name;
  double value;
};

// A matrix of parameters that functions which do not train read packed (kernels/heed_kernels.h): columns and
// terms are each a row-major nest of axes of a parameter.
struct HeedPackedMatrix {
  int64_t param;
  int64_t offset;  // elements of the parameter before the matrix
  int64_t column_axes, term_axes;
  const int64_t* extents;  // of the column axes, then the term axes
  const int64_t* strides;  // in elements of the parameter
  int64_t looked_up;       // 1: some function also reads single columns of it
};
struct HeedPack;
struct HeedPackedWeights;
struct HeedUnpack;
struct HeedPacking {
  int64_t matrix_count;
  const struct HeedPackedMatrix* matrices;
  // The kernels heed_panel_columns, heed_packed_bytes, heed_pack_scratch, heed_pack_weights,
  // heed_unpack_scratch, heed_unpack, heed_packed_scales.
  int64_t (*panel_columns)(void);
  int64_t (*bytes)(int64_t type, int64_t terms, int64_t columns);
  int64_t (*scratch)(const struct HeedPack* pack);
  void (*pack)(const struct HeedPack* pack, int64_t first, int64_t end, void* scratch);
  int64_t (*unpack_scratch)(const struct HeedUnpack* unpack);
  void (*unpack)(const struct HeedUnpack* unpack, int64_t part, int64_t parts, void* scratch);
  void (*scales)(const struct HeedPackedWeights* weights, uint16_t* scales);
};

// The kernel of matrix products, to measure what the machine can do: heed_matmul_scratch, heed_matmul and a
// heed_finish without an epilogue (kernels/heed_kernels.h).
struct HeedMatmul;
struct HeedProduct {
  int64_t (*scratch)(const struct HeedMatmul* matmul);
  void (*run)(const struct HeedMatmul* matmul, int64_t part, int64_t parts, void* scratch);
  void (*finish)(const void* result, const float* sums, int64_t stride, int64_t m, int64_t rows, int64_t n,
                 int64_t columns, int64_t first, int64_t last);
};

// Parameters PREFIX0.NAME, PREFIX1.NAME ... are those of a part that is made for each element of an axis.
struct HeedStack {
  const char* prefix;  // "h."
  const char* axis;    // "layer"
};

struct HeedProgram {
  int64_t abi_version;
  const char* heed_version;
  const char* source_name;  // "transformer.heed"
  const char* cpu_level;    // "x86-64-v4"
  int64_t axis_count;
  const struct HeedAxis* axes;
  int64_t param_count;
  const struct HeedParam* params;
  int64_t entry_count;
  const struct HeedEntry* entries;
  int64_t const_count;
  const struct HeedConst* consts;
  const struct HeedPacking* packing;  // null: no matrix is packed
  int64_t stack_count;
  const struct HeedStack* stacks;
  int64_t set_count;
  const char* const* set;  // axes and constants whose values were given when the program was built
  int64_t import_count;
  const char* const* imports;  // files that the source says it imports, and those that they do: "layers.heed"
  const struct HeedProduct* product;  // null: the program multiplies no matrices
};
// Defined by the generated object.
extern const struct HeedProgram heed_program;

#ifdef __cplusplus
}
#endif
#endif  // HEED_RUNTIME_ABI_H_
