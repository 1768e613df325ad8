// A signal handler may touch nothing but flags, and only those of static storage: hence the variables below.
#include "tools/cli/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace bsq {
namespace {

std::atomic<int> stop_signal = 0;  // a handler may run on any thread
std::atomic<int> checkpoint_asked = 0;
std::atomic<bool> ends_at_the_next = false;
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void note_signal(int signal) {
  if (signal == SIGUSR1) {
    checkpoint_asked = 1;
    return;
  }
  const bool is_a_persons = signal == SIGINT || signal == SIGTERM;
  if (is_a_persons && ends_at_the_next.exchange(true)) ::_exit(kSignalExit + signal);
  int none = 0;
  stop_signal.compare_exchange_strong(none, signal);
}

/// As `nohup` leaves it.
bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) ::sigaction(signal, &action, nullptr);
  for (const int signal : {SIGHUP, SIGUSR2, SIGXCPU})
    if (!is_ignored(signal)) ::sigaction(signal, &action, nullptr);
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
