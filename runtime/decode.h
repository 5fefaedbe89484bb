// Generation: greedy, sampling, beam search over a `generate` entry, by asking for the logits that follow
// each prefix. Results of a request do not depend on what else is in the batch. Text and files are the
// commands' business.
#pragma once

#include <functional>
#include <vector>

#include "runtime/engine.h"
#include "runtime/text_inputs.h"

namespace heed {

struct DecodeOptions {
  int64_t beam = 1;
  double alpha = 0;     ///< length penalty ((5 + n) / 6)^alpha of beam search (Wu et al., 2016)
  bool sample = false;  ///< else greedy, or beam search if beam > 1
  double temperature = 1;
  int64_t top_k = 0;    ///< 0: all
  double top_p = 1;     ///< smallest set with that much probability (Holtzman et al., 2020)
  int64_t max_new = 0;  ///< tokens after the prefix; 0: up to the axis' bound
  uint64_t seed = 0;
};

struct DecodeRequest {
  std::vector<std::vector<int32_t>> sources;  ///< ids of each source text
  std::vector<int32_t> prefix;                ///< what the generated text starts with; at least one id
  int64_t number = 0;                         ///< of the example, for random numbers
  int64_t max_new = 0;                        ///< 0: DecodeOptions'
};

class Decoder {
 public:
  /// An error if the entry needs inputs that are not text.
  static Result<Decoder> Make(const HeedEntry& entry, Engine& engine, const ParameterBlock& parameters);
  /// The entry's text arguments but its prompt.
  const std::vector<TextArgument>& sources() const { return sources_; }
  /// The generated one.
  const TextArgument& variable() const { return variable_; }
  /// Called with the index of a request and all its ids so far (the prefix included) after each new one.
  using OnToken = std::function<void(size_t request, std::span<const int32_t> ids)>;
  /// Asked before every token; if it says true, Decode stops and returns what there is.
  std::function<bool()> interrupted;
  /// The generated ids of each request, prefix included, without the `until` token. Prefixes must be shorter
  /// than the axis' bound. `on_token` is not called by beam search.
  Result<std::vector<std::vector<int32_t>>> Decode(std::span<const DecodeRequest> requests,
                                                   const DecodeOptions& options,
                                                   const OnToken& on_token = {});

 private:
  Decoder(const HeedEntry& entry, Engine& engine, const ParameterBlock& parameters)
      : entry_(&entry), engine_(&engine), parameters_(&parameters) {}
  /// A sequence that is being extended; `request` says whose sources it has.
  struct Row {
    size_t request;
    std::vector<int32_t> ids;
  };
  /// [rows, vocabulary]
  Result<HostTensor> Next(std::span<const DecodeRequest> requests, std::span<const Row> rows);
  int64_t Limit(const DecodeRequest& request, const DecodeOptions& options) const;
  Result<std::vector<std::vector<int32_t>>> Beam(std::span<const DecodeRequest> requests,
                                                 const DecodeOptions& options);

  const HeedEntry* entry_;
  Engine* engine_;
  const ParameterBlock* parameters_;
  std::vector<TextArgument> sources_;
  TextArgument variable_;
};

/// Options of the program (`with beam = 4, alpha = 0.6`): temperature, top_k, top_p, beam, alpha. An error
/// names an option that is not known or out of range.
Result<DecodeOptions> ProgramOptions(const HeedEntry& entry);

/// The id chosen from logits: the largest (the first of equals), or a random one. -1 if a logit that counts
/// is not a number. Exposed for tests.
int32_t Choose(std::span<const float> logits, const DecodeOptions& options, int64_t number, int64_t position);

}  // namespace heed
