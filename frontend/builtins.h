// The built-in functions and how they are called: those that are ops (ir/op.h) and a few made of several.
// What each makes is in elaborate_builtins.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace heed::frontend {

/// `name[axes | predicate](arguments)`.
struct Builtin {
  std::string_view name;
  int min_arguments, max_arguments;
  int min_axes, max_axes;
  bool predicate;
  bool yields = false;  ///< a program may declare the name for something of its own
};
/// Null if the name is not built in.
const Builtin* FindBuiltin(const std::string& name);
/// All of them, by name.
const std::vector<Builtin>& Builtins();

}  // namespace heed::frontend
