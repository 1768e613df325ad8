# bsq_embed_text(target file variable): compiles the text of `file` into `target` as `extern const char* const bsq::variable`.
function(bsq_embed_text target file variable)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embedded/${variable}.cpp)
  # Not file(CONFIGURE), which would take @ and ${} of the text for its own. A literal holds at most 64 KiB.
  string(CONCAT content "namespace bsq {\nextern const char* const ${variable};\n"
         "const char* const ${variable} = R\"bsq_text(${text})bsq_text\";\n}  // namespace bsq\n")
  file(GENERATE OUTPUT ${source} CONTENT "${content}")
  target_sources(${target} PRIVATE ${source})
endfunction()
