// The two ways bsq writes a moment, both UTC.
#pragma once

#include <chrono>
#include <string>

namespace bsq {

/// "2026-01-31T12:00:00.000Z", for logs.
std::string utc_timestamp(std::chrono::system_clock::time_point time = std::chrono::system_clock::now());

/// "20260131-120000", for names of folders.
std::string utc_folder_stamp(std::chrono::system_clock::time_point time);

}  // namespace bsq
