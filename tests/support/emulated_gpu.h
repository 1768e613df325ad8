// The program on `device: cuda`, the device being the emulation of tests/cuda_on_host, and what its runs come to.
#pragma once

#include "tests/support/program_tree.h"

#include <string>
#include <vector>

namespace bsq::test {

/// The program with the emulated device; `device` is for BSQ_CUDA_ON_HOST_DEVICE, see emulator/device.h.
class EmulatedGpu {
 public:
  EmulatedGpu();

  ProgramTree& tree() { return tree_; }
  Setup setup(const Workspace& here, const std::string& device = "") const;
  /// Runs and requires the exit code.
  Outcome run(const Workspace& here, const Words& words, int exit_code, const std::string& device = "") const;

  /// Whether this build has no emulated device; if so, says that the test is skipped.
  static bool is_missing();

 private:
  ProgramTree tree_;
};

/// The only line of an error.
std::string error_of(const Outcome& outcome);

/// Requires that two runs of tiny.yaml have gone through the same stages and epochs, and learned much the same: on
/// different devices they drift apart.
void check_similar_epochs(const fs::path& expected, const fs::path& found, double of_first_loss = 1e-4);

}  // namespace bsq::test
