/* The name table: what is learnt is found, by that client only, within the bound. */
#include "packets.h"

#include "flow/names.h"

static struct names *table(uint32_t capacity) {
    struct error err = {.text = ""};
    struct names *names = names_new(capacity, &err);
    assert_non_null(names);
    return names;
}

static struct slice text(const char *s) {
    return (struct slice){(const uint8_t *)s, (uint32_t)strlen(s)};
}

static struct ip numbered(uint32_t n) {
    struct ip ip;
    uint8_t v4[4] = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    ip_from_v4(&ip, v4);
    return ip;
}

static void finds_the_latest(void **state) {
    (void)state;
    struct names *names = table(64);
    struct ip mac = world_ip("10.0.0.1"), other = world_ip("10.0.0.2"), server = world_ip("2001:db8::5");
    assert_int_equal(names_find(names, &mac, &server, 0, NULL).length, 0);
    names_learn(names, &mac, &server, text("a.example"), SECONDS(10));
    names_learn(names, &mac, &server, text("b.example"), SECONDS(20));
    nanoseconds age = 0;
    assert_true(slice_equals(names_find(names, &mac, &server, SECONDS(25), &age), "b.example"));
    assert_true(age == SECONDS(5));
    assert_int_equal(names_find(names, &other, &server, 0, NULL).length, 0);
    assert_int_equal(names_find(names, &server, &mac, 0, NULL).length, 0);
    names_free(names);
}

static void long_names_are_cut(void **state) {
    (void)state;
    struct names *names = table(1);
    struct ip mac = world_ip("10.0.0.1");
    uint8_t bytes[400];
    memset(bytes, 'x', sizeof bytes);
    names_learn(names, &mac, &mac, (struct slice){bytes, sizeof bytes}, 1);
    assert_int_equal(names_find(names, &mac, &mac, 1, NULL).length, 255);
    names_free(names);
}

static void the_oldest_of_a_bucket_gives_way(void **state) {
    (void)state;
    enum { CAPACITY = 1024, LEARNT = 4096 };
    struct names *names = table(CAPACITY);
    struct ip mac = world_ip("10.0.0.1");
    char name[32];
    for (uint32_t i = 0; i < LEARNT; i++) {
        struct ip server = numbered(i);
        snprintf(name, sizeof name, "host%u.example", i);
        names_learn(names, &mac, &server, text(name), i);
        assert_true(slice_equals(names_find(names, &mac, &server, i, NULL), name));
    }
    uint32_t found = 0, newest = 0;
    for (uint32_t i = 0; i < LEARNT; i++) {
        struct ip server = numbered(i);
        struct slice s = names_find(names, &mac, &server, i, NULL);
        if (s.length == 0) continue;
        snprintf(name, sizeof name, "host%u.example", i);
        assert_true(slice_equals(s, name));
        found++;
        newest += i >= LEARNT - CAPACITY / 4;
    }
    assert_true(found <= CAPACITY && found > CAPACITY * 9 / 10);
    assert_true(newest > CAPACITY / 4 * 9 / 10); /* what is new is nearly always there */
    names_free(names);
}

/* ---- in flows */

static int64_t namer_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                            uint32_t length) {
    (void)direction;
    if (data[0] == 'h') conversation_set_name(c, NAME_HOST, (struct slice){data, length});
    if (data[0] == 's') conversation_set_name(c, NAME_SNI, (struct slice){data, length});
    if (data[0] == 'j') conversation_set_ja4(c, (struct slice){data, length});
    return length;
}

static enum recognised namer_recognise(const struct probe *probe) {
    return probe->transport == TRANSPORT_TCP ? RECOGNISED_YES : RECOGNISED_NO;
}

/* A datagram "name" from port 53 teaches the client a name for 93.184.216.34. */
static void namer_datagram(struct conversation *c, enum direction direction, struct slice payload,
                           uint32_t original) {
    (void)original;
    struct ip server = world_ip("93.184.216.34");
    if (direction == TO_CLIENT)
        names_learn(conversation_names(c), &c->packet->dst, &server, payload, c->time);
}

static enum recognised any(const struct probe *probe) {
    (void)probe;
    return RECOGNISED_YES;
}

static const struct protocol namer = {
    .name = "namer", .transports = TRANSPORT_TCP, .recognise = namer_recognise, .stream = namer_stream};
static const struct protocol teacher = {
    .name = "teacher", .transports = TRANSPORT_UDP, .recognise = any, .datagram = namer_datagram};

static void teach(struct world *w, double at, const char *name) {
    struct decoded d = udp("10.0.0.2", 53, "10.0.0.1", 5353, name);
    world_packet(w, at, &d);
}

static struct world *named_world(void) {
    struct error err = {.text = ""};
    struct world *w = world_new(NULL, 1024, 1, &namer);
    flow_room_free(w->room);
    w->protocols[1] = &teacher;
    struct flow_config config = flow_config_defaults();
    config.max_flows = 64;
    config.max_names = 64;
    struct flow_surroundings around = {.batch = w->batch, .protocols = w->protocols};
    w->room = flow_room_new(&config, &around, &err);
    assert_non_null(w->room);
    return w;
}

static void flows_take_the_name_of_their_start(void **state) {
    (void)state;
    struct world *w = named_world();
    teach(w, 0, "first.example");
    struct connection c = connection_of(w, 50000);
    handshake(&c, 1);
    teach(w, 2, "second.example");
    world_finish(w);
    assert_int_equal(w->flows, 2);
    assert_string_equal(w->flow[1].server_name, "first.example");
    assert_string_equal(w->flow[1].e.body.name_source, "dns");
    assert_string_equal(w->onset[0].server_name, "first.example");
    world_free(w);
}

static void better_sources_replace_worse(void **state) {
    (void)state;
    struct world *w = named_world();
    teach(w, 0, "dns.example");
    struct connection c = connection_of(w, 50000);
    handshake(&c, 1);
    from_client(&c, 1.1, TCP_ACK, "sni.example");
    from_client(&c, 1.2, TCP_ACK, "host.example");
    from_client(&c, 1.3, TCP_ACK, "ja4_of_it");
    world_finish(w);
    const struct seen_flow *f = &w->flow[w->flows - 1];
    assert_string_equal(f->server_name, "sni.example");
    assert_string_equal(f->e.body.name_source, "sni");
    assert_int_equal(f->e.body.ja4.length, 9);
    assert_string_equal(w->onset[w->onsets - 1].server_name, "sni.example");
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_latest),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(the_oldest_of_a_bucket_gives_way),
        cmocka_unit_test(flows_take_the_name_of_their_start),
        cmocka_unit_test(better_sources_replace_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
