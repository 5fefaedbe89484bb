# The copyright notices of Debian packages, as a C++ raw string literal: cmake -DPACKAGES="a;b" -DOUTPUT=... -P
# collect_notices.cmake. What a package links to as its documentation is that of another one.
set(all "")
foreach(package IN LISTS PACKAGES)
  set(file /usr/share/doc/${package}/copyright)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "${file} is missing: the notices of ${package}, which is linked in, cannot be passed on")
  endif()
  file(READ ${file} text)
  string(APPEND all "==== ${package}\n\n${text}\n")
endforeach()
file(WRITE "${OUTPUT}.new" "R\"heed_text(${all})heed_text\"\n")
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different "${OUTPUT}.new" "${OUTPUT}")
file(TOUCH "${OUTPUT}")
