/* A stream that is handed from one protocol to the next, through toy protocols that say what they were fed.
 *
 * "door" reads lines: the client knocks ("KNOCK\n"), the server opens ("OPEN\n") and the rest is the next
 * one's. "word" begins with "W" on either side and writes down all it gets; it knows who handed over. */
#include "drive_protocol.h"

static struct {
    char said[2][256]; /* what "word" was fed, by direction */
    char order[64];    /* 's', 'c': whose bytes came; '|' where a new "word" began */
    const char *carrier;
    uint64_t gaps;
    unsigned door_ends, word_ends;
    bool packet_in_end;
} log_;

static enum recognised door_recognise(const struct probe *p) {
    const char *line = p->direction == TO_SERVER ? "KNOCK\n" : "OPEN\n";
    size_t common = p->length < strlen(line) ? p->length : strlen(line);
    if (memcmp(p->data, line, common) != 0) return RECOGNISED_NO;
    return common == strlen(line) ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

struct door_state {
    bool knocked;
    char filler[60];
};

/* What the client sends behind its knock waits for the answer. "LEAVE\n" is the client's last word to it. */
static int64_t door_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct door_state *state = c->state;
    if (direction == TO_SERVER) {
        if (state->knocked) return length >= 6 && memcmp(data, "LEAVE\n", 6) == 0 ? STREAM_DONE : 0;
        if (length < 6) return 0;
        state->knocked = true;
        return length >= 12 && memcmp(data + 6, "LEAVE\n", 6) == 0 ? STREAM_DONE : 6;
    }
    if (length < 5) return 0;
    if (memcmp(data, "OPEN\n", 5) == 0) conversation_hand_over(c);
    if (memcmp(data, "SKIP\n", 5) == 0) {
        conversation_hand_over(c);
        return length + 4;
    }
    return 5;
}

static void door_end(struct conversation *c) {
    log_.packet_in_end |= c->packet != NULL;
    log_.door_ends++;
}

static enum recognised word_recognise(const struct probe *p) {
    log_.carrier = p->carrier;
    if (p->data[0] != 'W') return RECOGNISED_NO;
    return p->length < 2 ? RECOGNISED_MAYBE : RECOGNISED_YES;
}

static int64_t word_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    bool *begun = c->state;
    size_t used = strlen(log_.order);
    if (!*begun && used + 1 < sizeof log_.order) log_.order[used++] = '|';
    *begun = true;
    if (used + 1 < sizeof log_.order) log_.order[used] = direction == TO_SERVER ? 's' : 'c';
    size_t at = strlen(log_.said[direction]);
    if (at + length < sizeof log_.said[direction]) memcpy(log_.said[direction] + at, data, length);
    return length;
}

static bool word_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)c;
    (void)direction;
    log_.gaps += missing;
    return true;
}

static void word_end(struct conversation *c) {
    (void)c;
    log_.word_ends++;
}

static const struct protocol door = {.name = "door",
                                     .transports = TRANSPORT_TCP,
                                     .state_size = sizeof(struct door_state),
                                     .recognise = door_recognise,
                                     .stream = door_stream,
                                     .end = door_end};
static const struct protocol word = {.name = "word",
                                     .transports = TRANSPORT_TCP,
                                     .state_size = sizeof(bool),
                                     .recognise = word_recognise,
                                     .stream = word_stream,
                                     .gap = word_gap,
                                     .end = word_end};
static const struct protocol *const both[] = {&door, &word, NULL};

static struct drive *begin(void) {
    memset(&log_, 0, sizeof log_);
    struct drive *d = drive_new_of(both, EVENT_flow);
    drive_open(d);
    return d;
}

static void client(struct drive *d, const char *text) {
    drive_send(d, TO_SERVER, text, strlen(text));
}

static void server(struct drive *d, const char *text) {
    drive_send(d, TO_CLIENT, text, strlen(text));
}

static void rest_is_recognised_anew(void **state) {
    (void)state;
    struct drive *d = begin();
    client(d, "KNOCK\n");
    server(d, "OPEN\n");
    assert_int_equal(log_.door_ends, 1);
    client(d, "W");
    client(d, "ho");
    server(d, "me");
    drive_close(d);
    assert_string_equal(log_.said[TO_SERVER], "Who");
    assert_string_equal(log_.said[TO_CLIENT], "me");
    assert_string_equal(log_.order, "|sc");
    assert_string_equal(log_.carrier, "door");
    assert_int_equal(log_.door_ends, 1);
    assert_int_equal(log_.word_ends, 1);
    assert_false(log_.packet_in_end);
    drive_expect(d, "flow.app_proto=word");
    drive_expect(d, "flow.app_proto_orig=door");
    drive_free(d);
}

