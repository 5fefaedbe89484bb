// Which modules the kernels of a program become. Private to the back end.
#pragma once

#include <vector>

#include "backend/emit/function.h"
#include "backend/object/kernels.h"
#include "backend/object/object.h"

namespace heed::backend {

/// One job for every few loops, one for each specialised attention, one for a kernel family. `table` and
/// `library` must outlive the jobs. What a program compiles to does not depend on the number of threads.
std::vector<ModuleJob> KernelJobs(const KernelTable& table, const KernelLibrary& library);

}  // namespace heed::backend
