// How often every kernel has run since the counts began, and how often as a node of a graph.
//
// Kernels are what cuda::launch() enqueues. All other work that comes to a stream has no kernel and goes by its call:
// cudaMemcpyAsync, or, of what stands in for the vendor's libraries, "a library's kernel" (host_math.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bsq::cuda_on_host {

struct LaunchCount {
  std::string name;
  const void* kernel = nullptr;  // null: other work
  std::int64_t by_themselves = 0;
  std::int64_t in_graphs = 0;
};

/// In the order of their first launch.
std::vector<LaunchCount> launch_counts();
void reset_launch_counts();

/// The name of a kernel in its source, with its template arguments: "sum_moments<float, 4>".
std::string name_of_kernel(const void* kernel);

// ---- called by the runtime ------------------------------------------------------------------------------------------

void count_launch(const void* kernel);
void count_call(const char* call);

/// While one lives, what this host thread runs are nodes of a graph.
class NodesRun {
 public:
  NodesRun();
  NodesRun(const NodesRun&) = delete;
  NodesRun& operator=(const NodesRun&) = delete;
  ~NodesRun();
};

}  // namespace bsq::cuda_on_host
