/* TCP reassembly, seen through a protocol that writes down what it is fed.
 *
 * The oracle is a picture of each stream byte by byte: which segment was the first to bring a byte, or that
 * none did. Segments are cut, doubled, overlapped, reordered and lost at random, thousands of times, each
 * time from a seed of its own. */
#include "packets.h"

enum { STREAM_MOST = 8192, EVENTS_MOST = 20000 };

/* What the protocol under test did and shall do; set up by each test before packets come. */
static struct {
    uint8_t bytes[2][STREAM_MOST]; /* at its place in the stream */
    bool here[2][STREAM_MOST];
    uint64_t position[2]; /* place of the next byte not used */
    uint64_t pending[2];  /* bytes left over by the last call */
    uint64_t skip[2];     /* bytes asked to be skipped that have not passed yet */
    uint64_t gap_bytes[2];
    uint32_t gaps, calls, ends;
    bool broken;
    char order[256]; /* 's' or 'c' for each call: to server, to client */
    uint32_t order_used;
    uint64_t seed;      /* 0: use all; else use more or less at random */
    uint32_t yes_after; /* bytes of a direction that recognition wants */
    int64_t answer;     /* 0, or what stream() answers */
    bool gap_answer;
} probe;

static enum recognised taker_recognise(const struct probe *p) {
    if (p->length >= probe.yes_after) return RECOGNISED_YES;
    return RECOGNISED_MAYBE;
}

static int64_t taker_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                            uint32_t length) {
    (void)c;
    probe.calls++;
    if (probe.order_used < sizeof probe.order - 1)
        probe.order[probe.order_used++] = direction == TO_SERVER ? 's' : 'c';
    uint64_t at = probe.position[direction] + probe.skip[direction];
    probe.skip[direction] = 0;
    if (length <= probe.pending[direction] && probe.pending[direction] > 0)
        probe.broken = true; /* nothing new */
    for (uint32_t i = 0; i < length; i++) {
        if (at + i >= STREAM_MOST) {
            probe.broken = true;
            break;
        }
        bool again = i < probe.pending[direction];
        if (again != probe.here[direction][at + i]) probe.broken = true;
        if (again && probe.bytes[direction][at + i] != data[i]) probe.broken = true;
        probe.bytes[direction][at + i] = data[i];
        probe.here[direction][at + i] = true;
    }
    if (probe.answer) return probe.answer;
    uint32_t used = length;
    if (probe.seed) {
        uint32_t choice = random_below(&probe.seed, 4);
        if (choice == 0) used = random_below(&probe.seed, length + 1);
        if (choice == 1) used = length + random_below(&probe.seed, 300);
    }
    probe.position[direction] = at + (used < length ? used : length);
    probe.pending[direction] = used < length ? length - used : 0;
    probe.skip[direction] = used > length ? used - length : 0;
    return used;
}

static bool taker_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)c;
    probe.gaps++;
    probe.gap_bytes[direction] += missing;
    /* What was left over is lost, what was to be skipped lies before the gap. */
    probe.position[direction] += probe.pending[direction] + probe.skip[direction] + missing;
    probe.pending[direction] = probe.skip[direction] = 0;
    return probe.gap_answer;
}

static void taker_end(struct conversation *c) {
    assert_null(c->packet);
    probe.ends++;
}

static const struct protocol taker = {.name = "taker",
                                      .transports = TRANSPORT_TCP,
                                      .state_size = 24,
                                      .recognise = taker_recognise,
                                      .stream = taker_stream,
                                      .gap = taker_gap,
                                      .end = taker_end};

static struct world *taker_world(const struct flow_config *config) {
    memset(&probe, 0, sizeof probe);
    probe.gap_answer = true;
    probe.yes_after = 1;
    return world_new(config, 1024, 1, &taker);
}

static void segment_to_server(struct world *w, double at, uint8_t flags, uint32_t seq, uint32_t ack,
                              const void *data, uint32_t length) {
    struct decoded d = tcp("10.0.0.1", 50000, "1.2.3.4", 443, flags, seq, ack, data, length);
    world_packet(w, at, &d);
}

static void segment_to_client(struct world *w, double at, uint8_t flags, uint32_t seq, uint32_t ack,
                              const void *data, uint32_t length) {
    struct decoded d = tcp("1.2.3.4", 443, "10.0.0.1", 50000, flags, seq, ack, data, length);
    world_packet(w, at, &d);
}

