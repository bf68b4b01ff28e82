# The program that makes floods: tests/hostile/README.md.
set(flood_sources flood.c wire.c messages.c quic.c below_payload.c payload.c)
list(TRANSFORM flood_sources PREPEND "${root}/tests/hostile/")
add_executable(flood ${flood_sources})
target_link_libraries(flood PRIVATE lunette_engine)
set_target_properties(flood PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests"
    INTERPROCEDURAL_OPTIMIZATION OFF)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_link_options(flood PRIVATE -fno-lto)
endif()
