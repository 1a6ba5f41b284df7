# Runs PROGRAM in the current folder and demands that it prints the content of the file EXPECTED,
# byte by byte, and writes every picture (.png, .svg) that is named there into the current folder.
file(READ "${EXPECTED}" expected)
string(REGEX MATCHALL "[A-Za-z0-9_.-]+[.](png|svg)" pictures "${expected}")
if(pictures)
  file(REMOVE ${pictures})  # of an earlier run
endif()

execute_process(COMMAND "${PROGRAM}" RESULT_VARIABLE status OUTPUT_VARIABLE printed)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM}: ended with ${status}\n${printed}")
endif()
if(NOT printed STREQUAL expected)
  message(FATAL_ERROR "${PROGRAM} prints\n${printed}\ninstead of ${EXPECTED}\n${expected}")
endif()
foreach(picture IN LISTS pictures)
  set(size 0)
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${picture}")
    file(SIZE "${CMAKE_CURRENT_SOURCE_DIR}/${picture}" size)
  endif()
  if(size EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} names ${picture} and left no such file or an empty one")
  endif()
endforeach()
