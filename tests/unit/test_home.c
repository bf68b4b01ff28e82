/* Home networks: who is local, and that both directions of a flow meet in one worker with the host they
 * belong to. */
#include "sensor/home.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ip address(const char *text) {
    struct ip ip;
    assert_int_equal(ip_parse(text, &ip), 0);
    return ip;
}

static bool has(const struct home *home, const char *text) {
    struct ip ip = address(text);
    return home_has(home, &ip);
}

static uint32_t worker_of(const struct home *home, const char *src, uint16_t src_port, const char *dst,
                          uint16_t dst_port) {
    struct decoded decoded = {.src = address(src),
                              .dst = address(dst),
                              .src_port = src_port,
                              .dst_port = dst_port,
                              .has_ports = true};
    return home_worker_of(home, &decoded, 1009);
}

static void private_addresses_are_home_by_default(void **state) {
    (void)state;
    struct error err;
    struct home *home = home_new(NULL, &err);
    static const char *const inside[] = {"10.1.2.3",    "172.31.255.255", "192.168.0.1",
                                         "169.254.1.1", "100.64.0.1",     "127.0.0.1",
                                         "fd00::1",     "fe80::1",        "::1"};
    static const char *const outside[] = {"17.253.4.5", "172.32.0.1", "100.128.0.1", "2001:db8::1",
                                          "224.0.0.251"};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) assert_true(has(home, inside[i]));
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) assert_false(has(home, outside[i]));
    home_free(home);
}

static void given_networks_replace_the_defaults(void **state) {
    (void)state;
    struct error err;
    struct home *home = home_new("203.0.113.0/24,2001:db8::/32", &err);
    assert_true(has(home, "203.0.113.9"));
    assert_true(has(home, "2001:db8:1::1"));
    assert_false(has(home, "192.168.0.1"));
    home_free(home);
    assert_null(home_new("203.0.113.0/24,nonsense", &err));
    assert_non_null(strstr(err.text, "nonsense"));
}

static void both_directions_go_to_the_local_host_s_worker(void **state) {
    (void)state;
    struct error err;
    struct home *home = home_new(NULL, &err);
    uint32_t mac = worker_of(home, "192.168.0.5", 50000, "17.1.1.1", 443);
    assert_int_equal(worker_of(home, "17.1.1.1", 443, "192.168.0.5", 50000), mac);
    assert_int_equal(worker_of(home, "192.168.0.5", 61234, "93.184.216.34", 80), mac);
    /* the resolver is local too: the query belongs to who asks */
    assert_int_equal(worker_of(home, "192.168.0.5", 53111, "192.168.0.1", 53), mac);
    assert_int_equal(worker_of(home, "192.168.0.1", 53, "192.168.0.5", 53111), mac);
    assert_int_not_equal(worker_of(home, "192.168.0.6", 50000, "17.1.1.1", 443), mac);
    /* equal ports: any rule will do, if it is the same both ways */
    assert_int_equal(worker_of(home, "192.168.0.5", 123, "192.168.0.1", 123),
                     worker_of(home, "192.168.0.1", 123, "192.168.0.5", 123));
    home_free(home);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_addresses_are_home_by_default),
        cmocka_unit_test(given_networks_replace_the_defaults),
        cmocka_unit_test(both_directions_go_to_the_local_host_s_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
