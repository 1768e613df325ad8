// A signal handler may touch nothing but flags, and only those of static storage: hence the two variables below.
#include "tools/cli/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace bsq {
namespace {

std::atomic<int> stop_signal = 0;  // a handler may run on any thread
std::atomic<int> checkpoint_asked = 0;
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void note_signal(int signal) {
  if (signal == SIGUSR1) {
    checkpoint_asked = 1;
  } else if (stop_signal != 0) {
    ::_exit(kSignalExit + signal);
  } else {
    stop_signal = signal;
  }
}

}  // namespace

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) ::sigaction(signal, &action, nullptr);
}

void outlive_readers() {
  ::signal(SIGPIPE, SIG_IGN);
}

Request take_request() {
  if (stop_signal != 0) return Request::stop;
  if (checkpoint_asked == 0) return Request::none;
  checkpoint_asked = 0;
  return Request::checkpoint;
}

int stop_exit_code() {
  return stop_signal == 0 ? 0 : kSignalExit + stop_signal;
}

}  // namespace bsq
