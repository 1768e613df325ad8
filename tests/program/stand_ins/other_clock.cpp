// Another clock on the wall than the one that is there: loaded before the C library, it jumps as after a correction.
// The clock that measures durations goes on as it does. What it does stands in BSQ_STAND_IN_CLOCK, words between
// spaces:
//   back=SECONDS   it is this much behind the real one,
//   after=N        from its N-th reading on (0, the default: from the first)
//   stands=SECONDS it shows this many seconds since 1970, always
#include <dlfcn.h>
#include <sys/time.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <string>

namespace {

struct ClockWishes {
  long back = 0, after = 0, stands = -1;
};

ClockWishes read_clock_wishes() {
  ClockWishes wishes;
  const char* variable = std::getenv("BSQ_STAND_IN_CLOCK");
  std::string rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const std::string word = rest.substr(0, rest.find(' '));
    rest.erase(0, word.size() + 1);
    const std::string name = word.substr(0, word.find('='));
    const long number = std::atol(word.substr(word.find('=') + 1).c_str());
    if (name == "back") wishes.back = number;
    if (name == "after") wishes.after = number;
    if (name == "stands") wishes.stands = number;
  }
  return wishes;
}

int real_clock(clockid_t clock, timespec* time) {
  static const auto call = reinterpret_cast<int (*)(clockid_t, timespec*)>(::dlsym(RTLD_NEXT, "clock_gettime"));
  return call(clock, time);
}

void change(timespec& time) {
  static const ClockWishes wishes = read_clock_wishes();
  static std::atomic<long> readings = 0;
  if (readings++ >= wishes.after) time.tv_sec -= wishes.back;
  if (wishes.stands >= 0) time = {.tv_sec = wishes.stands, .tv_nsec = 0};
}

timespec wall_time() {
  timespec time{};
  real_clock(CLOCK_REALTIME, &time);
  change(time);
  return time;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const int result = real_clock(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) change(*time);
  return result;
}

int gettimeofday(timeval* time, void*) noexcept {
  const timespec now = wall_time();
  *time = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* result) noexcept {
  const time_t seconds = wall_time().tv_sec;
  if (result != nullptr) *result = seconds;
  return seconds;
}

}  // extern "C"
