// The C++ compiler as linker: it knows where the C and C++ libraries of the system are. clang++-19 is
// preferred (the one Heed was built with), any clang++ or g++ will do. Nothing here looks into the objects.
#include "backend/object/link.h"

#include <filesystem>
#include <fstream>
#include <functional>

#include "runtime/base/child.h"
#include "runtime/base/file_writer.h"
#include "runtime/base/temporary_folder.h"

namespace heed::backend {
namespace fs = std::filesystem;
namespace {

/// Of those that `fit`.
std::string FirstThatExists(
    const std::vector<std::string>& paths,
    const std::function<bool(const fs::path&)>& fits = [](const fs::path&) { return true; }) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return "";
  for (const std::string& path : paths) {
    const fs::path candidate = self.parent_path() / path;
    if (fs::exists(candidate, error) && fits(candidate))
      return fs::weakly_canonical(candidate, error).string();
  }
  return "";
}

/// Copies a file that the linker made to where it is wanted.
Status CopyTo(const std::string& from, const std::string& output, bool executable) {
  std::ifstream in(from, std::ios::binary);
  FileWriter writer(
      output, {.mode = executable ? mode_t{0777} : mode_t{0666}, .keeps_mode = !executable, .synced = false});
  Status status = writer.Open();
  std::vector<char> block(1 << 20);
  while (status && in) {
    in.read(block.data(), static_cast<std::streamsize>(block.size()));
    status = writer.Write(block.data(), in.gcount());
  }
  if (status && !in.eof()) status = Error{"cannot read " + from};
  if (status) status = writer.Finish();
  return status;
}

}  // namespace

std::string FindKernels() {
  return FirstThatExists({"kernels", "../kernels", "../lib/heed/kernels"}, [](const fs::path& folder) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error))
      if (entry.path().extension() == ".bc") return true;
    return false;
  });
}

std::string FindRuntime() {
  return FirstThatExists(
      {"runtime/libheed_runtime.a", "../runtime/libheed_runtime.a", "../lib/heed/libheed_runtime.a"});
}

Status WriteFile(const std::string& path, const std::string& bytes) {
  return WriteWholeFile(path, bytes, {.synced = false});
}

Status Link(const std::vector<std::string>& objects, LinkKind kind, const std::string& runtime,
            const std::string& output) {
  std::string driver;
  bool is_clang = true;
  for (const char* name : {"clang++-19", "clang++", "g++", "c++"}) {
    driver = OnPath(name);
    is_clang = std::string(name).starts_with("clang");
    if (!driver.empty()) break;
  }
  if (driver.empty())
    return Error{"no C++ compiler to link with: looked for clang++-19, clang++, g++ and c++ on PATH"};
  const TemporaryFolder folder;
  if (folder.path().empty()) return Error{"cannot make a temporary folder for the linker"};

  const std::string linked = folder.path() + "/linked";
  std::vector<std::string> command = {driver, "-o", linked};
  for (size_t i = 0; i < objects.size(); ++i) {
    const std::string name = folder.path() + "/" + std::to_string(i) + ".o";
    if (Status written = WriteFile(name, objects[i]); !written) return written;
    command.push_back(name);
  }
  if (is_clang && (!OnPath("ld.lld-19").empty() || !OnPath("ld.lld").empty())) {
    command.push_back("-fuse-ld=lld");
    // A full disk ends a linker that maps its output without a word.
    command.push_back("-Wl,--no-mmap-output-file");
  }
  switch (kind) {
    case LinkKind::Executable:
      command.insert(command.end(), {runtime, "-static-libstdc++", "-static-libgcc", "-Wl,--gc-sections",
                                     "-pthread", "-Wl,-z,relro,-z,now"});
#ifdef HEED_SANITIZE
      command.push_back("-fsanitize=address,undefined");
#else
      command.push_back("-Wl,--strip-all");
#endif
      break;
    case LinkKind::Shared:
      command.insert(command.end(), {"-shared", "-Wl,--gc-sections", "-lm"});
      break;
    case LinkKind::Object:
      command.insert(command.end(), {"-r", "-nostdlib"});
      break;
  }
  const Result<ChildEnd> end = RunChild(command, "", /*errors=*/true);
  if (!end) return Error{"cannot write " + output + ": " + end.error().message};
  if (end->status != 0) {
    std::string line;
    for (const std::string& argument : command) line += (line.empty() ? "" : " ") + argument;
    return Error{"cannot write " + output + ": linking failed (status " + std::to_string(end->status) +
                 "): " + end->output + "the command was\n" + line};
  }
  return CopyTo(linked, output, kind != LinkKind::Object);
}

}  // namespace heed::backend
