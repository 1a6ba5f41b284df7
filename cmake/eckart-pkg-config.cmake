# eckart.pc and eckart-bart.pc, for builds without CMake. OpenBLAS comes before LAPACKE, as in the
# targets, and is the one that this build found.
cmake_path(GET OpenBLAS_LIBRARY PARENT_PATH eckart_openblas_folder)
cmake_path(GET OpenBLAS_LIBRARY STEM eckart_openblas_name)
string(REGEX REPLACE "^lib" "" eckart_openblas_name "${eckart_openblas_name}")
set(eckart_openmp_flags "${OpenMP_CXX_FLAGS}")
foreach(name IN ITEMS eckart eckart-bart)
  configure_file("${CMAKE_CURRENT_LIST_DIR}/${name}.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig" COMPONENT development)
endforeach()
