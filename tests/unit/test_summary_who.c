/* Who talked, in what, from which program: what the summary says of flows, VPNs and logins, and that it says
 * the same however they were dealt to workers. */
#include "output/summary.h"
#include "output/top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { EVENTS = 60, SECRET = 90 };

static char bytes[4096];
static struct batch batch = {.text = bytes};
static uint32_t used = 1;

static struct text_ref text(const char *words) {
    uint32_t at = used, length = (uint32_t)strlen(words);
    assert_true(used + length < sizeof bytes);
    memcpy(bytes + at, words, length);
    used += length;
    return (struct text_ref){at, length};
}

static void fill_ends(struct event_head_body *head, uint8_t client, uint8_t server, uint16_t port) {
    ip_from_v4(&head->client_ip, (const uint8_t[]){10, 0, 0, client});
    ip_from_v4(&head->server_ip, (const uint8_t[]){192, 0, 2, server});
    head->server_port = port;
    head->proto = "TCP";
}

/* Flow number `i`: curl of two paths, a server process, and one through a proxy. */
static void add_flow(struct summary *s, uint32_t i) {
    static const char *const paths[] = {"/usr/bin/curl", "/tmp/curl", NULL};
    struct event_flow e = {0};
    fill_ends(&e.head, 1, (uint8_t)i, 443);
    e.head.program = i % 3 == 2 ? "sshd" : "curl";
    e.head.path = paths[i % 3];
    e.head.parent = i % 3 == 0 ? (i % 2 ? "sh" : "zsh") : NULL;
    e.head.direction = i % 3 == 2 ? "in" : "out";
    e.body.app_proto = i % 3 == 2 ? "ssh" : "tls";
    e.body.client_bytes = 100;
    e.body.server_bytes = 1000;
    char name[32];
    snprintf(name, sizeof name, "n%u.example", i % 5);
    used = 1;
    if (i % 3 == 0) e.body.server_name = text(name);
    if (i == 7) {
        e.body.proxy = "socks5";
        e.body.proxy_target = text("files.example:22");
    }
    summary_add_event(s, EVENT_flow, &e, &batch);
}

static void add_vpn(struct summary *s, uint32_t i) {
    struct event_vpn e = {0};
    char words[64];
    fill_ends(&e.head, 1, 99, 51820);
    e.head.time = 100 + (i * 7) % EVENTS; /* number 0 is the first */
    e.body.kind = "wireguard";
    e.body.confidence = "certain";
    snprintf(words, sizeof words, "betrayed by message %u", i);
    used = 1;
    e.body.evidence = text(words);
    summary_add_event(s, EVENT_vpn, &e, &batch);
}

static void add_login(struct summary *s, uint32_t i) {
    struct event_ftp e = {0};
    fill_ends(&e.head, 1, 21, 21);
    used = 1;
    e.body.user = text("an\x1fna"); /* the separator of keys is nothing special in a name */
    e.body.argument = text("hunter2");
    e.body.password = i % 2;
    if (i % 4 == 0) e.body.user = text("nobody-in-clear");
    summary_add_event(s, EVENT_ftp, &e, &batch);
}

static char *told_by(uint32_t workers) {
    struct summary all, part[4];
    assert_int_equal(summary_init(&all, NULL), 0);
    for (uint32_t w = 0; w < workers; w++) assert_int_equal(summary_init(&part[w], NULL), 0);
    for (uint32_t n = 0; n < EVENTS; n++) {
        uint32_t i = workers % 2 ? n : EVENTS - 1 - n; /* and in another order */
        add_flow(&part[i % workers], i);
        add_vpn(&part[(i / 2) % workers], i);
        add_login(&part[i % workers], i);
    }
    for (uint32_t w = 0; w < workers; w++) {
        summary_merge(&all, &part[w]);
        summary_clear(&part[w]);
    }
    struct buffer b = {0};
    const struct terminal_style style = {.width = 100};
    summary_print(&all, &b, &style);
    summary_clear(&all);
    buffer_char(&b, '\0');
    assert_false(b.failed);
    return b.at;
}

