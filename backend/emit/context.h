// The context of a generated kernel: slots of 8 bytes that the orchestration fills before each call. Private
// to the back end; no LLVM here.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "backend/plan/plan.h"

namespace heed::backend {

/// In this order: pointers, dynamic sizes (each once), then the key and the switch of dropout if there is
/// chance. The layout is a function of the kernel alone, so equal kernels have equal contexts.
struct KernelContext {
  std::vector<int>
      operands;  ///< numbers of the operands in memory: a pointer each, the base's offset already added
  std::vector<Size> sizes;
  std::vector<std::string> sites;  ///< of random values, in order of first use
  void Add(const Size& size) {
    if (!size.IsStatic() && std::find(sizes.begin(), sizes.end(), size) == sizes.end()) sizes.push_back(size);
  }
  int SlotOf(const Size& size) const {
    const auto found = std::find(sizes.begin(), sizes.end(), size);
    if (found == sizes.end()) throw ir::InternalError("a size that the context of its kernel lacks");
    return static_cast<int>(operands.size() + (found - sizes.begin()));
  }
  int KeySlot() const { return static_cast<int>(operands.size() + sizes.size()); }
  int DropoutSlot() const { return KeySlot() + 1; }
  int SiteSlot(const std::string& site) const { return KeySlot() + 2 + SiteNumber(site); }
  int SiteNumber(const std::string& site) const {
    return static_cast<int>(std::find(sites.begin(), sites.end(), site) - sites.begin());
  }
  void AddSite(const std::string& site) {
    if (SiteNumber(site) == static_cast<int>(sites.size())) sites.push_back(site);
  }
  int Slots() const { return KeySlot() + (sites.empty() ? 0 : 2 + static_cast<int>(sites.size())); }
};

}  // namespace heed::backend
