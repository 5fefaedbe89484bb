// Profiling: what counts, what it adds up to, how it is shown; on functions written by hand.
#include "runtime/engine/profiler.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "runtime/commands/memory_map.h"
#include "runtime/commands/profile_report.h"
#include "runtime/engine/bound_call.h"
#include "runtime/kernels/heed_kernels.h"
#include "tests/support/runtime_toy.h"

namespace heed {
namespace {

// A function of two steps on a buffer of the arena: each of `extents[0]` parts works for a while.
void Work(const void* context, int64_t part, int64_t, void*) {
  volatile double sum = 0;
  for (int i = 0; i < 200000; ++i) sum = sum + static_cast<double>(i);
  static_cast<float*>(const_cast<void*>(context))[part] = static_cast<float>(sum);
}
void RunTwoSteps(const HeedFrame* frame) {
  for (int step = 0; step < 2; ++step)
    frame->services->parallel(frame->services->pool, Work, frame->buffers[0], frame->extents[0], 0);
}

const HeedOrigin kOrigins[] = {{"add", "h.0.attn", "prelude:4:3 < two.heed:9:5 < two.heed:30:1", 0},
                               {"contract", "h.1.attn", "two.heed:12:2", 1},
                               {"sum", "", "", 0}};
const int64_t kBatch[] = {0};
const HeedSize kPerRow[] = {{12, 1, kBatch}};
const HeedUse kUses[] = {{0, {1, kPerRow}, {1, kPerRow}}};
const HeedStep kSteps[] = {
    {kHeedStepLoop, "loop_0 add", 1, &kOrigins[0], 0, {1, kPerRow}, {0, nullptr}, 1, kUses, nullptr},
    {kHeedStepMatmul, "matmul 2 x 3 x 4", 1, &kOrigins[1], 0, {1, kPerRow}, {0, nullptr}, 1, kUses, nullptr}};
const HeedBuffer kBuffers[] = {{kHeedBufferArena, 0, {4096, 1, kBatch}, 0, 1},
                               {kHeedBufferArena, 0, {1000, 1, kBatch}, 1, 1},
                               {kHeedBufferArena, 0, {64, 0, nullptr}, 0, 0}};
const char* const kExtents[] = {"batch"};
const HeedFunction kTwoSteps = {"forward/two", 1,           kExtents, 0,       nullptr, 0,     nullptr, 3,
                                kBuffers,      RunTwoSteps, 0,        nullptr, 2,       kSteps};

/// Calls of kTwoSteps that a profiler watches.
struct Watched {
  Watched(int threads, int64_t skip, int64_t batch) : pool(threads), profiler(skip), extents{batch} {
    EXPECT_TRUE(call.Reserve(extents));
  }
  void Run(int calls) {
    for (int i = 0; i < calls; ++i) call.Run(extents);
  }
  ThreadPool pool;
  Profiler profiler;
  Engine engine{test::kToy, pool, &profiler};
  ParameterBlock parameters{test::kToy};
  BoundCall call{engine, kTwoSteps, parameters};
  const std::vector<int64_t> extents;
};

TEST(Profiler, TimesStepsOfTheCallsThatCount) {
  Watched watched(2, 1, 2);
  Profiler& profiler = watched.profiler;
  watched.Run(4);
  const std::vector<FunctionProfile> functions = profiler.functions();
  ASSERT_EQ(functions.size(), 1u);
  const FunctionProfile& profile = functions[0];
  EXPECT_EQ(profile.calls, 3);
  EXPECT_EQ(profile.skipped, 1);
  ASSERT_EQ(profile.steps.size(), 2u);
  int64_t sum = 0;
  for (const StepProfile& step : profile.steps) {
    EXPECT_GT(step.nanoseconds, 0);
    EXPECT_GT(step.busy, 0);
    EXPECT_LE(step.busy, 2 * step.nanoseconds);
    EXPECT_EQ(step.work.flops, 3 * 24);
    EXPECT_EQ(step.work.bytes_read, 3 * 24);
    sum += step.nanoseconds;
  }
  EXPECT_LE(sum, profile.nanoseconds);
  EXPECT_GT(sum, 0);  // nearly all of it, on a machine that does nothing else
  EXPECT_GE(profiler.wall(), profiler.in_functions());
  EXPECT_EQ(profiler.events().size(), 16u);  // 4 calls of 2 steps of 2 parts
}

TEST(Profiler, TheOnlyCallCounts) {
  Watched watched(1, 1, 1);
  Profiler& profiler = watched.profiler;
  watched.Run(1);
  {
    const ProfileSpan span(&profiler, "elsewhere");
  }
  ASSERT_EQ(profiler.functions().size(), 1u);
  EXPECT_EQ(profiler.functions()[0].calls, 1);
  EXPECT_EQ(profiler.functions()[0].skipped, 0);
  ASSERT_EQ(profiler.spans().size(), 1u);
  EXPECT_EQ(profiler.spans()[0].name, "elsewhere");
}

TEST(StepWork, OfAMaskedProductTheTermsThatAreThere) {
  const std::vector<uint8_t> mask = {1, 0, 1, 1, 0, 0};  // [loop 2, k 3]
  HeedMatmul product{};
  product.mask = mask.data();
  product.loops = product.ms = product.ns = 1;
  product.ks = 2;
  product.axes[0] = {2, 0, 0, 0, 3};
  product.axes[1] = {5, 0, 0, 0, 0};
  product.axes[2] = {7, 0, 0, 0, 0};
  product.axes[3] = {3, 0, 0, 0, 1};
  product.axes[4] = {4, 0, 0, 0, 0};  // the mask lacks it
  const HeedSize each[] = {{2 * 5 * 7, 0, nullptr}};
  const HeedStep step = {kHeedStepMatmul, "", 0, nullptr, 0, {0, nullptr}, {1, each}, 0, nullptr, nullptr};
  const HeedFrame frame{};
  EXPECT_EQ(WorkOf(test::kToy, kTwoSteps, step, frame, &product).flops, 2 * 5 * 7 * (3 * 4));
}

TEST(ProfileReport, RowsByKernelModuleAndLine) {
  FunctionProfile profile;
  profile.function = &kTwoSteps;
  profile.calls = 1;
  profile.nanoseconds = 100;
  profile.steps.resize(2);
  profile.steps[0].nanoseconds = 30;
  profile.steps[1].nanoseconds = 60;
  const std::vector<ProfileRow> kernels = RowsOf(profile, ProfileBy::Kernel);
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels[0].name, "matmul 2 x 3 x 4");
  const std::vector<ProfileRow> lines = RowsOf(profile, ProfileBy::Line);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].name, "two.heed:12");
  EXPECT_EQ(lines[1].name, "two.heed:9");  // what asks for the prelude, not the prelude
  const std::vector<ProfileRow> modules = RowsOf(profile, ProfileBy::Module);
  ASSERT_EQ(modules.size(), 2u);
  EXPECT_EQ(modules[0].name, "h.*");  // both layers
  EXPECT_EQ(modules[1].name, "h.*.attn");
  EXPECT_EQ(modules[1].depth, 1);
  for (const ProfileRow& module : modules) EXPECT_EQ(module.sum.nanoseconds, 90);
}

