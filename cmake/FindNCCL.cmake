# NCCL::nccl, NCCL_VERSION. NCCL_ROOT, a variable of CMake or the environment, says where to look first.
include(${CMAKE_CURRENT_LIST_DIR}/NvidiaHints.cmake)
bsq_find_nvidia_library(NCCL nccl 2 nccl.h)
