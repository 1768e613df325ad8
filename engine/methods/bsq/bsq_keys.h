// The section `bsq` of a configuration.
#pragma once

namespace bsq {

class ConfigSchema;

struct BsqConfig {
  double alpha = 5e-3;         // strength of the group penalty on bit planes (--decay)
  int requant_interval = 50;   // epochs from one re-quantization to the next (--Prun_Int)
  double prune_threshold = 0;  // percent of non-zero entries at or below which a plane is dropped (--thre)
};

void add_bsq_keys(ConfigSchema& schema);

}  // namespace bsq
