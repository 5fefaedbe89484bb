// Causality and reads past an end: what is proved, and what is refused with its place.
#include "passes/depend.h"
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

const frontend::Entry& EntryNamed(const frontend::Program& program, const std::string& name) {
  for (const frontend::Entry& entry : program.entries)
    if (entry.name == name) return entry;
  ADD_FAILURE() << "no entry " << name;
  return program.entries[0];
}

std::vector<passes::Complaint> ComplaintsOf(const std::string& text, const std::string& entry) {
  const auto program = CompileText("gpt2.heed", text, Programs()[1].sizes);
  if (!program) return {};
  return passes::CheckEntry(*EntryNamed(*program, entry).graph);
}

TEST(Causality, ExamplesAreProved) {
  for (const Example& example : Programs()) {
    const auto program = Load(example);
    ASSERT_TRUE(program);
    for (const frontend::Entry& entry : program->entries)
      for (const passes::Complaint& complaint : passes::CheckEntry(*entry.graph))
        ADD_FAILURE() << example.name << "." << entry.name << ": " << complaint.where.Text() << ": "
                      << complaint.message;
  }
}

TEST(Causality, MistakesAreRefusedWithTheirPlace) {
  struct Mistake {
    std::string from, to, message, note;
  };
  const std::string text = ReadFile(Source("examples/gpt2.heed"));
  for (const Mistake& mistake : std::vector<Mistake>{
           {", seq' <= seq))", "))", "softmax[seq'] is not restricted to seq' <= seq", "see every `seq'`"},
           {"seq' <= seq))", "seq <= seq'))", "this mask keeps what comes after position `seq`",
            "`seq' <= seq` keeps what came before"},
           {"seq' <= seq))", "seq < seq' and seq' - seq >= 0))", "this mask keeps what comes after",
            "would depend on `y` after seq"},
           {"seq' <= seq))", "seq' <= seq + 1))", "softmax[seq'] is not restricted",
            "see up to 1 positions after"},
           {"seq' <= seq))", "seq' <= seq or seq' < 3))", "softmax[seq'] is not restricted",
            "see every `seq'`"},
           {"ln_f(z)", "(ln_f(z) + mean[seq](z))", "sum[seq] joins all positions of `y`", "after seq"},
           {"ln_f(z)", "(ln_f(z) / |seq|)", "|seq| is not known while `y` is being generated", ""},
           {"ln_f(z)", "(ln_f(z) + ln_f(z[seq + 1]))", "reads `y` at other positions", "its own position"}}) {
    SCOPED_TRACE(mistake.to);
    const auto complaints = ComplaintsOf(Replaced(text, mistake.from, mistake.to), "complete");
    bool found = false;
    for (const passes::Complaint& complaint : complaints) {
      if (complaint.kind != frontend::DiagnosticKind::NotCausal ||
          complaint.message.find(mistake.message) == std::string::npos)
        continue;
      found = true;
      EXPECT_NE(complaint.where.Text().find("gpt2.heed:"), std::string::npos) << complaint.where.Text();
      bool noted = mistake.note.empty();
      for (const std::string& note : complaint.notes)
        noted = noted || note.find(mistake.note) != std::string::npos;
      EXPECT_TRUE(noted);
    }
    EXPECT_TRUE(found) << (complaints.empty() ? "nothing was said" : complaints[0].message);
  }
}

TEST(Causality, PrefixModelsTrainButDoNotGenerate) {
  const std::string text =
      Replaced(ReadFile(Source("tests/models/variety.heed")), "seq' <= seq and seq - seq' < 4, seq' <= seq)",
               "seq' <= seq or seq' < 2, seq' <= seq)");
  const auto program = CompileText("variety.heed", text);
  ASSERT_TRUE(program);
  EXPECT_TRUE(passes::CheckEntry(*EntryNamed(*program, "train_prefix").graph).empty());
  EXPECT_FALSE(passes::CheckEntry(*EntryNamed(*program, "complete").graph).empty());
}

TEST(Causality, ClassesOfValues) {
  const auto program = Load(Programs()[0]);
  ASSERT_TRUE(program);
  const Graph& graph = *EntryNamed(*program, "translate").graph;
  const passes::Causality causality = passes::AnalyzeCausality(graph);
  EXPECT_TRUE(causality.complaints.empty());
  int of[4] = {};
  for (NodeId id : graph.Order()) {
    const passes::Dependence class_of = causality.dependence[id.value];
    ++of[static_cast<int>(class_of)];
    const bool query = ir::Contains(graph.axes_of(id), Axis("tgt")),
               key = ir::Contains(graph.axes_of(id), Axis("tgt'"));
    if (class_of == passes::Dependence::Both) EXPECT_TRUE(query && key);
    if (class_of == passes::Dependence::Key) EXPECT_TRUE(!query && key);
    for (Axis a : graph.axes_of(id))  // the encoder does not depend on what is generated
      if (a.root() == Axis("src") && !query) EXPECT_EQ(class_of, passes::Dependence::None);
  }
  for (int count : of) EXPECT_GT(count, 0);
}

TEST(Bounds, ReadsPastAnEndNeedAProof) {
  const std::string text = ReadFile(Source("examples/gpt2.heed"));
  struct Read {
    std::string from, to;
    bool proved;
  };
  for (const Read& read : std::vector<Read>{{"seq + 1 < |seq|", "seq + 1 < |seq|", true},
                                            {"seq + 1 < |seq|", "seq < |seq| - 1", true},
                                            {"seq + 1 < |seq|", "seq + 2 < |seq| and 0 < seq", true},
                                            {"seq + 1 < |seq|", "seq < |seq|", false},
                                            {"seq + 1 < |seq|", "seq + 1 <= |seq|", false}}) {
    SCOPED_TRACE(read.to);
    const auto complaints = ComplaintsOf(Replaced(text, read.from, read.to), "train");
    EXPECT_EQ(complaints.empty(), read.proved);
    for (const passes::Complaint& complaint : complaints) {
      EXPECT_EQ(complaint.kind, frontend::DiagnosticKind::PastTheEnd);
      EXPECT_NE(complaint.where.Text().find("gpt2.heed:"), std::string::npos);
      EXPECT_NE(complaint.notes.at(0).find("seq + 1 < |seq|"), std::string::npos);
    }
  }
  const std::string before =
      Replaced(Replaced(text, "x[seq + 1])) per", "x[seq - 1])) per"), "seq + 1 < |seq|", "true");
  EXPECT_FALSE(ComplaintsOf(before, "train").empty());
  EXPECT_TRUE(ComplaintsOf(Replaced(before, "sum[seq | true]", "sum[seq | seq >= 1]"), "train").empty());
}

}  // namespace
}  // namespace heed::test
