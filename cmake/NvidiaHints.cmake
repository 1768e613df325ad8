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