static void fresh_flows_have_no_carrier(void **state) {
    (void)state;
    struct drive *d = begin();
    client(d, "Word");
    drive_close(d);
    assert_null(log_.carrier);
    drive_expect(d, "flow.app_proto=word");
    assert_null(strstr(d->text, "app_proto_orig"));
    drive_free(d);
}

/* The client did not wait for the answer, and the server said more than that in one segment. */
static void pipelined_bytes_are_the_next_ones(void **state) {
    (void)state;
    struct drive *d = begin();
    client(d, "KNOCK\nWell");
    server(d, "OPEN\nWelcome");
    drive_close(d);
    assert_string_equal(log_.said[TO_SERVER], "Well");
    assert_string_equal(log_.said[TO_CLIENT], "Welcome");
    assert_string_equal(log_.order, "|sc");
    drive_expect(d, "flow.app_proto=word");
    drive_free(d);
}

static void bytes_one_by_one(void **state) {
    (void)state;
    static const char *const up = "KNOCK\nWhat", *const down = "OPEN\nWait";
    struct drive *d = begin();
    for (const char *at = up; *at; at++) drive_send(d, TO_SERVER, at, 1);
    for (const char *at = down; *at; at++) drive_send(d, TO_CLIENT, at, 1);
    drive_close(d);
    assert_string_equal(log_.said[TO_SERVER], "What");
    assert_string_equal(log_.said[TO_CLIENT], "Wait");
    drive_expect(d, "flow.app_proto=word");
    drive_free(d);
}

static void early_segment_waits_for_the_door(void **state) {
    (void)state;
    struct drive *d = begin();
    client(d, "KNOCK\n");
    uint32_t seq = d->next_seq[TO_CLIENT];
    d->next_seq[TO_CLIENT] = seq + 7;
    server(d, "go on");
    d->next_seq[TO_CLIENT] = seq;
    server(d, "OPEN\nWe");
    drive_close(d);
    assert_string_equal(log_.said[TO_CLIENT], "Wego on");
    drive_free(d);
}

static void gap_behind_the_door(void **state) {
    (void)state;
    struct drive *d = begin();
    client(d, "KNOCK\n");
    server(d, "OPEN\n");
    server(d, "We");
    d->next_seq[TO_CLIENT] += 10;
    server(d, "more");
    client(d, "W.");
    drive_close(d);
    assert_string_equal(log_.said[TO_CLIENT], "Wemore");
    assert_int_equal(log_.gaps, 10);
    drive_free(d);
}

static void one_side_is_enough(void **state) {
    (void)state;
    struct drive *d = begin();
    server(d, "OPEN\nWelcome");
    drive_close(d);
    assert_string_equal(log_.said[TO_CLIENT], "Welcome");
    drive_expect(d, "flow.app_proto=word");
    drive_expect(d, "flow.app_proto_orig=door");
    drive_free(d);
}

static void nobody_knows_the_rest(void **state) {
    (void)state;
    struct drive *d = begin();
    client(d, "KNOCK\n");
    server(d, "OPEN\n");
    client(d, "strange");
    server(d, "Wonder"); /* too late: nobody is asked any more */
    drive_close(d);
    assert_string_equal(log_.order, "");
    drive_expect(d, "flow.app_proto=door");
    assert_null(strstr(d->text, "app_proto_orig"));
    assert_int_equal(log_.door_ends, 1);
    drive_free(d);
}

static void bytes_beyond_are_skipped_first(void **state) {
    (void)state;
    struct drive *d = begin();
    client(d, "KNOCK\n");
    server(d, "SKIP\n");
    server(d, "12");
    server(d, "34Word");
    drive_close(d);
    assert_string_equal(log_.said[TO_CLIENT], "Word");
    drive_free(d);
}

