/* Flows: who is the client, what is counted, how and when flows end, exchanges, and that nothing depends on
 * bursts. */
#include "packets.h"

static char filler[4096];

static struct world *usual(void) {
    return world_new(NULL, 1024, 1, NULL);
}

static const struct event_flow_body *only_flow(struct world *w) {
    world_finish(w);
    assert_int_equal(w->flows, 1);
    return &w->flow[0].e.body;
}

/* ---- who is the client */

static void expect_client(struct decoded d, const char *client) {
    struct world *w = usual();
    world_packet(w, 0, &d);
    only_flow(w);
    char text[IP_TEXT_SIZE];
    ip_format(&w->flow[0].e.head.client_ip, text);
    assert_string_equal(text, client);
    world_free(w);
}

static void roles_by_syn(void **state) {
    (void)state;
    expect_client(tcp("10.0.0.1", 80, "10.0.0.2", 50000, TCP_SYN, 1, 0, "", 0), "10.0.0.1");
    expect_client(tcp("10.0.0.1", 50000, "10.0.0.2", 80, TCP_SYN | TCP_ACK, 1, 2, "", 0), "10.0.0.2");
}

static void roles_by_port(void **state) {
    (void)state;
    expect_client(tcp("10.0.0.1", 443, "10.0.0.2", 50000, TCP_ACK, 1, 2, "x", 1), "10.0.0.2");
    expect_client(tcp("10.0.0.1", 50000, "10.0.0.2", 443, TCP_ACK, 1, 2, "x", 1), "10.0.0.1");
    expect_client(tcp("10.0.0.1", 5223, "10.0.0.2", 50000, TCP_ACK, 1, 2, "x", 1), "10.0.0.2");
    expect_client(udp("10.0.0.1", 53, "10.0.0.2", 50000, "x"), "10.0.0.2");
    expect_client(udp("10.0.0.1", 50001, "10.0.0.2", 50000, "x"), "10.0.0.1");
    expect_client(udp("10.0.0.1", 123, "10.0.0.2", 123, "x"), "10.0.0.1");
}

static void roles_by_multicast(void **state) {
    (void)state;
    expect_client(udp("10.0.0.1", 53, "224.0.0.251", 50000, "x"), "10.0.0.1");
    expect_client(udp("10.0.0.1", 67, "255.255.255.255", 68, "x"), "10.0.0.1");
    expect_client(udp("fe80::1", 53, "ff02::fb", 50000, "x"), "fe80::1");
}

static void roles_of_echo(void **state) {
    (void)state;
    expect_client(echo("10.0.0.9", "10.0.0.2", false, 7, 1), "10.0.0.2");
    expect_client(echo("10.0.0.9", "10.0.0.2", true, 7, 1), "10.0.0.9");
}

/* ---- what is a flow */

static void echo_meets_its_reply(void **state) {
    (void)state;
    struct world *w = usual();
    struct decoded packets[] = {echo("10.0.0.1", "10.0.0.2", true, 7, 1),
                                echo("10.0.0.2", "10.0.0.1", false, 7, 1),
                                echo("10.0.0.1", "10.0.0.2", true, 8, 1)};
    for (int i = 0; i < 3; i++) world_packet(w, i, &packets[i]);
    world_finish(w);
    assert_int_equal(w->flows, 2);
    assert_int_equal(w->flow[0].e.body.client_packets, 1);
    assert_int_equal(w->flow[0].e.body.server_packets, 1);
    assert_int_equal(w->flow[0].e.head.client_port, 0);
    assert_string_equal(w->flow[0].e.head.proto, "ICMP");
    world_free(w);
}

static void vlan_and_interface_part_flows(void **state) {
    (void)state;
    struct world *w = usual();
    struct decoded d = udp("10.0.0.1", 5000, "10.0.0.2", 6000, "x");
    world_packet(w, 0, &d);
    d.vlan = 7;
    world_packet(w, 0, &d);
    w->packets[0].interface = 1;
    world_finish(w);
    assert_int_equal(w->flows, 2);
    assert_int_equal(w->flow[1].e.head.vlan, 7);
    world_free(w);
}

