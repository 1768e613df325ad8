// Work on another thread: one piece at a time, and its errors come back once.
#include "engine/base/background.h"

#include "kernels/base/error.h"
#include "tests/support/catch.h"

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>

namespace bsq::test {
namespace {

constexpr auto kMoment = std::chrono::milliseconds(20);

}  // namespace

TEST_CASE("work runs beside the thread that asks for it, and wait() returns when it is over") {
  Background background;
  background.wait();  // nothing yet
  std::promise<void> go;
  std::atomic<bool> is_done = false;
  background.start([&] {
    go.get_future().wait();
    is_done = true;
  });
  background.check();  // does not wait
  CHECK_FALSE(is_done);
  go.set_value();
  background.wait();
  CHECK(is_done);
}

TEST_CASE("the second piece of work begins when the first is over") {
  Background background;
  std::atomic<int> at_work = 0;
  std::atomic<int> most = 0;
  std::atomic<int> done = 0;
  for (int i = 0; i < 5; ++i)
    background.start([&] {
      most = std::max(most.load(), ++at_work);
      std::this_thread::sleep_for(kMoment / 10);
      --at_work;
      ++done;
    });
  background.wait();
  CHECK(done == 5);
  CHECK(most == 1);
}

TEST_CASE("what work throws is thrown once where it is asked for, and nothing begins before") {
  const auto fails = [] { fail(ErrorKind::checkpoint, "no room"); };
  bool has_begun = false;
  Background background;
  background.start(fails);
  CHECK_THROWS_WITH(background.start([&] { has_begun = true; }), "no room");
  CHECK_NOTHROW(background.wait());
  CHECK_FALSE(has_begun);

  background.start(fails);
  CHECK_THROWS_AS(background.wait(), Error);
  background.check();

  background.start(fails);
  const auto poll = [&] {
    for (int i = 0; i < 1000; ++i) {
      background.check();
      std::this_thread::sleep_for(kMoment);
    }
  };
  CHECK_THROWS_WITH(poll(), "no room");
  background.start([&] { has_begun = true; });
  background.wait();
  CHECK(has_begun);
}

TEST_CASE("the end waits for work that is under way, whatever becomes of it") {
  std::atomic<bool> is_done = false;
  {
    Background background;
    background.start([&] {
      std::this_thread::sleep_for(kMoment);
      is_done = true;
      throw std::runtime_error("nobody asks");
    });
  }
  CHECK(is_done);
}

}  // namespace bsq::test
