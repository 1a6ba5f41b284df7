#[[
OpenBLAS, the OpenMP flavour where there is a choice.

  OpenBLAS::OpenBLAS    imported target
  OpenBLAS_LIBRARY      full path
  OpenBLAS_THREADING    openmp, other or unknown: read from the library itself, for eckart's own
                        loops use OpenMP and a second thread pool beside it costs a factor of 2.5

Debian installs each flavour in a folder of its own and lets one of them be "libopenblas.so"; of two
flavours the pthread one has the higher priority. The folder of the OpenMP flavour is therefore
searched first. Fedora calls that flavour libopenblaso. No header is looked for: eckart takes its
declarations from xtensor-blas and LAPACKE.
]]
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_OpenBLAS QUIET openblas)
endif()

find_library(OpenBLAS_LIBRARY
  NAMES openblaso openblas
  PATHS ${PC_OpenBLAS_LIBRARY_DIRS}
  PATH_SUFFIXES openblas-openmp)
mark_as_advanced(OpenBLAS_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenBLAS REQUIRED_VARS OpenBLAS_LIBRARY)

if(OpenBLAS_FOUND AND NOT "${_openblas_threading_of}" STREQUAL OpenBLAS_LIBRARY)
  # A shared library names the OpenMP runtime that it needs; the names stand near its beginning.
  set(_openblas_threading unknown)
  if(OpenBLAS_LIBRARY MATCHES "\\${CMAKE_SHARED_LIBRARY_SUFFIX}")
    file(STRINGS "${OpenBLAS_LIBRARY}" _openblas_runtime REGEX "lib[gi]?omp[0-9]*[.]" LIMIT_COUNT 1)
    if(_openblas_runtime)
      set(_openblas_threading openmp)
    else()
      set(_openblas_threading other)
    endif()
    unset(_openblas_runtime)
  endif()
  set(_openblas_threading "${_openblas_threading}" CACHE INTERNAL "")
  set(_openblas_threading_of "${OpenBLAS_LIBRARY}" CACHE INTERNAL "")
endif()
set(OpenBLAS_THREADING "${_openblas_threading}")

if(OpenBLAS_FOUND AND NOT TARGET OpenBLAS::OpenBLAS)
  add_library(OpenBLAS::OpenBLAS UNKNOWN IMPORTED)
  set_target_properties(OpenBLAS::OpenBLAS PROPERTIES IMPORTED_LOCATION "${OpenBLAS_LIBRARY}")
endif()
