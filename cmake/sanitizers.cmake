# SPDX-License-Identifier: Apache-2.0
# ael_instrument(<target>): hardening, sanitizers, coverage and fuzzing, as the options say.
function(ael_instrument target)
  target_compile_options(${target} PRIVATE -fno-strict-overflow -fno-delete-null-pointer-checks)
  if(AEL_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${AEL_SANITIZE} -fno-sanitize-recover=all
      -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${AEL_SANITIZE})
  elseif(AEL_HARDENING)
    target_compile_options(${target} PRIVATE -fstack-protector-strong)
    target_compile_definitions(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)
  endif()
  if(AEL_HARDENING)
    target_link_options(${target} PRIVATE LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
  endif()
  if(AEL_COVERAGE)
    target_compile_options(${target} PRIVATE --coverage -fprofile-update=atomic)
    target_link_options(${target} PRIVATE --coverage)
  endif()
  if(AEL_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# GCC for x86-64 would zero a structure of known size by a repeated store, which takes some 10 ns to begin: longer than the
# zeroing of those on the way of an encrypt (docs/benchmarks.md). Other compilers do not, and refuse the option.
include(CheckCCompilerFlag)
set(AEL_ZEROING -mmemset-strategy=vector_loop:256:noalign,libcall:-1:noalign)
check_c_compiler_flag(${AEL_ZEROING} AEL_HAS_ZEROING)

# ael_build_flags(<target>): everything that each of our own targets gets.
function(ael_build_flags target)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON
    C_VISIBILITY_PRESET hidden)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  if(AEL_HAS_ZEROING)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:${AEL_ZEROING}>)
  endif()
  ael_warnings(${target})
  ael_instrument(${target})
endfunction()
