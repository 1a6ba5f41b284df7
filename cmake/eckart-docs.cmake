# Target `docs`: the reference, one page a header, from the comments in them.
find_package(Doxygen QUIET)
if(DOXYGEN_FOUND)
  configure_file("${CMAKE_CURRENT_LIST_DIR}/Doxyfile.in" "${PROJECT_BINARY_DIR}/Doxyfile" @ONLY)
  add_custom_target(docs
    COMMAND Doxygen::doxygen "${PROJECT_BINARY_DIR}/Doxyfile"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "Writing the reference to ${PROJECT_BINARY_DIR}/reference/html" VERBATIM)
endif()
