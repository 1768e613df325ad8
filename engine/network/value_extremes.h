// The least and the largest numbers that tensors of a network hold in inference: looked at between its nodes, so that
// nothing has to be kept for it.
#pragma once

#include "engine/network/executor.h"
#include "engine/network/host_numbers.h"

#include <span>
#include <vector>

namespace bsq {

struct Extremes {
  double low = 0;
  double high = 0;

  bool operator==(const Extremes&) const = default;
};

/// Numbers to look at: those of a tensor, or what a norm or a bias makes of them before it adds and bends anything.
struct WatchedNumbers {
  TensorId tensor = -1;
  int affine = -1;  // the node that has it; -1: the numbers as they are

  bool operator==(const WatchedNumbers&) const = default;
};

/// Where a node of the network rounds numbers to the range that a state holds.
struct RoundedPlace {
  WatchedNumbers numbers;
  StateId range = -1;
};
/// All of them, by node.
std::vector<RoundedPlace> rounded_places(const Network& network);

/// References must outlive it.
class ExtremesWatch {
 public:
  ExtremesWatch(Backend& backend, const Network& network, const ParameterMemory& parameters,
                std::vector<WatchedNumbers> watched);

  /// To be called before run() whenever parameters or running statistics have changed.
  void read_parameters();
  /// One forward pass in inference, without rounding to ranges; returns the extremes of all that is watched, in order.
  /// The images are those of the executor. Waits for the device at every watched tensor.
  std::vector<Extremes> run(Executor& executor, int batch, ActScale act_scale);

 private:
  Extremes extremes_of(const TensorView& view, const ChannelAffine& affine) const;

  Backend& backend_;
  const Network& network_;
  const ParameterMemory& parameters_;
  std::vector<WatchedNumbers> watched_;
  std::vector<ChannelAffine> affines_;  // of each; empty: none
};

}  // namespace bsq
