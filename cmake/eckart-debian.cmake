# `cpack -G DEB` in a build folder writes libeckart-dev (headers, CMake package) and eckart (the
# program and its model).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "eckart <eckart@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_VERBATIM_VARIABLES TRUE)
set(CPACK_COMPONENTS_ALL development)
if(ECKART_BUILD_EXAMPLES)
  list(APPEND CPACK_COMPONENTS_ALL program)
endif()
set(CPACK_DEB_COMPONENT_INSTALL TRUE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libeckart-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_ARCHITECTURE all)
string(JOIN ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libxtensor-dev (>= 0.24)" libxtensor-blas-dev libopenblas-openmp-dev liblapacke-dev)
string(JOIN ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_RECOMMENDS
  "nlohmann-json3-dev (>= 3.11)" libpcre2-dev)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME eckart)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS TRUE)
include(CPack)
