#[[
LAPACKE, the C interface of LAPACK.

  LAPACKE::LAPACKE      imported target

The Fortran LAPACK underneath is whatever the system's liblapacke is linked with (Debian: an
alternative). Link OpenBLAS::OpenBLAS before LAPACKE::LAPACKE: OpenBLAS contains LAPACK, and the
dynamic linker then takes every routine from there.
]]
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_LAPACKE QUIET lapacke)
endif()

find_path(LAPACKE_INCLUDE_DIR NAMES lapacke.h
  PATHS ${PC_LAPACKE_INCLUDE_DIRS} PATH_SUFFIXES lapacke openblas)
find_library(LAPACKE_LIBRARY NAMES lapacke PATHS ${PC_LAPACKE_LIBRARY_DIRS})
mark_as_advanced(LAPACKE_INCLUDE_DIR LAPACKE_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LAPACKE
  REQUIRED_VARS LAPACKE_LIBRARY LAPACKE_INCLUDE_DIR VERSION_VAR PC_LAPACKE_VERSION)

if(LAPACKE_FOUND AND NOT TARGET LAPACKE::LAPACKE)
  add_library(LAPACKE::LAPACKE UNKNOWN IMPORTED)
  set_target_properties(LAPACKE::LAPACKE PROPERTIES
    IMPORTED_LOCATION "${LAPACKE_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${LAPACKE_INCLUDE_DIR}")
endif()
