# bsq_check_headers(target FOLDERS folders... [EXCEPT folders...] [FIRST_IN_SOURCE folders...] LINKS libraries...):
# compiles every header in there by itself, twice in a row, so that one that leans on its includers, or lacks its guard,
# breaks the build. Nothing links the objects. In FIRST_IN_SOURCE a header x.h beside an x.cpp is left out: there x.cpp
# includes it before all else, and so compiles it by itself; tests/lint sees to that and to the guard.
function(bsq_check_headers target)
  cmake_parse_arguments(ARG "" "" "FOLDERS;EXCEPT;FIRST_IN_SOURCE;LINKS" ${ARGN})
  foreach(folder IN LISTS ARG_FOLDERS)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/${folder}/*.h)
    list(APPEND headers ${found})
  endforeach()
  foreach(folder IN LISTS ARG_EXCEPT)
    list(FILTER headers EXCLUDE REGEX "^${folder}/")
  endforeach()
  foreach(folder IN LISTS ARG_FIRST_IN_SOURCE)
    file(GLOB_RECURSE sources_there CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
    list(TRANSFORM sources_there REPLACE "\\.cpp$" ".h")
    list(REMOVE_ITEM headers ${sources_there})
  endforeach()
  foreach(header IN LISTS headers)
    set(source ${CMAKE_BINARY_DIR}/headers/${header}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
    list(APPEND sources ${source})
  endforeach()
  add_library(${target} OBJECT ${sources})
  target_link_libraries(${target} PRIVATE ${ARG_LINKS})
  target_compile_options(${target} PRIVATE -O0 -g0)
  target_compile_definitions(${target} PRIVATE BSQ_SIMD_NAMESPACE=baseline BSQ_SOURCE_DIR="" BSQ_PROGRAM=""
                             $<TARGET_PROPERTY:bsq_tools,COMPILE_DEFINITIONS>)
endfunction()
