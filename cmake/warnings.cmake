# SPDX-License-Identifier: Apache-2.0
# ael_warnings(<target>): the warnings of the house; errors under AEL_WERROR.
set(AEL_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-qual -Wundef -Wformat=2 -Wvla)
set(AEL_C_WARNINGS -Wstrict-prototypes -Wmissing-prototypes)

function(ael_warnings target)
  target_compile_options(${target} PRIVATE ${AEL_WARNINGS} $<$<COMPILE_LANGUAGE:C>:${AEL_C_WARNINGS}>)
  if(AEL_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
