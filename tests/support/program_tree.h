// A copy of the program as it is installed, bin/bsq and lib/, with a library of the test's choice for CUDA.
#pragma once

#include "tests/support/workspace.h"

#include <map>
#include <string>

namespace bsq::test {

/// Where the build puts the libraries that stand in for others (tests/program/stand_ins, tests/cuda_on_host).
fs::path stand_in(const std::string& folder);

/// The workspace on another disk: of the stand-ins `slow_disk` or `other_disk`, which do what `wish` says.
Setup with_disk(const Workspace& here, const std::string& disk, const std::string& wish);
/// The workspace with another clock on the wall, which does what `wish` says (stand_ins/other_clock.cpp).
Setup with_clock(const Workspace& here, const std::string& wish);

class ProgramTree {
 public:
  /// A copy without a library for CUDA.
  ProgramTree();
  ~ProgramTree();
  ProgramTree(const ProgramTree&) = delete;
  ProgramTree& operator=(const ProgramTree&) = delete;

  /// Where bsq looks for its CUDA library.
  fs::path plugin() const { return path_ / "lib" / "libbsq_cuda.so"; }
  ProgramTree& with_plugin(const fs::path& library);
  /// Adds another library beside the program, or another program.
  ProgramTree& with_file(const std::string& folder, const fs::path& file);
  fs::path program(const std::string& name = "bsq") const { return path_ / "bin" / name; }
  ProgramTree& with_variable(const std::string& name, const std::string& value);
  Setup setup(const Workspace& here) const;
  Outcome run(const Workspace& here, const Words& words) const { return test::run(words, setup(here)); }

 private:
  fs::path path_;
  std::map<std::string, std::string> environment_;
};

/// Requires that `device: cuda` ends with exit 5, one line with all of `parts` and nothing written; that `bsq info`
/// ends with 0 and has the same line; and that `device: auto` says the same, takes the CPU and ends with 0.
void check_no_cuda(const Workspace& here, const Setup& setup, const std::vector<std::string>& parts);

}  // namespace bsq::test
