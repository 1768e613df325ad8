// `bsq info`: build, machine and device, for reports of bugs.
#include "kernels/devices.h"
#include "kernels/cuda_loader.h"
#include "kernels/ranks/mpi_loader.h"
#include "tools/cli/arguments.h"
#include "tools/cli/build_info.h"
#include "tools/export/onnx/onnx_file.h"

#include <fmt/format.h>

#include <sstream>
#include <thread>
#include <utility>

namespace bsq {

int info_command(const Arguments& arguments) {
  CommandLine app("Shows version, build, machine and device.", "bsq info");
  if (!parse_arguments(app, arguments)) return 0;
  CudaSearch cuda = find_cuda({});
  const auto backend = cuda.backend != nullptr ? std::move(cuda.backend) : make_backend("cpu", {});
  fmt::print("bsq        {}\n", full_version());
  fmt::print("build      {}\n", compiler());
  fmt::print("libraries  {}\n", library_versions());
  fmt::print("machine    {}, {} cores ({})\n", cpu_name(), std::thread::hardware_concurrency(), host_name());
  fmt::print("device     {}\n", backend->describe());
  std::istringstream cuda_lines(cuda.text);
  const char* label = "cuda";
  for (std::string line; std::getline(cuda_lines, line); label = "") fmt::print("{:<9}  {}\n", label, line);
  std::string precisions;
  std::string missing;
  std::string why;
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    if (backend->supports(precision, why))
      precisions += fmt::format("{}{}", precisions.empty() ? "" : ", ", name_of(precision));
    else
      missing += fmt::format("; no {}: {}", name_of(precision), why);
  }
  fmt::print("precision  {}{}\n", precisions, missing);
  fmt::print("mpi        {}\n", describe_mpi());
  fmt::print("onnx       {}\n", describe_onnx());
  return 0;
}

}  // namespace bsq
