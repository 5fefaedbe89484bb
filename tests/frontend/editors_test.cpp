// The grammars for editors: their keywords are those of the language's table, and the one of VS Code colours
// every example as the compiler's own lexer reads it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "frontend/lexer.h"
#include "tests/support/paths.h"

namespace heed::test {
namespace {

namespace fs = std::filesystem;
using frontend::TokenKind;
using Names = std::set<std::string>;

const std::string kGrammar = "frontend/editors/vscode/syntaxes/heed.tmLanguage.json";
const std::string kVim = "frontend/editors/vim/syntax/heed.vim";

std::string Text(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}
const nlohmann::json& Grammar() {
  static const auto grammar = nlohmann::json::parse(Text(Source(kGrammar)));
  return grammar;
}

Names Keywords() {
  return {
#define HEED_KEYWORD(Name, text, begins, continues) text,
#define HEED_PUNCTUATION(Name, text, continues)
#include "frontend/tokens.def"
#undef HEED_KEYWORD
#undef HEED_PUNCTUATION
  };
}
Names Punctuation() {
  return {
#define HEED_KEYWORD(Name, text, begins, continues)
#define HEED_PUNCTUATION(Name, text, continues) text,
#include "frontend/tokens.def"
#undef HEED_KEYWORD
#undef HEED_PUNCTUATION
  };
}

/// The words of \b(a|b|c)\b(?!').
Names WordsOf(const std::string& pattern) {
  const size_t begin = pattern.find('(') + 1;
  std::istringstream in(pattern.substr(begin, pattern.find(')') - begin));
  Names words;
  for (std::string word; std::getline(in, word, '|');) words.insert(word);
  return words;
}

/// Words by what they are, in the grammar's terms: "keyword.control.heed".
std::map<std::string, Names> WordsByScope() {
  std::map<std::string, Names> scopes;
  for (const auto& rule : Grammar()["patterns"]) {
    const std::string scope = rule.value("name", "");
    const bool words = scope == "keyword.declaration.heed" || scope == "keyword.control.heed" ||
                       scope == "keyword.operator.word.heed" || scope == "constant.language.heed";
    if (words) scopes[scope] = WordsOf(rule["match"]);
  }
  return scopes;
}

TEST(Editors, KeywordsAreThoseOfTheTable) {
  Names of_grammar, of_vim;
  std::map<std::string, Names> by_scope = WordsByScope(), by_group;
  for (const auto& [scope, words] : by_scope) of_grammar.insert(words.begin(), words.end());
  EXPECT_EQ(of_grammar, Keywords()) << kGrammar;
  std::istringstream lines(Text(Source(kVim)));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    std::string syntax, keyword, group;
    in >> syntax >> keyword >> group;
    if (syntax != "syntax" || keyword != "keyword" || line.ends_with(" contained")) continue;
    for (std::string word; in >> word;) {
      by_group[group].insert(word);
      of_vim.insert(word);
    }
  }
  EXPECT_EQ(of_vim, Keywords()) << kVim;
  // Both sort them alike.
  EXPECT_EQ(by_group["heedDeclaration"], by_scope["keyword.declaration.heed"]);
  EXPECT_EQ(by_group["heedControl"], by_scope["keyword.control.heed"]);
  EXPECT_EQ(by_group["heedOperatorWord"], by_scope["keyword.operator.word.heed"]);
  EXPECT_EQ(by_group["heedBoolean"], by_scope["constant.language.heed"]);
}

/// Colours as an editor does: at each place the rule that matches first, and of several the one listed first.
/// A scope for each byte, empty where no rule says anything.
class Painter {
 public:
  Painter() {
    for (const auto& rule : Grammar()["patterns"]) {
      Rule& made = rules_.emplace_back();
      made.pattern = std::regex(rule["match"].get<std::string>());
      made.scopes[0] = rule.value("name", "");
      if (rule.contains("captures"))
        for (const auto& [number, capture] : rule["captures"].items())
          made.scopes[std::stoul(number)] = capture["name"];
    }
  }
  std::vector<std::string> Paint(const std::string& line) const {
    std::vector<std::string> scopes(line.size());
    for (size_t at = 0; at < line.size();) {
      std::smatch best;
      const Rule* by = nullptr;
      for (const Rule& rule : rules_) {
        std::smatch match;
        const auto flags =
            at > 0 ? std::regex_constants::match_prev_avail : std::regex_constants::match_default;
        if (!std::regex_search(line.begin() + static_cast<std::ptrdiff_t>(at), line.end(), match,
                               rule.pattern, flags))
          continue;
        if (by != nullptr && match.position() >= best.position()) continue;
        best = match;
        by = &rule;
      }
      if (by == nullptr) break;
      for (const auto& [group, scope] : by->scopes) {
        const auto begin = at + static_cast<size_t>(best.position(group));
        for (size_t i = begin; i < begin + static_cast<size_t>(best.length(group)); ++i) scopes[i] = scope;
      }
      at += static_cast<size_t>(best.position() + std::max<std::ptrdiff_t>(1, best.length()));
    }
    return scopes;
  }

