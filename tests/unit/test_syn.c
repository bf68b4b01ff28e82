/* A client's SYN: its signature in p0f's notation, and the operating system that it betrays. The SYNs are put
 * together as xnu, Linux and Windows send them; the expected text follows p0f's README. */
#include "flow/syn.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const uint8_t apple[] = {2, 4, 0x05, 0xb4, 1, 3, 3, 6, 1, 1, 8, 10,
                                0, 0, 0,    1,    0, 0, 0, 0, 4, 2, 0, 0};
static const uint8_t penguin[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
static const uint8_t windows[] = {2, 4, 0x05, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2};

/* A SYN with these options that has come three hops. */
static struct decoded syn_with(const uint8_t *options, size_t length, uint8_t ttl, uint16_t window) {
    struct decoded d = {.kind = DECODED_TRANSPORT,
                        .proto = 6,
                        .ttl = (uint8_t)(ttl - 3),
                        .dont_fragment = true,
                        .has_ports = true,
                        .tcp_flags = TCP_SYN,
                        .tcp_window = window,
                        .tcp_seq = 7,
                        .tcp_options = options,
                        .tcp_options_length = (uint8_t)length};
    static const uint8_t client[4] = {192, 0, 2, 1};
    ip_from_v4(&d.src, client);
    ip_from_v4(&d.dst, client);
    return d;
}

static void expect(const struct decoded *d, const char *signature, const char *os) {
    struct syn syn;
    char text[SYN_SIGNATURE_TEXT];
    syn_read(&syn, d);
    unsigned length = syn_signature(&syn, text);
    assert_string_equal(text, signature);
    assert_int_equal(length, strlen(text));
    const struct syn_os *system = syn_os_of(&syn);
    if (os) {
        assert_non_null(system);
        assert_string_equal(system->os, os);
    } else {
        assert_null(system);
    }
}

static void a_macs_syn(void **state) {
    (void)state;
    struct decoded d = syn_with(apple, sizeof apple, 64, 65535);
    expect(&d, "4:64:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0", "macOS/iOS");
    d.tcp_flags |= TCP_ECE | TCP_CWR;
    expect(&d, "4:64:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,ecn:0", "macOS/iOS");
    d.ip_id = 99;
    expect(&d, "4:64:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn:0", "macOS/iOS");
    d.ttl = 128;
    expect(&d, "4:128:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn:0", NULL);
}

static void the_scale_tells_releases(void **state) {
    (void)state;
    static const struct {
        uint8_t scale;
        const char *os, *detail;
    } known[] = {{1, "macOS", "10.5"},     {2, "iOS", "iOS"},        {3, "macOS", "10.5"},
                 {4, "macOS/iOS", "10.8"}, {5, "macOS/iOS", "10.9"}, {6, "macOS/iOS", "10.14 or later"},
                 {7, "iOS", "iOS 12"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint8_t options[sizeof apple];
        memcpy(options, apple, sizeof apple);
        options[7] = known[i].scale;
        struct decoded d = syn_with(options, sizeof options, 64, 65535);
        struct syn syn;
        syn_read(&syn, &d);
        const struct syn_os *system = syn_os_of(&syn);
        assert_non_null(system);
        assert_string_equal(system->os, known[i].os);
        assert_non_null(strstr(system->detail, known[i].detail));
    }
}

static void fast_open_and_multipath(void **state) {
    (void)state;
    static const uint8_t fast_open[] = {2, 4, 0x05, 0xb4, 1, 3, 3, 5, 1,  1, 8, 10, 0, 0,
                                        0, 1, 0,    0,    0, 0, 4, 2, 34, 6, 1, 2,  3, 4};
    struct decoded d = syn_with(fast_open, sizeof fast_open, 64, 65535);
    d.payload_length = 517;
    expect(&d, "4:64:0:1460:65535,5:mss,nop,ws,nop,nop,ts,sok,?34:df:+", "macOS/iOS");
    static const uint8_t multipath[] = {2, 4,  0x05, 0xb4, 1, 3, 3, 6, 30, 4, 1, 0, 1, 1,
                                        8, 10, 0,    0,    0, 1, 0, 0, 0,  0, 4, 2, 0, 0};
    d = syn_with(multipath, sizeof multipath, 64, 65535);
    expect(&d, "4:64:0:1460:65535,6:mss,nop,ws,?30,nop,nop,ts,sok,eol+1:df:0", "macOS/iOS");
}

static void windows_are_counted_in_segments(void **state) {
    (void)state;
    struct decoded d = syn_with(penguin, sizeof penguin, 64, 64240);
    d.ip_id = 5;
    expect(&d, "4:64:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", "Linux");
    d.tcp_window = 29200;
    expect(&d, "4:64:0:1460:mss*20,7:mss,sok,ts,nop,ws:df,id+:0", "Linux");
    d.tcp_window = 14480; /* ten times what timestamps leave of a segment */
    expect(&d, "4:64:0:1460:mss*10,7:mss,sok,ts,nop,ws:df,id+:0", "Linux");
    d.tcp_window = 6000;
    expect(&d, "4:64:0:1460:mtu*4,7:mss,sok,ts,nop,ws:df,id+:0", "Linux");
    d = syn_with(windows, sizeof windows, 128, 64240);
    d.ip_id = 5;
    expect(&d, "4:128:0:1460:mss*44,8:mss,nop,ws,nop,nop,sok:df,id+:0", "Windows");
}

static void version_6_has_flow_labels(void **state) {
    (void)state;
    struct decoded d = syn_with(apple, sizeof apple, 64, 65535);
    memset(&d.src, 0, sizeof d.src);
    d.src.bytes[0] = 0x20;
    d.flow_label = 0x12345;
    d.ip_options_length = 8;
    expect(&d, "6:64:8:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:flow:0", "macOS/iOS");
}

static void what_is_odd_is_a_quirk(void **state) {
    (void)state;
    /* A header with reserved bits and an urgent pointer, as raw sockets make them. */
    static const uint8_t header[20] = {0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0x54, TCP_SYN | TCP_PSH,
                                       4, 0, 0, 0, 0, 9};
    static const uint8_t options[] = {3, 3, 15, 8, 10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 7};
    struct decoded d = syn_with(options, sizeof options, 64, 1024);
    d.ip_payload = header;
    d.ip_payload_captured = d.ip_payload_length = sizeof header;
    d.dont_fragment = false;
    d.tcp_flags = TCP_SYN | TCP_PSH;
    d.tcp_seq = 0;
    d.tcp_ack = 5;
    expect(&d, "4:64:0:0:1024,15:ws,ts,eol+1:id-,0+,seq-,ack+,uptr+,pushf+,ts1-,ts2+,opt+,exws:0", NULL);
    static const uint8_t broken[] = {2, 4, 0x05, 0xb4, 8, 10, 0};
    d = syn_with(broken, sizeof broken, 64, 1024);
    expect(&d, "4:64:0:1460:1024,0:mss:df,bad:0", NULL);
    d = syn_with(NULL, 0, 255, 1024);
    expect(&d, "4:255:0:0:1024,0::df:0", NULL);
}

static void random_options_do_no_harm(void **state) {
    (void)state;
    uint64_t seed = 11;
    for (int i = 0; i < 100000; i++) {
        uint8_t options[40];
        for (size_t k = 0; k < sizeof options; k++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            options[k] = (uint8_t)(seed >> 33) & (i % 2 ? 0xff : 0x0f);
        }
        struct decoded d = syn_with(options, (size_t)i % 41, 64, 65535);
        struct syn syn;
        char text[SYN_SIGNATURE_TEXT];
        syn_read(&syn, &d);
        assert_true(syn_signature(&syn, text) < SYN_SIGNATURE_TEXT);
        assert_int_equal(strlen(syn.layout), syn.layout_length);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_macs_syn),
        cmocka_unit_test(the_scale_tells_releases),
        cmocka_unit_test(fast_open_and_multipath),
        cmocka_unit_test(windows_are_counted_in_segments),
        cmocka_unit_test(version_6_has_flow_labels),
        cmocka_unit_test(what_is_odd_is_a_quirk),
        cmocka_unit_test(random_options_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
