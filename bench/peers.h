// PyTorch's times for the same rows: a python3 that imports torch runs bench/pytorch_*.py, which lie in this library.
#pragma once

#include "bench/rows.h"
#include "bench/steps.h"
#include "engine/files/scratch_folder.h"

#include <map>
#include <string>
#include <vector>

namespace bsq::bench {

class Peers {
 public:
  /// Empty `python`: the first python3 on the PATH. Throws Error(usage) if it cannot run, or imports no torch.
  Peers(const std::string& python, bool gpu, const Options& options);
  const std::string& torch_version() const { return version_; }
  /// Median seconds by the names of rows; rows that PyTorch does not have, or cannot run here, are missing.
  std::map<std::string, double> operators(const std::vector<Row>& rows) const;
  std::map<std::string, double> steps(const std::vector<StepRow>& rows) const;

 private:
  std::vector<std::string> run(const std::string& arguments) const;  // lines of its stdout

  std::string python_;
  bool gpu_;
  Options options_;
  ScratchFolder folder_{"bsq-bench"};  // has PyTorch's scripts
  std::string version_;
};

}  // namespace bsq::bench
