# SPDX-License-Identifier: Apache-2.0
# ael_add_libraries(<name> OUTPUT <file> COMPONENT <alias> SOURCES ... [NEEDS <name>] LINK ...)
#
# Makes <name>_shared (alias ael::<alias>) and <name>_static (alias ael::<alias>_static) from the same sources.
# The two are compiled apart: the shared one exports what AEL_API marks, the static one exports nothing when it is
# linked into somebody's own library.
function(ael_add_libraries name)
  cmake_parse_arguments(LIB "" "OUTPUT;COMPONENT;NEEDS" "SOURCES;LINK" ${ARGN})
  foreach(kind shared static)
    set(target ${name}_${kind})
    string(TOUPPER ${kind} type)
    add_library(${target} ${type} ${LIB_SOURCES})
    ael_build_flags(${target})
    target_include_directories(${target} PUBLIC
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
      $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated/include>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${target} PRIVATE ${LIB_LINK})
    if(LIB_NEEDS)
      target_link_libraries(${target} PUBLIC ${LIB_NEEDS}_${kind})
    endif()
    if(AEL_NO_MLOCK)
      target_compile_definitions(${target} PRIVATE AEL_NO_MLOCK=1)
    endif()
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${LIB_OUTPUT} POSITION_INDEPENDENT_CODE ON)
  endforeach()

  target_compile_definitions(${name}_static PUBLIC AEL_STATIC)
  set_target_properties(${name}_static PROPERTIES EXPORT_NAME ${LIB_COMPONENT}_static)
  add_library(ael::${LIB_COMPONENT}_static ALIAS ${name}_static)

  set_target_properties(${name}_shared PROPERTIES EXPORT_NAME ${LIB_COMPONENT}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/ael.map)
  target_link_options(${name}_shared PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/ael.map
    LINKER:-z,nodelete)
  if(NOT AEL_SANITIZE AND NOT AEL_FUZZ)
    target_link_options(${name}_shared PRIVATE LINKER:--no-undefined)
  endif()
  add_library(ael::${LIB_COMPONENT} ALIAS ${name}_shared)
endfunction()

# ael_export_to_components(<target>): what headers mark with AEL_COMPONENT_API is exported under a version that only the
# components of this release ask for.
function(ael_export_to_components target)
  set(names "")
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/base/*.h ${PROJECT_SOURCE_DIR}/crypto/*.h
    ${PROJECT_SOURCE_DIR}/securememory/*.h ${PROJECT_SOURCE_DIR}/kms/key_wrap.h
    ${PROJECT_SOURCE_DIR}/kms/kms_backend.h)
  foreach(header ${headers})
    file(READ ${header} text)
    string(REGEX MATCHALL "\nAEL_COMPONENT_API [^;(]*[ *\n]ael_[a-z0-9_]+\\(" marked "${text}")
    foreach(declaration ${marked})
      string(REGEX REPLACE ".*[ *\n](ael_[a-z0-9_]+)\\($" "\\1" name "${declaration}")
      string(APPEND names "        ${name};\n")
    endforeach()
    if(marked)
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
    endif()
  endforeach()
  set(AEL_PRIVATE_NAMES "${names}")
  set(map ${PROJECT_BINARY_DIR}/generated/ael_private.map)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/ael_private.map.in ${map} @ONLY)
  target_compile_definitions(${target} PRIVATE AEL_BUILDING_CORE)
  target_link_options(${target} PRIVATE LINKER:--version-script=${map})
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${map})
endfunction()
