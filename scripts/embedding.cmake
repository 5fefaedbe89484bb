# Files that become part of a target: texts as raw string literals in generated/NAME.inc, and the notices of packages.

# heed_embed(TARGET FILES...)
function(heed_embed target)
  foreach(file IN LISTS ARGN)
    get_filename_component(name ${file} NAME)
    get_filename_component(file ${file} ABSOLUTE)
    set(embedded ${CMAKE_BINARY_DIR}/generated/${name}.inc)
    add_custom_command(
      OUTPUT ${embedded}
      COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DOUTPUT=${embedded} -P ${CMAKE_SOURCE_DIR}/scripts/embed_text.cmake
      DEPENDS ${file} ${CMAKE_SOURCE_DIR}/scripts/embed_text.cmake)
    target_sources(${target} PRIVATE ${embedded})
  endforeach()
  target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/generated)
endfunction()

# heed_notices(TARGET NAME PACKAGES...): the packages' own copyright files, as generated/NAME.inc.
function(heed_notices target name)
  set(notices ${CMAKE_BINARY_DIR}/generated/${name}.inc)
  add_custom_command(
    OUTPUT ${notices}
    COMMAND ${CMAKE_COMMAND} "-DPACKAGES=${ARGN}" -DOUTPUT=${notices}
            -P ${CMAKE_SOURCE_DIR}/scripts/collect_notices.cmake
    DEPENDS ${CMAKE_SOURCE_DIR}/scripts/collect_notices.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${notices})
  target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/generated)
endfunction()
