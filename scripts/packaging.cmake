# Having Heed: installed under any prefix, where the compiler finds what belongs to it relative to itself; and as a
# Debian package. Included by the top CMakeLists.txt.
include(GNUInstallDirs)
install(TARGETS heed RUNTIME)
install(TARGETS heed_runtime ARCHIVE DESTINATION lib/heed)
install(DIRECTORY ${CMAKE_BINARY_DIR}/kernels DESTINATION lib/heed FILES_MATCHING PATTERN "*.bc")
install(FILES runtime/abi.h runtime/abi_names.h DESTINATION include/heed)
install(FILES README.md CONTRIBUTING.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
# With what the tutorial runs on, so that it can be followed from there.
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(CODE "
  set(share \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share\")
  file(MAKE_DIRECTORY \"\${share}/man/man1\" \"\${share}/bash-completion/completions\"
                      \"\${share}/zsh/vendor-completions\" \"\${share}/fish/vendor_completions.d\")
  execute_process(COMMAND \"$<TARGET_FILE:heed>\" --manual OUTPUT_FILE \"\${share}/man/man1/heed.1\" COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND \"$<TARGET_FILE:heed>\" --completions bash OUTPUT_FILE \"\${share}/bash-completion/completions/heed\" COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND \"$<TARGET_FILE:heed>\" --completions zsh OUTPUT_FILE \"\${share}/zsh/vendor-completions/_heed\" COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND \"$<TARGET_FILE:heed>\" --completions fish OUTPUT_FILE \"\${share}/fish/vendor_completions.d/heed.fish\" COMMAND_ERROR_IS_FATAL ANY)
")
install(DIRECTORY frontend/editors DESTINATION ${CMAKE_INSTALL_DATADIR}/heed)
install(DIRECTORY frontend/editors/vim/ DESTINATION ${CMAKE_INSTALL_DATADIR}/vim/vimfiles)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME heed)
set(CPACK_PACKAGE_CONTACT "Heed maintainers <maintainers@heed.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "compiler for Transformers")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES heed)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
# The C++ driver links what is built, with static libstdc++.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libc6, libstdc++6, libllvm19, clang-19 | g++, lld-19")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "graphviz, librsvg2-bin")
include(CPack)
