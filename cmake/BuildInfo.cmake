# What tools/build_info.cpp says about this build: version, commit, compiler and libraries as found at configuration.
execute_process(COMMAND git -C ${CMAKE_CURRENT_SOURCE_DIR} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE bsq_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE bsq_git_failed)
if(bsq_git_failed)
  set(bsq_commit "")
endif()
if(DEFINED JPEG_VERSION)
  set(bsq_jpeg " ${JPEG_VERSION}")
endif()
string(JOIN ", " bsq_libraries "oneDNN ${dnnl_VERSION}" "yaml-cpp ${yaml-cpp_VERSION}" "fmt ${fmt_VERSION}"
       "nlohmann-json ${nlohmann_json_VERSION}" "CLI11 ${CLI11_VERSION}" "libpng ${PNG_VERSION_STRING}"
       "libjpeg${bsq_jpeg}")
target_compile_definitions(bsq PRIVATE BSQ_VERSION="${PROJECT_VERSION}")
set_source_files_properties(tools/build_info.cpp PROPERTIES COMPILE_DEFINITIONS
  "BSQ_COMMIT=\"${bsq_commit}\";BSQ_LIBRARIES=\"${bsq_libraries}\";BSQ_COMPILER=\"${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}\"")
