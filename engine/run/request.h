// What the person outside wants of a run that is under way.
#pragma once

#include <functional>

namespace bsq {

/// Asked for after every step. Several ranks get the same answer.
enum class Request { none, checkpoint, stop };
using RequestPoll = std::function<Request()>;

}  // namespace bsq
