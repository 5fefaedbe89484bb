// The stream of examples that training, evaluation and value entries read, whatever files it comes from: how
// many there are, how long each is, and any of them as inputs of a compiled function.
#pragma once

#include <map>
#include <string>

#include "runtime/base/result.h"
#include "runtime/data/batches.h"
#include "runtime/engine/engine.h"

namespace heed {

class Examples : public Lengths {
 public:
  /// What random bits of an example depend on: its place in the files, from 0.
  virtual int64_t NumberOf(int64_t example) const = 0;
  /// What messages call an example: "line 3 of FILE".
  virtual std::string NameOf(int64_t example) const = 0;
  /// Changes when the data does.
  virtual uint64_t Fingerprint() const = 0;
  /// The arguments that `function` reads of these examples, padded to the longest of them; `len.AXIS` and
  /// `example` where the function has them. An error if a file was changed meanwhile.
  virtual Result<std::map<std::string, HostTensor>> InputsOf(const HeedFunction& function,
                                                             const Batch& batch) const = 0;
};

}  // namespace heed
