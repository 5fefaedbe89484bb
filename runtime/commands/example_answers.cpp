// See example_answers.h.
#include "runtime/commands/example_answers.h"

#include <algorithm>

namespace heed {

Batch NextExamples(const ArgumentExamples& examples, int64_t first, int64_t budget) {
  constexpr int64_t kMost = 64;
  Batch batch;
  int64_t longest = 1;
  for (int64_t i = first; i < examples.size(); ++i) {
    int64_t tokens = 0;
    for (size_t side = 0; side < examples.sides(); ++side) tokens += examples.Length(i, side);
    longest = std::max(longest, tokens);
    const auto rows = static_cast<int64_t>(batch.size() + 1);
    if (rows > 1 && (rows > kMost || rows * longest > budget)) break;
    batch.push_back(i);
  }
  return batch;
}

Result<std::vector<std::vector<LineResult>>> AnswerExamples(Decoder& decoder, const LineJob& job,
                                                            const ArgumentExamples& examples,
                                                            const Batch& batch) {
  std::vector<int32_t> prefix = StartTokens(*job.entry, *job.tokenizer);
  prefix.insert(prefix.end(), job.prompt.begin(), job.prompt.end());
  if (prefix.empty())
    return Error{"nothing to start from: the entry has no `from` and the tokenizer no begin token"};
  if (decoder.variable().bound > 0 && static_cast<int64_t>(prefix.size()) > decoder.variable().bound) {
    return Error{"the prompt has " + std::to_string(prefix.size()) + " tokens, but `" +
                 decoder.variable().axis + "` takes at most " + std::to_string(decoder.variable().bound) +
                 "; shorten it"};
  }
  Result<std::map<std::string, HostTensor>> arguments = examples.AllInputs(batch);
  if (!arguments) return arguments.error();
  decoder.UseArguments(std::move(*arguments));
  std::vector<DecodeRequest> requests;
  for (size_t i = 0; i < batch.size(); ++i)
    requests.push_back({{}, prefix, examples.NumberOf(batch[i]), 0, static_cast<int64_t>(i)});
  const auto decoded = decoder.Decode(requests, job.options);
  if (!decoded) return decoded.error();
  const size_t hidden = job.echo ? 0 : job.tokenizer->Decode(prefix).size();
  std::vector<std::vector<LineResult>> results(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    results[i].resize(static_cast<size_t>(std::max<int64_t>(1, job.options.best)));
    for (size_t k = 0; k < results[i].size() && k < (*decoded)[i].size(); ++k) {
      std::string text = job.tokenizer->Decode((*decoded)[i][k].ids);
      text.erase(0, std::min(hidden, text.size()));
      std::replace(text.begin(), text.end(), '\n', ' ');  // one example, one line
      results[i][k] = {std::move(text), (*decoded)[i][k].score};
    }
  }
  return results;
}

}  // namespace heed