static void expect_stream(enum direction direction, const char *text) {
    assert_false(probe.broken);
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        assert_int_equal(probe.here[direction][i], text[i] != '.');
        if (text[i] != '.') assert_int_equal(probe.bytes[direction][i], text[i]);
    }
    assert_false(probe.here[direction][length]);
}

static uint64_t anomaly_count_of(struct world *w, const char *name) {
    struct anomaly_count counts[16];
    uint32_t n = flow_room_anomalies(w->room, counts, 16);
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(counts[i].name, name) == 0) return counts[i].count;
    return 0;
}

/* ---- by hand */

static void early_segments_wait(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_SYN, 999, 0, "", 0);
    segment_to_server(w, 1, TCP_ACK, 1005, 1, "fghij", 5);
    assert_int_equal(probe.calls, 0);
    segment_to_server(w, 2, TCP_ACK, 1000, 1, "abcde", 5);
    expect_stream(TO_SERVER, "abcdefghij");
    world_finish(w);
    assert_int_equal(probe.gaps, 0);
    assert_int_equal(probe.ends, 1);
    assert_string_equal(w->flow[0].e.body.app_proto, "taker");
    world_free(w);
}

static void acknowledged_hole_is_a_gap(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_SYN, 999, 0, "", 0);
    segment_to_server(w, 1, TCP_ACK, 1000, 1, "abc", 3);
    segment_to_server(w, 2, TCP_ACK, 1006, 1, "ghi", 3);
    segment_to_client(w, 3, TCP_ACK, 1, 1005, "", 0); /* not yet beyond the hole */
    assert_int_equal(probe.gaps, 0);
    segment_to_client(w, 4, TCP_ACK, 1, 1006, "", 0);
    assert_int_equal(probe.gaps, 1);
    assert_int_equal(probe.gap_bytes[TO_SERVER], 3);
    segment_to_server(w, 5, TCP_ACK, 1003, 1, "def", 3); /* too late */
    expect_stream(TO_SERVER, "abc...ghi");
    world_free(w);
}

static void hole_at_the_end_of_flow(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_SYN, 999, 0, "", 0);
    segment_to_server(w, 1, TCP_ACK, 1000, 1, "abc", 3);
    segment_to_server(w, 2, TCP_ACK, 1006, 1, "ghi", 3);
    world_finish(w);
    expect_stream(TO_SERVER, "abc...ghi");
    assert_int_equal(w->flow[0].e.body.gap_bytes, 3);
    world_free(w);
}

static void keep_alives_are_nothing(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_SYN, 999, 0, "", 0);
    segment_to_server(w, 1, TCP_ACK, 1000, 1, "abc", 3);
    segment_to_server(w, 2, TCP_ACK, 1002, 1, "\0", 1);
    segment_to_server(w, 3, TCP_ACK, 1002, 1, "", 0);
    segment_to_server(w, 4, TCP_ACK, 1003, 1, "def", 3);
    expect_stream(TO_SERVER, "abcdef");
    assert_int_equal(probe.gaps, 0);
    assert_int_equal(anomaly_count_of(w, "overlap_mismatch"), 0);
    world_finish(w);
    assert_int_equal(w->flow[0].e.body.retransmits, 0);
    world_free(w);
}

static void payload_of_the_syn(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_SYN, 999, 0, "abc", 3);
    segment_to_server(w, 1, TCP_ACK, 1000, 1, "abcdef", 6); /* the server took none of it: sent again */
    expect_stream(TO_SERVER, "abcdef");
    world_free(w);
}

static void nothing_counts_beyond_fin(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_SYN, 999, 0, "", 0);
    segment_to_server(w, 1, TCP_ACK | TCP_FIN, 1003, 1, "def", 3);
    segment_to_server(w, 2, TCP_ACK, 1006, 1, "xyz", 3);
    segment_to_server(w, 3, TCP_ACK, 1000, 1, "abc", 3);
    expect_stream(TO_SERVER, "abcdef");
    segment_to_client(w, 4, TCP_SYN | TCP_ACK, 0, 1007, "", 0);
    segment_to_client(w, 4, TCP_ACK, 1, 1007, "bye", 3);
    assert_int_equal(probe.ends, 0);
    segment_to_client(w, 5, TCP_FIN | TCP_ACK, 4, 1007, "", 0);
    assert_int_equal(probe.ends, 1); /* both directions have been read to their end */
    world_finish(w);
    assert_int_equal(probe.ends, 1);
    world_free(w);
}

