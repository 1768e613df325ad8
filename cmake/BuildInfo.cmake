# What tools/cli/build_info.cpp says about this build: version, compiler and libraries as found at configuration, and the
# commit as it is when bsq is built.
set(commit_source ${CMAKE_CURRENT_BINARY_DIR}/embedded/kCommit.cpp)
add_custom_target(bsq_commit BYPRODUCTS ${commit_source}
                  COMMENT "Looking up the commit"
                  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_CURRENT_SOURCE_DIR} -DOUTPUT=${commit_source}
                          -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/WriteCommit.cmake)
add_dependencies(bsq_tools bsq_commit)
target_sources(bsq_tools PRIVATE ${commit_source})
if(DEFINED JPEG_VERSION)
  set(bsq_jpeg " ${JPEG_VERSION}")
endif()
string(JOIN ", " bsq_libraries "oneDNN ${dnnl_VERSION}" "yaml-cpp ${yaml-cpp_VERSION}" "fmt ${fmt_VERSION}"
       "nlohmann-json ${nlohmann_json_VERSION}" "CLI11 ${CLI11_VERSION}" "libpng ${PNG_VERSION_STRING}"
       "libjpeg${bsq_jpeg}")
target_compile_definitions(bsq_tools PUBLIC BSQ_VERSION="${PROJECT_VERSION}")
set_source_files_properties(tools/cli/build_info.cpp PROPERTIES COMPILE_DEFINITIONS
  "BSQ_LIBRARIES=\"${bsq_libraries}\";BSQ_COMPILER=\"${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}\"")
