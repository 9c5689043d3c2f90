# SPDX-License-Identifier: Apache-2.0
# Each public header compiles alone, as C11 and as C++17, without extensions and without warnings.
include(CheckLanguage)
check_language(CXX)

# ael_header_check(<language> <extension>)
function(ael_header_check language extension)
  set(sources)
  foreach(header ${AEL_PUBLIC_HEADERS})
    string(REGEX REPLACE "^.*/include/(ael/.*)$" "\\1" name ${header})
    string(MAKE_C_IDENTIFIER ${name} id)
    set(source ${PROJECT_BINARY_DIR}/header_check/${id}.${extension})
    file(CONFIGURE OUTPUT ${source} CONTENT "#include <${name}>\n#include <${name}>\nint ael_header_check_${id};\n")
    list(APPEND sources ${source})
  endforeach()
  set(target header_check_${extension})
  add_library(${target} OBJECT ${sources})
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_EXTENSIONS OFF CXX_STANDARD 17 CXX_EXTENSIONS OFF
    ${language}_STANDARD_REQUIRED ON)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include
    ${PROJECT_BINARY_DIR}/generated/include)
  ael_warnings(${target})
  # As in C's own stat(2), a function may be called like the struct that it fills; in C++ it hides a constructor.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-shadow>)
endfunction()

ael_header_check(C c)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  ael_header_check(CXX cpp)
else()
  message(STATUS "no C++ compiler: the headers are checked as C11 only")
endif()
