/* libFuzzer target: a configuration file (lunette.lua). What it says, if it may say it, is printed as
 * --check-config prints it. */
#include "fuzz/in_file.h"

#include "cli/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[IN_FILE_PATH];
    int file = in_file(data, size, path);
    struct values *values = values_new(FOR_LIVE);
    struct error err = {.text = ""};
    if (!values) abort();
    if (config_read(path, values, &err) == 0) {
        struct buffer b = {0};
        for (int id = 0; id < OPTION_COUNT; id++) value_print(&b, (enum option_id)id, &values->of[id]);
        buffer_free(&b);
    } else if (!err.text[0]) {
        abort(); /* it has to say why */
    }
    values_free(values);
    close(file);
    return 0;
}
