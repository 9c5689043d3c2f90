# SPDX-License-Identifier: Apache-2.0
# ael-pkcs11-helper, which libael-pkcs11 starts: that holds the module (which a thread does in
# process, with the same sources), and is found beside the library by the way from
# one to the other in an installed tree. Of p11-kit nothing but PKCS#11's own header is used.
set(helper ${CMAKE_INSTALL_FULL_LIBEXECDIR}/ael/ael-pkcs11-helper)
file(RELATIVE_PATH from_library ${CMAKE_INSTALL_FULL_LIBDIR} ${helper})
foreach(kind shared static)
  target_include_directories(ael_pkcs11_${kind} SYSTEM PRIVATE ${P11KIT_INCLUDE_DIRS})
  target_compile_definitions(ael_pkcs11_${kind} PRIVATE AEL_PKCS11_HELPER_INSTALLED="${helper}"
    AEL_PKCS11_HELPER_FROM_LIBRARY="${from_library}")
endforeach()

add_executable(ael_pkcs11_helper tools/pkcs11/main.c kms/pkcs11/serve.c kms/pkcs11/token.c kms/pkcs11/module.c)
ael_build_flags(ael_pkcs11_helper)
set_target_properties(ael_pkcs11_helper PROPERTIES OUTPUT_NAME ael-pkcs11-helper
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tools)
target_include_directories(ael_pkcs11_helper SYSTEM PRIVATE ${P11KIT_INCLUDE_DIRS})
target_link_libraries(ael_pkcs11_helper PRIVATE ael_static Threads::Threads ${CMAKE_DL_LIBS})
install(TARGETS ael_pkcs11_helper RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/ael)
