// Work on a thread of its own, one piece at a time, whose errors come back to the thread that asked for it.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <thread>

namespace bsq {

class Background {
 public:
  Background() = default;
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  /// Waits for the work; an error of it that nobody has asked for is lost.
  ~Background();

  /// Begins `work` once what was begun before is over; throws what that threw, and then begins nothing.
  void start(std::function<void()> work);
  /// Returns when nothing is under way any more. Throws what the work has thrown, once.
  void wait();
  /// The same if the work is over; does not wait for it.
  void check();

 private:
  std::thread thread_;
  std::atomic<bool> is_over_ = false;
  std::exception_ptr error_;  // the thread's until it is over
};

}  // namespace bsq
