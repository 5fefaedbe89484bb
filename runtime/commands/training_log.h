// What `train --log` wrote, read back as series over the steps. A line that is still being written is
// ordinary; anything else that is no line of a log is an error that names it.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

/// A quantity at some of the steps, which rise.
struct Series {
  std::vector<double> steps, values;
};

struct TrainingLog {
  std::string path;
  int64_t first_step = 0, last_step = 0;  ///< 0: nothing is there yet
  Series loss, valid_loss, rate, gradient_norm, tokens_per_second, bleu;
};

/// The log in a file, which another process may be writing.
Result<TrainingLog> ReadTrainingLog(const std::string& path);
/// The same of its bytes; messages call it `path`.
Result<TrainingLog> ParseTrainingLog(const std::string& path, std::string_view bytes);

/// What to call each log: its file without folders and ending, or its path where that is not enough.
std::vector<std::string> NamesOf(const std::vector<TrainingLog>& logs);

}  // namespace heed
