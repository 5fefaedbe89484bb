// Safetensors files, good and hostile; atomic writing; parameters found by name, prefix and shape.
#include "runtime/weights/checkpoint.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/support/expect.h"
#include "tests/support/runtime_toy.h"

namespace heed {
namespace {

namespace fs = std::filesystem;
using test::kToy;

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("heed-checkpoint-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  std::string WriteRaw(const std::string& header, int64_t data_bytes, int64_t claimed = -1) {
    const std::string path = Path("raw.safetensors");
    std::ofstream out(path, std::ios::binary);
    const uint64_t length = claimed >= 0 ? static_cast<uint64_t>(claimed) : header.size();
    out.write(reinterpret_cast<const char*>(&length), 8);
    out << header << std::string(static_cast<size_t>(data_bytes), '\1');
    return path;
  }
  std::string OpenError(const std::string& header, int64_t data_bytes, int64_t claimed = -1) {
    const auto file = SafetensorsFile::Open(WriteRaw(header, data_bytes, claimed));
    return file ? "" : file.error().message;
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename());
    return names;
  }
  fs::path folder_;
};

TEST_F(CheckpointTest, RoundTrip) {
  const float f[] = {1.5f, -0.0f, std::nanf(""), INFINITY, 1e-42f, 6};
  const int32_t i[] = {-1, 1 << 30};
  const uint8_t b[] = {0, 1, 255};
  const std::string path = Path("a.safetensors");
  ASSERT_TRUE(WriteSafetensors(path,
                               {{"bytes", "U8", {3}, b},
                                {"f \"quoted\" \u00e9", "F32", {2, 3}, f},
                                {"scalar", "I32", {}, i + 1},
                                {"ints", "I32", {2}, i},
                                {"empty", "F32", {0, 7}, nullptr}},
                               {{"step", "12"}, {"note", "a\nb\u00e9"}}));
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->metadata().at("step"), "12");
  EXPECT_EQ(file->metadata().at("note"), "a\nb\u00e9");
  const auto& floats = file->tensors().at("f \"quoted\" \u00e9");
  EXPECT_EQ(floats.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(floats.data, f, sizeof f), 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(floats.data) % 4, 0u);
  EXPECT_EQ(std::memcmp(file->tensors().at("ints").data, i, sizeof i), 0);
  EXPECT_EQ(std::memcmp(file->tensors().at("scalar").data, i + 1, 4), 0);
  EXPECT_EQ(std::memcmp(file->tensors().at("bytes").data, b, sizeof b), 0);
  EXPECT_EQ(file->tensors().at("empty").bytes, 0);
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(CheckpointTest, FilesThatAreNone) {
  const auto error = [](const std::string& path) {
    const auto file = SafetensorsFile::Open(path);
    return file ? std::string() : file.error().message;
  };
  EXPECT_HAS(error(Path("missing")), "No such file");
  EXPECT_HAS(error(folder_.string()), "folder");
  std::ofstream(Path("empty")).flush();
  EXPECT_HAS(error(Path("empty")), "empty");
  std::ofstream(Path("short")) << "abc";
  EXPECT_HAS(error(Path("short")), "only 3 bytes");
  EXPECT_HAS(error("/dev/null"), "not a regular file");
  std::ofstream(Path("text")) << "PK\x03\x04 this is a zip file of pytorch, not safetensors";
  EXPECT_HAS(error(Path("text")), "PyTorch's format");
  std::ofstream(Path("text")) << "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
  EXPECT_HAS(error(Path("text")), "git lfs pull");
  std::ofstream(Path("text")) << "GGUF\x03 and so on";
  EXPECT_HAS(error(Path("text")), "GGUF");
  std::ofstream(Path("text")) << "some text or other";
  EXPECT_HAS(error(Path("text")), "another format");
}

