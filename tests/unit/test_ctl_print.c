/* The tables of `lunette ctl`: every row has its own cells under its own headings, whatever the answer holds.
 */
#include "cli/ctl_print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char answer[] =
    "{\"flows\":["
    "{\"src_ip\":\"10.0.0.5\",\"src_port\":50001,\"dest_ip\":\"192.0.2.1\",\"dest_port\":443,\"proto\":"
    "\"TCP\","
    "\"app_proto\":\"tls\",\"server_name\":\"one.example\",\"process\":{\"program\":\"curl\"},"
    "\"flow\":{\"bytes_toserver\":700,\"bytes_toclient\":900,\"age\":1.5,\"state\":\"established\"}},"
    "{\"src_ip\":\"2001:db8::5\",\"src_port\":50002,\"dest_ip\":\"2001:db8::1\",\"dest_port\":53,"
    "\"proto\":\"UDP\",\"flow\":{\"bytes_toserver\":70,\"bytes_toclient\":90,\"age\":2.5,\"state\":\"new\"}}]"
    ","
    "\"scripts\":["
    "{\"name\":\"beacon\",\"state\":\"on\",\"events\":1000,\"alerts\":2,\"errors\":3,\"cpu_seconds\":0.5,"
    "\"memory\":4000},"
    "{\"name\":\"dga\",\"state\":\"off\",\"events\":10,\"alerts\":0,\"errors\":0,\"cpu_seconds\":0.25,"
    "\"memory\":8000}],"
    "\"hosts\":[{\"name\":\"10.0.0.5\",\"bytes\":1600,\"flows\":4}],\"names\":[]}";

/* The words of the line that begins with `first`, one blank between each; what a row says, whatever its
 * widths. */
static char *row(const char *page, const char *first, char out[512]) {
    const char *at = page;
    while (at && strncmp(at, first, strlen(first)) != 0) {
        at = strchr(at, '\n');
        if (at) at++;
    }
    assert_non_null(at);
    size_t used = 0;
    for (; *at && *at != '\n' && used < 511; at++)
        if (*at != ' ' || (used && out[used - 1] != ' ')) out[used++] = *at;
    while (used && out[used - 1] == ' ') used--;
    out[used] = '\0';
    return out;
}

static char *page_of(ctl_printer *print) {
    struct buffer b = {0};
    struct error err;
    setenv("COLUMNS", "200", 1);
    assert_int_equal(ctl_print(print, answer, 0, &b, &err), 0);
    buffer_char(&b, '\0');
    assert_false(b.failed);
    return b.at;
}

static void flows_have_nine_columns(void **state) {
    (void)state;
    char *page = page_of(ctl_print_flows), line[512];
    assert_string_equal(row(page, "client", line),
                        "client server protocol name program to it from it age state");
    assert_string_equal(row(page, "10.0.0.5:50001", line),
                        "10.0.0.5:50001 192.0.2.1:443 tls one.example curl "
                        "700 B 900 B 1.50 s established");
    assert_string_equal(row(page, "[2001:db8::5]:50002", line),
                        "[2001:db8::5]:50002 [2001:db8::1]:53 UDP - - 70 B 90 B 2.50 s new");
    free(page);
}

static void detectors_have_eight_columns(void **state) {
    (void)state;
    ctl_printer *const printers[] = {ctl_print_scripts, ctl_print_top};
    for (size_t i = 0; i < 2; i++) {
        char *page = page_of(printers[i]), line[512];
        assert_string_equal(row(page, "detector", line),
                            "detector state events alerts errors time ns/event memory");
        assert_string_equal(row(page, "beacon", line), "beacon on 1,000 2 3 0.50 s 500000 4.0 kB");
        assert_string_equal(row(page, "dga", line), "dga off 10 0 0 0.25 s 25000000 8.0 kB");
        free(page);
    }
}

static void the_busiest_have_three_columns(void **state) {
    (void)state;
    char *page = page_of(ctl_print_top), line[512];
    assert_string_equal(row(page, "host", line), "host bytes flows");
    assert_string_equal(row(page, "10.0.0.5", line), "10.0.0.5 1.6 kB 4");
    free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows_have_nine_columns),
        cmocka_unit_test(detectors_have_eight_columns),
        cmocka_unit_test(the_busiest_have_three_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
