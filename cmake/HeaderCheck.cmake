# bsq_check_headers(LINKS libraries...): compiles every header of the project by itself, twice in a row, so that one
# that leans on its includers, or lacks its guard, breaks the build. Nothing links the objects.
function(bsq_check_headers)
  cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
  foreach(folder bench data engine kernels models tests tools)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/${folder}/*.h)
    list(APPEND headers ${found})
  endforeach()
  foreach(header IN LISTS headers)
    set(source ${CMAKE_BINARY_DIR}/headers/${header}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
    list(APPEND sources ${source})
  endforeach()
  add_library(bsq_headers OBJECT ${sources})
  target_link_libraries(bsq_headers PRIVATE ${ARG_LINKS})
  target_compile_options(bsq_headers PRIVATE -O0 -g0)
  target_compile_definitions(bsq_headers PRIVATE BSQ_SIMD_NAMESPACE=baseline BSQ_SOURCE_DIR="" BSQ_PROGRAM=""
                             $<TARGET_PROPERTY:bsq,COMPILE_DEFINITIONS>)
endfunction()
