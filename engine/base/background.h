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
  /// Waits for the work. An error that nobody has asked for is lost.
  ~Background();

  /// Waits for the piece of work before, then begins `work`. If the piece before threw, throws that and begins nothing.
  void start(std::function<void()> work);
  /// Waits for the end of the work. Throws, once, what the work has thrown.
  void wait();
  /// The same if the work is over; does nothing while it is under way.
  void check();

 private:
  std::thread thread_;
  std::atomic<bool> is_over_ = false;
  std::exception_ptr error_;  // written by the thread, read after its end
};

}  // namespace bsq