static void home_networks_are_marked(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    handshake(&c, 0);
    only_flow(w);
    assert_true(w->flow[0].e.head.client_local);
    assert_false(w->flow[0].e.head.server_local);
    world_free(w);
}

/* ---- counting */

static void counters_and_rhythm(void **state) {
    (void)state;
    struct world *w = usual();
    memset(filler, 'f', sizeof filler);
    char full[1401];
    memset(full, 'g', 1400);
    full[1400] = '\0';
    struct connection c = connection_of(w, 50000);
    handshake(&c, 0);
    from_client(&c, 0.1, TCP_ACK | TCP_PSH, "GET / HTTP/1.1\r\n\r\n"); /* 18 bytes */
    from_server(&c, 0.5, TCP_ACK, full);                               /* a pause and a turn */
    from_server(&c, 0.51, TCP_ACK, full);
    from_client(&c, 0.52, TCP_ACK, "");
    from_client(&c, 70.6, TCP_ACK, "again"); /* more than 60 s: no pause, but a turn */
    from_client(&c, 70.9, TCP_ACK, "more");  /* a pause */
    const struct event_flow_body *f = only_flow(w);
    assert_int_equal(f->client_packets, 6);
    assert_int_equal(f->server_packets, 3);
    assert_int_equal(f->client_payload, 18 + 5 + 4);
    assert_int_equal(f->server_payload, 2800);
    assert_int_equal(f->client_bytes, 6 * 54 + 27);
    assert_int_equal(f->turns, 2);
    assert_int_equal(f->client_pauses, 1);
    assert_int_equal(f->server_pauses, 1);
    assert_int_equal(f->client_small, 3);
    assert_int_equal(f->server_small, 0);
    assert_int_equal(f->server_full, 2);
    assert_string_equal(w->flow[0].client_head, "GET / HTTP/1.1\r\n\r\nagainmore");
    assert_int_equal(f->server_head.length, 64);
    assert_int_equal(f->tcp_flags_client, TCP_SYN | TCP_ACK | TCP_PSH);
    assert_int_equal(f->tcp_flags_server, TCP_SYN | TCP_ACK);
    assert_true(f->rtt > 0.0299 && f->rtt < 0.0301);
    assert_true(f->age > 70.899 && f->age < 70.901);
    assert_string_equal(f->state, "established");
    assert_string_equal(f->tcp_state, "established");
    assert_false(f->midstream);
    assert_int_equal(f->gap_bytes, 0);
    assert_int_equal(f->retransmits, 0);
    world_free(w);
}

static void round_trip_needs_one_syn(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    from_client(&c, 0, TCP_SYN, "");
    c.client_seq--;
    from_client(&c, 1, TCP_SYN, "");
    from_server(&c, 1.02, TCP_SYN | TCP_ACK, "");
    from_client(&c, 1.03, TCP_ACK, "");
    const struct event_flow_body *f = only_flow(w);
    assert_true(f->rtt == 0);
    assert_int_equal(f->client_packets, 3);
    world_free(w);
}

static void retransmissions_and_losses(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    handshake(&c, 0);
    from_client(&c, 1, TCP_ACK, "0123456789");
    c.client_seq -= 10;
    from_client(&c, 1.3, TCP_ACK, "0123456789"); /* again */
    c.client_seq += 100;                         /* lost for good */
    from_client(&c, 1.4, TCP_ACK, "abcde");
    c.client_seq += 5; /* late, not lost */
    from_client(&c, 1.5, TCP_ACK, "klmno");
    c.client_seq -= 10;
    from_client(&c, 1.6, TCP_ACK, "fghij");
    c.client_seq += 5;
    c.client_seq--;
    from_client(&c, 20, TCP_ACK, "o"); /* keep-alive */
    const struct event_flow_body *f = only_flow(w);
    assert_int_equal(f->client_payload, 10 + 10 + 5 + 5 + 5);
    assert_int_equal(f->retransmits, 1);
    assert_int_equal(f->gap_bytes, 100);
    assert_int_equal(f->client_small, 4);
    assert_int_equal(f->onsets, 1);
    world_free(w);
}

