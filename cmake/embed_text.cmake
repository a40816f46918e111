# embed_text(<target> <file> <symbol>): makes <symbol>.h in the build tree with the file's text as
# `static const char <symbol>_text[]` and its SHA-1, by which Redis names a script, as
# `static const char <symbol>_sha1[]`. The header is made anew when the file changes.
function(embed_text target file symbol)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(SHA1 ${source} sha1)
    file(READ ${source} text)
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REPLACE "\n" "\\n\"\n    \"" text "${text}")
    # In one go and in quotes: a list would lose the text's own semicolons, and with them fit the SHA-1 no more.
    string(CONCAT content "/* Made from ${file} by the build. */\n"
        "static const char ${symbol}_text[] =\n    \"${text}\";\n"
        "static const char ${symbol}_sha1[] = \"${sha1}\";\n")
    file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.h CONTENT "${content}" @ONLY)
    target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
