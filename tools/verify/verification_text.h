// What has been verified of a run, for people and for programs.
#pragma once

#include "tools/verify/verification.h"

#include <nlohmann/json.hpp>

#include <string>

namespace bsq {

std::string text_of(const Verification& verification);
nlohmann::ordered_json to_json(const Verification& verification);
/// One line per fault, and what is known of the reason. Empty if the run is verified.
std::string fault_text(const Verification& verification);

}  // namespace bsq
