# libbsq_predict.so: deployed models for programs of others, by a C interface. It has the sources of engine/deployed that
# run a network once more, with nothing of the engine visible, and needs nothing beside the C++ library.
set(deployed_sources deployed_network deployed_run deployed_file check_deployed check_vectors level_convolution level_loops
                     level_operations vnni_convolution library/bsq_predict)
list(TRANSFORM deployed_sources PREPEND engine/deployed/)
add_library(bsq_predict SHARED)
foreach(source IN ITEMS ${deployed_sources} engine/files/safetensors engine/files/posix_file engine/files/atomic_file
                        engine/files/links engine/base/text)
  target_sources(bsq_predict PRIVATE ${source}.cpp)
endforeach()
target_link_libraries(bsq_predict PRIVATE bsq_options nlohmann_json::nlohmann_json fmt::fmt-header-only Threads::Threads)
target_compile_definitions(bsq_predict PRIVATE BSQ_VERSION="${PROJECT_VERSION}")
target_compile_options(bsq_predict PRIVATE -fvisibility=hidden -ffp-contract=off)
target_link_options(bsq_predict PRIVATE -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/cmake/bsq_predict.map)
set_target_properties(bsq_predict PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0
  PUBLIC_HEADER engine/deployed/library/bsq_predict.h LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cmake/bsq_predict.map)
target_include_directories(bsq_predict INTERFACE $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/engine/deployed/library>
                                                 $<INSTALL_INTERFACE:include>)

# For others: find_package(bsq_predict), or pkg-config.
install(TARGETS bsq_predict EXPORT bsq_predict LIBRARY DESTINATION lib PUBLIC_HEADER DESTINATION include)
install(EXPORT bsq_predict NAMESPACE bsq:: FILE bsq_predict-config.cmake DESTINATION lib/cmake/bsq_predict)
file(CONFIGURE OUTPUT bsq_predict.pc @ONLY CONTENT [[prefix=${pcfiledir}/../..
Name: bsq_predict
Description: Classes of pictures by a quantized model, in integers
Version: @PROJECT_VERSION@
Cflags: -I${prefix}/include
Libs: -L${prefix}/lib -lbsq_predict
]])
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bsq_predict.pc DESTINATION lib/pkgconfig)