/* The door wanted nothing more from the client, so nobody counted its bytes meanwhile. */
static void done_direction_begins_again(void **state) {
    (void)state;
    struct drive *d = begin();
    client(d, "KNOCK\nLEAVE\n");
    client(d, "unheard");
    server(d, "OPEN\n");
    client(d, "Wake");
    server(d, "Well");
    drive_close(d);
    assert_string_equal(log_.said[TO_SERVER], "Wake");
    assert_string_equal(log_.said[TO_CLIENT], "Well");
    drive_free(d);
}

static void doors_behind_doors_end(void **state) {
    (void)state;
    struct drive *d = begin();
    for (unsigned i = 0; i < 4; i++) {
        client(d, "KNOCK\n");
        server(d, "OPEN\n");
    }
    client(d, "Wow");
    drive_close(d);
    drive_expect(d, "flow.app_proto=word");
    drive_expect(d, "flow.app_proto_orig=door");
    assert_int_equal(log_.door_ends, 4);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_clear(d);

    drive_open(d);
    for (unsigned i = 0; i < 5; i++) {
        client(d, "KNOCK\n");
        server(d, "OPEN\n");
    }
    client(d, "Wow");
    drive_close(d);
    drive_expect(d, "anomaly.name=too_many_layers");
    drive_expect(d, "flow.app_proto=door");
    assert_int_equal(log_.door_ends, 9);
    drive_free(d);
}

/* All doors and the word in one segment of each side. */
static void layers_in_one_segment(void **state) {
    (void)state;
    struct drive *d = begin();
    client(d, "KNOCK\nKNOCK\nKNOCK\nWest");
    server(d, "OPEN\nOPEN\nOPEN\nWind");
    drive_close(d);
    assert_string_equal(log_.said[TO_SERVER], "West");
    assert_string_equal(log_.said[TO_CLIENT], "Wind");
    assert_int_equal(log_.door_ends, 3);
    drive_free(d);
}

/* ---- proxies */

static enum recognised gate_recognise(const struct probe *p) {
    (void)p;
    return RECOGNISED_YES;
}

static int64_t gate_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    if (direction == TO_SERVER) conversation_set_proxy(c, "socks5", (struct slice){data, length});
    return length;
}

static const struct protocol gate = {
    .name = "gate", .transports = TRANSPORT_TCP, .recognise = gate_recognise, .stream = gate_stream};

static void expect_proxy(const char *target, const char *proxy_target, const char *server_name) {
    struct drive *d = drive_new(&gate, EVENT_flow);
    char line[400];
    drive_open(d);
    client(d, "first.example:1");
    client(d, target);
    drive_close(d);
    drive_expect(d, "flow.proxy=socks5");
    snprintf(line, sizeof line, "flow.proxy_target=%s", proxy_target);
    drive_expect(d, line);
    snprintf(line, sizeof line, "flow.server_name=%s", server_name);
    drive_expect(d, line);
    drive_expect(d, "flow.name_source=proxy");
    drive_free(d);
}

static void proxy_names_the_server(void **state) {
    (void)state;
    expect_proxy("example.com:443", "example.com:443", "example.com");
    expect_proxy("example.com", "example.com", "example.com");
    char target[300], most[256];
    memset(target, 'a', sizeof target);
    memcpy(target + 290, ".org:8080", 10);
    memset(most, 'a', 255);
    most[255] = '\0';
    expect_proxy(target, most, most);
}

static void address_is_named_by_dns(void **state) {
    (void)state;
    struct drive *d = drive_new(&gate, EVENT_flow);
    drive_open(d);
    client(d, "[2001:db8::1]:22");
    drive_close(d);
    drive_expect(d, "flow.proxy_target=[2001:db8::1]:22");
    assert_null(strstr(d->text, "server_name"));
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rest_is_recognised_anew),
        cmocka_unit_test(fresh_flows_have_no_carrier),
        cmocka_unit_test(pipelined_bytes_are_the_next_ones),
        cmocka_unit_test(bytes_one_by_one),
        cmocka_unit_test(early_segment_waits_for_the_door),
        cmocka_unit_test(gap_behind_the_door),
        cmocka_unit_test(one_side_is_enough),
        cmocka_unit_test(nobody_knows_the_rest),
        cmocka_unit_test(bytes_beyond_are_skipped_first),
        cmocka_unit_test(done_direction_begins_again),
        cmocka_unit_test(doors_behind_doors_end),
        cmocka_unit_test(layers_in_one_segment),
        cmocka_unit_test(proxy_names_the_server),
        cmocka_unit_test(address_is_named_by_dns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
