# SPDX-License-Identifier: Apache-2.0
# Headers, libraries, CMake package with components, pkg-config files.
set(AEL_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/ael)

set(others "")
foreach(header ${AEL_COMPONENT_HEADERS})
  list(APPEND others PATTERN ${header} EXCLUDE)
endforeach()
install(DIRECTORY include/ael DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" ${others})
install(FILES ${PROJECT_BINARY_DIR}/generated/include/ael/version.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
# One export set a library and kind, so that linking the shared library asks for
# none of the packages that it is made with.
list(TRANSFORM AEL_COMPONENTS PREPEND ael_ OUTPUT_VARIABLE components)
string(REPLACE "-" "_" components "${components}")
foreach(name ael ${components})
  foreach(kind shared static)
    install(TARGETS ${name}_${kind} EXPORT ${name}_${kind}
      ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
      LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT ${name}_${kind} NAMESPACE ael:: FILE ${name}_${kind}.cmake DESTINATION ${AEL_CMAKE_DIR})
  endforeach()
endforeach()

install(TARGETS ael_threads_shared EXPORT ael_threads_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT ael_threads_shared NAMESPACE ael:: FILE ael_threads_shared.cmake DESTINATION ${AEL_CMAKE_DIR})

set(AEL_CONFIG_COMPONENTS "")
foreach(name ${AEL_COMPONENTS})
  ael_component_config(${name} text)
  string(APPEND AEL_CONFIG_COMPONENTS "${text}")
endforeach()
configure_package_config_file(cmake/config.in ${PROJECT_BINARY_DIR}/aelConfig.cmake
  INSTALL_DESTINATION ${AEL_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/aelConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/aelConfig.cmake ${PROJECT_BINARY_DIR}/aelConfigVersion.cmake
  DESTINATION ${AEL_CMAKE_DIR})

if(AEL_HAS_IPSEC_MB)
  install(FILES cmake/FindIPSecMB.cmake DESTINATION ${AEL_CMAKE_DIR})
  set(AEL_PC_IPSEC_MB " -lIPSec_MB")
endif()
file(RELATIVE_PATH AEL_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/ael.pc.in ${PROJECT_BINARY_DIR}/ael.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ael.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
foreach(name ${AEL_COMPONENTS})
  ael_install_component(${name})
endforeach()
