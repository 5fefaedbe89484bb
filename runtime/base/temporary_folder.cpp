// See temporary_folder.h.
#include "runtime/base/temporary_folder.h"

#include <cstdlib>
#include <filesystem>

namespace heed {
namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  fs::path base = fs::temp_directory_path(error);
  if (error) base = "/tmp";
  std::string name = (base / "heed-XXXXXX").string();
  const SignalsWait signals;
  if (mkdtemp(name.data()) == nullptr) return;
  path_ = name;
  note_ = Unfinished::Folder(name);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  if (!path_.empty()) fs::remove_all(path_, error);
}

}  // namespace heed
