// Generation: greedy, sampling, beam search over a `generate` entry, one step of a session for each new
// element of all open texts. Results of a request do not depend on what else is in the batch. Text and files
// are the commands' business.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "runtime/data/batch_tensors.h"
#include "runtime/decode/sampling.h"
#include "runtime/decode/session.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/program.h"

namespace heed {

struct DecodeRequest {
  std::vector<std::vector<int32_t>> sources;  ///< ids of each source text
  std::vector<int32_t> prefix;                ///< what the generated text starts with; at least one id
  int64_t number = 0;                         ///< of the example, for random numbers
  int64_t max_new = 0;                        ///< 0: DecodeOptions'
  int64_t row = 0;                            ///< of the decoder's arguments, see OnTensors
};

/// A generated text: its ids with the prefix and without the element that ended it.
struct Decoded {
  std::vector<int32_t> ids;
  /// The log-probability of what is new (the element that ended it included) under the penalised logits,
  /// divided by the length penalty. 0 where nobody asked (DecodeOptions::scores).
  double score = 0;
};

/// What a batch of requests took.
struct DecodeTimes {
  int64_t rows = 0;         ///< at the start
  int64_t read_tokens = 0;  ///< of prompts, by the prefill
  int64_t made_tokens = 0;  ///< rows of all steps: what texts got, but for the last token of each
  double read_seconds = 0, make_seconds = 0;
};

class Decoder {
 public:
  /// An error if the entry needs inputs that are not text.
  static Result<Decoder> Make(const HeedEntry& entry, Engine& engine, const Parameters& parameters);
  /// For any entry: `arguments` are those of all requests, batch first, and "len.ROOT"; requests have no
  /// sources, but the row of their arguments.
  static Result<Decoder> OnTensors(const HeedEntry& entry, Engine& engine, const Parameters& parameters,
                                   std::map<std::string, HostTensor> arguments);
  /// Those of the requests to come.
  void UseArguments(std::map<std::string, HostTensor> arguments) { arguments_ = std::move(arguments); }
  /// From now on these elements end texts too.
  void EndAlsoAt(std::span<const int32_t> elements);
  /// The entry's text arguments but its prompt.
  const std::vector<TextArgument>& sources() const { return sources_; }
  /// The generated one.
  const TextArgument& variable() const { return variable_; }
  /// Called with the index of a request and all its ids so far (the prefix included) after each new one.
  using OnToken = std::function<void(size_t request, std::span<const int32_t> ids)>;
  /// Keeps to elements of which `may` is true; what ends a text is chosen all the same.
  void ChooseOnly(const std::function<bool(int32_t id)>& may);
  /// Asked before every step; if it says true, Decode stops and returns what there is.
  std::function<bool()> interrupted;
  /// Told after each Decode that started.
  std::function<void(const DecodeTimes&)> on_times;
  /// For each request its results, the best first: DecodeOptions::best of them (fewer, if beam search found
  /// fewer). Prefixes must not be longer than the axis' bound. `on_token` is not called by beam search, nor
  /// if there are several results.
  Result<std::vector<std::vector<Decoded>>> Decode(std::span<const DecodeRequest> requests,
                                                   const DecodeOptions& options,
                                                   const OnToken& on_token = {});

 private:
  using Clock = std::chrono::steady_clock;
  Decoder(const HeedEntry& entry, Session session) : entry_(&entry), session_(std::move(session)) {}
  using Results = std::vector<std::vector<Decoded>>;
  /// Whether an element ends a text.
  bool Ends(int32_t element) const { return std::find(ends_.begin(), ends_.end(), element) != ends_.end(); }
  /// The most elements a text of this request may have.
  int64_t Limit(const DecodeRequest& request, const DecodeOptions& options) const;
  /// Prefills the requests `which`, one row each, in this order; `copies` rows may be needed of each.
  Status Start(std::span<const DecodeRequest> requests, std::span<const size_t> which,
               const DecodeOptions& options, int64_t copies);
  /// Takes from a row of logits what is never chosen.
  void Exclude(std::span<float> logits) const;
  /// Session::Add, counted.
  Status Add(std::span<const int32_t> ids);
  Status Sample(std::span<const DecodeRequest> requests, const DecodeOptions& options,
                const OnToken& on_token, Results& results);
  Status Beam(std::span<const DecodeRequest> requests, const DecodeOptions& options, Results& results);
  class Sampling;
  class BeamSearch;

  const HeedEntry* entry_;
  Engine* engine_ = nullptr;
  Session session_;
  std::vector<TextArgument> sources_;
  std::map<std::string, HostTensor> arguments_;
  TextArgument variable_;
  std::vector<int32_t> ends_, excluded_;
  DecodeTimes times_;
};

/// Options of the program (`with beam = 4, alpha = 0.6`): beam, alpha, temperature, top_k, top_p,
/// repetition_penalty, max_length. An error names an option that is not known or out of range.
Result<DecodeOptions> ProgramOptions(const HeedEntry& entry);

/// The length penalty of a text with `length` new elements.
double LengthPenalty(size_t length, double alpha);

}  // namespace heed
