# SPDX-License-Identifier: Apache-2.0
# What scripts/test-pkey runs in a virtual machine whose processor has protection keys: built only when asked for
# (target pkey_guest), in the preset pkey, which makes pkey the level of all tests that ask for none.
set(AEL_PKEY_SUITES
  unit_test_pkey unit_test_secret unit_test_secret_reader unit_test_sealed_key unit_test_scratch unit_test_random
  unit_test_fork_carry unit_test_key_file unit_test_envelope unit_test_session unit_test_session_io
  unit_test_crypto_key unit_test_key_hierarchy unit_test_session_factory
  unit_test_key_cache threads_test_session_threads)

add_executable(pkey_test_guest EXCLUDE_FROM_ALL pkey/test_guest.c pkey/faults.c)
ael_test_flags(pkey_test_guest static)
target_link_libraries(pkey_test_guest PRIVATE test_support_static)

add_executable(pkey_test_threads EXCLUDE_FROM_ALL pkey/test_threads.c pkey/faults.c support/left_out.c)
target_link_libraries(pkey_test_threads PRIVATE ael_threads_shared)
ael_test_flags(pkey_test_threads shared)

add_custom_target(pkey_guest DEPENDS pkey_test_guest pkey_test_threads)
foreach(suite ${AEL_PKEY_SUITES})
  add_dependencies(pkey_guest ${suite})
endforeach()
# Keys are looked for in the whole memory of a process at this level, by the scenarios that ask for none.
if(TARGET residency_matrix)
  add_dependencies(pkey_guest residency_matrix)
  list(APPEND AEL_PKEY_SUITES residency_matrix:payloads_of_each_engine,secret/many)
endif()
list(JOIN AEL_PKEY_SUITES " " suites)
file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/pkey_suites
  CONTENT "pkey_test_guest pkey_test_threads ${suites}\n")
