// What is generated from the options of a command line: a page of the manual and completions of shells.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace heed::commands {

/// In troff's man macros.
std::string ManualPage(const CLI::App& app);
/// For bash, zsh or fish; "" for any other shell.
std::string Completions(const CLI::App& app, const std::string& shell);

}  // namespace heed::commands
