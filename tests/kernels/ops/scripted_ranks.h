// Ranks without processes: their collective calls are played through one rank at a time, again and again, until every
// rank has heard what the others say. A call's contributions depend on the results of the calls before it alone, so
// that after as many rounds as there are calls all are right.
#pragma once

#include "kernels/backend.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace bsq::test {

/// What each rank has handed over, by call and rank; empty: not heard yet.
using Exchange = std::vector<std::vector<std::vector<float>>>;

class ScriptedRank final : public Communicator {
 public:
  ScriptedRank(Backend& backend, const RankPlace& place, Exchange& exchange)
      : Communicator(place), backend_(backend), exchange_(exchange) {}

  std::string describe() const override { return "scripted"; }
  void barrier() override {}
  void broadcast(void*, std::size_t) override {}
  void all_gather(const void*, std::size_t, void*) override { std::abort(); }
  void start_weighted_sum(float* device, std::size_t count, float weight) override {
    std::vector<float> own = download(device, count);
    for (float& value : own) value *= weight;
    combine(device, own, [](float a, float b) { return a + b; });
  }
  void start_maximum(float* device, std::size_t count) override {
    combine(device, download(device, count), [](float a, float b) { return std::max(a, b); });
  }
  void finish_reductions() override {}
  void finish() override {}
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }
  std::size_t calls() const { return next_call_; }

 private:
  std::vector<float> download(const float* device, std::size_t count) {
    std::vector<float> values(count);
    backend_.download(values.data(), device, count * sizeof(float));
    return values;
  }
  template <typename Operation>
  void combine(float* device, const std::vector<float>& own, Operation operation) {
    if (exchange_.size() == next_call_) exchange_.emplace_back(static_cast<std::size_t>(world()));
    std::vector<std::vector<float>>& call = exchange_[next_call_++];
    call[static_cast<std::size_t>(rank())] = own;
    std::vector<float> result;
    for (const std::vector<float>& part : call) {
      if (part.empty()) continue;
      if (result.empty())
        result = part;
      else
        std::transform(result.begin(), result.end(), part.begin(), result.begin(), operation);
    }
    backend_.upload(device, result.data(), result.size() * sizeof(float));
  }

  Backend& backend_;
  Exchange& exchange_;
  std::size_t next_call_ = 0;
};

}  // namespace bsq::test