TEST_F(CheckpointTest, HostileHeaders) {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_EQ(OpenError(good, 8), "");
  EXPECT_HAS(OpenError(good, 7), "ends at byte 8");
  EXPECT_HAS(OpenError(good, 9), "1 bytes follow");
  EXPECT_HAS(OpenError(good, 0, 5000), "header has 5000 bytes, but the file ends");
  EXPECT_HAS(OpenError(good, 8, int64_t{1} << 60), "claims");
  EXPECT_HAS(OpenError(good, 8, 0), "begin with '{'");
  EXPECT_HAS(OpenError(good, 8, 20), "not a JSON object");
  EXPECT_HAS(OpenError("[1, 2]  ", 0), "begin with '{'");
  EXPECT_HAS(OpenError("{\"a\":", 0), "not a JSON object");
  EXPECT_HAS(OpenError("{" + std::string(100000, '['), 0), "not a JSON object");
  EXPECT_HAS(OpenError("{\"a\":" + std::string(200000, '[') + std::string(200000, ']') + "}", 0),
             "lacks a dtype");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[2]}})", 8), "lacks a dtype, shape or data_offsets");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})", 8), "lacks");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}})", 8), "lacks");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8),
             "not of whole numbers");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8),
             "not of whole numbers");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})", 8),
             "not of whole numbers");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), "bad data_offsets");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", 8), "bad data_offsets");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}})", 8),
             "bad data_offsets");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), "has 8 bytes");
  // 2^62 * 2^2 elements of 4 bytes are 0 modulo 2^64.
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0),
             "overflows");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0),
             "0 bytes");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                           "b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
                       7),
             "overlap");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                           "b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})",
                       9),
             "no tensor has bytes 4 to 5");
  EXPECT_HAS(OpenError(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                           "a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                       8),
             "`a` twice");
  EXPECT_HAS(OpenError(R"({"__metadata__":{"a":1}})", 0), "not a string");
  EXPECT_HAS(OpenError(R"({"__metadata__":[]})", 0), "not an object");
  EXPECT_EQ(OpenError(R"({"__metadata__":{}})", 0), "");
  EXPECT_EQ(OpenError(R"({"__metadata__":null})", 0), "");  // the same as none
  EXPECT_EQ(OpenError(R"({"a":{"dtype":"F4_NEW","shape":[3],"data_offsets":[0,2]}})", 2), "");
}

TEST_F(CheckpointTest, TruncatedAnywhereIsAnErrorNotACrash) {
  const float f[] = {1, 2, 3, 4};
  const std::string path = Path("whole");
  ASSERT_TRUE(WriteSafetensors(path, {{"a", "F32", {4}, f}}, {{"k", "v"}}));
  const auto size = static_cast<int64_t>(fs::file_size(path));
  for (int64_t cut = size - 1; cut >= 0; --cut) {
    fs::resize_file(path, static_cast<uintmax_t>(cut));
    ASSERT_FALSE(SafetensorsFile::Open(path)) << cut;
  }
}

TEST_F(CheckpointTest, WritingFailsWithoutATrace) {
  const std::string path = Path("w");
  const std::vector<float> old(10, 1), fresh(100000, 2);
  ASSERT_TRUE(WriteSafetensors(path, {{"a", "F32", {10}, old.data()}}, {}));
  // A full disk, played by a limit on the size of files.
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit limit = before;
  limit.rlim_cur = 4096;
  setrlimit(RLIMIT_FSIZE, &limit);
  const Status status = WriteSafetensors(path, {{"a", "F32", {100000}, fresh.data()}}, {});
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_FALSE(status);
  EXPECT_HAS(status.error().message, "cannot write " + path);
  EXPECT_HAS(status.error().message, "unchanged");
  EXPECT_EQ(Files(), std::vector<std::string>{"w"});
  EXPECT_EQ(SafetensorsFile::Open(path)->tensors().at("a").shape, std::vector<int64_t>{10});
  const auto error = [&](const std::string& where) {
    const Status result = WriteSafetensors(where, {{"a", "F32", {10}, old.data()}}, {});
    return result ? std::string() : result.error().message;
  };
  EXPECT_HAS(error("/dev/full"), "no space left");
  EXPECT_HAS(error(Path("none/w")), "there is no folder");
  EXPECT_HAS(error(folder_.string()), "it is a folder");
  EXPECT_EQ(error("/dev/null"), "");
  EXPECT_FALSE(fs::is_regular_file("/dev/null"));
  EXPECT_FALSE(WriteSafetensors(path, {{"a", "F32", {1}, old.data()}, {"a", "F32", {1}, old.data()}}, {}));
  EXPECT_FALSE(WriteSafetensors(path, {{"a", "F99", {1}, old.data()}}, {}));
}

