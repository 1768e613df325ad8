# CUDNN::cudnn, CUDNN_VERSION. CUDNN_ROOT, a variable of CMake or the environment, says where to look first.
include(${CMAKE_CURRENT_LIST_DIR}/NvidiaHints.cmake)
bsq_find_nvidia_library(CUDNN cudnn 9 cudnn_version.h)
