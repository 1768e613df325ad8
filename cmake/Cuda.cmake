# CUDA, where it is found: compiles kernels/cuda/ops/*.cu with nvcc. Sets
#   BSQ_HAVE_CUDA          whether all the plug-in needs is there: nvcc, cuBLAS, cuDNN
#   BSQ_NCCL_SOURCE        kernels/cuda/nccl/nccl.cpp, or what takes its place where NCCL is not found
#   BSQ_CUDA_INCLUDE_DIR   CUDA's headers, which the emulated tests need even without nvcc; empty where there are none
set(BSQ_CUDA AUTO CACHE STRING "the CUDA backend: AUTO (where CUDA is found), ON (an error where it is not) or OFF")
set_property(CACHE BSQ_CUDA PROPERTY STRINGS AUTO ON OFF)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
set(BSQ_HAVE_CUDA OFF)

include(${CMAKE_CURRENT_LIST_DIR}/NvidiaHints.cmake)
find_path(BSQ_CUDA_INCLUDE_DIR NAMES cuda_runtime_api.h HINTS ${BSQ_NVIDIA_HINTS} PATH_SUFFIXES include)
mark_as_advanced(BSQ_CUDA_INCLUDE_DIR)
find_package(NCCL 2 QUIET)
set(BSQ_NCCL_SOURCE ${CMAKE_SOURCE_DIR}/kernels/cuda/nccl/no_nccl.cpp)
if(NCCL_FOUND)
  set(BSQ_NCCL_SOURCE ${CMAKE_SOURCE_DIR}/kernels/cuda/nccl/nccl.cpp)
endif()

if(BSQ_CUDA STREQUAL "OFF")
  message(STATUS "bsq: CUDA backend: off (BSQ_CUDA=OFF)")
  return()
endif()

# ---- nvcc -----------------------------------------------------------------------------------------------------------
# Before CUDA is enabled, or CMake takes nvcc's default. Machine code for A100 and H100; PTX for what comes after.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
endif()
include(CheckLanguage)
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(BSQ_NVCC nvcc HINTS ${BSQ_NVIDIA_HINTS} PATH_SUFFIXES bin)
  mark_as_advanced(BSQ_NVCC)
  if(BSQ_NVCC)
    set(ENV{CUDACXX} ${BSQ_NVCC})  # not CMAKE_CUDA_COMPILER: check_language() would take that for good
  endif()
endif()
check_language(CUDA)
set(missing)
if(CMAKE_CUDA_COMPILER)
  enable_language(CUDA)
  if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc has C++20
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  if(CCACHE)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
  endif()
  find_package(CUDAToolkit QUIET)
  find_package(CUDNN 9 QUIET)
  if(NOT TARGET CUDA::cublas)
    list(APPEND missing cuBLAS)
  endif()
  if(NOT CUDNN_FOUND)
    list(APPEND missing "cuDNN 9")
  endif()
  find_path(BSQ_NVTX_INCLUDE_DIR nvtx3/nvToolsExt.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${BSQ_NVIDIA_HINTS} PATH_SUFFIXES include)
  mark_as_advanced(BSQ_NVTX_INCLUDE_DIR)
  if(NOT BSQ_NVTX_INCLUDE_DIR)
    list(APPEND missing "NVTX's headers")
  endif()
else()
  list(APPEND missing nvcc)
endif()
if(NOT missing)
  set(BSQ_HAVE_CUDA ON)
  set(nccl "no NCCL")
  if(NCCL_FOUND)
    set(nccl "NCCL ${NCCL_VERSION}")
  endif()
  message(STATUS "bsq: CUDA backend: nvcc ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}, "
                 "cuDNN ${CUDNN_VERSION}, ${nccl}")
elseif(BSQ_CUDA STREQUAL "ON")
  string(JOIN ", " missing ${missing})
  message(FATAL_ERROR "BSQ_CUDA=ON, but not found: ${missing}; install it, set CMAKE_CUDA_COMPILER, CUDNN_ROOT or "
                      "BSQ_NVIDIA_PIP_ROOT, or use BSQ_CUDA=OFF")
else()
  string(JOIN ", " missing ${missing})
  message(STATUS "bsq: CUDA backend: not built, not found: ${missing}")
endif()
if(NOT CMAKE_CUDA_COMPILER)
  return()
endif()

# ---- the kernels ------------------------------------------------------------------------------------------------------
# bsq_compile_with_nvcc(target): every warning of every stage, and registers spilled to memory, are errors. std::array in
# device code (kernels/types.h, kernels/random.h) needs the relaxed constexpr.
function(bsq_compile_with_nvcc target)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${target} PRIVATE --expt-relaxed-constexpr)
  if(BSQ_WERROR)
    target_compile_options(${target} PRIVATE --Werror=all-warnings -Xptxas=-warn-spills -Xcompiler=-Wall,-Wextra)
  endif()
  set_target_properties(${target} PROPERTIES CUDA_VISIBILITY_PRESET hidden)
endfunction()

file(GLOB bsq_cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/ops/*.cu)
add_library(bsq_cuda_kernels STATIC ${bsq_cuda_sources})
bsq_compile_with_nvcc(bsq_cuda_kernels)

# `cmake --build build --target kernel_resources` prints what each kernel takes of a multiprocessor.
include(${CMAKE_CURRENT_LIST_DIR}/KernelResources.cmake)
bsq_kernel_resources(${bsq_cuda_sources})

# ---- the plug-in: nothing in bsq itself links CUDA --------------------------------------------------------------------
if(NOT BSQ_HAVE_CUDA)
  return()
endif()
file(GLOB_RECURSE plugin_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.cpp)
list(FILTER plugin_sources EXCLUDE REGEX "/(no_)?nccl\\.cpp$")
add_library(bsq_cuda MODULE ${plugin_sources} ${BSQ_NCCL_SOURCE})
target_link_libraries(bsq_cuda PRIVATE bsq_options bsq_cuda_interface bsq_cuda_kernels fmt::fmt CUDA::cudart_static CUDA::cublas
                      CUDNN::cudnn ${CMAKE_DL_LIBS})
target_include_directories(bsq_cuda SYSTEM PRIVATE ${BSQ_NVTX_INCLUDE_DIR})
if(NCCL_FOUND)  # loaded, not linked
  target_include_directories(bsq_cuda SYSTEM PRIVATE ${NCCL_INCLUDE_DIR})
endif()
target_link_options(bsq_cuda PRIVATE -Wl,--no-undefined)
# Where CUDA's libraries are: beside the plug-in, or where they were found. CMake takes its folder for one the system knows.
set(rpath "$ORIGIN")
foreach(library IN ITEMS ${CUDA_cublas_LIBRARY} ${CUDNN_LIBRARY} ${NCCL_LIBRARY})
  if(NOT library)  # no NCCL
    continue()
  endif()
  cmake_path(GET library PARENT_PATH folder)
  list(APPEND rpath ${folder})
endforeach()
list(REMOVE_DUPLICATES rpath)
set_target_properties(bsq_cuda PROPERTIES CXX_VISIBILITY_PRESET hidden INSTALL_RPATH "${rpath}"
                      INSTALL_RPATH_USE_LINK_PATH OFF)
install(TARGETS bsq_cuda LIBRARY DESTINATION lib)
