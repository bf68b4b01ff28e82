/* What heads of events say is missing of a flow: each word when it is due, and not for what is normal. */
#include "packets.h"

#define MAC    "10.0.0.1"
#define SERVER "192.0.2.9"

static struct world *usual(void) {
    return world_new(NULL, 1024, 1, NULL);
}

static void segment(struct world *w, double time, bool by_client, uint8_t flags, uint32_t seq,
                    const char *data) {
    uint32_t length = (uint32_t)strlen(data);
    struct decoded d = by_client ? tcp(MAC, 50000, SERVER, 443, flags, seq, 1, data, length)
                                 : tcp(SERVER, 443, MAC, 50000, flags, seq, 1, data, length);
    world_packet(w, time, &d);
}

static void expect(struct world *w, const char *partial) {
    world_finish(w);
    assert_int_equal(w->flows, 1);
    const char *said = w->flow[0].e.head.partial;
    if (partial)
        assert_string_equal(said ? said : "nothing", partial);
    else
        assert_null(said);
    world_free(w);
}

static void a_whole_flow_lacks_nothing(void **state) {
    (void)state;
    struct world *w = usual();
    segment(w, 0, true, TCP_SYN, 100, "");
    segment(w, 0.01, false, TCP_SYN | TCP_ACK, 500, "");
    segment(w, 0.02, true, TCP_ACK, 101, "question");
    segment(w, 0.03, false, TCP_ACK, 501, "answer");
    expect(w, NULL);
}

static void without_its_syn_it_is_midstream(void **state) {
    (void)state;
    struct world *w = usual();
    segment(w, 0, true, TCP_ACK, 101, "question");
    segment(w, 0.1, false, TCP_ACK, 501, "answer");
    expect(w, "midstream");
}

static void missing_bytes_are_gaps(void **state) {
    (void)state;
    struct world *w = usual();
    segment(w, 0, true, TCP_SYN, 100, "");
    segment(w, 0.01, false, TCP_SYN | TCP_ACK, 500, "");
    segment(w, 0.02, true, TCP_ACK, 101, "question");
    segment(w, 0.03, true, TCP_ACK, 119, "later");
    expect(w, "gaps");
}

static void a_late_segment_is_no_gap(void **state) {
    (void)state;
    struct world *w = usual();
    segment(w, 0, true, TCP_SYN, 100, "");
    segment(w, 0.01, false, TCP_SYN | TCP_ACK, 500, "");
    segment(w, 0.02, true, TCP_ACK, 109, "later");
    segment(w, 0.03, true, TCP_ACK, 101, "question");
    expect(w, NULL);
}

/* The word is that of the moment: the exchange ended when nothing was missing yet. */
static void events_have_the_word_of_their_time(void **state) {
    (void)state;
    struct world *w = usual();
    segment(w, 0, true, TCP_SYN, 100, "");
    segment(w, 0.01, false, TCP_SYN | TCP_ACK, 500, "");
    segment(w, 0.02, true, TCP_ACK, 101, "question");
    segment(w, 30, true, TCP_ACK, 119, "later");
    world_finish(w);
    assert_null(w->start[0].head.partial);
    assert_int_equal(w->onsets, 2);
    assert_null(w->onset[0].e.head.partial);
    assert_string_equal(w->onset[1].e.head.partial, "gaps");
    assert_string_equal(w->flow[0].e.head.partial, "gaps");
    world_free(w);
}

static void a_client_that_acknowledges_was_answered(void **state) {
    (void)state;
    struct world *w = usual();
    segment(w, 0, true, TCP_SYN, 100, "");
    segment(w, 0.01, true, TCP_ACK, 101, "question");
    expect(w, "one-sided");
}

static void a_server_that_speaks_was_asked(void **state) {
    (void)state;
    struct world *w = usual();
    segment(w, 0, false, TCP_SYN | TCP_ACK, 500, "");
    segment(w, 0.1, false, TCP_ACK, 501, "answer");
    expect(w, "midstream, one-sided");
}

static void unanswered_calls_are_not_one_sided(void **state) {
    (void)state;
    struct world *w = usual();
    for (int i = 0; i < 6; i++) segment(w, i * 3, true, TCP_SYN, 100, "");
    expect(w, NULL);
}

