/* Text files that travel in the binary: the Lua side of the API, the boot code of a script's state and the C
 * header that LuaJIT parses. The build writes them into C arrays (embed.cmake), so a copied binary is a whole
 * program.
 *
 * A file goes by its name without the folder: "lunette.lua", "boot.lua", "lunette.h". */
#ifndef LUNETTE_SCRIPT_EMBEDDED_H
#define LUNETTE_SCRIPT_EMBEDDED_H

#include <stddef.h>
#include <string.h>

struct embedded_file {
    const char *name;
    const char *text; /* ends with a NUL, for those who want a string */
    size_t size;      /* bytes of text, NUL not counted */
};

/* In no particular order; the entry after the last has a NULL name. */
extern const struct embedded_file embedded_files[];
extern const size_t embedded_file_count;

/* The file called `name`, or NULL. */
static inline const struct embedded_file *embedded_find(const char *name) {
    for (const struct embedded_file *file = embedded_files; file->name; file++) {
        if (strcmp(file->name, name) == 0) return file;
    }
    return NULL;
}

#endif
