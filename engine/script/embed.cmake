# Writes text files into one C file, so that the program needs no files beside it to run a script.
#
#   cmake -DOUTPUT=embedded_files.c -P embed.cmake -- lua-api/lunette.lua engine/script/boot.lua …
#
# For each file a NUL-terminated array `embedded_<name>` with its `embedded_<name>_size` (NUL not counted), and the
# table of embedded.h, in which a file goes by its name without the folder.
cmake_minimum_required(VERSION 3.25)
set(files "")
set(after_dashes FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
    if(after_dashes)
        list(APPEND files "${CMAKE_ARGV${i}}")
    elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
        set(after_dashes TRUE)
    endif()
endforeach()

set(arrays "")
set(rows "")
set(names "")
set(count 0)
foreach(file IN LISTS files)
    get_filename_component(name "${file}" NAME)
    if(name IN_LIST names)
        message(FATAL_ERROR "two embedded files are called ${name}: rename one (${file})")
    endif()
    list(APPEND names "${name}")
    math(EXPR count "${count} + 1")
    string(REGEX REPLACE "[^A-Za-z0-9]" "_" symbol "embedded_${name}")
    file(READ "${file}" bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
    string(APPEND arrays "extern const char ${symbol}[];\nextern const size_t ${symbol}_size;\n")
    string(APPEND arrays "const char ${symbol}[] = {\n${bytes}0};\n")
    string(APPEND arrays "const size_t ${symbol}_size = sizeof ${symbol} - 1;\n\n")
    string(APPEND rows "    {\"${name}\", ${symbol}, sizeof ${symbol} - 1},\n")
endforeach()

file(WRITE "${OUTPUT}.new"
"/* Written by engine/script/embed.cmake. */
#include \"script/embedded.h\"

${arrays}const struct embedded_file embedded_files[] = {
${rows}    {NULL, NULL, 0},
};
const size_t embedded_file_count = ${count};
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