static void echoes_of_forged_calls_are_not_one_sided(void **state) {
    (void)state;
    struct world *w = usual();
    for (int i = 0; i < 4; i++) segment(w, i * 3, false, TCP_SYN | TCP_ACK, 500, "");
    expect(w, "midstream");
}

static void midstream_it_takes_a_second_of_progress(void **state) {
    (void)state;
    struct world *w = usual();
    segment(w, 0, true, TCP_ACK, 101, "one");
    segment(w, 0.2, true, TCP_ACK, 104, "two");
    expect(w, "midstream");
    w = usual();
    segment(w, 0, true, TCP_ACK, 101, "one");
    segment(w, 1.2, true, TCP_ACK, 104, "two");
    expect(w, "midstream, one-sided");
}

/* To a host that is gone: the same bytes, the same FIN. */
static void what_is_sent_again_is_not_one_sided(void **state) {
    (void)state;
    struct world *w = usual();
    for (int i = 0; i < 6; i++) segment(w, i * 3, true, TCP_ACK, 101, "one");
    expect(w, "midstream");
    w = usual();
    for (int i = 0; i < 6; i++) segment(w, i * 3, true, TCP_FIN | TCP_ACK, 101, "");
    expect(w, "midstream");
}

static void datagrams(const char *from, uint16_t from_port, const char *to, uint16_t to_port, int count,
                      double gap, const char *partial) {
    struct world *w = usual();
    for (int i = 0; i < count; i++) {
        struct decoded d = udp(from, from_port, to, to_port, "x");
        world_packet(w, i * gap, &d);
    }
    expect(w, partial);
}

static void datagrams_without_an_answer(void **state) {
    (void)state;
    datagrams(MAC, 50000, SERVER, 53, 5, 1, NULL);             /* a resolver that is down */
    datagrams(SERVER, 53, MAC, 50000, 1, 1, "one-sided");      /* nobody answers unasked */
    datagrams(MAC, 50000, SERVER, 443, 150, 0.1, "one-sided"); /* nobody goes on so without */
    datagrams(MAC, 5353, "224.0.0.251", 5353, 150, 0.1, NULL);
    datagrams(MAC, 50000, SERVER, 514, 150, 0.1, NULL); /* syslog */
}

static void cut_payload_is_told(void **state) {
    (void)state;
    struct world *w = usual();
    segment(w, 0, true, TCP_SYN, 100, "");
    segment(w, 0.01, false, TCP_SYN | TCP_ACK, 500, "");
    struct decoded d = tcp(MAC, 50000, SERVER, 443, TCP_ACK, 101, 501, "question", 8);
    d.payload_captured = 3;
    world_packet(w, 0.02, &d);
    expect(w, "cut");
}

static void losses_mark_what_is_open(void **state) {
    (void)state;
    struct world *w = usual();
    struct decoded d = udp(MAC, 50000, SERVER, 53, "x"), answer = udp(SERVER, 53, MAC, 50000, "x");
    world_packet(w, 0, &d);
    world_packet(w, 1, &answer);
    flow_room_lost(w->room);
    d = udp(MAC, 50001, SERVER, 53, "x");
    world_packet(w, 2, &d);
    world_finish(w);
    assert_int_equal(w->flows, 2);
    assert_string_equal(w->flow[0].e.head.partial, "dropped");
    assert_null(w->flow[1].e.head.partial);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_flow_lacks_nothing),
        cmocka_unit_test(without_its_syn_it_is_midstream),
        cmocka_unit_test(missing_bytes_are_gaps),
        cmocka_unit_test(a_late_segment_is_no_gap),
        cmocka_unit_test(events_have_the_word_of_their_time),
        cmocka_unit_test(a_client_that_acknowledges_was_answered),
        cmocka_unit_test(a_server_that_speaks_was_asked),
        cmocka_unit_test(unanswered_calls_are_not_one_sided),
        cmocka_unit_test(echoes_of_forged_calls_are_not_one_sided),
        cmocka_unit_test(midstream_it_takes_a_second_of_progress),
        cmocka_unit_test(what_is_sent_again_is_not_one_sided),
        cmocka_unit_test(datagrams_without_an_answer),
        cmocka_unit_test(cut_payload_is_told),
        cmocka_unit_test(losses_mark_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
