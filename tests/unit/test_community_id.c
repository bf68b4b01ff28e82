/* Community ID against the values that its specification publishes (community-id-spec, baseline, seed 0). */
#include "packets.h"

#include "flow/community_id.h"

static const struct {
    uint8_t proto;
    const char *source, *destination;
    uint16_t source_port, destination_port;
    const char *id;
} published[] = {
    {6, "128.232.110.120", "66.35.250.204", 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
    {6, "2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a", 63943, 25,
     "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
    {17, "192.168.1.52", "8.8.8.8", 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
    {132, "192.168.170.8", "192.168.170.56", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
    {46, "10.1.12.1", "10.1.12.2", 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="},
};

static void published_values(void **state) {
    (void)state;
    char id[COMMUNITY_ID_LENGTH + 1];
    for (unsigned i = 0; i < sizeof published / sizeof *published; i++) {
        struct ip a = world_ip(published[i].source), b = world_ip(published[i].destination);
        uint16_t x = published[i].source_port, y = published[i].destination_port;
        community_id(0, published[i].proto, &a, x, &b, y, id);
        assert_string_equal(id, published[i].id);
        community_id(0, published[i].proto, &b, y, &a, x, id);
        assert_string_equal(id, published[i].id);
    }
}

/* Type and code go in; the specification's tables give the type's counterpart as the second port. */
static const struct {
    uint8_t proto;
    const char *source, *destination;
    uint16_t type, code;
    const char *id;
} published_icmp[] = {
    {1, "192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
    {1, "192.168.0.1", "192.168.0.89", 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
    {1, "10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="},
    {58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
    {58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
    {58, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="},
    {58, "3ffe:501:410:0:2c0:dfff:fe47:33e", "3ffe:507:0:1:200:86ff:fe05:80da", 1, 4,
     "1:hLZd0XGWojozrvxqE0dWB1iM6R0="},
    {58, "3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 128, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="},
    {58, "fe80::200:86ff:fe05:80da", "ff02::2", 133, 0, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="},
    {58, "fe80::260:97ff:fe07:69ea", "ff02::1", 134, 0, "1:pkvHqCL88/tg1k4cPigmZXUtL00="},
};

static void published_icmp_values(void **state) {
    (void)state;
    char id[COMMUNITY_ID_LENGTH + 1];
    for (unsigned i = 0; i < sizeof published_icmp / sizeof *published_icmp; i++) {
        struct ip a = world_ip(published_icmp[i].source), b = world_ip(published_icmp[i].destination);
        community_id(0, published_icmp[i].proto, &a, published_icmp[i].type, &b, published_icmp[i].code, id);
        assert_string_equal(id, published_icmp[i].id);
    }
}

static void flows_carry_it(void **state) {
    (void)state;
    struct world *w = world_new(NULL, 1024, 1, NULL);
    struct decoded packets[] = {tcp("66.35.250.204", 80, "128.232.110.120", 34855, TCP_ACK, 1, 1, "x", 1),
                                echo("192.168.0.1", "192.168.0.89", false, 1, 1),
                                echo("192.168.0.89", "192.168.0.1", true, 1, 1)};
    for (int i = 0; i < 3; i++) world_packet(w, i, &packets[i]);
    world_finish(w);
    assert_string_equal(w->flow[0].community_id, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    assert_string_equal(w->flow[1].community_id, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values),
        cmocka_unit_test(published_icmp_values),
        cmocka_unit_test(flows_carry_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
