# SPDX-License-Identifier: Apache-2.0
# AEL_NET: whether net/ is built (AEL_WITH_NET), and ael_add_net(), which builds it.
#
# It is an archive for the components that reach a service over HTTP. No program links it by itself and it is not installed:
# its objects go into each of those components (ael_with_net), where nothing of it is seen from outside. Like them, it
# calls functions inside of ael, which the shared library exports for its own components alone (cmake/ael_private.map.in).
string(TOLOWER "${AEL_NET}" net)
set(AEL_WITH_NET OFF)
if(net MATCHES "^(auto|on|true|yes|1)$")
  if(net STREQUAL "auto")
    pkg_check_modules(CURL IMPORTED_TARGET libcurl>=7.68)
  else()
    pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.68)
  endif()
  if(CURL_FOUND)
    set(AEL_WITH_NET ON)
  else()
    message(STATUS "no libcurl: net/ and what is built on it are left out")
  endif()
elseif(NOT net MATCHES "^(off|false|no|0)$")
  message(FATAL_ERROR "AEL_NET is auto, on or off, not ${AEL_NET}")
endif()

function(ael_add_net)
  if(NOT AEL_WITH_NET)
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/net/*.c ${PROJECT_SOURCE_DIR}/net/*/*.c)
  add_library(ael_net STATIC ${sources})
  ael_build_flags(ael_net)
  set_target_properties(ael_net PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(ael_net PUBLIC ael_static PRIVATE PkgConfig::CURL OpenSSL::SSL OpenSSL::Crypto PkgConfig::SODIUM
    Threads::Threads)
endfunction()

# ael_with_net(<name>): puts net/ into <name>_shared and <name>_static.
function(ael_with_net name)
  foreach(kind shared static)
    target_sources(${name}_${kind} PRIVATE $<TARGET_OBJECTS:ael_net>)
    target_link_libraries(${name}_${kind} PRIVATE PkgConfig::CURL OpenSSL::SSL OpenSSL::Crypto PkgConfig::SODIUM)
  endforeach()
endfunction()
