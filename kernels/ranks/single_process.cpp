// The communicator of a process by itself: everything is there already.
#include "kernels/ranks/communicator.h"

#include "kernels/base/error.h"

#include <cstdlib>
#include <cstring>

namespace bsq {
namespace {

class SingleProcess final : public Communicator {
 public:
  SingleProcess() : Communicator({}) {}

  std::string describe() const override { return "a single process"; }
  void barrier() override {}
  void broadcast(void*, std::size_t) override {}
  void all_gather(const void* host, std::size_t size_bytes, void* gathered) override {
    if (size_bytes > 0) std::memcpy(gathered, host, size_bytes);
  }
  void start_weighted_sum(float*, std::size_t, float weight) override {
    require(weight == 1.0F, "a single process is the whole, not {} of it", weight);
  }
  void start_maximum(float*, std::size_t) override {}
  void finish_reductions() override {}
  void finish() override {}
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }
};

}  // namespace

std::unique_ptr<Communicator> make_single_process() {
  return std::make_unique<SingleProcess>();
}

}  // namespace bsq
