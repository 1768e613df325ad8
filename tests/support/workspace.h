// A folder to run the program in, and the tiny experiment that most tests run: all stages in a third of a second.
#pragma once

#include "tests/support/catch.h"
#include "tests/support/program.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace bsq::test {

namespace fs = std::filesystem;

/// ResNet-8 of width 2, 48 synthetic images in steps of 16: float 2 epochs, BSQ 3 (bits fall at every re-quantization),
/// finetuning 2. No warnings.
extern const char* const kTinyConfig;

class Workspace {
 public:
  Workspace();  // holds tiny.yaml
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  const fs::path& path() const { return path_; }
  fs::path operator/(const fs::path& inside) const { return path_ / inside; }

  Setup setup() const { return {.folder = path_, .environment = {}}; }
  Outcome run(const Words& words) const { return test::run(words, setup()); }
  /// Runs and requires exit 0.
  Outcome must(const Words& words) const;
  /// Trains tiny.yaml into `run_dir`.
  Outcome train(const std::string& run_dir, const Words& more = {}) const;
  /// Everything below the folder, or below `inside`: relative paths, sorted.
  std::vector<std::string> files(const fs::path& inside = ".") const;

 private:
  fs::path path_;
};

/// Requires the exit code, an empty stdout, and that stderr is exactly `lines` of errors: {"c.yaml:1:2: ...", ...}
void check_errors(const Workspace& here, const Words& words, int exit_code, const std::vector<std::string>& lines);
/// The same if the message is only known in part: one `error: ` line that contains all of `parts`.
void check_error(const Workspace& here, const Words& words, int exit_code, const std::vector<std::string>& parts);

std::string text_of(const fs::path& file);
/// Writes a file; makes the folders above it.
void put_text(const fs::path& file, const std::string& text);
/// Replaces the first `from`, which must be there.
void edit_text(const fs::path& file, const std::string& from, const std::string& to);
nlohmann::json json_of(const fs::path& file);
std::vector<std::string> lines_of(const std::string& text);
/// Of the states after every epoch and the models of every stage, as the log of a run has them.
std::vector<nlohmann::json> hashes_of(const fs::path& run);
bool contains(const std::string& text, const std::string& part);

/// {"state":"done","stage":...}: `state exit_code`.
std::string status_of(const fs::path& run_dir);

/// Fails unless two runs have left the same: models byte for byte; logs, states and reports but for times and paths.
void check_same_run(const fs::path& expected, const fs::path& found);
/// Whether a crash has left temporary files behind.
bool has_leftovers(const fs::path& run_dir);

}  // namespace bsq::test