static void middle_of_a_connection(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_ACK, 70000, 1, "", 0);
    segment_to_server(w, 1, TCP_ACK, 70000, 1, "abc", 3);
    segment_to_client(w, 2, TCP_ACK, 5, 70003, "xyz", 3);
    segment_to_server(w, 3, TCP_ACK, 70003, 8, "def", 3);
    expect_stream(TO_SERVER, "abcdef");
    expect_stream(TO_CLIENT, "xyz");
    world_finish(w);
    assert_true(w->flow[0].e.body.midstream);
    world_free(w);
}

static void what_snaplen_cut_is_a_gap(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_SYN, 999, 0, "", 0);
    struct decoded d = tcp("10.0.0.1", 50000, "1.2.3.4", 443, TCP_ACK, 1000, 1, "abc", 3);
    d.payload_length = 10;
    world_packet(w, 1, &d);
    segment_to_server(w, 2, TCP_ACK, 1010, 1, "xyz", 3);
    expect_stream(TO_SERVER, "abc.......xyz");
    assert_int_equal(probe.gap_bytes[TO_SERVER], 7);
    world_finish(w);
    assert_int_equal(w->flow[0].e.body.gap_bytes, 7);
    assert_int_equal(w->flow[0].e.body.client_payload, 13);
    world_free(w);
}

static void conflicting_copies_are_an_anomaly(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_SYN, 999, 0, "", 0);
    segment_to_server(w, 1, TCP_ACK, 1003, 1, "def", 3);
    segment_to_server(w, 2, TCP_ACK, 1003, 1, "def", 3);
    assert_int_equal(anomaly_count_of(w, "overlap_mismatch"), 0);
    segment_to_server(w, 3, TCP_ACK, 1004, 1, "XYZ", 3);
    assert_int_equal(anomaly_count_of(w, "overlap_mismatch"), 1);
    segment_to_server(w, 4, TCP_ACK, 1000, 1, "abcD", 4);
    assert_int_equal(anomaly_count_of(w, "overlap_mismatch"), 2);
    assert_int_equal(w->anomalies, 1); /* one event a flow */
    assert_string_equal(w->anomaly[0].body.layer, "stream");
    expect_stream(TO_SERVER, "abcdefZ");
    world_free(w);
}

static void resets_carry_no_stream(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    segment_to_server(w, 0, TCP_SYN, 999, 0, "", 0);
    segment_to_server(w, 1, TCP_ACK, 1000, 1, "abc", 3);
    segment_to_server(w, 2, TCP_RST | TCP_ACK, 1003, 1, "go away", 7);
    expect_stream(TO_SERVER, "abc");
    world_free(w);
}

/* ---- the parser's wishes */

static void done_and_over(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    probe.answer = STREAM_DONE;
    segment_to_server(w, 0, TCP_SYN, 999, 0, "", 0);
    segment_to_server(w, 1, TCP_ACK, 1000, 1, "abc", 3);
    segment_to_server(w, 2, TCP_ACK, 1003, 1, "def", 3);
    assert_int_equal(probe.calls, 1);
    assert_int_equal(probe.ends, 0);
    segment_to_client(w, 3, TCP_ACK, 1, 1006, "xyz", 3);
    assert_int_equal(probe.calls, 2);
    assert_int_equal(probe.ends, 1);
    world_free(w);

    w = taker_world(NULL);
    probe.answer = STREAM_OVER;
    segment_to_server(w, 1, TCP_ACK, 1000, 1, "abc", 3);
    segment_to_client(w, 3, TCP_ACK, 1, 1006, "xyz", 3);
    assert_int_equal(probe.calls, 1);
    assert_int_equal(probe.ends, 1);
    world_finish(w);
    assert_int_equal(probe.ends, 1);
    assert_string_equal(w->flow[0].e.body.app_proto, "taker");
    world_free(w);
}

static int64_t glutton_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                              uint32_t length) {
    (void)c;
    (void)direction;
    (void)data;
    (void)length;
    probe.calls++;
    return 0; /* always waits for more */
}

