// The copies that threads of the running block have begun and not waited for yet. Compiled like the scheduler, so that
// the race detector sees none of it.
#include "tests/cuda_on_host/emulator/block.h"
#include "tests/cuda_on_host/emulator/matrix.h"
#include "tests/cuda_on_host/emulator/sanitizers.h"

#include <cstdio>
#include <deque>

namespace bsq::cuda_on_host {
namespace {

struct Begun {
  LateCopy copy;
  int group = 0;
};
struct ThreadCopies {
  std::deque<Begun> begun;
  int groups = 0;  // that have ended
};
ThreadCopies copies_of[kMaxThreads];

}  // namespace

void begin_late_copy(LateCopy copy) {
  const sanitizers::Unobserved unobserved;
  ThreadCopies& own = copies_of[block().thread()];
  own.begun.push_back({copy, own.groups});
}

void end_late_copies() {
  ++copies_of[block().thread()].groups;
}

bool take_late_copy(int pending, LateCopy& copy) {
  const sanitizers::Unobserved unobserved;
  ThreadCopies& own = copies_of[block().thread()];
  if (own.begun.empty() || own.begun.front().group >= own.groups - pending) return false;
  copy = own.begun.front().copy;
  own.begun.pop_front();
  return true;
}

void check_late_copies(int thread) {
  ThreadCopies& own = copies_of[thread];
  if (!own.begun.empty())
    report_mistake("cp.async: the thread exits with %zu copies that it has not waited for", own.begun.size());
  own.groups = 0;
}

}  // namespace bsq::cuda_on_host
