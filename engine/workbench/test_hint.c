/* See test_hint.h. The detectors are read, not loaded: that they load the tests have shown. */
#include "workbench/test_hint.h"

#include "output/terminal.h"
#include "workbench/check.h"

#include <stdio.h>
#include <string.h>

/* Was it tested by a file before this one, too? */
static bool seen_before(const struct test_files *files, size_t file, const char *path) {
    for (size_t i = 0; i < file; i++)
        for (size_t k = 0; k < files->list[i].cases.detector_count; k++)
            if (strcmp(files->list[i].cases.detectors[k], path) == 0) return true;
    return false;
}

static void hint(const char *path) {
    const struct check_options options = {.paths = &path, .path_count = 1, .quiet = true};
    struct buffer report = {.at = NULL}, line = {.at = NULL};
    int found = check_run(&options, &report, &(struct error){.text = ""});
    const char *shown = strncmp(path, "./", 2) == 0 ? path + 2 : path;
    if (found > 0) {
        buffer_format(&line, "check finds %d warning%s in ", found, found == 1 ? "" : "s");
        terminal_safe(&line, shown, strlen(shown));
        buffer_string(&line, ": lunette check ");
        terminal_safe(&line, shown, strlen(shown));
        buffer_char(&line, '\n');
    }
    if (line.length > 0 && !line.failed) fwrite(line.at, 1, line.length, stdout);
    fflush(stdout);
    buffer_free(&line);
    buffer_free(&report);
}

void test_hints(const struct test_files *files) {
    for (size_t i = 0; i < files->count; i++) {
        const struct trial_cases *cases = &files->list[i].cases;
        bool chosen = false;
        for (size_t k = 0; k < cases->count; k++) chosen |= files->list[i].chosen[k];
        for (size_t k = 0; chosen && k < cases->detector_count; k++)
            if (!seen_before(files, i, cases->detectors[k])) hint(cases->detectors[k]);
    }
}