TEST_F(CheckpointTest, KeepsModesAndLinks) {
  const float f[] = {1};
  const std::string path = Path("private"), link = Path("link");
  ASSERT_TRUE(WriteSafetensors(path, {{"a", "F32", {1}, f}}, {}));
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink(path, link);
  ASSERT_TRUE(WriteSafetensors(link, {{"b", "F32", {1}, f}}, {}));
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(SafetensorsFile::Open(path)->tensors().count("b"), 1u);
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

Result<LoadReport> LoadAll(const std::string& path, ParameterBlock& parameters) {
  Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(path);
  if (!file) return file.error();
  const Result<Weights> weights = Weights::Find(std::move(*file), kToy);
  if (!weights) return weights.error();
  CopyParameters(*weights, kToy, parameters);
  return weights->report();
}

// Tensors of the toy program under given names, filled with their number.
struct ToyFile {
  std::vector<float> w = {1, 2, 3, 4, 5}, weight = std::vector<float>(24, 6), unused = {7, 8, 9};
  std::vector<NamedTensor> Tensors(const std::string& prefix) const {
    return {{prefix + "w", "F32", {5}, w.data()},
            {prefix + "net.weight", "F32", {3, 8}, weight.data()},
            {prefix + "net.unused", "F32", {3}, unused.data()}};
  }
};

class LoadTest : public CheckpointTest {
 protected:
  Result<LoadReport> Load(const std::vector<NamedTensor>& tensors) {
    EXPECT_TRUE(WriteSafetensors(Path("load"), tensors, {}));
    return LoadAll(Path("load"), block_);
  }
  std::string ErrorOf(const std::vector<NamedTensor>& tensors) {
    const auto report = Load(tensors);
    return report ? "" : report.error().message;
  }
  ToyFile toy_;
  ParameterBlock block_{kToy};
};

TEST_F(LoadTest, ByNameByPrefixAndWithExtras) {
  auto report = Load(toy_.Tensors(""));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->prefix, "");
  EXPECT_EQ(block_.tensor(0)[4], 5);
  EXPECT_EQ(block_.tensor(2)[1], 8);
  for (const std::string prefix : {"transformer.", "a.b.c."}) {
    report = Load(toy_.Tensors(prefix));
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->prefix, prefix);
    EXPECT_TRUE(report->extra.empty());
  }
  auto tensors = toy_.Tensors("");
  tensors.push_back({"h.0.attn.bias", "F32", {3}, toy_.unused.data()});
  tensors.push_back({"optim.m.w", "F32", {5}, toy_.w.data()});
  report = Load(tensors);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->extra, std::vector<std::string>{"h.0.attn.bias"});
  // Both plain and prefixed: the plain names win.
  tensors = toy_.Tensors("");
  for (const NamedTensor& tensor : toy_.Tensors("ema.")) tensors.push_back(tensor);
  report = Load(tensors);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->prefix, "");
}

TEST_F(LoadTest, ConvertsTypes) {
  const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0xfc00}, bfloat[] = {0x3f80, 0xc049, 0x0001};
  std::vector<double> wide(24, 0.1);
  ASSERT_TRUE(Load({{"w", "F16", {5}, half},
                    {"net.weight", "F64", {3, 8}, wide.data()},
                    {"net.unused", "BF16", {3}, bfloat}}));
  EXPECT_EQ(block_.tensor(0)[0], 1.0f);
  EXPECT_EQ(block_.tensor(0)[1], -2.0f);
  EXPECT_EQ(block_.tensor(0)[2], 0x1p-24f);
  EXPECT_EQ(block_.tensor(0)[3], 65504.0f);
  EXPECT_EQ(block_.tensor(0)[4], -INFINITY);
  EXPECT_EQ(block_.tensor(1)[23], 0.1f);
  EXPECT_EQ(block_.tensor(2)[1], -3.140625f);
  const std::vector<int32_t> ints(5);
  auto tensors = toy_.Tensors("");
  tensors[0] = {"w", "I32", {5}, ints.data()};
  EXPECT_HAS(ErrorOf(tensors), "w: the file has I32; it must be F32");
}

TEST_F(LoadTest, ExplainsMismatches) {
  auto tensors = toy_.Tensors("");
  std::vector<float> data(1000);
  tensors[1] = {"net.weight", "F32", {3, 12}, data.data()};
  EXPECT_HAS(ErrorOf(tensors),
             "net.weight: file has [3, 12], program stores [model=3, (heads, key)=2*4=8]; (heads, key) is 8 "
             "here and 12 "
             "in the file (as if heads=3 or key=6)");
  tensors[1] = {"net.weight", "F32", {8, 3}, data.data()};
  EXPECT_HAS(ErrorOf(tensors), "the dimensions are in the other order");
  tensors[1] = {"net.weight", "F32", {3, 2, 4}, data.data()};
  EXPECT_HAS(ErrorOf(tensors), "the same number of elements, grouped otherwise");
  tensors[1] = {"net.weight", "F32", {5, 8}, data.data()};
  EXPECT_HAS(ErrorOf(tensors), "model is 3 here and 5 in the file");
  tensors[1] = {"net.weight", "F32", {3, 7}, data.data()};
  EXPECT_HAS(ErrorOf(tensors), "no single axis explains it");
}

