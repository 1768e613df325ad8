// Starts programs under mpirun: on a machine of two cores, with more ranks than cores, as root, without ssh.
#pragma once

#include "tests/support/program.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bsq::test {

/// Empty where mpirun and bsq's MPI library are there, or else what is missing.
std::string why_no_ranks();

/// Setup of mpirun itself, working in `folder`.
Setup mpirun_setup(const std::filesystem::path& folder);

/// `-np N bsq words...`, the words of mpirun.
Words ranks_of_bsq(int ranks, const Words& words, const std::filesystem::path& program = BSQ_PROGRAM);

/// Runs them to their end.
Outcome run_ranks(int ranks, const Words& words, const std::filesystem::path& folder);

/// The process of a rank that runs under this mpirun, or -1 while there is none.
pid_t process_of_rank(const Program& mpirun, int rank);

/// The process whose parent this is, or -1 while there is none.
pid_t child_of(pid_t parent);

/// Runs a hidden test of this program, or of a copy of it, on every rank; fails the test that calls it where one of
/// them fails.
void check_on_ranks(int ranks, const std::string& hidden_test, const Setup& setup = mpirun_setup("."),
                    const std::filesystem::path& program = std::filesystem::read_symlink("/proc/self/exe"));

}  // namespace bsq::test

/// For the beginning of a test.
#define BSQ_NEEDS_RANKS()                                                \
  if (const std::string why = bsq::test::why_no_ranks(); !why.empty()) { \
    WARN("SKIPPED: " << why);                                            \
    return;                                                              \
  }
