# SPDX-License-Identifier: Apache-2.0
# Headers, libraries, CMake package with components, pkg-config files.
set(AEL_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/ael)

install(DIRECTORY include/ael DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h"
  PATTERN "metastore_sqlite.h" EXCLUDE
  PATTERN "metastore_postgres.h" EXCLUDE
  PATTERN "metastore_mysql.h" EXCLUDE
  PATTERN "metastore_dynamodb.h" EXCLUDE
  PATTERN "metastore_etcd.h" EXCLUDE
  PATTERN "kms_aws.h" EXCLUDE
  PATTERN "kms_secrets_manager.h" EXCLUDE
  PATTERN "kms_gcp.h" EXCLUDE
  PATTERN "kms_azure.h" EXCLUDE
  PATTERN "kms_vault.h" EXCLUDE
  PATTERN "kms_pkcs11.h" EXCLUDE)
install(FILES ${PROJECT_BINARY_DIR}/generated/include/ael/version.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
if(TARGET ael_sqlite_shared)
  install(FILES include/ael/metastore_sqlite.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
  install(FILES metastore/schema/sqlite.sql DESTINATION ${CMAKE_INSTALL_DATADIR}/ael)
endif()
if(TARGET ael_postgres_shared)
  install(FILES include/ael/metastore_postgres.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
  install(FILES metastore/schema/postgres.sql DESTINATION ${CMAKE_INSTALL_DATADIR}/ael)
endif()
if(TARGET ael_mysql_shared)
  install(FILES include/ael/metastore_mysql.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
  install(FILES metastore/schema/mysql.sql DESTINATION ${CMAKE_INSTALL_DATADIR}/ael)
endif()
if(TARGET ael_dynamodb_shared)
  install(FILES include/ael/metastore_dynamodb.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
endif()
if(TARGET ael_etcd_shared)
  install(FILES include/ael/metastore_etcd.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
endif()
if(TARGET ael_kms_aws_shared)
  install(FILES include/ael/kms_aws.h include/ael/kms_secrets_manager.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
endif()
if(TARGET ael_kms_gcp_shared)
  install(FILES include/ael/kms_gcp.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
endif()
if(TARGET ael_kms_azure_shared)
  install(FILES include/ael/kms_azure.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
endif()
if(TARGET ael_vault_shared)
  install(FILES include/ael/kms_vault.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
endif()
if(TARGET ael_pkcs11_shared)
  install(FILES include/ael/kms_pkcs11.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ael)
endif()

# One export set a library and kind, so that linking the shared library asks for
# none of the packages that it is made with.
foreach(name ael ael_sqlite ael_postgres ael_mysql ael_dynamodb ael_etcd ael_kms_aws ael_kms_gcp ael_kms_azure ael_vault ael_pkcs11)
  foreach(kind shared static)
    if(TARGET ${name}_${kind})
      install(TARGETS ${name}_${kind} EXPORT ${name}_${kind}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
      install(EXPORT ${name}_${kind} NAMESPACE ael:: FILE ${name}_${kind}.cmake
        DESTINATION ${AEL_CMAKE_DIR})
    endif()
  endforeach()
endforeach()

install(TARGETS ael_threads_shared EXPORT ael_threads_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT ael_threads_shared NAMESPACE ael:: FILE ael_threads_shared.cmake DESTINATION ${AEL_CMAKE_DIR})

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
foreach(name ael ael-sqlite ael-postgres ael-mysql ael-dynamodb ael-etcd ael-kms-aws ael-kms-gcp ael-kms-azure ael-vault ael-pkcs11)
  string(REPLACE "-" "_" target ${name})
  if(TARGET ${target}_shared)
    configure_file(cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  endif()
endforeach()