static void it_tells_who_in_what_from_which_program(void **state) {
    (void)state;
    static const char *const parts[] = {
        "Programs\n  program        started by  flows     sent  received  to\n",
        "  sshd           -              20  20.0 kB    2.0 kB  -\n",
        "  /usr/bin/curl  sh, zsh        20   2.0 kB   20.0 kB  n0.example, n1.example, n2.example and 2 "
        "more\n",
        "  /tmp/curl      -              20   2.0 kB   20.0 kB  192.0.2.1, ",
        "Protocols\n  protocol  flows  to servers  to clients\n  tls          40      4.0 kB     40.0 kB\n",
        "Proxies\n"
        "  kind    proxy          asked for         flows  to it  from it\n"
        "  socks5  192.0.2.7:443  files.example:22      1  100 B   1.0 kB\n",
        "VPNs\n"
        "  wireguard, certain: 10.0.0.1 → 192.0.2.99:51820, 60 flows\n"
        "    betrayed by message 0\n",
        "Logins with the password in clear\n"
        "  protocol  user   from      server\n"
        "  ftp       an?na  10.0.0.1  192.0.2.21:21\n",
    };
    char *page = told_by(1);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!strstr(page, parts[i])) fail_msg("no \"%s\" in:\n%s", parts[i], page);
    }
    assert_null(strstr(page, "hunter2"));
    assert_null(strstr(page, "nobody-in-clear"));
    free(page);
}

static void workers_do_not_matter(void **state) {
    (void)state;
    char *one = told_by(1);
    for (uint32_t workers = 2; workers <= 4; workers++) {
        char *more = told_by(workers);
        assert_string_equal(more, one);
        free(more);
    }
    free(one);
}

static void nothing_to_say_is_not_said(void **state) {
    (void)state;
    struct summary s;
    assert_int_equal(summary_init(&s, NULL), 0);
    struct event_flow silent = {.head.proto = "TCP"};
    summary_add_event(&s, EVENT_flow, &silent, &batch);
    struct buffer b = {0};
    const struct terminal_style style = {.width = 80};
    summary_print(&s, &b, &style);
    buffer_char(&b, '\0');
    static const char *const titles[] = {"Programs", "Protocols", "Proxies", "VPNs", "Logins"};
    for (size_t i = 0; i < 5; i++) assert_null(strstr(b.at, titles[i]));
    buffer_free(&b);
    summary_clear(&s);
}

/* Thousands of programs: the table stays as it is, and the busy one in it. */
static void the_least_busy_go(void **state) {
    (void)state;
    struct summary s;
    assert_int_equal(summary_init(&s, NULL), 0);
    char name[32], parent[300];
    memset(parent, 'p', sizeof parent - 1);
    parent[sizeof parent - 1] = '\0';
    for (uint32_t i = 0; i < 20000; i++) {
        struct event_flow e = {0};
        snprintf(name, sizeof name, "program%u", i);
        e.head.program = i % 10 ? name : "busy";
        e.head.path = parent; /* longer than a key holds */
        e.head.parent = parent;
        e.body.client_bytes = i % 10 ? 10 : 10000;
        summary_add_event(&s, EVENT_flow, &e, &batch);
    }
    const struct top_entry *top[1];
    assert_int_equal(top_count(s.who.programs), WHO_PLACES);
    assert_int_equal(top_busiest(s.who.programs, top, 1), 1);
    assert_int_equal(strncmp(top[0]->key, "busy\x1f", 5), 0);
    assert_int_equal(top[0]->flows, 2000);
    struct buffer b = {0};
    const struct terminal_style style = {.width = 80};
    summary_print(&s, &b, &style);
    assert_false(b.failed);
    buffer_free(&b);
    summary_clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_who_in_what_from_which_program),
        cmocka_unit_test(workers_do_not_matter),
        cmocka_unit_test(nothing_to_say_is_not_said),
        cmocka_unit_test(the_least_busy_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
