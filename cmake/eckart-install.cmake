# Two components: "development" is the library and its CMake package, "program" the command line
# program and its model.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(eckart_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/eckart")
set(eckart_package_files
  "${CMAKE_CURRENT_LIST_DIR}/eckart-dependencies.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/FindOpenBLAS.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/FindLAPACKE.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/FindPCRE2.cmake")

# The package in the build tree: `eckart_DIR=<build>` uses the headers in the source tree.
configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/eckart-config.cmake.in" "${PROJECT_BINARY_DIR}/eckart-config.cmake"
  INSTALL_DESTINATION "${eckart_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/eckart-config-version.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
foreach(file IN LISTS eckart_package_files)
  configure_file("${file}" "${PROJECT_BINARY_DIR}" COPYONLY)
endforeach()

# An export set for each target, so that a package without bart's dependencies names none of them.
foreach(part IN ITEMS core bart cublas cuda)
  set(target eckart_${part})
  if(part STREQUAL "core")
    set(target eckart)
  endif()
  if(NOT TARGET ${target})
    continue()
  endif()
  install(TARGETS ${target} EXPORT eckart-${part})
  export(EXPORT eckart-${part} NAMESPACE eckart::
    FILE "${PROJECT_BINARY_DIR}/eckart-${part}-targets.cmake")
  install(EXPORT eckart-${part} NAMESPACE eckart:: FILE eckart-${part}-targets.cmake
    DESTINATION "${eckart_package_dir}" COMPONENT development)
endforeach()

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/eckart"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development)
install(FILES ${eckart_package_files}
  "${PROJECT_BINARY_DIR}/eckart-config.cmake" "${PROJECT_BINARY_DIR}/eckart-config-version.cmake"
  DESTINATION "${eckart_package_dir}" COMPONENT development)

install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}"
  COMPONENT development)
foreach(file IN ITEMS README.md CHANGELOG.md)
  install(FILES "${PROJECT_SOURCE_DIR}/${file}" DESTINATION "${CMAKE_INSTALL_DOCDIR}"
    COMPONENT development OPTIONAL)
endforeach()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs/" DESTINATION "${CMAKE_INSTALL_DOCDIR}"
  COMPONENT development OPTIONAL FILES_MATCHING PATTERN "*.md" PATTERN "*.svg" PATTERN "*.png")
