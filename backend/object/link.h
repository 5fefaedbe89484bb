// Files: where kernels and runtime lie, the linker, and writing that never leaves half a file. Private to the
// back end.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace heed::backend {

/// The folder of kernel bitcode and the runtime archive that belong to the running program: beside it in a
/// build tree (of heed or of a test), or in <prefix>/lib/heed. "" where there is none.
std::string FindKernels();
std::string FindRuntime();

/// Writes `bytes` under a temporary name, then renames.
Status WriteFile(const std::string& path, const std::string& bytes);

enum class LinkKind {
  Executable,  ///< with the runtime archive
  Shared,      ///< the generated code alone; exports heed_program
  Object,      ///< one relocatable object
};
/// Links objects (as bytes) into `output` with the C++ compiler found on PATH.
Status Link(const std::vector<std::string>& objects, LinkKind kind, const std::string& runtime,
            const std::string& output);

}  // namespace heed::backend
