# SPDX-License-Identifier: Apache-2.0
# The opt-in library libael-threads (ael::threads), shared only: it stands before functions of the C library.
set(AEL_CLOSED_THREADS ${PROJECT_SOURCE_DIR}/securememory/closed_threads)
add_library(ael_threads_shared SHARED ${AEL_CLOSED_THREADS}/closed_threads.c)
ael_build_flags(ael_threads_shared)
target_link_libraries(ael_threads_shared PUBLIC ael_shared PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
target_link_options(ael_threads_shared PRIVATE LINKER:--version-script=${AEL_CLOSED_THREADS}/exports.map
  LINKER:-z,nodelete)
set_target_properties(ael_threads_shared PROPERTIES OUTPUT_NAME ael-threads EXPORT_NAME threads
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  LINK_DEPENDS ${AEL_CLOSED_THREADS}/exports.map)
# A program that starts threads through other libraries only needs it, too; some linkers would leave it out.
target_link_options(ael_threads_shared INTERFACE LINKER:--no-as-needed)
add_library(ael::threads ALIAS ael_threads_shared)
