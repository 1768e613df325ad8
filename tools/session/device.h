// The device a command computes on.
#pragma once

#include "engine/config/config.h"
#include "engine/run/console.h"
#include "kernels/backend.h"
#include "kernels/ranks/communicator.h"

#include <memory>

namespace bsq {

/// Opens the device of the configuration; with several GPUs, this rank's own. `auto` takes a GPU if every rank finds
/// one, else the CPU on all. Says on the console which device it is, and why it is no GPU if `auto` found none.
std::unique_ptr<Backend> open_device(const Config& config, Console& console, Communicator& ranks);

}  // namespace bsq
