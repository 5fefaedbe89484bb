// Choosing tokens (greedy, top-k, top-p, temperature), generation row by row, and beam search against
// exhaustive search on a program written by hand.
#include "runtime/decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/toy_program.h"

namespace heed {
namespace {

TEST(Choose, TakesTheFirstOfTheLargest) {
  EXPECT_EQ(Choose(std::vector<float>{1, 3, 2, 3}, {}, 0, 0), 1);
  EXPECT_EQ(Choose(std::vector<float>{1, NAN, 2}, {}, 0, 0), -1);
  DecodeOptions cold;
  cold.sample = true;
  cold.temperature = 0;
  EXPECT_EQ(Choose(std::vector<float>{1, 3, 2, 3}, cold, 0, 0), 1);
}

std::map<int32_t, double> Frequencies(const std::vector<float>& logits, const DecodeOptions& options) {
  std::map<int32_t, double> counts;
  constexpr int kDraws = 40000;
  for (int i = 0; i < kDraws; ++i) counts[Choose(logits, options, i / 100, i % 100)] += 1.0 / kDraws;
  return counts;
}

TEST(Choose, SamplesTheDistribution) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  DecodeOptions options;
  options.sample = true;
  std::map<int32_t, double> all = Frequencies(logits, options);
  EXPECT_NEAR(all[0], 0.5, 0.01);
  EXPECT_NEAR(all[3], 0.05, 0.005);
  options.top_k = 2;
  std::map<int32_t, double> two = Frequencies(logits, options);
  EXPECT_EQ(two.size(), 2u);
  EXPECT_NEAR(two[0], 0.625, 0.01);
  options.top_k = 0;
  options.top_p = 0.79;  // 0.5 + 0.3 is the first sum that reaches it
  EXPECT_EQ(Frequencies(logits, options).size(), 2u);
  options.top_p = 0.81;
  EXPECT_EQ(Frequencies(logits, options).size(), 3u);
  options.top_p = 1;
  options.temperature = 0.5;  // squares
  EXPECT_NEAR(Frequencies(logits, options)[0], 0.25 / 0.365, 0.01);
}

TEST(Choose, DependsOnSeedNumberAndPositionAlone) {
  const std::vector<float> logits(1000, 0.0f);
  DecodeOptions options;
  options.sample = true;
  EXPECT_EQ(Choose(logits, options, 3, 4), Choose(logits, options, 3, 4));
  EXPECT_NE(Choose(logits, options, 3, 4), Choose(logits, options, 4, 4));
  EXPECT_NE(Choose(logits, options, 3, 4), Choose(logits, options, 3, 5));
  DecodeOptions other = options;
  other.seed = 1;
  EXPECT_NE(Choose(logits, options, 3, 4), Choose(logits, other, 3, 4));
}

class DecoderTest : public testing::Test {
 protected:
  const HeedProgram& program = test::ToyTranslator();
  const HeedEntry& entry = program.entries[1];
  ThreadPool pool{2};
  Engine engine{program, pool};
  ParameterBlock parameters{program};

  void SetUp() override {
    // Only the ids 2 ... 5 are likely, so that an exhaustive search is possible.
    uint64_t state = 11;
    for (int64_t p = 0; p < 2; ++p) {
      for (float& value : parameters.tensor(p)) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        value = static_cast<float>(state >> 40) / 4194304.0f - 2;
      }
      std::span<float> values = parameters.tensor(p);
      for (size_t i = 0; i < values.size(); ++i) {
        const size_t id = i % test::kToyVocabulary;
        if (id < 2 || id > 5) values[i] = -30;
      }
    }
  }
  Decoder Make() {
    Result<Decoder> decoder = Decoder::Make(entry, engine, parameters);
    EXPECT_TRUE(decoder) << decoder.error().message;
    return *decoder;
  }
  /// log p(after | before) at position t of the target.
  double LogProbability(const std::vector<int32_t>& source, int32_t before, int64_t t, int32_t after) {
    float logits[test::kToyVocabulary];
    test::toy::Logits({parameters.tensor(0).data(), parameters.tensor(1).data()}, source.data(),
                      static_cast<int64_t>(source.size()), before, t, 1, logits);
    double sum = 0;
    for (float logit : logits) sum += std::exp(static_cast<double>(logit));
    return static_cast<double>(logits[after]) - std::log(sum);
  }
  /// Best normalised score of all texts of up to `most` new tokens, as beam search counts it.
  void Search(const std::vector<int32_t>& source, std::vector<int32_t>& ids, double sum, size_t most,
              double alpha, double& best, std::vector<int32_t>& best_ids) {
    const size_t made = ids.size() - 1;
    const auto offer = [&](double total, size_t length) {
      const double score = total / std::pow((5.0 + static_cast<double>(length)) / 6, alpha);
      if (score > best) {
        best = score;
        best_ids = ids;
      }
    };
    if (made == most) return offer(sum, made);
    const auto t = static_cast<int64_t>(ids.size()) - 1;
    const int32_t last = ids.back();
    offer(sum + LogProbability(source, last, t, 2), made + 1);
    for (int32_t id = 3; id <= 5; ++id) {
      const double step = LogProbability(source, last, t, id);
      ids.push_back(id);
      Search(source, ids, sum + step, most, alpha, best, best_ids);
      ids.pop_back();
    }
  }
};

