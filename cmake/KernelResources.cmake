# bsq_kernel_resources(sources...): the target kernel_resources, which compiles the sources once more, without taking
# warnings for errors, and prints what ptxas says of each kernel as a table.
function(bsq_kernel_resources)
  set(flags -std=c++20 --expt-relaxed-constexpr -I${CMAKE_SOURCE_DIR} -Xptxas=-v)
  foreach(architecture IN LISTS CMAKE_CUDA_ARCHITECTURES)
    if(architecture MATCHES "^([0-9]+[a-z]*)(-real)?$")
      list(APPEND flags -gencode arch=compute_${CMAKE_MATCH_1},code=sm_${CMAKE_MATCH_1})
    endif()
  endforeach()
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/ops/*.h ${CMAKE_SOURCE_DIR}/kernels/cuda/device/*)
  list(APPEND headers ${CMAKE_SOURCE_DIR}/kernels/types.h ${CMAKE_SOURCE_DIR}/kernels/random.h ${CMAKE_SOURCE_DIR}/kernels/level_rounding.h)
  set(folder ${CMAKE_BINARY_DIR}/kernel_resources)
  file(MAKE_DIRECTORY ${folder})
  foreach(source IN LISTS ARGN)
    cmake_path(GET source STEM name)
    add_custom_command(OUTPUT ${folder}/${name}.txt DEPENDS ${source} ${headers} VERBATIM
                       COMMENT "Asking ptxas about ${name}.cu"
                       COMMAND sh -c "output=$1 && shift && \"$@\" >\"$output\" 2>&1 || { cat \"$output\"; exit 1; }" sh
                               ${folder}/${name}.txt ${CMAKE_CUDA_COMPILER} ${flags} -c ${source} -o ${folder}/${name}.o)
    list(APPEND reports ${folder}/${name}.txt)
  endforeach()
  add_custom_target(kernel_resources DEPENDS ${reports} VERBATIM
                    COMMAND ${CMAKE_SOURCE_DIR}/cmake/kernel_resources.sh ${reports})
endfunction()