static void a_message_without_end(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    struct protocol glutton = taker;
    glutton.stream = glutton_stream;
    world_free(w);
    w = world_new(NULL, 1024, 1, &glutton);
    static uint8_t bytes[1400];
    uint32_t seq = 1000, bytes_sent = 0;
    for (int i = 0; i < 60; i++, seq += sizeof bytes, bytes_sent += sizeof bytes)
        segment_to_server(w, i * 0.01, TCP_ACK, seq, 1, bytes, sizeof bytes);
    assert_int_equal(probe.calls, STREAM_KEEP / sizeof bytes + 1);
    assert_int_equal(anomaly_count_of(w, "message_too_long"), 1);
    world_free(w);
}

static void kept_bytes_come_in_order_of_arrival(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    probe.yes_after = 8;
    segment_to_client(w, 0, TCP_ACK, 1, 1000, "hi", 2);
    segment_to_server(w, 1, TCP_ACK, 1000, 3, "abcd", 4);
    segment_to_client(w, 2, TCP_ACK, 3, 1004, "ho", 2);
    assert_int_equal(probe.calls, 0);
    segment_to_server(w, 3, TCP_ACK, 1004, 5, "efgh", 4);
    assert_string_equal(probe.order, "cscs");
    segment_to_server(w, 4, TCP_ACK, 1008, 5, "i", 1);
    expect_stream(TO_SERVER, "abcdefghi");
    expect_stream(TO_CLIENT, "hiho");
    world_free(w);
}

static void recognition_gives_up(void **state) {
    (void)state;
    struct world *w = taker_world(NULL);
    probe.yes_after = 4000;
    static uint8_t bytes[1000];
    for (uint32_t i = 0; i < 10; i++)
        segment_to_server(w, i * 0.01, TCP_ACK, 1000 + i * 1000, 1, bytes, 1000);
    world_finish(w);
    assert_int_equal(probe.calls, 0);
    assert_int_equal(probe.ends, 0);
    assert_null(w->flow[0].e.body.app_proto);
    world_free(w);
}

/* ---- at random */

struct piece {
    uint32_t at, length;
    bool dropped;
};

struct picture {
    uint8_t bytes[STREAM_MOST];
    bool here[STREAM_MOST];
    uint32_t length;
};

static uint8_t byte_of(uint32_t at, uint32_t version) {
    return (uint8_t)(at * 31 + (at >> 8) + version * 101);
}

/* Sends a stream of random pieces in random order. `conflict`: later copies may differ. `lossy`: some pieces
 * never come. `first_in_order`: the stream's first byte comes before all, since what is lost before anybody
 * speaks is not reported. Fills the picture of what came first for each byte. */
static void send_random(struct world *w, uint64_t *seed, struct picture *picture, uint32_t isn, bool conflict,
                        bool lossy, bool first_in_order) {
    static uint8_t data[4][STREAM_MOST];
    struct piece pieces[600];
    uint32_t count = 0, length = 200 + random_below(seed, STREAM_MOST - 600),
             most = 1 + random_below(seed, 1200);
    memset(picture, 0, sizeof *picture);
    picture->length = length;
    for (uint32_t v = 0; v < 4; v++)
        for (uint32_t i = 0; i < STREAM_MOST; i++) data[v][i] = byte_of(i, conflict ? v : 0);
    for (uint32_t at = 0; at < length && count < 400;) {
        uint32_t size = count == 399 ? length - at : 1 + random_below(seed, most);
        if (size > length - at) size = length - at;
        pieces[count++] = (struct piece){at, size, lossy && at > 0 && random_below(seed, 8) == 0};
        at += size;
    }
    uint32_t extra = random_below(seed, 150);
    for (uint32_t i = 0; i < extra; i++) { /* copies and overlaps */
        uint32_t at = random_below(seed, length), size = 1 + random_below(seed, most);
        if (size > length - at) size = length - at;
        pieces[count++] = (struct piece){at, size, lossy};
    }
    uint32_t reach = 1 + random_below(seed, 40); /* how far a piece may be moved */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = i + random_below(seed, reach);
        if (j >= count) j = count - 1;
        struct piece swap = pieces[i];
        pieces[i] = pieces[j];
        pieces[j] = swap;
    }
    if (first_in_order) {
        picture->here[0] = true;
        picture->bytes[0] = data[0][0];
        segment_to_server(w, 0, TCP_ACK, isn + 1, 1, data[0], 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (pieces[i].dropped) continue;
        uint32_t at = pieces[i].at, size = pieces[i].length;
        const uint8_t *bytes = data[random_below(seed, 4)] + at;
        for (uint32_t k = at; k < at + size; k++) {
            if (picture->here[k]) continue;
            picture->here[k] = true;
            picture->bytes[k] = bytes[k - at];
        }
        segment_to_server(w, i * 0.0001, TCP_ACK, isn + 1 + at, 1, bytes, size);
    }
}