static void sequence_numbers_wrap(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    c.client_seq = UINT32_MAX - 5;
    handshake(&c, 0);
    from_client(&c, 1, TCP_ACK, "0123456789");
    from_client(&c, 1.1, TCP_ACK, "0123456789");
    c.client_seq -= 20;
    from_client(&c, 1.2, TCP_ACK, "0123456789");
    const struct event_flow_body *f = only_flow(w);
    assert_int_equal(f->client_payload, 30);
    assert_int_equal(f->retransmits, 1);
    assert_int_equal(f->gap_bytes, 0);
    world_free(w);
}

static void start_shows_the_syn(void **state) {
    (void)state;
    struct world *w = usual();
    static const uint8_t options[] = {2, 4, 0x05, 0xb4, 1, 3, 3, 6, 1, 1, 8, 10,
                                      0, 0, 0,    1,    0, 0, 0, 0, 4, 2, 0, 0};
    struct decoded d = tcp("10.0.0.1", 50000, "1.2.3.4", 443, TCP_SYN | TCP_ECE | TCP_CWR, 1, 0, "abc", 3);
    d.tcp_options = options;
    d.tcp_options_length = sizeof options;
    d.dont_fragment = true;
    world_packet(w, 0, &d);
    world_finish(w);
    assert_int_equal(w->starts, 1);
    const struct event_flow_start_body *s = &w->start[0].body;
    assert_string_equal(w->start_options[0], "mss,nop,ws,nop,nop,ts,sok,eol+1");
    assert_true(s->syn && s->ecn_setup && s->df && s->id_zero);
    assert_int_equal(s->mss, 1460);
    assert_int_equal(s->wscale, 6);
    assert_int_equal(s->window, 65535);
    assert_int_equal(s->syn_payload, 3);
    world_free(w);
}

/* ---- how flows end */

static void expect_end(struct world *w, const char *reason, const char *tcp_state) {
    world_finish(w);
    assert_true(w->flows >= 1);
    assert_string_equal(w->flow[0].e.body.reason, reason);
    assert_string_equal(w->flow[0].e.body.tcp_state, tcp_state);
    world_free(w);
}

static void ends_by_fin(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    handshake(&c, 0);
    from_client(&c, 1, TCP_FIN | TCP_ACK, "");
    from_server(&c, 1.1, TCP_FIN | TCP_ACK, "");
    from_client(&c, 1.2, TCP_ACK, "");
    flow_room_advance(w->room, world_epoch + SECONDS(11.1));
    assert_int_equal(w->flows, 0);
    flow_room_advance(w->room, world_epoch + SECONDS(100));
    assert_int_equal(w->flows, 1);
    assert_true(w->flow[0].e.head.clock ==
                world_epoch + SECONDS(11.2)); /* at its deadline, not when looked at */
    assert_true(w->flow[0].e.body.finish == world_epoch + SECONDS(1.2));
    assert_string_equal(w->flow[0].e.body.state, "closed");
    expect_end(w, "fin", "closed");
}

static void ends_by_rst(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    from_client(&c, 0, TCP_SYN, "");
    from_server(&c, 0.1, TCP_RST | TCP_ACK, "");
    expect_end(w, "rst", "closed");
}

static void ends_by_timeout(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection half = connection_of(w, 50000), whole = connection_of(w, 50001);
    from_client(&half, 0, TCP_SYN, "");
    handshake(&whole, 0);
    struct decoded query = udp("10.0.0.1", 5000, "10.0.0.2", 53, "q"),
                   lone = udp("10.0.0.1", 5001, "10.0.0.2", 53, "q"),
                   answer = udp("10.0.0.2", 53, "10.0.0.1", 5000, "a");
    world_packet(w, 0.1, &query);
    world_packet(w, 0.2, &lone);
    world_packet(w, 0.3, &answer);
    flow_room_advance(w->room, world_epoch + SECONDS(5000));
    static const struct {
        uint16_t port;
        double ended;
    } expected[] = {{5001, 30.2}, {50000, 60}, {5000, 180.3}, {50001, 3600.03}};
    assert_int_equal(w->flows, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(w->flow[i].e.head.client_port, expected[i].port);
        assert_string_equal(w->flow[i].e.body.reason, "timeout");
        assert_true(w->flow[i].e.head.clock == world_epoch + SECONDS(expected[i].ended));
    }
    assert_int_equal(flow_room_counters(w->room)->active, 0);
    world_free(w);
}