 private:
  struct Rule {
    std::regex pattern;
    std::map<size_t, std::string> scopes;  // of the whole, 0, and of groups
  };
  std::vector<Rule> rules_;
};

/// What the scope of a token must begin with.
std::string ScopeOf(const frontend::Token& token, const std::string& text) {
  if (frontend::IsKeyword(token.kind)) {
    for (const auto& [scope, words] : WordsByScope())
      if (words.contains(text)) return scope;
  }
  if (token.kind == TokenKind::Number) return "constant.numeric.heed";
  if (token.kind == TokenKind::String) return "string.quoted.double.heed";
  if (token.kind == TokenKind::Name) return text.back() == '\'' ? "variable.other.twin.heed" : "";
  return std::string("(),:[]{}").find(text) == std::string::npos ? "keyword.operator.heed" : "";
}

void ExpectColoursOf(const Painter& painter, const std::string& name, const std::string& text) {
  frontend::SourceFile file(name, text);
  frontend::Diagnostics diagnostics;
  const frontend::TokenList list = frontend::Lex(file, diagnostics);
  std::vector<std::string> scopes;  // of the whole text
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    for (std::string& scope : painter.Paint(line)) scopes.push_back(std::move(scope));
    scopes.emplace_back();  // the newline
  }
  for (const frontend::Comment& comment : list.comments)
    EXPECT_EQ(scopes[comment.offset], "comment.line.number-sign.heed") << name << ": " << comment.text;
  for (const frontend::Token& token : list.tokens) {
    if (token.kind == TokenKind::Newline || token.kind == TokenKind::End) continue;
    const std::string word = text.substr(token.loc.offset, token.loc.length);
    const std::string expected = ScopeOf(token, word);
    for (size_t i = token.loc.offset; i < token.loc.offset + token.loc.length; ++i) {
      const bool name_of_something =
          token.kind == TokenKind::Name && expected.empty() &&
          (scopes[i].starts_with("entity.name.") || scopes[i] == "variable.other.heed");
      EXPECT_TRUE(name_of_something || scopes[i] == expected)
          << name << ", offset " << i << ": `" << word << "` is " << scopes[i] << ", not " << expected;
      if (!name_of_something && scopes[i] != expected) return;
    }
  }
}

TEST(Editors, ColoursAgreeWithTheLexer) {
  const Painter painter;
  int programs = 0;
  for (const auto& entry : fs::recursive_directory_iterator(Source("examples"))) {
    if (entry.path().extension() != ".heed") continue;
    ExpectColoursOf(painter, entry.path().filename().string(), Text(entry.path().string()));
    ++programs;
  }
  EXPECT_GE(programs, 10);
  ExpectColoursOf(painter, "prelude", Text(Source("frontend/prelude.heed")));
  ExpectColoursOf(
      painter, "corners",
      "part in' = as'.b # \"no string\"\naxis_x = 1.5e-3+2e5-x.5 != 3. -> <=>=\n"
      "x = \"# no comment\" + \"in\"|seq'|\ndefinite = modules''[for'](true, falsehood, not_ x)\n");
  EXPECT_EQ(Punctuation().size(), 26u) << "new punctuation: has the grammar a rule for it?";
}

TEST(Editors, TheExtensionIsWhole) {
  const std::string folder = "frontend/editors/vscode/";
  const auto package = nlohmann::json::parse(Text(Source(folder + "package.json")));
  const auto& grammar = package["contributes"]["grammars"][0];
  EXPECT_EQ(grammar["scopeName"], Grammar()["scopeName"]);
  EXPECT_TRUE(fs::exists(Source(folder + grammar["path"].get<std::string>())));
  const auto& language = package["contributes"]["languages"][0];
  EXPECT_EQ(language["extensions"], nlohmann::json{".heed"});
  const auto configuration =
      nlohmann::json::parse(Text(Source(folder + language["configuration"].get<std::string>())));
  EXPECT_EQ(configuration["comments"]["lineComment"], "#");
}

}  // namespace
}  // namespace heed::test
