/* See shipped.h. */
#include "script/shipped.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool take(char *path, size_t size, const char *program, const char *place) {
    int length = snprintf(path, size, "%s%s", program, place);
    return length > 0 && (size_t)length < size && access(path, R_OK) == 0;
}

bool script_shipped_folder(char *path, size_t size) {
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash) *slash = '\0';
    if (slash && take(path, size, program, "/../scripts")) return true;
    if (slash && take(path, size, program, "/../share/lunette/scripts")) return true;
    return take(path, size, "", LUNETTE_SOURCE_SCRIPTS);
}
