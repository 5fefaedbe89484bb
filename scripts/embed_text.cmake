# Turns a text file into a C++ raw string literal: cmake -DINPUT=... -DOUTPUT=... -P embed_text.cmake
file(READ "${INPUT}" text)
file(WRITE "${OUTPUT}.new" "R\"heed_text(${text})heed_text\"\n")
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different "${OUTPUT}.new" "${OUTPUT}")
file(TOUCH "${OUTPUT}")