static void packets_put_the_timeout_off(void **state) {
    (void)state;
    struct world *w = usual();
    struct decoded d = udp("10.0.0.1", 5000, "10.0.0.2", 53, "q");
    for (int i = 0; i < 100; i++) world_packet(w, i * 29.9, &d);
    assert_int_equal(w->flows, 0);
    world_packet(w, 99 * 29.9 + 30, &d); /* just at the deadline: a new flow */
    world_finish(w);
    assert_int_equal(w->flows, 2);
    assert_int_equal(w->flow[0].e.body.client_packets, 100);
    assert_string_equal(w->flow[1].e.body.reason, "end_of_capture");
    world_free(w);
}

static void ends_by_reuse(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    handshake(&c, 0);
    c.client_seq = 77777;
    from_client(&c, 1, TCP_SYN, "");
    world_flush(w);
    assert_int_equal(w->flows, 1);
    expect_end(w, "reused", "established");

    w = usual(); /* the same SYN again is no new connection */
    c = connection_of(w, 50000);
    from_client(&c, 0, TCP_SYN, "");
    c.client_seq--;
    from_client(&c, 1, TCP_SYN, "");
    expect_end(w, "end_of_capture", "syn_sent");
    assert_int_equal(1, 1);

    w = usual(); /* a closed flow has its own reason */
    c = connection_of(w, 50000);
    handshake(&c, 0);
    from_client(&c, 1, TCP_FIN | TCP_ACK, "");
    from_server(&c, 1.1, TCP_FIN | TCP_ACK, "");
    c.client_seq = 9;
    from_client(&c, 2, TCP_SYN, "");
    world_flush(w);
    assert_int_equal(w->flows, 1);
    expect_end(w, "fin", "closed");
}

static void finish_in_order_of_birth(void **state) {
    (void)state;
    struct world *w = usual();
    for (int i = 0; i < 500; i++) {
        struct decoded d = udp("10.0.0.1", (uint16_t)(2000 + i * 37 % 501), "10.0.0.2", 53, "q");
        world_packet(w, i * 0.001, &d);
    }
    world_finish(w);
    assert_int_equal(w->flows, 500);
    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(w->flow[i].e.head.flow_id, i + 1);
        assert_string_equal(w->flow[i].e.body.reason, "end_of_capture");
    }
    world_free(w);
}

static void eviction_keeps_the_bound(void **state) {
    (void)state;
    struct flow_config config = flow_config_defaults();
    config.max_flows = 100;
    config.max_names = 8;
    struct world *w = world_new(&config, 1024, 1, NULL);
    struct connection settled[20];
    for (int i = 0; i < 20; i++) {
        settled[i] = connection_of(w, (uint16_t)(40000 + i));
        handshake(&settled[i], 0);
    }
    for (int i = 0; i < 1000; i++) { /* a scan: half-open connections go first, the oldest first */
        struct decoded d = tcp("10.0.0.66", (uint16_t)(2000 + i), "10.0.0.2", 22, TCP_SYN, 1, 0, "", 0);
        world_packet(w, 1 + i * 0.001, &d);
        assert_true(flow_room_counters(w->room)->active <= 100);
    }
    assert_int_equal(w->flows, 920);
    for (int i = 0; i < 920; i++) {
        assert_int_equal(w->flow[i].e.head.client_port, 2000 + i);
        assert_string_equal(w->flow[i].e.body.reason, "evicted");
    }
    assert_int_equal(flow_room_counters(w->room)->ended_evicted, 920);
    assert_int_equal(flow_room_counters(w->room)->active_peak, 100);
    world_finish(w);
    assert_int_equal(w->flows, 1020);
    world_free(w);
}

