# bsq_interface_number(name HEADER NAMESPACE namespace): a library bsq_<name>_interface that defines
# <namespace>::kPluginAbi, the number of the interface in HEADER: a hash of the code of HEADER and of all that it includes
# of this project, without comments and white space. Plug-in and loader are linked with it, so that each says which
# interface it was built with. Made anew whenever one of these headers changes.
#
# As a script: -DROOT=.. -DHEADER=.. -DNAMESPACE=.. -DOUTPUT=.. writes the source, and beside it OUTPUT.d, which names the
# headers.
if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
  set(headers ${HEADER})
  set(code "")
  while(headers)
    list(POP_FRONT headers header)
    list(APPEND seen ${header})
    file(READ ${ROOT}/${header} text)
    string(REGEX MATCHALL "#include \"[^\"\n]+\"" includes "${text}")
    foreach(include IN LISTS includes)
      string(REGEX REPLACE "^#include \"(.*)\"$" "\\1" include "${include}")
      if(NOT include IN_LIST seen AND NOT include IN_LIST headers)
        list(APPEND headers ${include})
      endif()
    endforeach()
    string(REGEX REPLACE "//[^\n]*" "" text "${text}")
    string(REGEX REPLACE "/\\*([^*]|\\*+[^*/])*\\*+/" "" text "${text}")
    string(REGEX REPLACE "[ \t\r\n]+" "" text "${text}")
    string(SHA256 hash "${text}")
    string(APPEND code "${header} ${hash}\n")
  endwhile()
  string(SHA256 hash "${code}")
  string(SUBSTRING ${hash} 0 16 number)
  set(source "// Made by cmake/InterfaceNumber.cmake from ${HEADER} and what it includes.
#include <cstdint>

namespace ${NAMESPACE} {
extern const std::uint64_t kPluginAbi;
const std::uint64_t kPluginAbi = 0x${number};
}  // namespace ${NAMESPACE}
")
  set(before "")
  if(EXISTS ${OUTPUT})
    file(READ ${OUTPUT} before)
  endif()
  if(NOT before STREQUAL source)
    file(WRITE ${OUTPUT} "${source}")
  endif()
  list(TRANSFORM seen PREPEND "${ROOT}/")
  list(JOIN seen " " seen)
  file(WRITE ${OUTPUT}.d "${OUTPUT}: ${seen}\n")
  return()
endif()

set(BSQ_INTERFACE_NUMBER ${CMAKE_CURRENT_LIST_FILE})
function(bsq_interface_number name HEADER header NAMESPACE namespace)
  set(source ${CMAKE_BINARY_DIR}/interface_numbers/${name}.cpp)
  add_custom_command(OUTPUT ${source} DEPENDS ${CMAKE_SOURCE_DIR}/${header} ${BSQ_INTERFACE_NUMBER} DEPFILE ${source}.d VERBATIM
    COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR} -DHEADER=${header} -DNAMESPACE=${namespace} -DOUTPUT=${source}
            -P ${BSQ_INTERFACE_NUMBER}
    COMMENT "Numbering the interface ${header}")
  add_library(bsq_${name}_interface STATIC ${source})
  set_target_properties(bsq_${name}_interface PROPERTIES CXX_VISIBILITY_PRESET hidden)  # each side looks at its own
endfunction()
