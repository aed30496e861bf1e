# What a consumer finds after `cmake --install`: headers, libraries, pkg-config, find_package and man pages.
include(CMakePackageConfigHelpers)

# A library of the project: its targets are exported as NAME_targets, its pkg-config file is cmake/NAME.pc.in.
function(jdb_install name)
  install(TARGETS ${ARGN} EXPORT ${name}_targets
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# The prefix in a pkg-config file is relative to the file's own place, so that an installed tree can be moved.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  set(jdb_pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH jdb_pc_up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" jdb_pc_up "${jdb_pc_up}")
  set(jdb_pc_prefix "\${pcfiledir}/${jdb_pc_up}")
endif()
set(jdb_pc_cflags "")
if(JDB_CHECKED)
  set(jdb_pc_cflags " -DJDB_CHECKED")
endif()

set_target_properties(jdb_alloc_static PROPERTIES EXPORT_NAME static)
jdb_install(jdb_alloc jdb_alloc jdb_alloc_static)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN *.h PATTERN *.hpp
  PATTERN uring* EXCLUDE)
if(TARGET jdb_uring)
  set_target_properties(jdb_uring_static PROPERTIES EXPORT_NAME uring_static)
  set_target_properties(jdb_uring PROPERTIES EXPORT_NAME uring)
  jdb_install(jdb_uring jdb_uring jdb_uring_static)
  file(GLOB jdb_uring_headers ${PROJECT_SOURCE_DIR}/include/jdb_alloc/uring*)
  install(FILES ${jdb_uring_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/jdb_alloc)
endif()
if(TARGET dio)
  install(TARGETS dio RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN *.1)
  install(FILES ${PROJECT_SOURCE_DIR}/tool/completion/dio.bash
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME dio)
  install(FILES ${PROJECT_SOURCE_DIR}/tool/completion/_dio DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endif()

set(jdb_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/jdb_alloc)
install(EXPORT jdb_alloc_targets NAMESPACE jdb_alloc:: DESTINATION ${jdb_cmake_dir})
if(TARGET jdb_uring) # in a file of its own: the core is found where liburing is not
  install(EXPORT jdb_uring_targets NAMESPACE jdb_alloc:: DESTINATION ${jdb_cmake_dir})
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/jdb_alloc-config.cmake.in
  ${PROJECT_BINARY_DIR}/jdb_alloc-config.cmake INSTALL_DESTINATION ${jdb_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/jdb_alloc-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/jdb_alloc-config.cmake ${PROJECT_BINARY_DIR}/jdb_alloc-config-version.cmake
  DESTINATION ${jdb_cmake_dir})

# The man pages are made from the headers, the one source of the reference.
find_package(Python3 COMPONENTS Interpreter QUIET)
if(Python3_FOUND)
  file(GLOB jdb_headers ${PROJECT_SOURCE_DIR}/include/*.h ${PROJECT_SOURCE_DIR}/include/jdb_alloc/*.h)
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/man/stamp
    COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/man/make_man.py ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/man
    COMMAND ${CMAKE_COMMAND} -E touch ${PROJECT_BINARY_DIR}/man/stamp
    DEPENDS ${jdb_headers} ${PROJECT_SOURCE_DIR}/man/make_man.py ${PROJECT_SOURCE_DIR}/man/headers.py
      ${PROJECT_SOURCE_DIR}/CHANGELOG.md
    COMMENT "Making the man pages from the headers" VERBATIM)
  add_custom_target(jdb_man ALL DEPENDS ${PROJECT_BINARY_DIR}/man/stamp)
  install(DIRECTORY ${PROJECT_BINARY_DIR}/man/man3 DESTINATION ${CMAKE_INSTALL_MANDIR})
else()
  message(STATUS "No python3: the man pages are not made; the headers say the same")
endif()
