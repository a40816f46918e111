# Warnings are errors, on gcc and on clang; assertions stay on in every build.
add_compile_options(
    -Werror -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
    -Wundef -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough
    -fno-strict-aliasing -fvisibility=hidden
    -include ${CMAKE_SOURCE_DIR}/common/banned.h)
add_compile_definitions(_GNU_SOURCE TERRA_CONNECT_VERSION="${PROJECT_VERSION}")

# uthash's default hash falls through its switch cases without the attribute that clang asks for.
add_compile_definitions(HASH_FUNCTION=HASH_FNV)

set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

if(SANITIZE)
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all)
    add_link_options(-fsanitize=address,undefined)
endif()

if(FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
endif()

if(HARDEN)
    add_compile_options(-fstack-protector-strong -fstack-clash-protection -fPIE
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    add_link_options(-pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
        add_compile_options(-fcf-protection)
    endif()
endif()