static void clock_jumps(void **state) {
    (void)state;
    struct world *w = usual();
    struct decoded a = udp("10.0.0.1", 5000, "10.0.0.2", 53, "q"),
                   b = udp("10.0.0.1", 5001, "10.0.0.2", 53, "q");
    world_packet(w, 0, &a);
    world_packet(w, 20.0 * 365 * 86400, &b); /* 20 years on */
    assert_int_equal(w->flows, 1);
    world_packet(w, 1, &a); /* and back: the clock stays, the flow lives by it */
    world_packet(w, 2, &a);
    flow_room_advance(w->room, world_epoch + SECONDS(20.0 * 365 * 86400 + 29));
    assert_int_equal(w->flows, 1);
    world_finish(w);
    assert_int_equal(w->flows, 3);
    assert_int_equal(w->flow[2].e.body.client_packets, 2);
    assert_true(w->flow[2].e.body.age == 1);
    world_free(w);
}

/* ---- exchanges */

static void onset_is(const struct seen_onset *o, const char *kind, double at, uint64_t client,
                     uint64_t server, double duration) {
    assert_string_equal(o->e.body.kind, kind);
    assert_true(o->e.head.time == world_epoch + SECONDS(at));
    assert_int_equal(o->e.body.client_payload, client);
    assert_int_equal(o->e.body.server_payload, server);
    assert_true(o->e.body.duration > duration - 1e-6 && o->e.body.duration < duration + 1e-6);
}

static void onsets_of_a_connection(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    handshake(&c, 0);
    from_client(&c, 0.1, TCP_ACK, "hello");
    from_client(&c, 1.9, TCP_ACK, "still"); /* less than 2 s: the same exchange */
    from_server(&c, 3.5, TCP_ACK, "answer");
    from_client(&c, 3.9, TCP_ACK, "next!!"); /* 2 s after the client's last payload */
    from_server(&c, 4.0, TCP_ACK, "ok");
    c.client_seq -= 6;
    from_client(&c, 7, TCP_ACK, "next!!"); /* sent again: nothing */
    c.client_seq--;
    from_client(&c, 9, TCP_ACK, "!"); /* keep-alive: nothing */
    flow_room_advance(w->room, world_epoch + SECONDS(13.9));
    assert_int_equal(w->onsets, 1);
    flow_room_advance(w->room, world_epoch + SECONDS(14.5));
    assert_int_equal(w->onsets, 2);
    assert_true(w->onset[1].e.head.clock == world_epoch + SECONDS(14)); /* 10 s of silence after 4.0 */
    from_server(&c, 20, TCP_ACK, "a push nobody asked for");
    from_client(&c, 25, TCP_ACK, "third");
    const struct event_flow_body *f = only_flow(w);
    assert_int_equal(w->onsets, 3);
    onset_is(&w->onset[0], "start", 0, 10, 6, 3.5);
    onset_is(&w->onset[1], "burst", 3.9, 6, 2, 0.1);
    onset_is(&w->onset[2], "burst", 25, 5, 0, 0);
    assert_int_equal(f->onsets, 3);
    world_free(w);
}

static void onset_without_payload(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    handshake(&c, 5);
    only_flow(w);
    assert_int_equal(w->onsets, 1);
    onset_is(&w->onset[0], "start", 5, 0, 0, 0);
    world_free(w);
}

static void first_payload_belongs_to_the_start(void **state) {
    (void)state;
    struct world *w = usual();
    struct connection c = connection_of(w, 50000);
    handshake(&c, 0);
    from_server(&c, 1, TCP_ACK, "220 mail");
    from_client(&c, 4, TCP_ACK, "EHLO");
    only_flow(w);
    assert_int_equal(w->onsets, 1);
    onset_is(&w->onset[0], "start", 0, 4, 8, 4);
    world_free(w);
}

