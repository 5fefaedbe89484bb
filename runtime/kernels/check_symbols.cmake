# Kernels may call nothing but the holes that the compiler fills, the matrix product, and memset and memcpy, which
# optimizers form.
# cmake -DNM=llvm-nm -DDIRECTORY=<build>/kernels -P check_symbols.cmake
file(GLOB FILES ${DIRECTORY}/*.bc)
if(NOT FILES)
  message(FATAL_ERROR "no kernel bitcode in ${DIRECTORY}")
endif()
foreach(file IN LISTS FILES)
  execute_process(COMMAND ${NM} --undefined-only --just-symbol-name ${file} OUTPUT_VARIABLE output
                  RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${NM} failed on ${file}")
  endif()
  string(REGEX MATCHALL "[^\n ]+" symbols "${output}")
  foreach(symbol IN LISTS symbols)
    if(NOT symbol MATCHES "^(heed_hole_[a-z_]+|heed_matmul|heed_matmul_scratch|memset|memcpy)$")
      message(SEND_ERROR "${file} needs ${symbol}")
    endif()
  endforeach()
endforeach()
