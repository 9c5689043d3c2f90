# SPDX-License-Identifier: Apache-2.0
# The scanner's own suite, the program as users run it, and the matrix of scenarios. Nothing of it runs under a launcher
# such as valgrind, which keeps memory of its own in the process, nor under ThreadSanitizer.
if(AEL_TEST_LAUNCHER OR AEL_FUZZ OR AEL_SANITIZE MATCHES "thread")
  return()
endif()

# ael_residency(<name> <source>...): linked with the static library, whose insides it looks at.
function(ael_residency name)
  add_executable(residency_${name} ${ARGN})
  ael_test_flags(residency_${name} static)
  target_link_libraries(residency_${name} PRIVATE residency_scan)
endfunction()

ael_residency(scan_test residency/test_scan.c support/left_out.c)
ael_add_test(residency.scan residency $<TARGET_FILE:residency_scan_test>)
ael_residency(signal_frames residency/test_signal_frames.c support/gcm.h support/left_out.c)
ael_add_test(residency.signal_frames residency $<TARGET_FILE:residency_signal_frames>)

# ael_residency_kms(<test> <the library that it needs>)
function(ael_residency_kms test library)
  if(NOT TARGET ${library} OR AEL_SANITIZE OR AEL_COVERAGE)
    return()
  endif()
  ael_residency(${test} residency/test_${test}.c support/left_out.c)
  target_link_libraries(residency_${test} PRIVATE test_support_static residency_scan)
  ael_add_test(residency.${test} residency $<TARGET_FILE:residency_${test}>)
endfunction()

ael_residency_kms(kms_aws ael_kms_aws_static)
ael_residency_kms(kms_secrets_manager ael_kms_aws_static)
ael_residency_kms(kms_gcp ael_kms_gcp_static)
ael_residency_kms(kms_azure ael_kms_azure_static)
ael_residency_kms(kms_vault ael_vault_static)
ael_residency_kms(kms_pkcs11 ael_pkcs11_static)
if(TEST residency.kms_vault)
  set_tests_properties(residency.kms_vault PROPERTIES FIXTURES_REQUIRED vault)
endif()
if(TARGET residency_kms_pkcs11)
  target_compile_definitions(residency_kms_pkcs11 PRIVATE AEL_TEST_PKCS11_HELPER="$<TARGET_FILE:ael_pkcs11_helper>"
    AEL_TEST_PKCS11_STRANGE="$<TARGET_FILE:pkcs11_strange>")
  add_dependencies(residency_kms_pkcs11 pkcs11_strange)
endif()

# AddressSanitizer makes frames larger than what the library wipes of the stack (docs/residency.md).
if(TARGET ael_sqlite_shared AND NOT AEL_SANITIZE AND NOT AEL_COVERAGE)
  file(GLOB matrix CONFIGURE_DEPENDS residency/*.c)
  list(FILTER matrix EXCLUDE REGEX "/test_[^/]*$")
  ael_residency(matrix ${matrix} ${PROJECT_SOURCE_DIR}/tools/residency/key_chain.c)
  target_compile_definitions(residency_matrix PRIVATE AEL_TEST_LIBRARY="$<TARGET_FILE:ael_shared>")
  add_dependencies(residency_matrix ael_shared)
  ael_add_test(residency.matrix residency $<TARGET_FILE:residency_matrix>)
  if(AEL_TEST_TIMEOUT LESS 300) # it runs a debugger, among others
    set_tests_properties(residency.matrix PROPERTIES TIMEOUT 300)
  endif()
endif()
if(NOT AEL_SANITIZE AND TARGET ael_sqlite_shared AND TARGET encrypt_decrypt)
  ael_add_test(residency.tool residency ${CMAKE_CURRENT_SOURCE_DIR}/residency/test_tool.sh
    $<TARGET_FILE:ael-residency> $<TARGET_FILE:encrypt_decrypt>)
endif()
