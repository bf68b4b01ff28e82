# Registers the tests with ctest. Nothing is listed by hand:
#
#   tests/unit/test_*.c      one program each, linked with the engine and cmocka
#   tests/**/test_*.lua      run by luajit
#   tests/*/test_*.py        run by pytest; env LUNETTE names the program
#   NAME_test.lua            beside detectors in examples/detectors and scripts/: run by `lunette test`, all at once
#   tests/*/tool_*.c         built for them, linked with the engine; env LUNETTE_TOOLS names the folder
#   tests/unit/layering.py   the order of the engine's folders
#
# All run in the repository's root. Exit code 77 means skipped. A tool that is not installed makes its tests skipped,
# never silently absent: they stay in the list and say what is missing.
set(root "${PROJECT_SOURCE_DIR}")
set(test_environment
    "LUNETTE_SANITIZE=$<BOOL:${LUNETTE_SANITIZE}>"
    "LUNETTE_TOOLS=${PROJECT_BINARY_DIR}/tests"
    "LUNETTE_KEPT=${PROJECT_BINARY_DIR}/tests/kept"
    "ASAN_OPTIONS=detect_leaks=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1")
if(TARGET lunette)
    list(APPEND test_environment "LUNETTE=$<TARGET_FILE:lunette>")
endif()

function(lunette_test name)
    add_test(NAME "${name}" COMMAND ${ARGN} WORKING_DIRECTORY "${root}")
    set_tests_properties("${name}" PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900
        ENVIRONMENT "${test_environment}")
endfunction()

function(lunette_test_skipped name reason)
    lunette_test("${name}" sh -c "echo 'skipped: ${reason}'; exit 77")
endfunction()

# ---------------------------------------------------------------- C unit tests
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
file(GLOB unit_tests CONFIGURE_DEPENDS "${root}/tests/unit/test_*.c")
foreach(source IN LISTS unit_tests)
    get_filename_component(name "${source}" NAME_WE)
    if(NOT CMOCKA_FOUND)
        lunette_test_skipped("unit/${name}" "cmocka is not installed")
        continue()
    endif()
    add_executable("${name}" "${source}")
    target_link_libraries("${name}" PRIVATE lunette_engine PkgConfig::CMOCKA)
    set_target_properties("${name}" PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests"
        INTERPROCEDURAL_OPTIMIZATION OFF)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        target_link_options("${name}" PRIVATE -fno-lto)
    endif()
    lunette_test("unit/${name}" "$<TARGET_FILE:${name}>")
endforeach()

# ---------------------------------------------- programs that other tests drive
file(GLOB live_tools CONFIGURE_DEPENDS "${root}/tests/*/tool_*.c")
foreach(source IN LISTS live_tools)
    get_filename_component(name "${source}" NAME_WE)
    add_executable("${name}" "${source}")
    target_link_libraries("${name}" PRIVATE lunette_engine)
    set_target_properties("${name}" PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests"
        INTERPROCEDURAL_OPTIMIZATION OFF)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        target_link_options("${name}" PRIVATE -fno-lto)
    endif()
endforeach()

include("${root}/tests/hostile/hostile.cmake")

# ----------------------------------------------------------------- Lua tests
find_program(LUAJIT_PROGRAM luajit)
file(GLOB_RECURSE lua_tests CONFIGURE_DEPENDS "${root}/tests/test_*.lua")
foreach(source IN LISTS lua_tests)
    file(RELATIVE_PATH name "${root}/tests" "${source}")
    if(LUAJIT_PROGRAM)
        lunette_test("${name}" "${LUAJIT_PROGRAM}" "${source}")
    else()
        lunette_test_skipped("${name}" "the luajit program is not installed")
    endif()
endforeach()

# ------------------------------------------------------------- Python tests
# The system's python3 first: it is the one the packaged pytest belongs to.
find_program(PYTHON_PROGRAM python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(PYTHON_PROGRAM python3)
set(pytest_works 1)
if(PYTHON_PROGRAM)
    execute_process(COMMAND "${PYTHON_PROGRAM}" -m pytest --version
        RESULT_VARIABLE pytest_works OUTPUT_QUIET ERROR_QUIET)
    lunette_test(layering "${PYTHON_PROGRAM}" tests/unit/layering.py)
else()
    lunette_test_skipped(layering "python3 is not installed")
endif()

file(GLOB python_tests CONFIGURE_DEPENDS "${root}/tests/*/test_*.py")
foreach(source IN LISTS python_tests)
    file(RELATIVE_PATH name "${root}/tests" "${source}")
    if(NOT pytest_works EQUAL 0)
        lunette_test_skipped("${name}" "pytest is not installed")
        continue()
    endif()
    lunette_test("${name}" "${PYTHON_PROGRAM}" -m pytest -q -rs --color=no -p no:cacheprovider "${source}")
    get_filename_component(area "${source}" DIRECTORY)
    get_filename_component(area "${area}" NAME)
    if(area STREQUAL "bench")
        set_tests_properties("${name}" PROPERTIES RUN_SERIAL ON) # figures want the machine alone
    elseif(area STREQUAL "corpus")
        set_tests_properties("${name}" PROPERTIES COST 100 TIMEOUT 1800) # long ones not at the end, when nothing is left beside them
    elseif(area STREQUAL "live")
        # The longest first, and one at a time beside others: they wait more than they work, in rooms of their own.
        set_tests_properties("${name}" PROPERTIES COST 200 RESOURCE_LOCK live)
    endif()
endforeach()

# ---------------------------------------------------- detectors, by their own tests
if(TARGET lunette)
    lunette_test("workbench/detectors" "$<TARGET_FILE:lunette>" test examples/detectors scripts)
endif()

# ---------------------------------------------------------------- measurements
include("${root}/tests/bench/bench.cmake")
