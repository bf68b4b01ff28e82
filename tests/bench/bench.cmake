# cmake --build build --target bench: measures (README.md). Not part of the tests, but that it runs and what make_mix makes:
# make_mix is built with them.
foreach(program make_mix bench_flow bench_events)
    add_executable("${program}" "${root}/tests/bench/${program}.c")
    target_link_libraries("${program}" PRIVATE lunette_engine)
    set_target_properties("${program}" PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
endforeach()
set_target_properties(bench_flow bench_events PROPERTIES EXCLUDE_FROM_ALL ON)
foreach(part source learn change bulk flows)
    target_sources(make_mix PRIVATE "${root}/tests/bench/mix_${part}.c")
endforeach()

if(TARGET lunette AND PYTHON_PROGRAM)
    add_custom_target(bench
        COMMAND "${PYTHON_PROGRAM}" "${root}/tests/bench/run.py" --build "${PROJECT_BINARY_DIR}"
        DEPENDS lunette make_mix bench_flow bench_events
        WORKING_DIRECTORY "${root}"
        USES_TERMINAL
        VERBATIM)
endif()

# Live: what an interface gives without loss, lunette beside a bare libpcap loop. Needs root; Linux.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    foreach(program bare_pcap packet_sender)
        add_executable("${program}" EXCLUDE_FROM_ALL "${root}/tests/bench/${program}.c")
        target_link_libraries("${program}" PRIVATE lunette_engine)
        set_target_properties("${program}" PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
    endforeach()
    if(TARGET lunette AND PYTHON_PROGRAM)
        add_custom_target(bench-live
            COMMAND "${PYTHON_PROGRAM}" "${root}/tests/bench/live_drops.py" --build "${PROJECT_BINARY_DIR}"
            DEPENDS lunette make_mix bare_pcap packet_sender
            WORKING_DIRECTORY "${root}"
            USES_TERMINAL
            VERBATIM)
        add_custom_target(soak
            COMMAND "${CMAKE_COMMAND}" -E env "LUNETTE=$<TARGET_FILE:lunette>"
                "${PYTHON_PROGRAM}" "${root}/tests/live/soak.py" 60
            DEPENDS lunette
            WORKING_DIRECTORY "${root}"
            USES_TERMINAL
            VERBATIM)
    endif()
endif()
