// The section `lsq` of a configuration: what every training has, and nothing else.
#pragma once

namespace bsq {

class ConfigSchema;

void add_lsq_keys(ConfigSchema& schema);

}  // namespace bsq