static void onsets_of_datagrams(void **state) {
    (void)state;
    struct world *w = usual();
    struct decoded ask = udp("10.0.0.1", 5000, "10.0.0.2", 53, "query"),
                   answer = udp("10.0.0.2", 53, "10.0.0.1", 5000, "an");
    struct decoded ping = echo("10.0.0.1", "10.0.0.2", true, 1, 1);
    world_packet(w, 0, &ask);
    world_packet(w, 0.1, &answer);
    world_packet(w, 5, &ask);
    world_packet(w, 6, &ping);
    world_finish(w);
    assert_int_equal(w->onsets, 2);
    onset_is(&w->onset[0], "start", 0, 5, 2, 0.1);
    onset_is(&w->onset[1], "burst", 5, 5, 0, 0);
    world_free(w);
}

/* ---- the same whatever the bursts */

static char *transcript_of(uint32_t batch_limit, int burst) {
    struct flow_config config = flow_config_defaults();
    config.max_flows = 150; /* evictions too */
    config.max_names = 8;
    config.timeout_udp_new = SECONDS(3);
    struct world *w = world_new(&config, batch_limit, burst, NULL);
    uint64_t seed = 12345;
    uint32_t seq[64][2] = {{0}};
    static const char payload[] = "some bytes that are sent by either side, some of them more than once";
    static const uint8_t flags[] = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK,           TCP_ACK,
                                    TCP_ACK, TCP_ACK | TCP_PSH, TCP_FIN | TCP_ACK, TCP_RST};
    double at = 0;
    for (int i = 0; i < 6000; i++) {
        uint32_t who = random_below(&seed, 64), side = random_below(&seed, 2),
                 length = random_below(&seed, 60);
        uint16_t client = (uint16_t)(30000 + who), server = 443;
        at += random_below(&seed, 1000) ? random_below(&seed, 100) * 0.001 : 15;
        struct decoded d;
        if (random_below(&seed, 3) == 0) {
            client = (uint16_t)(1024 + random_below(&seed, 3000));
            d = transport(17, "10.0.0.1", client, "10.0.0.2", 53, payload, length);
        } else {
            uint8_t flag = flags[random_below(&seed, 8)];
            if (flag & (TCP_SYN | TCP_RST)) length = 0;
            d = side ? tcp("10.0.0.1", client, "10.0.0.2", server, flag, seq[who][0], seq[who][1], payload,
                           length)
                     : tcp("10.0.0.2", server, "10.0.0.1", client, flag, seq[who][1], seq[who][0], payload,
                           length);
            if (random_below(&seed, 4)) seq[who][!side] += length;
        }
        if (i % 97 == 0) {
            d.anomaly = "bad_option";
            d.anomaly_protocol = "tcp";
        }
        world_packet(w, at - (i % 13 == 0 ? 0.5 : 0), &d);
    }
    world_finish(w);
    assert_true(w->flows > 1500 && w->onsets > 1000);
    char *text = w->text;
    w->text = NULL;
    world_free(w);
    return text;
}

static void events_do_not_depend_on_bursts(void **state) {
    (void)state;
    char *one = transcript_of(1024, 1);
    static const struct {
        uint32_t limit;
        int burst;
    } ways[] = {{1024, 64}, {1, 64}, {7, 13}, {1024, 256}, {100, 2}};
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        char *other = transcript_of(ways[i].limit, ways[i].burst);
        assert_string_equal(one, other);
        free(other);
    }
    free(one);
}

static void clock_of_events_never_runs_back(void **state) {
    (void)state;
    char *text = transcript_of(1024, 64);
    nanoseconds last = 0;
    for (char *at = strstr(text, " clock="); at; at = strstr(at + 1, " clock=")) {
        nanoseconds clock = strtoll(at + 7, NULL, 10);
        assert_true(clock >= last);
        last = clock;
    }
    free(text);
}