TEST_F(LoadTest, ListsWhatIsMissingAndWhatIsNear) {
  auto tensors = toy_.Tensors("");
  tensors[1].name = "net.wieght";
  std::string error = ErrorOf(tensors);
  EXPECT_HAS(error, "there is no net.weight; closest: net.wieght");
  tensors = toy_.Tensors("model.");
  tensors.pop_back();
  error = ErrorOf(tensors);
  EXPECT_HAS(error, "prefix `model.`");
  EXPECT_HAS(error, "there is no model.net.unused");
  EXPECT_EQ(error.find("there is no model.w"), std::string::npos);
  error = ErrorOf({{"something", "F32", {5}, toy_.w.data()}});
  EXPECT_HAS(error, "none of its 3 parameters is in the file, which has 1 tensors");
}

TEST_F(CheckpointTest, CheckpointsCarryStateOfTheOptimizer) {
  ParameterBlock p(kToy), p2(kToy);
  std::vector<ParameterBlock> state, loaded;
  for (uint64_t seed : {2, 3}) {
    ASSERT_TRUE(Initialize(state.emplace_back(kToy), kToy, seed));
    loaded.emplace_back(kToy);
  }
  ASSERT_TRUE(Initialize(p, kToy, 1));
  const std::string path = Path("c");
  ASSERT_TRUE(SaveCheckpoint(path, kToy, p, state, {{"step", "7"}, {"optimizer", "adam"}}));
  auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(OptimizerOf(*file), "adam");
  EXPECT_EQ(file->tensors().size(), 9u);
  EXPECT_EQ(file->tensors().at("optim.net.weight.1").shape, (std::vector<int64_t>{3, 8}));
  const auto report = LoadAll(path, p2);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->extra.empty());
  EXPECT_TRUE(*LoadState(*file, kToy, loaded));
  for (const auto& [a, b] : {std::pair{&p, &p2}, {&state[0], &loaded[0]}, {&state[1], &loaded[1]}}) {
    EXPECT_EQ(std::memcmp(a->all().data(), b->all().data(), a->all().size_bytes()), 0);
  }
  ASSERT_TRUE(SaveCheckpoint(path, kToy, p, {}, {}));
  EXPECT_FALSE(*LoadState(*SafetensorsFile::Open(path), kToy, loaded));
  ASSERT_TRUE(SaveCheckpoint(path, kToy, p, std::span(state).first(1), {{"optimizer", "adam"}}));
  const auto half = LoadState(*SafetensorsFile::Open(path), kToy, loaded);
  ASSERT_FALSE(half);
  EXPECT_HAS(half.error().message, "there is no optim.w.1");
}

TEST_F(CheckpointTest, StateOfAnEarlierTimeIsAdams) {
  ParameterBlock p(kToy);
  std::vector<ParameterBlock> state, loaded;
  std::vector<NamedTensor> tensors;
  for (uint64_t seed : {2, 3}) {
    ASSERT_TRUE(Initialize(state.emplace_back(kToy), kToy, seed));
    loaded.emplace_back(kToy);
  }
  for (int64_t i = 0; i < kToy.param_count; ++i) {
    const HeedParam& param = kToy.params[i];
    const std::vector<int64_t> shape(param.shape, param.shape + param.rank);
    tensors.push_back({param.name, "F32", shape, p.tensor(i).data()});
    tensors.push_back({std::string("optim.m.") + param.name, "F32", shape, state[0].tensor(i).data()});
    tensors.push_back({std::string("optim.v.") + param.name, "F32", shape, state[1].tensor(i).data()});
  }
  const std::string path = Path("early");
  ASSERT_TRUE(WriteSafetensors(path, tensors, {{"step", "7"}}));
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(OptimizerOf(*file), "adam");
  ASSERT_TRUE(*LoadState(*file, kToy, loaded));
  for (size_t i = 0; i < 2; ++i)
    EXPECT_EQ(std::memcmp(state[i].all().data(), loaded[i].all().data(), state[i].all().size_bytes()), 0);
}

}  // namespace
}  // namespace heed
