// The section `dorefa` of a configuration: what every training has, and nothing else.
#pragma once

namespace bsq {

class ConfigSchema;

void add_dorefa_keys(ConfigSchema& schema);

}  // namespace bsq
