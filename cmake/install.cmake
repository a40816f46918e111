# What `cmake --install` lays down, under GNU's usual folders. The component "sandbox" is terra-sandbox alone, for
# those who test their own service; the unnamed component is all that a worker's machine needs.
#
# The man page and the completion are made by the build from what the program says of itself (tools/make_manual.py).
include(GNUInstallDirs)

set(manual ${CMAKE_BINARY_DIR}/manual)
add_custom_command(
    OUTPUT ${manual}/terra-connect.1 ${manual}/terra-connect.bash
    COMMAND ${PYTHON} -B ${CMAKE_SOURCE_DIR}/tools/make_manual.py $<TARGET_FILE:terra-connect> ${manual}
    DEPENDS terra-connect ${CMAKE_SOURCE_DIR}/tools/make_manual.py
    COMMENT "Man page and completion"
    VERBATIM)
add_custom_target(manual ALL DEPENDS ${manual}/terra-connect.1 ${manual}/terra-connect.bash)

configure_file(${CMAKE_SOURCE_DIR}/systemd/terra-connect.service.in terra-connect.service @ONLY)

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME worker)
install(TARGETS terra-connect RUNTIME)
install(TARGETS terra-sandbox RUNTIME COMPONENT sandbox)
install(FILES ${manual}/terra-connect.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${manual}/terra-connect.bash
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME terra-connect)
# systemd looks below lib, on every architecture.
install(FILES ${CMAKE_BINARY_DIR}/terra-connect.service DESTINATION lib/systemd/system)
install(DIRECTORY schemas DESTINATION ${CMAKE_INSTALL_DATADIR}/terra-connect)
install(DIRECTORY docker/prometheus docker/grafana DESTINATION ${CMAKE_INSTALL_DATADIR}/terra-connect)
install(FILES README.md CHANGELOG.md SECURITY.md LICENSE systemd/terra-connect.env
    DESTINATION ${CMAKE_INSTALL_DOCDIR})
# As in the tree, so that the documents find each other.
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
