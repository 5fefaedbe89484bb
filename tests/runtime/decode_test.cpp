// Choosing tokens (greedy, top-k, top-p, temperature, repetition), generation row by row, and beam search
// against exhaustive search on a program written by hand, whose logits depend on the whole text through
// caches.
#include "runtime/decode/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "tests/support/toy_program.h"

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

TEST(Choose, LooksFarEnoughDownAFlatDistribution) {
  std::vector<float> logits(5000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 977) * 1e-4f;
  DecodeOptions options;
  options.sample = true;
  options.top_p = 0.9;
  std::map<int32_t, double> seen = Frequencies(logits, options);
  // The 488 or so least likely remainders (modulo 977) are left out: a tenth of the probability.
  int32_t least = 5000;
  for (const auto& [id, frequency] : seen) least = std::min(least, id % 977);
  EXPECT_GT(least, 85);
  EXPECT_LT(least, 120);
  EXPECT_GT(seen.size(), 3000u);
}

TEST(Choose, EdgesOfLogits) {
  DecodeOptions options;
  options.sample = true;
  const float infinity = INFINITY;
  EXPECT_EQ(Choose(std::vector<float>{-infinity, -infinity}, options, 0, 0), -1);  // nothing to choose
  EXPECT_EQ(Choose(std::vector<float>{1, infinity, infinity}, options, 0, 0), 1);
  options.temperature = 1e-300;
  EXPECT_EQ(Choose(std::vector<float>{1, 3, 2}, options, 0, 0), 1);
  options.temperature = 1;
  for (int i = 0; i < 1000; ++i) EXPECT_NE(Choose(std::vector<float>{-infinity, 0, 0}, options, i, 0), 0);
  EXPECT_EQ(Choose({}, options, 0, 0), -1);
}

TEST(Choose, SamplesOfOneExampleDiffer) {
  const std::vector<float> logits(1000, 0.0f);
  DecodeOptions options;
  options.sample = true;
  EXPECT_EQ(Choose(logits, options, 3, 4), Choose(logits, options, 3, 4, 0));
  EXPECT_NE(Choose(logits, options, 3, 4), Choose(logits, options, 3, 4, 1));
}

TEST(Logits, LargestAndLogSumExp) {
  std::vector<float> logits;
  uint64_t state = 3;
  for (int i = 0; i < 3000; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    logits.push_back(static_cast<float>(state >> 54) / 32 - 16);  // many are equal
  }
  std::vector<int32_t> order(logits.size()), largest;
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  for (const int64_t count : {0, 1, 7, 500, 2999, 3000, 9000}) {
    Largest(logits, count, largest);
    const auto want = std::min<size_t>(static_cast<size_t>(count), order.size());
    EXPECT_EQ(largest, std::vector<int32_t>(order.begin(), order.begin() + static_cast<int64_t>(want)));
  }
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  EXPECT_NEAR(LogSumExp(logits), std::log(sum), 1e-6);
  logits.push_back(-INFINITY);
  EXPECT_NEAR(LogSumExp(logits), std::log(sum), 1e-6);
  EXPECT_FALSE(HasNan(logits));
  logits[17] = NAN;
  EXPECT_TRUE(HasNan(logits));
}

// Options at the ends of what they may be never choose what has probability 0, nor meet NaN.
TEST(Choose, EdgesOfOptions) {
  const float infinity = INFINITY, largest = std::numeric_limits<float>::max();
  const std::vector<float> logits{-infinity, 1, -2, -infinity, 1.5f, -3e38f, -infinity},
      wide{largest, -largest, 0};
  for (const double temperature : {1e-320, 1e-40, 1e-38, 1e-3, 1.0, 1e3, 1e38, 1e40, 1e300})
    for (const int64_t top_k : {0, 1, 2, 5, 7, 1000})
      for (const double top_p : {0.0, 1e-300, 0.5, 1.0})
        for (int64_t i = 0; i < 50; ++i) {
          DecodeOptions options;
          options.sample = true;
          options.temperature = temperature;
          options.top_k = top_k;
          options.top_p = top_p;
          const int32_t id = Choose(logits, options, i, 0);
          ASSERT_TRUE(id == 1 || id == 2 || id == 4 || id == 5)
              << temperature << " " << top_k << " " << top_p;
          if (temperature < 1e-2 || top_k == 1 || top_p < 1e-3) ASSERT_EQ(id, 4);
          ASSERT_GE(Choose(wide, options, i, 0), 0);
        }
  DecodeOptions hot;
  hot.sample = true;
  hot.temperature = 1e300;
  EXPECT_NEAR(Frequencies({0, 50, -infinity}, hot)[0], 0.5, 0.02);
}

