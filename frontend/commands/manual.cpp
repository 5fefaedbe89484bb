// See manual.h. Commands without a group are not listed, as in --help.
#include "frontend/commands/manual.h"

#include <CLI/CLI.hpp>
#include <sstream>
#include <vector>

namespace heed::commands {
namespace {

std::vector<const CLI::App*> Listed(const CLI::App& app) {
  std::vector<const CLI::App*> listed;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) listed.push_back(command);
  return listed;
}

std::vector<const CLI::Option*> Options(const CLI::App& app) {
  std::vector<const CLI::Option*> options;
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty() && option->nonpositional()) options.push_back(option);
  return options;
}

/// "--set", "-o": as they are typed.
std::vector<std::string> Names(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string Words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string Troff(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  return escaped.starts_with('.') || escaped.starts_with('\'') ? "\\&" + escaped : escaped;
}

/// What follows an option, in a shell's quotes.
std::string Quoted(std::string text) {
  for (char& c : text)
    if (c == '\'' || c == '[' || c == ']' || c == ':') c = ' ';
  return text;
}

void ManualOf(const CLI::App& command, std::ostringstream& page) {
  page << ".SS " << Troff(command.get_name()) << "\n" << Troff(command.get_description()) << "\n";
  for (const CLI::Option* option : Options(command)) {
    page << ".TP\n\\fB" << Troff(Words(Names(*option))) << "\\fR";
    if (option->get_items_expected_max() > 0) page << " \\fI" << Troff(option->get_type_name()) << "\\fR";
    page << "\n" << Troff(option->get_description()) << "\n";
  }
}

std::string Bash(const CLI::App& app) {
  std::ostringstream text;
  std::vector<std::string> commands;
  for (const CLI::App* command : Listed(app)) commands.push_back(command->get_name());
  text << "# bash completion of " << app.get_name() << "\n_" << app.get_name() << "() {\n"
       << "  local word=${COMP_WORDS[COMP_CWORD]} options=\n  case ${COMP_WORDS[1]} in\n";
  for (const CLI::App* command : Listed(app)) {
    std::vector<std::string> options;
    for (const CLI::Option* option : Options(*command))
      for (const std::string& name : Names(*option)) options.push_back(name);
    text << "    " << command->get_name() << ") options='" << Words(options) << "' ;;\n";
  }
  text << "  esac\n  if ((COMP_CWORD == 1)); then\n    COMPREPLY=($(compgen -W '" << Words(commands)
       << " --help --version --licences' -- \"$word\"))\n  elif [[ $word == -* ]]; then\n"
       << "    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n  else\n"
       << "    COMPREPLY=($(compgen -f -- \"$word\"))\n  fi\n}\n"
       << "complete -o filenames -F _" << app.get_name() << " " << app.get_name() << "\n";
  return text.str();
}

std::string Zsh(const CLI::App& app) {
  std::ostringstream text;
  text << "#compdef " << app.get_name() << "\nlocal -a commands\ncommands=(\n";
  for (const CLI::App* command : Listed(app))
    text << "  '" << command->get_name() << ":" << Quoted(command->get_description()) << "'\n";
  text << ")\nif ((CURRENT == 2)); then\n  _describe command commands\n  return\nfi\ncase $words[2] in\n";
  for (const CLI::App* command : Listed(app)) {
    text << "  " << command->get_name() << ") _arguments";
    for (const CLI::Option* option : Options(*command)) {
      for (const std::string& name : Names(*option)) {
        text << " '*" << name << "[" << Quoted(option->get_description()) << "]";
        if (option->get_items_expected_max() > 0) text << ":" << Quoted(option->get_type_name()) << ":_files";
        text << "'";
      }
    }
    text << " '*:file:_files' ;;\n";
  }
  text << "esac\n";
  return text.str();
}

std::string Fish(const CLI::App& app) {
  std::ostringstream text;
  const std::string complete = "complete -c " + app.get_name();
  text << "# fish completion of " << app.get_name() << "\n";
  for (const CLI::App* command : Listed(app)) {
    text << complete << " -n __fish_use_subcommand -a " << command->get_name() << " -d '"
         << Quoted(command->get_description()) << "'\n";
    for (const CLI::Option* option : Options(*command)) {
      text << complete << " -n '__fish_seen_subcommand_from " << command->get_name() << "'";
      for (const std::string& name : option->get_snames()) text << " -s " << name;
      for (const std::string& name : option->get_lnames()) text << " -l " << name;
      if (option->get_items_expected_max() > 0) text << " -r";
      text << " -d '" << Quoted(option->get_description()) << "'\n";
    }
  }
  return text.str();
}

}  // namespace

std::string ManualPage(const CLI::App& app) {
  std::ostringstream page;
  std::string what = app.get_description();  // "heed: a compiler"
  if (what.starts_with(app.get_name() + ": ")) what.erase(0, app.get_name().size() + 2);
  page << ".TH " << app.get_name() << " 1\n.SH NAME\n"
       << app.get_name() << " \\- " << Troff(what) << "\n.SH SYNOPSIS\n.B " << app.get_name()
       << "\n\\fICOMMAND\\fR [\\fIoptions\\fR]\n.SH COMMANDS\n";
  for (const CLI::App* command : Listed(app)) ManualOf(*command, page);
  page << ".SH EXIT STATUS\n0: done; 1: something is wrong with a program or file; 2: wrong command line.\n";
  return page.str();
}

std::string Completions(const CLI::App& app, const std::string& shell) {
  return shell == "bash" ? Bash(app) : shell == "zsh" ? Zsh(app) : shell == "fish" ? Fish(app) : "";
}

}  // namespace heed::commands
