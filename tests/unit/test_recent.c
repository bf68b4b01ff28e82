/* Who was busy lately: local hosts and servers' names, over two windows of five minutes, merged over
 * workers. */
#include "sensor/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const nanoseconds minute = 60 * NS_PER_SECOND;

struct lab {
    struct recent *recent;
    struct batch *batch;
};

static int lab_open(void **state) {
    static struct lab lab;
    struct error err;
    lab.recent = recent_new();
    lab.batch = batch_new(16, &err);
    *state = &lab;
    return lab.recent && lab.batch ? 0 : -1;
}

static int lab_close(void **state) {
    struct lab *lab = *state;
    recent_free(lab->recent);
    batch_free(lab->batch);
    return 0;
}

/* A flow that ended; addresses of 10.0.0.0/8 are local. NULL: it had no name. */
static void flow(struct lab *lab, const char *client, const char *server, const char *name, uint64_t up,
                 uint64_t down) {
    struct event_flow event = {0};
    assert_int_equal(ip_parse(client, &event.head.client_ip), 0);
    assert_int_equal(ip_parse(server, &event.head.server_ip), 0);
    event.head.client_local = strncmp(client, "10.", 3) == 0;
    event.head.server_local = strncmp(server, "10.", 3) == 0;
    event.body.client_bytes = up;
    event.body.server_bytes = down;
    event.body.client_packets = 1;
    event.body.server_packets = down > 0;
    if (name) event.body.server_name = batch_string(lab->batch, name);
    recent_flow(lab->recent, &event, lab->batch);
    lab->batch->text_used = 0;
}

struct list {
    struct board_top top[BOARD_TOP];
    uint32_t count;
};

static struct list hosts_of(const struct lab *lab) {
    struct list list = {0};
    recent_hosts(lab->recent, list.top, &list.count);
    return list;
}

static struct list names_of(const struct lab *lab) {
    struct list list = {0};
    recent_names(lab->recent, list.top, &list.count);
    return list;
}

static void expect(const struct list *list, uint32_t at, const char *name, uint64_t bytes, uint64_t flows) {
    assert_true(at < list->count);
    assert_string_equal(list->top[at].name, name);
    assert_int_equal(list->top[at].bytes, bytes);
    assert_int_equal(list->top[at].flows, flows);
}

static void hosts_are_local_and_the_busiest_is_first(void **state) {
    struct lab *lab = *state;
    flow(lab, "10.0.0.1", "192.0.2.1", NULL, 100, 50);
    flow(lab, "10.0.0.2", "192.0.2.1", NULL, 1000, 0);
    flow(lab, "10.0.0.1", "192.0.2.2", NULL, 10, 5);
    struct list hosts = hosts_of(lab);
    assert_int_equal(hosts.count, 2);
    expect(&hosts, 0, "10.0.0.2", 1000, 1);
    expect(&hosts, 1, "10.0.0.1", 165, 2);
    assert_int_equal(names_of(lab).count, 0);
}

/* A local server is busy if it answered; an address that was only tried need not even be a host. */
static void servers_count_if_they_answered(void **state) {
    struct lab *lab = *state;
    flow(lab, "192.0.2.1", "10.0.0.9", NULL, 60, 0);
    assert_int_equal(hosts_of(lab).count, 0);
    flow(lab, "192.0.2.1", "10.0.0.9", NULL, 60, 40);
    struct list hosts = hosts_of(lab);
    assert_int_equal(hosts.count, 1);
    expect(&hosts, 0, "10.0.0.9", 100, 1);
}

static void names_are_the_servers(void **state) {
    struct lab *lab = *state;
    flow(lab, "10.0.0.1", "192.0.2.1", "www.example.com", 10, 20);
    flow(lab, "10.0.0.2", "192.0.2.7", "www.example.com", 1, 2);
    flow(lab, "10.0.0.2", "192.0.2.8", "example.org", 500, 2);
    struct list names = names_of(lab);
    assert_int_equal(names.count, 2);
    expect(&names, 0, "example.org", 502, 1);
    expect(&names, 1, "www.example.com", 33, 2);
}

static void what_was_five_minutes_ago_still_counts_and_ten_not(void **state) {
    struct lab *lab = *state;
    recent_advance(lab->recent, 100 * minute);
    flow(lab, "10.0.0.1", "192.0.2.1", "a.example", 100, 0);
    recent_advance(lab->recent, 105 * minute);
    flow(lab, "10.0.0.1", "192.0.2.1", "a.example", 10, 0);
    struct list hosts = hosts_of(lab), names = names_of(lab);
    assert_int_equal(hosts.count, 1);
    expect(&hosts, 0, "10.0.0.1", 110, 2);
    expect(&names, 0, "a.example", 110, 2);
    recent_advance(lab->recent, 110 * minute);
    hosts = hosts_of(lab);
    expect(&hosts, 0, "10.0.0.1", 10, 1);
    recent_advance(lab->recent, 115 * minute);
    assert_int_equal(hosts_of(lab).count, 0);
    assert_int_equal(names_of(lab).count, 0);
}

/* A worker that was held up for long: nothing of before is recent. */
static void a_long_pause_empties_both_windows(void **state) {
    struct lab *lab = *state;
    recent_advance(lab->recent, 100 * minute);
    flow(lab, "10.0.0.1", "192.0.2.1", NULL, 100, 0);
    recent_advance(lab->recent, 200 * minute);
    assert_int_equal(hosts_of(lab).count, 0);
}

static void lists_are_bounded_and_keep_the_busiest(void **state) {
    struct lab *lab = *state;
    for (int i = 0; i < 3 * BOARD_TOP; i++) {
        char address[32];
        snprintf(address, sizeof address, "10.0.1.%d", i);
        flow(lab, address, "192.0.2.1", NULL, 1000 + (uint64_t)i, 0);
    }
    struct list hosts = hosts_of(lab);
    assert_int_equal(hosts.count, BOARD_TOP);
    for (uint32_t i = 0; i < hosts.count; i++)
        assert_int_equal(hosts.top[i].bytes, 1000 + 3 * BOARD_TOP - 1 - i);
}

static void workers_lists_are_merged(void **state) {
    (void)state;
    struct list all = {.top = {{"a", 100, 1}, {"b", 50, 1}}, .count = 2};
    const struct board_top more[] = {{"b", 70, 2}, {"c", 60, 1}};
    recent_merge(all.top, &all.count, more, 2);
    assert_int_equal(all.count, 3);
    expect(&all, 0, "b", 120, 3);
    expect(&all, 1, "a", 100, 1);
    expect(&all, 2, "c", 60, 1);

    struct board_top full[BOARD_TOP] = {{"", 0, 0}};
    for (int i = 0; i < BOARD_TOP; i++) {
        snprintf(full[i].name, sizeof full[i].name, "n%d", i);
        full[i].bytes = 1000 - (uint64_t)i;
    }
    recent_merge(all.top, &all.count, full, BOARD_TOP);
    assert_int_equal(all.count, BOARD_TOP);
    expect(&all, 0, "n0", 1000, 0);
    for (uint32_t i = 1; i < all.count; i++) assert_true(all.top[i - 1].bytes >= all.top[i].bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hosts_are_local_and_the_busiest_is_first, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(servers_count_if_they_answered, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(names_are_the_servers, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(what_was_five_minutes_ago_still_counts_and_ten_not, lab_open,
                                        lab_close),
        cmocka_unit_test_setup_teardown(a_long_pause_empties_both_windows, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(lists_are_bounded_and_keep_the_busiest, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(workers_lists_are_merged, lab_open, lab_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