/* The parser got each byte that came, as it came first, and a gap for each that did not, up to the last that
 * came. */
static void compare(const struct picture *picture, bool exact_gaps) {
    uint32_t last = 0, missing = 0;
    for (uint32_t i = 0; i < picture->length; i++)
        if (picture->here[i]) last = i + 1;
    for (uint32_t i = 0; i < last; i++) missing += !picture->here[i];
    assert_false(probe.broken);
    for (uint32_t i = 0; i < picture->length; i++) {
        if (probe.here[TO_SERVER][i]) {
            assert_true(picture->here[i]);
            assert_int_equal(probe.bytes[TO_SERVER][i], picture->bytes[i]);
        }
    }
    if (!exact_gaps) return;
    assert_int_equal(probe.gap_bytes[TO_SERVER], missing);
    for (uint32_t i = 0; i < picture->length; i++)
        assert_int_equal(probe.here[TO_SERVER][i], picture->here[i]);
}

static void random_case(uint64_t number, bool conflict, bool lossy, bool moody) {
    struct world *w = taker_world(NULL);
    uint64_t seed = 0x9e3779b97f4a7c15ULL * (number + 1);
    if (moody) probe.seed = seed ^ 0xabcdef;
    struct picture picture;
    uint32_t isn = number % 2 ? random_next(&seed) : UINT32_MAX - random_below(&seed, 3000);
    segment_to_server(w, 0, TCP_SYN, isn, 0, "", 0);
    send_random(w, &seed, &picture, isn, conflict, lossy, false);
    world_finish(w);
    compare(&picture, !moody);
    assert_int_equal(probe.ends, 1);
    if (!lossy) assert_int_equal(probe.gaps, 0);
    assert_int_equal(flow_room_counters(w->room)->reassembly_dropped, 0);
    if (!conflict) assert_int_equal(anomaly_count_of(w, "overlap_mismatch"), 0);
    world_free(w);
}

static void random_orders(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 1500; i++) random_case(i, false, false, false);
}

static void random_conflicts(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 1500; i++) random_case(10000 + i, true, false, false);
}

static void random_losses(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 1500; i++) random_case(20000 + i, true, true, false);
}

static void random_appetite(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 1500; i++) random_case(30000 + i, i % 2, i % 3 == 0, true);
}

static void bounds_hold(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 300; i++) {
        struct flow_config config = flow_config_defaults();
        config.max_flows = 16;
        config.max_names = 8;
        config.reassembly_per_flow = 2048 * (1 + (uint32_t)(i % 4)) - (i % 5 == 0);
        config.reassembly_total = i % 2 ? 8192 : 1 << 20;
        struct world *w = taker_world(&config);
        uint64_t seed = 0x1234567 * (i + 1);
        struct picture picture;
        uint32_t isn = random_next(&seed);
        segment_to_server(w, 0, TCP_SYN, isn, 0, "", 0);
        send_random(w, &seed, &picture, isn, true, i % 2, true);
        world_finish(w);
        compare(&picture, false);
        world_free(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(early_segments_wait),
        cmocka_unit_test(acknowledged_hole_is_a_gap),
        cmocka_unit_test(hole_at_the_end_of_flow),
        cmocka_unit_test(keep_alives_are_nothing),
        cmocka_unit_test(payload_of_the_syn),
        cmocka_unit_test(nothing_counts_beyond_fin),
        cmocka_unit_test(middle_of_a_connection),
        cmocka_unit_test(what_snaplen_cut_is_a_gap),
        cmocka_unit_test(conflicting_copies_are_an_anomaly),
        cmocka_unit_test(resets_carry_no_stream),
        cmocka_unit_test(done_and_over),
        cmocka_unit_test(a_message_without_end),
        cmocka_unit_test(kept_bytes_come_in_order_of_arrival),
        cmocka_unit_test(recognition_gives_up),
        cmocka_unit_test(random_orders),
        cmocka_unit_test(random_conflicts),
        cmocka_unit_test(random_losses),
        cmocka_unit_test(random_appetite),
        cmocka_unit_test(bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
