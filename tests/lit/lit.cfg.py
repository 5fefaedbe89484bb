# Configuration of the text tests. Substitutions: heed, FileCheck, %examples; %{fails} runs a command that must end
# with status 1, %{status1} and %{status2} do so silently. Features: graphviz.
import os
import shutil

import lit.formats

config.name = "heed"
config.test_format = lit.formats.ShTest(True)
config.suffixes = [".heed", ".hir", ".test"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.dirname(os.path.abspath(__file__))
config.environment["NO_COLOR"] = "1"
config.substitutions.append((r"(?<![./\w-])heed (?=build|check|fmt|graph|passes|ops|opt|-)", config.heed + " "))
config.substitutions.append((r"\bFileCheck\b", config.filecheck))
config.substitutions.append(("%examples", config.source + "/examples"))
config.substitutions.append(("%{fails}", "sh -c '\"$@\"; test $? -eq 1' -"))
for status in (1, 2):
    check = f"sh -c '\"$@\" >/dev/null 2>&1; test $? -eq {status}' -"
    config.substitutions.append(("%{status" + str(status) + "}", check))
if shutil.which("dot") and shutil.which("rsvg-convert"):
    config.available_features.add("graphviz")
