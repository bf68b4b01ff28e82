/* For targets of readers that take a path: the input as a file that lies in memory. */
#ifndef LUNETTE_TESTS_FUZZ_IN_FILE_H
#define LUNETTE_TESTS_FUZZ_IN_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { IN_FILE_PATH = 64 };

/* Returns the descriptor, to be closed by the caller; `path` leads to it until then. */
static inline int in_file(const void *data, size_t size, char path[IN_FILE_PATH]) {
    int file = memfd_create("input", MFD_CLOEXEC);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    snprintf(path, IN_FILE_PATH, "/proc/self/fd/%d", file);
    return file;
}

#endif
