#!/usr/bin/env bash
# The house from its sources alone: rooms with their files, lines and the rooms each includes; includes that point
# upwards; files over 500 lines; functions over 80. scripts/house.sh [--check] (with it the status is 1 if an
# include points upwards, or a file outside tests has over 600 lines).
set -euo pipefail
cd "$(dirname "$0")/.."
# Rooms from the ground up: a room may include those before it, as tests/includes_test.cpp says more exactly.
rooms=(runtime/base ir runtime/kernels runtime/engine runtime/weights runtime/text runtime/data runtime/train
  runtime/decode runtime/commands runtime frontend frontend/drawing passes backend/target backend/plan backend/emit backend/object
  backend frontend/commands tests)
git ls-files -co --exclude-standard -- '*.h' '*.cpp' '*.cc' | awk -v rooms="${rooms[*]}" -v check="${1:-}" '
function room_of(path,    best, i) {
  best = ""
  for (i = 1; i <= count; ++i)
    if (index(path, name[i] "/") == 1 && length(name[i]) > length(best)) best = name[i]
  return best
}
# The name of the function whose signature a text is, or "" for anything else that ends in "{".
function named(text) {
  if (text !~ /\) *(const)? *(override)? *(noexcept)? *(->[^{]*)?\{$/ && text !~ /\) : .*\{$/) return ""
  if (text ~ /^ *(if|for|while|switch|else|do|catch|return|class|struct|\}|case|#|\/\/)/) return ""
  if (text ~ /\[[^]]*\]\(/ || text ~ /^[^(]* = /) return ""
  sub(/\(.*/, "", text)
  sub(/^.*[ *&]/, "", text)
  return text
}
function parentheses(text,    opening, closing) {
  opening = gsub(/\(/, "(", text); closing = gsub(/\)/, ")", text)
  return opening - closing
}
BEGIN { count = split(rooms, name, " "); for (i = 1; i <= count; ++i) level[name[i]] = i; level["runtime"] = level["runtime/commands"] }
{
  path = $0
  room = room_of(path)
  if (room == "") next
  lines = 0; function_name = ""; open = 0
  while ((getline line < path) > 0) {
    ++lines
    if (match(line, /^ *# *include "[^"]+"/)) {
      included = line; sub(/^[^"]*"/, "", included); sub(/".*/, "", included)
      other = room_of(included)
      if (included ~ /^runtime\/(abi|abi_names|option_names)\.h$/) other = "runtime/base"  # structures and names alone, shared by all
      if (other != "" && other != room) {
        uses[room, other] = 1
        if (room != "tests" && level[other] > level[room] && !(other == "runtime/kernels")) up[++ups] = path " includes " included
      }
    }
    match(line, /^ */); indent = RLENGTH
    if (function_name == "") {
      # A signature may take several lines.
      if (open == 0 && line !~ /^ *: /) { text = line; first = lines; first_indent = indent } else text = text line
      open += parentheses(line)
      if (line ~ /^ *\/\// || line ~ /[;}]$/ || open < 0) open = 0
      if (open == 0) {
        function_name = named(text)
        if (function_name != "") { begin = first; depth = first_indent }
      }
    } else if (indent == depth && line ~ /^ *\}/) {
      if (lines - begin + 1 > 80) long_function[++longs] = sprintf("%5d  %s  %s:%d", lines - begin + 1, function_name, path, begin)
      if (room != "tests" && lines - begin + 1 > longest) { longest = lines - begin + 1; longest_name = function_name " (" path ")" }
      function_name = ""
    }
  }
  close(path)
  ++files[room]; total[room] += lines
  if (lines > 500) large[++larges] = sprintf("%5d  %s", lines, path)
  if (room != "tests" && lines > largest) { largest = lines; largest_name = path }
}
END {
  printf "%-18s %5s %7s  %s\n", "room", "files", "lines", "includes"
  for (i = 1; i <= count; ++i) {
    if (!(name[i] in files)) continue
    used = ""
    for (j = 1; j <= count; ++j) if ((name[i], name[j]) in uses) used = used " " name[j]
    printf "%-18s %5d %7d %s\n", name[i], files[name[i]], total[name[i]], used
  }
  print "\nincludes that point upwards: " ups + 0
  for (i = 1; i <= ups; ++i) print "  " up[i]
  print "\nfiles over 500 lines: " larges + 0
  for (i = 1; i <= larges; ++i) print "  " large[i] | "sort -rn"
  close("sort -rn")
  print "\nfunctions over 80 lines: " longs + 0
  for (i = 1; i <= longs; ++i) print "  " long_function[i] | "sort -rn"
  close("sort -rn")
  printf "\nlargest file outside tests: %d, %s\nlongest function outside tests: %d, %s\n", largest, largest_name, longest, longest_name
  if (check == "--check" && (ups > 0 || largest > 600)) exit 1
}'
