// Signals at exact moments: the program runs under ptrace and is stopped at every call that changes files, so that a
// `kill -9` can fall before any of them; before the same one each time, as far as its threads do not race.
#pragma once

#include "tests/support/program.h"

#include <cstddef>
#include <string>
#include <vector>

namespace bsq::test {

/// Whether this system lets a process trace its child (some containers do not).
bool can_trace();

/// Runs the program to its end. For each of its file-changing calls, in order: what stderr held just before the call.
struct TracedRun {
  Outcome outcome;
  std::vector<std::size_t> err_bytes;

  /// The first call made after `text` had been written to stderr; fails the test if there is none.
  std::size_t call_after(const std::string& text) const;
};

TracedRun trace(const Words& words, const Setup& setup);

/// Sends `signal` at file-changing call `call` (0: the first): SIGKILL just before it.
Outcome signal_at(std::size_t call, int signal, const Words& words, const Setup& setup);

/// Sends it at the first file-changing call after `text` has been written to stderr, whatever threads have done before.
Outcome signal_after(const std::string& text, int signal, const Words& words, const Setup& setup);

}  // namespace bsq::test
