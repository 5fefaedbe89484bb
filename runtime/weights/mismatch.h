// What to say about a checkpoint that does not fit a program: which tensors are missing or differ, in which
// axis, and what would help. Private to the runtime's reading of weights.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/weights/fit.h"
#include "runtime/weights/safetensors.h"

namespace heed {

/// "h.*.attn.bias" of "h.3.attn.bias": names of equal tensors of different layers become one.
std::string FoldNumbers(std::string_view name);
/// FoldNumbers of all, each once, with their number behind it if there are several; in order of appearance.
std::vector<std::string> FoldAll(const std::vector<std::string>& names);

/// "file has [3, 12], program stores [model=3, (heads, key)=2*4=8]; ..." with the axes that explain it.
std::string Mismatch(const HeedProgram& program, const HeedParam& param, const SafetensorsFile::Entry& entry);
/// Whether the file has the dimensions in the opposite order.
bool IsTransposed(const HeedParam& param, const SafetensorsFile::Entry& entry);

/// Problems that are told together; those of equal tensors in several layers as one.
class Problems {
 public:
  /// "NAME: WHAT".
  void Differs(const std::string& name, const std::string& what);
  /// "there is no NAME", with the closest of `names`.
  void Missing(const std::string& name, const std::vector<std::string>& names);
  /// A sentence of its own.
  void Other(const std::string& text) { list_.push_back({"", "", text, false, 1}); }
  bool empty() const { return list_.empty(); }
  /// The head and one line a problem, a dozen at most; then `advice` if it is not empty.
  Error Message(const std::string& head, const std::string& advice) const;

 private:
  struct Problem {
    std::string name, folded, what;
    bool missing;
    int64_t count;
  };
  std::vector<Problem> list_;
};

}  // namespace heed