static void anomalies_are_counted(void **state) {
    (void)state;
    struct world *w = usual();
    struct decoded d = udp("10.0.0.1", 5000, "10.0.0.2", 53, "q");
    d.anomaly = "bad_length";
    d.anomaly_protocol = "udp";
    for (int i = 0; i < 5; i++) world_packet(w, i, &d);
    d = (struct decoded){.kind = DECODED_NOTHING, .anomaly = "bad_version", .anomaly_protocol = "ip"};
    for (int i = 0; i < 7; i++) world_packet(w, 5 + i, &d);
    world_finish(w);
    assert_int_equal(w->anomalies, 1); /* the first of the flow */
    struct anomaly_count counts[4];
    assert_int_equal(flow_room_anomalies(w->room, counts, 4), 2);
    assert_string_equal(counts[0].name, "bad_version");
    assert_int_equal(counts[0].count, 7);
    assert_string_equal(counts[1].protocol, "udp");
    assert_int_equal(counts[1].count, 5);
    world_free(w);
}

/* Anything may come from the wire: nothing must break, and memory must come back. */
static void noise(void **state) {
    (void)state;
    struct flow_config config = flow_config_defaults();
    config.max_flows = 64;
    config.max_names = 8;
    struct world *w = world_new(&config, 1024, 64, NULL);
    uint64_t seed = 99;
    memset(filler, 'n', sizeof filler);
    for (int i = 0; i < 200000; i++) {
        struct decoded d = {.kind = (uint8_t)random_below(&seed, 3)};
        static const uint8_t protos[] = {1, 6, 6, 6, 17, 17, 58, 132, 47};
        d.proto = protos[random_below(&seed, 9)];
        d.has_ports = random_below(&seed, 8) > 0;
        d.src.bytes[15] = (uint8_t)random_below(&seed, 4);
        d.dst.bytes[15] = (uint8_t)random_below(&seed, 4);
        d.src_port = (uint16_t)random_below(&seed, 8);
        d.dst_port = (uint16_t)random_below(&seed, 8);
        d.tcp_flags = (uint8_t)random_next(&seed);
        d.tcp_seq = random_next(&seed) & (random_below(&seed, 2) ? 0xfff : UINT32_MAX);
        d.tcp_ack = random_next(&seed) & (random_below(&seed, 2) ? 0xfff : UINT32_MAX);
        d.icmp_type = (uint8_t)random_next(&seed);
        d.icmp_id = (uint16_t)random_below(&seed, 3);
        d.payload = (const uint8_t *)filler;
        d.payload_length = random_below(&seed, sizeof filler);
        d.payload_captured = random_below(&seed, d.payload_length + 1);
        d.fragment = random_below(&seed, 10) == 0;
        world_packet(w, random_below(&seed, 1000000) * 0.001, &d);
    }
    world_finish(w);
    assert_int_equal(flow_room_counters(w->room)->active, 0);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_by_syn),
        cmocka_unit_test(roles_by_port),
        cmocka_unit_test(roles_by_multicast),
        cmocka_unit_test(roles_of_echo),
        cmocka_unit_test(echo_meets_its_reply),
        cmocka_unit_test(vlan_and_interface_part_flows),
        cmocka_unit_test(home_networks_are_marked),
        cmocka_unit_test(counters_and_rhythm),
        cmocka_unit_test(round_trip_needs_one_syn),
        cmocka_unit_test(retransmissions_and_losses),
        cmocka_unit_test(sequence_numbers_wrap),
        cmocka_unit_test(start_shows_the_syn),
        cmocka_unit_test(ends_by_fin),
        cmocka_unit_test(ends_by_rst),
        cmocka_unit_test(ends_by_timeout),
        cmocka_unit_test(packets_put_the_timeout_off),
        cmocka_unit_test(ends_by_reuse),
        cmocka_unit_test(finish_in_order_of_birth),
        cmocka_unit_test(eviction_keeps_the_bound),
        cmocka_unit_test(clock_jumps),
        cmocka_unit_test(onsets_of_a_connection),
        cmocka_unit_test(onset_without_payload),
        cmocka_unit_test(first_payload_belongs_to_the_start),
        cmocka_unit_test(onsets_of_datagrams),
        cmocka_unit_test(events_do_not_depend_on_bursts),
        cmocka_unit_test(clock_of_events_never_runs_back),
        cmocka_unit_test(anomalies_are_counted),
        cmocka_unit_test(noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
