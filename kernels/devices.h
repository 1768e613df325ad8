// The devices there are, by name: the only files that know which ones are built in.
#pragma once

#include "kernels/backend.h"

namespace bsq {

/// "cpu", "cuda", "reference", or "auto": a GPU if one can be used, else the CPU, with the reason in `why_no_gpu` (may
/// be null). Throws Error(device) for a device that is not there; never takes another one instead.
std::unique_ptr<Backend> make_backend(const std::string& device, const BackendOptions& options,
                                      std::string* why_no_gpu = nullptr);

}  // namespace bsq
