# Compiles CASE and demands that it is refused with a diagnostic that matches the regular expression
# of its first line, `// expect: REGEX`. If the case has an `#ifdef ECKART_CORRECTED` branch, that
# branch has to compile: then the error comes from the line it is meant to come from.
file(STRINGS "${CASE}" expected LIMIT_COUNT 1)
if(NOT expected MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${CASE}:1: the first line is not `// expect: REGEX`")
endif()
set(expected "${CMAKE_MATCH_1}")
file(STRINGS "${CASE}" corrected REGEX "ECKART_CORRECTED")

# LC_ALL=C: the diagnostics are in English and quote with plain apostrophes.
set(command "${CMAKE_COMMAND}" -E env LC_ALL=C "${COMPILER}" ${STANDARD} -fsyntax-only)
string(REPLACE "|" ";" includes "${INCLUDES}")
string(REPLACE "|" ";" implicit "${IMPLICIT}")
list(REMOVE_ITEM includes ${implicit})
foreach(include IN LISTS includes)
  list(APPEND command "-I${include}")
endforeach()
string(REPLACE "|" ";" definitions "${DEFINITIONS}")
foreach(definition IN LISTS definitions)
  list(APPEND command "-D${definition}")
endforeach()

execute_process(COMMAND ${command} "${CASE}"
  RESULT_VARIABLE status OUTPUT_VARIABLE diagnostics ERROR_VARIABLE diagnostics)
if(status EQUAL 0)
  message(FATAL_ERROR "${CASE}: compiles, but must not")
endif()
if(NOT diagnostics MATCHES "${expected}")
  message(FATAL_ERROR "${CASE}: refused, but nothing matches \"${expected}\" in\n${diagnostics}")
endif()

if(corrected)
  execute_process(COMMAND ${command} -DECKART_CORRECTED "${CASE}"
    RESULT_VARIABLE status OUTPUT_VARIABLE diagnostics ERROR_VARIABLE diagnostics)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${CASE}: its corrected branch does not compile\n${diagnostics}")
  endif()
endif()
