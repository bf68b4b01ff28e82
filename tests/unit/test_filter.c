/* Filters: libpcap's expressions over captures that mix link types. */
#include "capture/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

/* An Ethernet frame with IPv4 and TCP, ports 50000 to 443. */
static const uint8_t tcp_frame[] = {2,    0, 0,   0,  0,    1, 2,    0,    0,  0,    0, 2, 8,   0,
                                    0x45, 0, 0,   40, 0,    1, 0x40, 0,    64, 6,    0, 0, 192, 0,
                                    2,    1, 198, 51, 100,  2, 0xc3, 0x50, 1,  0xbb, 0, 0, 0,   1,
                                    0,    0, 0,   0,  0x50, 2, 0xff, 0xff, 0,  0,    0, 0};

static void filters_follow_the_link_type(void **state) {
    (void)state;
    struct error err;
    struct filter *port = filter_new("tcp dst port 443", &err),
                  *mac = filter_new("ether src 02:00:00:00:00:02", &err);
    assert_non_null(port);
    assert_non_null(mac);
    struct packet ethernet = {.bytes = tcp_frame, .captured = 54, .original = 54, .link_type = 1};
    struct packet raw = {.bytes = tcp_frame + 14, .captured = 40, .original = 40, .link_type = 101};
    struct packet other = {.bytes = tcp_frame, .captured = 54, .original = 54, .link_type = 147};
    for (int again = 0; again < 2; again++) {
        assert_true(filter_matches(port, &ethernet));
        assert_true(filter_matches(port, &raw));
        assert_true(filter_matches(mac, &ethernet));
        assert_false(filter_matches(mac, &raw)); /* there are no such addresses */
        assert_false(filter_matches(mac, &other));
    }
    ethernet.captured = 30; /* cut before the ports */
    assert_false(filter_matches(port, &ethernet));
    filter_free(port);
    filter_free(mac);
    assert_null(filter_new("tcp prot 443", &err));
    assert_non_null(strstr(err.text, "tcp prot 443"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_follow_the_link_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
