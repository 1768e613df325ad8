// A deployed network as one C99 file and its header, which need nothing but a compiler: bytes of a picture in, logits
// out, every level that of METHOD 16.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "tools/export/c/filter_rows.h"

#include <string>
#include <vector>

namespace bsq {

struct CModelOptions {
  CGoal goal = CGoal::speed;
  std::string name;                      // of the model; its names begin with it
  std::string file;                      // name of the source without its ending; the header's is the same
  std::vector<std::string> class_names;  // empty: not known
  std::vector<std::string> facts;        // lines for the header: where the model is from
};

struct CModel {
  std::string prefix;  // `resnet20`, of resnet20_predict
  std::string source;
  std::string header;
  std::size_t constant_bytes = 0;   // of all that is const
  std::size_t workspace_bytes = 0;  // that a caller provides
};

CModel c_model(const DeployedNetwork& network, const CModelOptions& options);

}  // namespace bsq
