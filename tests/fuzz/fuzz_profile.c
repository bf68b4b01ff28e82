/* libFuzzer target: a profile (`lunette baseline`), as a file. What was read is written, and what was written
 * must be read again as the same. */
#include "fuzz/in_file.h"

#include "output/profile_file.h"

#include <string.h>

static bool read_bytes(const void *bytes, size_t size, struct profile *out, struct error *err) {
    char path[IN_FILE_PATH];
    int file = in_file(bytes, size, path);
    int outcome = profile_read(path, out, err);
    close(file);
    if (outcome != 0 && !err->text[0]) abort(); /* it has to say why */
    return outcome == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct profile profile = {0}, again = {0};
    struct error err = {.text = ""};
    if (!read_bytes(data, size, &profile, &err)) return 0;
    struct buffer once = {0}, twice = {0};
    profile_write(&profile, &once);
    if (!read_bytes(once.at, once.length, &again, &err)) {
        fprintf(stderr, "what was written cannot be read: %s\n", err.text);
        abort();
    }
    profile_write(&again, &twice);
    if (once.length != twice.length || memcmp(once.at, twice.at, once.length) != 0) abort();
    for (size_t i = 0; i < profile.row_count; i++)
        if (!profile_find(&profile, profile.rows[i].kind, profile.rows[i].key)) abort();
    buffer_free(&once);
    buffer_free(&twice);
    profile_clear(&profile);
    profile_clear(&again);
    return 0;
}