TEST(MemoryMap, ExplainsThePeak) {
  const std::vector<int64_t> extents = {10};
  const Result<MemoryMap> map = MapMemory(kTwoSteps, extents);
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ(map->name, "forward/two, batch 10");
  EXPECT_EQ(map->peak_step, 1);
  EXPECT_EQ(map->in_use, 40960 + 10000);
  EXPECT_GE(map->bytes, map->in_use);
  ASSERT_EQ(map->pieces.size(), 3u);
  EXPECT_EQ(map->pieces[0].made_by, "add h.0.attn two.heed:9");
  EXPECT_EQ(map->pieces[1].made_by, "contract h.1.attn two.heed:12, gradient");
  const std::string text = MemoryText(*map, 1, 80);
  EXPECT_NE(text.find("add h.0.attn two.heed:9"), std::string::npos) << text;
  EXPECT_NE(text.find("and 1 smaller one"), std::string::npos) << text;
  const std::string svg = MemorySvg(std::span(&*map, 1));
  size_t pieces = 0;
  for (size_t at = 0; (at = svg.find("class=\"piece", at)) != std::string::npos; ++at) ++pieces;
  EXPECT_EQ(pieces, 3u);
}

TEST(ProfileReport, JsonIsATraceToo) {
  Watched watched(2, 0, 2);
  Profiler& profiler = watched.profiler;
  watched.Run(3);
  {
    const ProfileSpan span(&profiler, "optimizer");
  }
  const Profile profile{&test::kToy, "two", 2, {1e9, 2e9}, profiler.functions(), &profiler};
  const nlohmann::json json = nlohmann::json::parse(ProfileJson(profile), nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["heed_profile"], 1);
  ASSERT_EQ(json["traceEvents"].size(), 13u);
  for (const auto& event : json["traceEvents"]) {
    EXPECT_EQ(event["ph"], "X");
    EXPECT_TRUE(event["ts"].is_number() && event["dur"].is_number() && event["name"].is_string());
  }
  const auto& function = json["functions"][0];
  EXPECT_EQ(function["calls"], 3);
  EXPECT_EQ(function["extents"]["batch"], 2);
  EXPECT_EQ(function["steps"][0]["origins"][0]["instance"], "h.0.attn");
  EXPECT_EQ(function["steps"][1]["flops"], 3 * 24.0);
  EXPECT_EQ(function["memory"]["peak_step"], 1);
  const std::string text = ProfileText(profile, {ProfileBy::Kernel}, 1);
  EXPECT_NE(text.find("matmul 2 x 3 x 4") == std::string::npos, text.find("loop_0 add") == std::string::npos)
      << "one row: " << text;
  EXPECT_NE(text.find("1 others"), std::string::npos) << text;
}

}  // namespace
}  // namespace heed
