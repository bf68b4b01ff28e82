# cmake --build build --target bench: measures (README.md). Neither built by default nor part of the tests.
foreach(program make_mix bench_flow bench_events)
    add_executable("${program}" EXCLUDE_FROM_ALL "${root}/tests/bench/${program}.c")
    target_link_libraries("${program}" PRIVATE lunette_engine)
    set_target_properties("${program}" PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
endforeach()

if(TARGET lunette AND PYTHON_PROGRAM)
    add_custom_target(bench
        COMMAND "${PYTHON_PROGRAM}" "${root}/tests/bench/run.py" --build "${PROJECT_BINARY_DIR}"
        DEPENDS lunette make_mix bench_flow bench_events
        WORKING_DIRECTORY "${root}"
        USES_TERMINAL
        VERBATIM)
endif()
