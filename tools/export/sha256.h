// SHA-256 (FIPS 180-4), as `sha256sum` prints it: it identifies the checkpoint that an export came from.
#pragma once

#include <string>
#include <string_view>

namespace bsq {

std::string sha256_hex(std::string_view bytes);

}  // namespace bsq