TEST(Logits, InfiniteOnesHaveProbabilities) {
  const float infinity = INFINITY;
  EXPECT_EQ(LogSumExp(std::vector<float>{1, infinity}), infinity);
  EXPECT_EQ(LogProbability(infinity, infinity), 0);
  EXPECT_EQ(LogProbability(3, infinity), -infinity);
  EXPECT_EQ(LogSumExp(std::vector<float>{-infinity, -infinity}), -infinity);
  EXPECT_TRUE(CanChoose(std::vector<float>{1, infinity}));
  EXPECT_FALSE(CanChoose(std::vector<float>{-infinity, -infinity}));
  EXPECT_FALSE(CanChoose(std::vector<float>{1, NAN}));
}

TEST(Logits, NoPenaltyIsTooLarge) {
  const float infinity = INFINITY;
  const std::vector<float> before{0, -0.0f, 2, -2, infinity, -infinity, 1e-40f, 3e38f, -3e38f};
  std::vector<int32_t> all(before.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  for (const double penalty : {1e-300, 1e-40, 0.5, 1.5, 1e38, 1e40, 1e300}) {
    std::vector<float> logits = before;
    std::vector<char> seen(logits.size(), 0);
    PenalizeRepetition(logits, all, penalty, seen);
    for (size_t i = 0; i < logits.size(); ++i) {
      ASSERT_EQ(std::isfinite(logits[i]), std::isfinite(before[i])) << penalty << " " << before[i];
      ASSERT_EQ(logits[i] > 0, before[i] > 0) << penalty << " " << before[i];
      ASSERT_EQ(logits[i] < 0, before[i] < 0) << penalty << " " << before[i];
    }
  }
  // Rounded once, as ever.
  std::vector<float> logits{3.3f, -3.3f};
  std::vector<char> seen(2, 0);
  PenalizeRepetition(logits, std::vector<int32_t>{0, 1}, 1.7, seen);
  EXPECT_EQ(logits, (std::vector<float>{3.3f / 1.7f, -3.3f * 1.7f}));
}

TEST(Logits, RepetitionIsPenalizedOnce) {
  std::vector<float> logits = {4, -4, 2, 0};
  std::vector<char> seen(4, 0);
  PenalizeRepetition(logits, std::vector<int32_t>{0, 1, 0, 1, 3}, 2, seen);
  EXPECT_EQ(logits, (std::vector<float>{2, -8, 2, 0}));
  EXPECT_EQ(seen, std::vector<char>(4, 0));
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
  /// log p(after | text)
  double LogProbability(const std::vector<int32_t>& source, const std::vector<int32_t>& text, int32_t after,
                        double penalty = 1) {
    float logits[test::kToyVocabulary];
    test::toy::Logits({parameters.tensor(0).data(), parameters.tensor(1).data()}, source.data(),
                      static_cast<int64_t>(source.size()), text.back(), static_cast<int64_t>(text.size()) - 1,
                      1, logits);
    test::toy::AddHistory(text.data(), static_cast<int64_t>(text.size()), logits);
    std::vector<char> seen(test::kToyVocabulary, 0);
    PenalizeRepetition(logits, text, penalty, seen);
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
    offer(sum + LogProbability(source, ids, 2), made + 1);
    for (int32_t id = 3; id <= 5; ++id) {
      const double step = LogProbability(source, ids, id);
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
  for (const double penalty : {1.0, 1.7}) {
    DecodeOptions options;
    options.scores = true;
    options.alpha = 0.7;
    options.repetition_penalty = penalty;
    const auto result = decoder.Decode(std::span(&request, 1), options);
    ASSERT_TRUE(result) << result.error().message;
    std::vector<int32_t> want = {1};
    double sum = 0;
    bool ended = false;
    while (!ended && static_cast<int64_t>(want.size()) < test::kToyTarget) {
      int32_t best = 0;
      for (int32_t id = 1; id < test::kToyVocabulary; ++id) {
        if (LogProbability(source, want, id, penalty) > LogProbability(source, want, best, penalty))
          best = id;
      }
      sum += LogProbability(source, want, best, penalty);
      ended = best == 2;
      if (!ended) want.push_back(best);
    }
    ASSERT_EQ((*result)[0].size(), 1u);
    EXPECT_EQ((*result)[0][0].ids, want);
    EXPECT_NEAR((*result)[0][0].score, sum / LengthPenalty(want.size() - 1 + (ended ? 1 : 0), 0.7), 1e-5);
  }
}

TEST_F(DecoderTest, RowsDoNotDependOnTheBatch) {
  Decoder decoder = Make();
  std::vector<DecodeRequest> requests;
  for (int32_t i = 0; i < 30; ++i) {
    std::vector<int32_t> source;
    for (int32_t k = 0; k <= i % 7; ++k) source.push_back(6 + (i * 5 + k * 3) % 30);
    requests.push_back({{source}, {1}, i, 0});
  }
  for (int kind = 0; kind < 5; ++kind) {
    DecodeOptions options;
    options.sample = kind == 1 || kind == 3;
    options.beam = kind == 2 || kind == 4 ? 3 : 1;
    options.best = kind >= 3 ? 3 : 1;
    options.scores = kind >= 3;
    options.repetition_penalty = kind == 4 ? 1.3 : 1;
    const auto together = decoder.Decode(requests, options);
    ASSERT_TRUE(together);
    std::map<size_t, int> lengths;
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto alone = decoder.Decode(std::span(&requests[i], 1), options);
      ASSERT_TRUE(alone);
      ASSERT_EQ((*alone)[0].size(), (*together)[i].size());
      for (size_t k = 0; k < (*alone)[0].size(); ++k) {
        EXPECT_EQ((*alone)[0][k].ids, (*together)[i][k].ids) << kind << " " << i;
        EXPECT_EQ((*alone)[0][k].score, (*together)[i][k].score);
        if (k > 0) EXPECT_LE((*alone)[0][k].score, (*alone)[0][k - 1].score);
      }
      ++lengths[(*alone)[0][0].ids.size()];
    }
    EXPECT_GT(lengths.size(), 2u);  // they end at different times
  }
}

// What may not be chosen is not, by any kind of search, and scores are those among all elements. The end is
// chosen whatever may.
TEST_F(DecoderTest, KeepsToWhatMayBeChosen) {
  Decoder decoder = Make(), free = Make();
  decoder.ChooseOnly([](int32_t id) { return id == 3 || id == 5 || id == 7; });
  std::vector<DecodeRequest> requests;
  for (int32_t i = 0; i < 12; ++i) requests.push_back({{{6 + i, 9}}, {1}, i, 0});
  bool different = false;
  for (int kind = 0; kind < 4; ++kind) {
    DecodeOptions options;
    options.sample = kind == 1;
    options.top_k = kind == 1 ? 3 : 0;
    options.beam = kind == 2 ? 4 : kind == 3 ? 60 : 1;  // 60: more than may be chosen
    options.best = kind == 0 ? 1 : 3;
    options.scores = true;
    const auto results = decoder.Decode(requests, options), all = free.Decode(requests, options);
    ASSERT_TRUE(results && all);
    for (size_t i = 0; i < requests.size(); ++i) {
      for (const Decoded& one : (*results)[i]) {
        for (size_t t = 1; t < one.ids.size(); ++t)
          ASSERT_TRUE(one.ids[t] == 3 || one.ids[t] == 5 || one.ids[t] == 7) << kind << " " << one.ids[t];
        ASSERT_TRUE(std::isfinite(one.score));
        std::vector<int32_t> text = {1};
        double sum = 0;
        for (size_t t = 1; t < one.ids.size(); ++t) {
          sum += LogProbability(requests[i].sources[0], text, one.ids[t]);
          text.push_back(one.ids[t]);
        }
        if (static_cast<int64_t>(text.size()) < test::kToyTarget)
          sum += LogProbability(requests[i].sources[0], text, entry.until[0]);
        EXPECT_NEAR(one.score, sum, 1e-4);
      }
      different = different || (*results)[i][0].ids != (*all)[i][0].ids;
    }
  }
  EXPECT_TRUE(different);
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
  EXPECT_LE((*result)[0][0].ids.size(), 4u);
  EXPECT_EQ((*result)[1][0].ids, full.prefix);
  EXPECT_EQ(seen.size(), (*result)[0][0].ids.size() - 2);
  // Prompts of different lengths start from where each ends, by any kind of search.
  for (const bool beam : {false, true}) {
    DecodeOptions all;
    all.beam = beam ? 2 : 1;
    all.best = all.beam;
    const DecodeRequest one{{{7, 8}}, {1, 4, 5, 3, 3}, 0, 0};
    const DecodeRequest ragged[] = {request, full, one};
    const auto together = decoder.Decode(ragged, all);
    const auto alone = decoder.Decode(std::span(&one, 1), all);
    ASSERT_TRUE(together && alone);
    EXPECT_EQ((*together)[2][0].ids, (*alone)[0][0].ids);
    EXPECT_EQ((*together)[1][0].ids, full.prefix);
    EXPECT_TRUE(std::equal(one.prefix.begin(), one.prefix.end(), (*alone)[0][0].ids.begin()));
  }
}

TEST_F(DecoderTest, StopsWhenAsked) {
  Decoder decoder = Make();
  const DecodeRequest request{{{7, 8}}, {1, 4}, 0, 0};
  for (const int64_t beam : {1, 3}) {
    int steps = 0;
    decoder.interrupted = [&] { return ++steps > 3; };
    DecodeOptions options;
    options.beam = beam;
    const auto result = decoder.Decode(std::span(&request, 1), options);
    ASSERT_TRUE(result);
    ASSERT_GE((*result)[0].size(), 1u);
    EXPECT_LE((*result)[0][0].ids.size(), 6u);
    decoder.interrupted = [] { return true; };
    const auto nothing = decoder.Decode(std::span(&request, 1), options);
    ASSERT_TRUE(nothing);
    EXPECT_EQ((*nothing)[0][0].ids, request.prefix);
  }
}

TEST_F(DecoderTest, SamplesAreWhatTheSeedSays) {
  Decoder decoder = Make();
  const DecodeRequest request{{{7, 8, 9}}, {1}, 5, 0};
  DecodeOptions options;
  options.sample = true;
  options.seed = 4;
  const auto one = decoder.Decode(std::span(&request, 1), options);
  options.best = 6;
  const auto six = decoder.Decode(std::span(&request, 1), options);
  ASSERT_TRUE(one && six);
  ASSERT_EQ((*six)[0].size(), 6u);
  EXPECT_EQ((*six)[0][0].ids, (*one)[0][0].ids);
  std::map<std::vector<int32_t>, int> texts;
  for (const Decoded& sample : (*six)[0]) {
    ++texts[sample.ids];
    // Each is the path that its choices make.
    std::vector<int32_t> text = {1};
    for (size_t t = 1; t <= sample.ids.size() && static_cast<int64_t>(t) < test::kToyTarget; ++t) {
      float logits[test::kToyVocabulary];
      test::toy::Logits({parameters.tensor(0).data(), parameters.tensor(1).data()}, request.sources[0].data(),
                        3, text.back(), static_cast<int64_t>(t) - 1, 1, logits);
      test::toy::AddHistory(text.data(), static_cast<int64_t>(t), logits);
      const int32_t id = Choose(logits, options, 5, static_cast<int64_t>(t), &sample - (*six)[0].data());
      if (id == 2) break;
      text.push_back(id);
    }
    EXPECT_EQ(sample.ids, text);
  }
  EXPECT_GT(texts.size(), 2u);
}

// Ends 2 and 5: those of the program, or one of them of a folder.
TEST_F(DecoderTest, AnyOfSeveralEndsATextAndCountsInItsScore) {
  const int64_t both[] = {2, 5};
  HeedEntry two = entry;
  two.until_count = 2;
  two.until = both;
  Result<Decoder> of_program = Decoder::Make(two, engine, parameters);
  ASSERT_TRUE(of_program);
  Decoder of_folder = Make();
  const int32_t more[] = {5, 2};
  of_folder.EndAlsoAt(more);
  std::set<int32_t> ends_met;
  for (int32_t first = 6; first < 36; ++first) {
    const std::vector<int32_t> source = {first, first + 3, first + 1};
    const DecodeRequest request{{source}, {1}, 0, 0};
    for (int kind = 0; kind < 4; ++kind) {
      DecodeOptions options;
      options.scores = true;
      options.sample = kind == 1;
      options.beam = kind >= 2 ? 40 : 1;
      options.best = kind == 1 || kind == 3 ? 5 : 1;
      options.max_new = kind >= 2 ? 3 : 0;
      const auto results = of_program->Decode(std::span(&request, 1), options);
      const auto again = of_folder.Decode(std::span(&request, 1), options);
      ASSERT_TRUE(results && again);
      ASSERT_EQ((*again)[0].size(), (*results)[0].size());
      std::set<std::vector<int32_t>> texts;
      for (size_t k = 0; k < (*results)[0].size(); ++k) {
        const Decoded& one = (*results)[0][k];
        EXPECT_EQ(one.ids, (*again)[0][k].ids);
        EXPECT_EQ(one.score, (*again)[0][k].score);
        EXPECT_EQ(
            std::count(one.ids.begin(), one.ids.end(), 2) + std::count(one.ids.begin(), one.ids.end(), 5), 0);
        if (kind >= 2) EXPECT_TRUE(texts.insert(one.ids).second) << "a text counts once";
        // The score is that of the text and of one of the ends, or of the text that met a limit.
        double sum = 0;
        for (size_t t = 1; t < one.ids.size(); ++t)
          sum += LogProbability(source, {one.ids.begin(), one.ids.begin() + static_cast<int64_t>(t)},
                                one.ids[t]);
        const size_t most = kind >= 2 ? 4 : static_cast<size_t>(test::kToyTarget);
        if (one.ids.size() == most) {
          EXPECT_NEAR(one.score, sum, 1e-4);
          continue;
        }
        const double by_two = sum + LogProbability(source, one.ids, 2),
                     by_five = sum + LogProbability(source, one.ids, 5);
        const bool two_ends = std::abs(one.score - by_two) < std::abs(one.score - by_five);
        EXPECT_NEAR(one.score, two_ends ? by_two : by_five, 1e-4);
        if (kind >= 2) EXPECT_NEAR(one.score, std::max(by_two, by_five), 1e-4);
        ends_met.insert(two_ends ? 2 : 5);
      }
    }
  }
  EXPECT_EQ(ends_met, (std::set<int32_t>{2, 5}));
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
      EXPECT_EQ((*result)[0][0].ids, best_ids) << alpha << " " << first;
      EXPECT_NEAR((*result)[0][0].score, best, 1e-5);
    }
  }
}

TEST_F(DecoderTest, BeamOfOneIsGreedyAndBeamsHelp) {
  Decoder decoder = Make();
  const auto score = [&](const std::vector<int32_t>& source, const std::vector<int32_t>& ids) {
    double sum = 0;
    for (size_t t = 1; t < ids.size(); ++t)
      sum += LogProbability(source, {ids.begin(), ids.begin() + static_cast<int64_t>(t)}, ids[t]);
    if (static_cast<int64_t>(ids.size()) < test::kToyTarget) sum += LogProbability(source, ids, 2);
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
    greedy_total += score(source, (*greedy)[0][0].ids);
    beam_total += score(source, (*beam)[0][0].ids);
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
  options[0] = {"repetition_penalty", 1.2};
  EXPECT_EQ(ProgramOptions(entry)->repetition_penalty, 1.2);
  options[0] = {"repetition_penalty", 0};
  EXPECT_FALSE(ProgramOptions(entry));
}

}  // namespace
}  // namespace heed
