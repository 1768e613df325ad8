// One thread per piece of work: pieces come seconds apart.
#include "engine/base/background.h"

#include <system_error>
#include <utility>

namespace bsq {

Background::~Background() {
  if (thread_.joinable()) thread_.join();
}

void Background::start(std::function<void()> work) {
  wait();
  is_over_ = false;
  const auto run = [this, work = std::move(work)] {
    try {
      work();
    } catch (...) {
      error_ = std::current_exception();
    }
    is_over_ = true;
  };
  try {
    thread_ = std::thread(run);
  } catch (const std::system_error&) {  // no more threads allowed: the work is done here and now
    run();
    wait();
  }
}

void Background::wait() {
  if (thread_.joinable()) thread_.join();
  if (const std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
}

void Background::check() {
  if (is_over_) wait();
}

}  // namespace bsq
