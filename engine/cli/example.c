/* The file's form is told in its head. */
#include "cli/example.h"

#include "script/embedded.h"

#include <stdio.h>

static struct slice line_at(const char *at) {
    return (struct slice){.at = (const uint8_t *)at, .length = (uint32_t)strcspn(at, "\n")};
}

bool example_find(const char *event, struct example *example) {
    const struct embedded_file *file = embedded_find("examples.txt");
    char head[80];
    int length = snprintf(head, sizeof head, "\n@ %s ", event);
    const char *entry = file && length > 0 && (size_t)length < sizeof head ? strstr(file->text, head) : NULL;
    if (!entry) return false;
    example->capture = line_at(entry + length);
    const char *record = (const char *)example->capture.at + example->capture.length;
    if (*record++ == '\0') return false;
    example->log = (struct slice){.at = example->capture.at + example->capture.length};
    const uint8_t *blank = memchr(example->capture.at, ' ', example->capture.length);
    if (blank) {
        example->log = (struct slice){.at = blank + 1, .length = (uint32_t)(example->log.at - blank - 1)};
        example->capture.length = (uint32_t)(blank - example->capture.at);
    }
    example->record = line_at(record);
    const char *handler = record + example->record.length;
    if (*handler++ == '\0') return false;
    const char *end = strstr(handler, "\n\n");
    size_t rest = end ? (size_t)(end - handler) : strlen(handler);
    while (rest > 0 && handler[rest - 1] == '\n') rest--;
    example->handler = (struct slice){.at = (const uint8_t *)handler, .length = (uint32_t)rest};
    return true;
}
