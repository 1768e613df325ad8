// `bsq info`: build, machine and device, for reports of bugs.
#include "kernels/backend.h"
#include "kernels/cuda_loader.h"
#include "kernels/mpi_loader.h"
#include "tools/arguments.h"
#include "tools/build_info.h"

#include <fmt/format.h>

#include <sstream>
#include <thread>
#include <utility>

namespace bsq {

int info_command(const Arguments& arguments) {
  CLI::App app("Shows version, build, machine and device.", "bsq info");
  if (!parse_arguments(app, arguments)) return 0;
  CudaSearch cuda = find_cuda({});
  const auto backend = cuda.backend != nullptr ? std::move(cuda.backend) : make_backend("cpu", {});
  std::string why;
  const bool has_bf16 = backend->supports(DType::bf16, why);
  fmt::print("bsq        {}\n", full_version());
  fmt::print("build      {}\n", compiler());
  fmt::print("libraries  {}\n", library_versions());
  fmt::print("machine    {}, {} cores ({})\n", cpu_name(), std::thread::hardware_concurrency(), host_name());
  fmt::print("device     {}\n", backend->describe());
  std::istringstream cuda_lines(cuda.text);
  const char* label = "cuda";
  for (std::string line; std::getline(cuda_lines, line); label = "") fmt::print("{:<9}  {}\n", label, line);
  fmt::print("precision  fp32{}\n", has_bf16 ? ", bf16" : "; no bf16: " + why);
  fmt::print("mpi        {}\n", describe_mpi());
  return 0;
}

}  // namespace bsq
