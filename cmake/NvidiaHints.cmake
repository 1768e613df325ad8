# Where NVIDIA's compiler and libraries may lie, as BSQ_NVIDIA_HINTS: folders with bin/, include/, lib/ or lib64/ below.
#
# Those are the toolkit, and the subfolders (cu13, cudnn, nccl ...) of site-packages/nvidia/, where pip puts them.
set(BSQ_NVIDIA_PIP_ROOT "" CACHE PATH "site-packages/nvidia of a Python that has NVIDIA's CUDA wheels")
mark_as_advanced(BSQ_NVIDIA_PIP_ROOT)
set(BSQ_NVIDIA_HINTS $ENV{CUDA_HOME} $ENV{CUDA_PATH} /usr/local/cuda)
set(bsq_pip_roots ${BSQ_NVIDIA_PIP_ROOT})
if(DEFINED ENV{VIRTUAL_ENV})
  file(GLOB found $ENV{VIRTUAL_ENV}/lib/python3*/site-packages/nvidia)
  list(APPEND bsq_pip_roots ${found})
endif()
file(GLOB found /opt/*/.venv/lib/python3*/site-packages/nvidia)
list(APPEND bsq_pip_roots ${found})
foreach(root IN LISTS bsq_pip_roots)
  file(GLOB found LIST_DIRECTORIES true ${root}/*)
  list(APPEND BSQ_NVIDIA_HINTS ${found})
endforeach()

# bsq_find_nvidia_library(NAME library major header), all that a find module does: NAME::library and NAME_VERSION, from a
# header with NAME_MAJOR, _MINOR and _PATCH or _PATCHLEVEL. NAME_ROOT, a variable of CMake or the environment, says where to
# look first. A macro, since a find module must set its results where it is included.
include(FindPackageHandleStandardArgs)
macro(bsq_find_nvidia_library name library major header)
  find_path(${name}_INCLUDE_DIR ${header} HINTS ${CUDAToolkit_TARGET_DIR} ${BSQ_NVIDIA_HINTS} PATH_SUFFIXES include)
  # pip has the library with its major number only
  find_library(${name}_LIBRARY NAMES ${library} lib${library}.so.${major}
               HINTS ${CUDAToolkit_TARGET_DIR} ${BSQ_NVIDIA_HINTS} PATH_SUFFIXES lib lib64)
  if(${name}_INCLUDE_DIR)
    file(STRINGS ${${name}_INCLUDE_DIR}/${header} found REGEX "#define ${name}_(MAJOR|MINOR|PATCH|PATCHLEVEL) +[0-9]+")
    string(REGEX REPLACE ".*MAJOR +([0-9]+).*MINOR +([0-9]+).*PATCH[A-Z]* +([0-9]+).*" "\\1.\\2.\\3" ${name}_VERSION
           "${found}")
  endif()
  find_package_handle_standard_args(${name} REQUIRED_VARS ${name}_LIBRARY ${name}_INCLUDE_DIR VERSION_VAR ${name}_VERSION)
  mark_as_advanced(${name}_LIBRARY ${name}_INCLUDE_DIR)
  if(${name}_FOUND AND NOT TARGET ${name}::${library})
    add_library(${name}::${library} UNKNOWN IMPORTED)
    set_target_properties(${name}::${library} PROPERTIES IMPORTED_LOCATION ${${name}_LIBRARY}
                          INTERFACE_INCLUDE_DIRECTORIES ${${name}_INCLUDE_DIR})
  endif()
endmacro()
