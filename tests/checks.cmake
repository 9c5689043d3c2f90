# SPDX-License-Identifier: Apache-2.0
# Checks of the tree and of what is installed. Sanitized libraries export and need other things: not there.
set(scripts ${PROJECT_SOURCE_DIR}/scripts)

if(AEL_PYTHON)
  foreach(check layers mistakes)
    add_test(NAME tree.${check} COMMAND ${scripts}/check-${check} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(tree.${check} PROPERTIES LABELS tree TIMEOUT 60)
  endforeach()
endif()

# The programs, as a user runs them.
if(AEL_PYTHON AND TARGET encrypt_decrypt AND TARGET ael_sqlite_shared AND NOT AEL_TEST_LAUNCHER)
  add_test(NAME integration.examples
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/test_examples.sh $<TARGET_FILE_DIR:encrypt_decrypt>)
  set_tests_properties(integration.examples PROPERTIES LABELS integration TIMEOUT ${AEL_TEST_TIMEOUT})
  # ael_examples_kms(<name> <its library>): where tests/support has a program that is the suites' stub, over that.
  function(ael_examples_kms name library)
    if(NOT TARGET ${library})
      return()
    endif()
    set(command ${CMAKE_CURRENT_SOURCE_DIR}/integration/test_examples_kms_${name}.sh $<TARGET_FILE_DIR:encrypt_decrypt>)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/support/${name}/server.c)
      add_executable(${name}_stub support/${name}/server.c)
      ael_test_flags(${name}_stub static)
      target_link_libraries(${name}_stub PRIVATE test_support_static)
      list(APPEND command $<TARGET_FILE:${name}_stub>)
    endif()
    add_test(NAME integration.examples_kms_${name} COMMAND ${command})
    set_tests_properties(integration.examples_kms_${name} PROPERTIES LABELS integration TIMEOUT ${AEL_TEST_TIMEOUT})
  endfunction()
  ael_examples_kms(aws ael_kms_aws_shared)
  ael_examples_kms(gcp ael_kms_gcp_shared)
  ael_examples_kms(azure ael_kms_azure_shared)
  ael_examples_kms(vault ael_vault_shared)
  if(TEST integration.examples_kms_vault)
    set_tests_properties(integration.examples_kms_vault PROPERTIES FIXTURES_REQUIRED vault)
  endif()
endif()

if(AEL_SANITIZE OR AEL_COVERAGE OR AEL_FUZZ OR AEL_TEST_LAUNCHER)
  return()
endif()

# What Prometheus makes of the metrics, and what they cost where nobody listens: real tools, on the machine's own code.
if(AEL_PYTHON AND TARGET metrics AND NOT CMAKE_CROSSCOMPILING)
  foreach(what text scrape cost)
    set(program $<TARGET_FILE:metrics>)
    if(what STREQUAL "cost")
      set(program $<TARGET_FILE:integration_test_counted_work>)
    endif()
    add_test(NAME integration.metrics_${what}
      COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/test_metrics.py ${what} ${program})
    set_tests_properties(integration.metrics_${what} PROPERTIES LABELS integration TIMEOUT ${AEL_TEST_TIMEOUT})
  endforeach()
endif()

foreach(library ${AEL_SHARED_LIBRARIES})
  list(APPEND built $<TARGET_FILE:${library}>)
endforeach()
add_test(NAME abi.symbols COMMAND ${scripts}/check-abi ${built})
set_tests_properties(abi.symbols PROPERTIES LABELS abi TIMEOUT 60)

# The library that stands before functions of the C library: before those two and no others.
add_test(NAME abi.threads COMMAND sh -c
  "test \"$(nm -D --defined-only '$<TARGET_FILE:ael_threads_shared>' | awk '{printf \"%s \", $3}')\" = 'pthread_create thrd_create '")
set_tests_properties(abi.threads PROPERTIES LABELS abi TIMEOUT 60)

# The consumer project is built against an install into the build folder.
set(prefix ${PROJECT_BINARY_DIR}/installed)
add_test(NAME consumer.install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix})
set_tests_properties(consumer.install PROPERTIES LABELS consumer TIMEOUT 60 FIXTURES_SETUP installed)
foreach(way cmake pkgconfig)
  foreach(kind shared static)
    add_test(NAME consumer.${way}_${kind}
      COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/consumer/run ${way} ${kind} ${prefix}/${CMAKE_INSTALL_LIBDIR}
        ${PROJECT_BINARY_DIR}/consumer_${way}_${kind})
    set_tests_properties(consumer.${way}_${kind} PROPERTIES LABELS consumer TIMEOUT 120
      FIXTURES_REQUIRED installed
      ENVIRONMENT "CC=${CMAKE_C_COMPILER};AEL_CONSUMER_SQLITE=$<TARGET_EXISTS:ael_sqlite_shared>;AEL_CONSUMER_POSTGRES=$<TARGET_EXISTS:ael_postgres_shared>;AEL_CONSUMER_DYNAMODB=$<TARGET_EXISTS:ael_dynamodb_shared>;AEL_CONSUMER_ETCD=$<TARGET_EXISTS:ael_etcd_shared>;AEL_CONSUMER_KMS_AWS=$<TARGET_EXISTS:ael_kms_aws_shared>;AEL_CONSUMER_KMS_GCP=$<TARGET_EXISTS:ael_kms_gcp_shared>;AEL_CONSUMER_KMS_AZURE=$<TARGET_EXISTS:ael_kms_azure_shared>;AEL_CONSUMER_VAULT=$<TARGET_EXISTS:ael_vault_shared>;AEL_CONSUMER_PKCS11=$<TARGET_EXISTS:ael_pkcs11_shared>;AEL_CONSUMER_MYSQL=$<TARGET_EXISTS:ael_mysql_shared>")
  endforeach()
endforeach()

# The program at the heart of the README is compiled as it stands there.
file(STRINGS ${PROJECT_SOURCE_DIR}/README.md fence REGEX "^```c$")
if(fence AND TARGET ael_sqlite_shared)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md)
  file(READ ${PROJECT_SOURCE_DIR}/README.md readme)
  string(FIND "${readme}" "```c\n" begin)
  string(SUBSTRING "${readme}" ${begin} -1 readme)
  string(REPLACE "```c\n" "" readme "${readme}")
  string(FIND "${readme}" "```" end)
  string(SUBSTRING "${readme}" 0 ${end} readme)
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/readme.c CONTENT "${readme}" @ONLY)
  add_executable(readme ${CMAKE_CURRENT_BINARY_DIR}/readme.c)
  ael_build_flags(readme)
  target_link_libraries(readme PRIVATE ael_sqlite_shared ael_shared)
endif()
