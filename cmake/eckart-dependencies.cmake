#[[
Finds what eckart stands on. Read by the project itself and by its installed package, so that a
dependency is named in one place.

  in:   eckart_wants_bart          false: do not look for what only eckart::bart needs
        eckart_wants_toolkit       false: do not look for the CUDA toolkit
        eckart_find_quietly        QUIET or empty
  out:  eckart_core_missing        names of what eckart::eckart lacks
        eckart_bart_missing        names of what eckart::bart lacks besides
        eckart_cublas_missing      names of what eckart::cublas lacks besides
        eckart_cuda_missing        names of what eckart::cuda lacks besides
]]
set(eckart_core_missing "")
set(eckart_bart_missing "")
set(eckart_cublas_missing "")
set(eckart_cuda_missing "")

# xtensor-blas looks for a BLAS and a LAPACK of its own. It is given the one library that eckart
# uses, which holds both; the function keeps these settings from the caller.
function(eckart_find_xtensor_blas)
  set(BLA_VENDOR OpenBLAS)
  set(BLAS_openblas_LIBRARY "${OpenBLAS_LIBRARY}")
  set(LAPACK_openblas_LIBRARY "${OpenBLAS_LIBRARY}")
  find_package(xtensor-blas ${eckart_find_quietly})
endfunction()

set(eckart_saved_module_path "${CMAKE_MODULE_PATH}")
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")

find_package(xtensor 0.24 ${eckart_find_quietly})
if(TARGET xtensor::xtensor AND NOT TARGET xtensor)
  add_library(xtensor INTERFACE IMPORTED)
  target_link_libraries(xtensor INTERFACE xtensor::xtensor)
endif()
if(NOT TARGET xtensor)
  list(APPEND eckart_core_missing "xtensor 0.24 or newer (libxtensor-dev)")
endif()
find_package(OpenBLAS ${eckart_find_quietly} MODULE)
if(NOT OpenBLAS_FOUND)
  list(APPEND eckart_core_missing "OpenBLAS (libopenblas-openmp-dev)")
endif()
find_package(LAPACKE ${eckart_find_quietly} MODULE)
if(NOT LAPACKE_FOUND)
  list(APPEND eckart_core_missing "LAPACKE (liblapacke-dev)")
endif()
if(OpenBLAS_FOUND)
  eckart_find_xtensor_blas()
endif()
if(NOT TARGET xtensor-blas)
  list(APPEND eckart_core_missing "xtensor-blas (libxtensor-blas-dev)")
endif()
# Without OpenMP every loop of eckart runs on one thread and gives the same results.
find_package(OpenMP QUIET COMPONENTS CXX)

if(eckart_wants_bart)
  find_package(nlohmann_json 3.11 ${eckart_find_quietly})
  if(NOT TARGET nlohmann_json::nlohmann_json)
    list(APPEND eckart_bart_missing "nlohmann-json 3.11 or newer (nlohmann-json3-dev)")
  endif()
  find_package(PCRE2 ${eckart_find_quietly} MODULE)
  if(NOT PCRE2_FOUND)
    list(APPEND eckart_bart_missing "PCRE2 (libpcre2-dev)")
  endif()
endif()

# 12.8: the first runtime that loads machine code without the driver's own interface.
if(eckart_wants_toolkit)
  find_package(CUDAToolkit 12.8 QUIET)
  foreach(part IN ITEMS cudart cublas cublasLt cusolver nvrtc)
    if(NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::${part})
      set(eckart_cublas_missing
        "the CUDA toolkit 12.8 or newer with cuBLAS, cuSOLVER and NVRTC")
    endif()
  endforeach()
  if(NOT CUDAToolkit_NVCC_EXECUTABLE)
    set(eckart_cuda_missing "nvcc, the compiler of the CUDA toolkit")
  endif()
endif()

set(CMAKE_MODULE_PATH "${eckart_saved_module_path}")
unset(eckart_saved_module_path)
