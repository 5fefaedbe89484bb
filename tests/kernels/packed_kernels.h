// The kernels of packed weights of every Highway target (native) and of every CPU level (from bitcode, as
// generated programs have them, with their dot products), for tests and benchmarks.
#pragma once

#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "backend/target/target.h"
#include "tests/kernels/native_packed.h"
#include "tests/support/jit.h"
#include "tests/support/paths.h"

namespace heed {

/// Every Highway target and every CPU level this machine runs.
inline const std::vector<const PackedKernels*>& AllPackedKernelsAndLevels() {
  static const std::vector<const PackedKernels*> all = [] {
    const std::vector<const PackedKernels*> natives = AllPackedKernels();
    std::vector<const PackedKernels*> kernels = natives;
    for (const std::string& level : backend::CpuLevels()) {
      auto made = backend::JitKernels::Create(level, test::Binary("kernels"));
      if (!made) {
        if (!backend::LacksLevel(made.error())) throw std::runtime_error(made.error().message);
        continue;
      }
      backend::JitKernels* const jit = made->release();
      // Finishing is generated with a product's epilogue; a target's with vectors of the same length serves.
      auto* const table = new PackedKernels;
      for (const PackedKernels* native : natives) {
        if (native->lanes == jit->lanes()) *table = *native;
      }
      table->target = (new std::string("level " + level))->c_str();
      const auto get = [&](const char* name, auto& function) {
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(jit->Function(name));
      };
      get("heed_panel_columns", table->panel_columns);
      get("heed_packed_bytes", table->bytes);
      get("heed_pack_scratch", table->pack_scratch);
      get("heed_pack_weights", table->pack);
      get("heed_unpack_scratch", table->unpack_scratch);
      get("heed_unpack", table->unpack);
      get("heed_packed_scales", table->scales);
      get("heed_packed_matmul_scratch", table->matmul_scratch);
      get("heed_packed_matmul", table->matmul);
      kernels.push_back(table);
    }
    return kernels;
  }();
  return all;
}

}  // namespace heed