TEST_F(DecoderTest, GreedyFollowsTheLikeliest) {
  Decoder decoder = Make();
  const std::vector<int32_t> source = {7, 8, 9, 10};
  const DecodeRequest request{{source}, {1}, 0, 0};
  const auto result = decoder.Decode(std::span(&request, 1), {});
  ASSERT_TRUE(result) << result.error().message;
  std::vector<int32_t> want = {1};
  while (static_cast<int64_t>(want.size()) < test::kToyTarget) {
    int32_t best = 0;
    for (int32_t id = 1; id < test::kToyVocabulary; ++id) {
      const auto t = static_cast<int64_t>(want.size()) - 1;
      if (LogProbability(source, want.back(), t, id) > LogProbability(source, want.back(), t, best))
        best = id;
    }
    if (best == 2) break;
    want.push_back(best);
  }
  EXPECT_EQ((*result)[0], want);
}

TEST_F(DecoderTest, RowsDoNotDependOnTheBatch) {
  Decoder decoder = Make();
  std::vector<DecodeRequest> requests;
  for (int32_t i = 0; i < 30; ++i) {
    std::vector<int32_t> source;
    for (int32_t k = 0; k <= i % 7; ++k) source.push_back(6 + (i * 5 + k * 3) % 30);
    requests.push_back({{source}, {1}, i, 0});
  }
  for (int kind = 0; kind < 3; ++kind) {
    DecodeOptions options;
    options.sample = kind == 1;
    options.beam = kind == 2 ? 3 : 1;
    const auto together = decoder.Decode(requests, options);
    ASSERT_TRUE(together);
    std::map<size_t, int> lengths;
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto alone = decoder.Decode(std::span(&requests[i], 1), options);
      ASSERT_TRUE(alone);
      EXPECT_EQ((*alone)[0], (*together)[i]) << kind << " " << i;
      ++lengths[(*alone)[0].size()];
    }
    EXPECT_GT(lengths.size(), 2u);  // they end at different times
  }
}

TEST_F(DecoderTest, LimitsAndStreaming) {
  Decoder decoder = Make();
  DecodeOptions options;
  options.max_new = 2;
  const DecodeRequest request{{{7, 8}}, {1, 4}, 0, 0},
      full{{{7, 8}}, std::vector<int32_t>(test::kToyTarget, 4), 0, 0};
  const DecodeRequest requests[] = {request, full};
  std::vector<size_t> seen;
  const auto result = decoder.Decode(requests, options, [&](size_t i, std::span<const int32_t> ids) {
    EXPECT_EQ(i, 0u);
    seen.push_back(ids.size());
  });
  ASSERT_TRUE(result);
  EXPECT_LE((*result)[0].size(), 4u);
  EXPECT_EQ((*result)[1], full.prefix);
  EXPECT_EQ(seen.size(), (*result)[0].size() - 2);
}

TEST_F(DecoderTest, WideBeamFindsTheBestOfAll) {
  Decoder decoder = Make();
  for (double alpha : {0.0, 0.6, 1.5}) {
    for (int32_t first = 6; first < 16; ++first) {
      const std::vector<int32_t> source = {first, first + 3, first + 1};
      DecodeOptions options;
      options.beam = 100;
      options.alpha = alpha;
      options.max_new = 4;  // 3^4 = 81 open texts at most
      const DecodeRequest request{{source}, {1}, 0, 0};
      const auto result = decoder.Decode(std::span(&request, 1), options);
      ASSERT_TRUE(result);
      std::vector<int32_t> ids = {1}, best_ids;
      double best = -INFINITY;
      Search(source, ids, 0, 4, alpha, best, best_ids);
      EXPECT_EQ((*result)[0], best_ids) << alpha << " " << first;
    }
  }
}

TEST_F(DecoderTest, BeamOfOneIsGreedyAndBeamsHelp) {
  Decoder decoder = Make();
  const auto score = [&](const std::vector<int32_t>& source, const std::vector<int32_t>& ids) {
    double sum = 0;
    for (size_t t = 0; t + 1 < ids.size(); ++t) {
      sum += LogProbability(source, ids[t], static_cast<int64_t>(t), ids[t + 1]);
    }
    if (static_cast<int64_t>(ids.size()) < test::kToyTarget) {
      sum += LogProbability(source, ids.back(), static_cast<int64_t>(ids.size()) - 1, 2);
    }
    return sum;
  };
  double greedy_total = 0, beam_total = 0;
  for (int32_t first = 6; first < 36; ++first) {
    const std::vector<int32_t> source = {first, 41 - first, first};
    const DecodeRequest request{{source}, {1}, 0, 0};
    DecodeOptions options;
    const auto greedy = decoder.Decode(std::span(&request, 1), options);
    options.beam = 4;
    const auto beam = decoder.Decode(std::span(&request, 1), options);
    ASSERT_TRUE(greedy && beam);
    greedy_total += score(source, (*greedy)[0]);
    beam_total += score(source, (*beam)[0]);
  }
  EXPECT_GT(beam_total, greedy_total + 0.1);
}

TEST(ProgramOptions, AreReadAndChecked) {
  HeedOption options[] = {{"beam", 4}, {"alpha", 0.6}};
  HeedEntry entry{};
  entry.name = "translate";
  entry.options = options;
  entry.option_count = 2;
  Result<DecodeOptions> beam = ProgramOptions(entry);
  ASSERT_TRUE(beam);
  EXPECT_EQ(beam->beam, 4);
  EXPECT_EQ(beam->alpha, 0.6);
  EXPECT_FALSE(beam->sample);
  options[0] = {"top_k", 40};
  EXPECT_TRUE(ProgramOptions(entry)->sample);
  options[0] = {"topk", 40};
  Result<DecodeOptions> unknown = ProgramOptions(entry);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("`topk`"), std::string::npos);
  options[0] = {"top_p", 1.5};
  EXPECT_FALSE(ProgramOptions(entry));
}

}  // namespace
}  // namespace heed
