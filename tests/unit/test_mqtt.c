/* MQTT 3.1.1 and 5: what a client says of itself, and its topics. Packets are laid out by hand after the
 * OASIS standards. */
#include "drive_text.h"

#define SAID(direction, bytes)                                                                               \
    { direction, bytes, sizeof(bytes) - 1 }

static struct drive *mqtt(const struct said *said, uint32_t count) {
    return drive_talk(&protocol_mqtt, EVENT_mqtt, 1883, said, count);
}

static const struct said session[] = {
    /* 3.1.1; user, password, will, clean; 60 s */
    SAID(TO_SERVER, "\x10\x2e\x00\x04MQTT\x04\xc6\x00\x3c"
                    "\x00\x06lamp-7"
                    "\x00\x06status"
                    "\x00\x04gone"
                    "\x00\x04"
                    "anna"
                    "\x00\x06secret"),
    SAID(TO_CLIENT, "\x20\x02\x00\x00"),
    /* SUBSCRIBE to two filters */
    SAID(TO_SERVER, "\x82\x11\x00\x01\x00\x06home/#\x00\x00\x03"
                    "a/b"
                    "\x01"),
    SAID(TO_CLIENT, "\x90\x04\x00\x01\x00\x01"),
    SAID(TO_SERVER, "\x30\x0c\x00\x05"
                    "hello"
                    "world"),
    SAID(TO_SERVER, "\x30\x0c\x00\x05"
                    "hello"
                    "again"
                    "\xc0\x00"),
    SAID(TO_CLIENT, "\x32\x0b\x00\x03"
                    "a/b"
                    "\x00\x02"
                    "open"
                    "\xd0\x00"),
    SAID(TO_SERVER, "\xe0\x00"),
};

static void a_client_is_told_by_its_connect(void **state) {
    (void)state;
    struct drive *d = mqtt(session, COUNT(session));
    assert_int_equal(d->events[EVENT_mqtt], 2);
    drive_expect(d, "mqtt.type=connect");
    drive_expect(d, "mqtt.version=4");
    drive_expect(d, "mqtt.client_id=lamp-7");
    drive_expect(d, "mqtt.user=anna");
    drive_expect(d, "mqtt.password=1");
    drive_expect(d, "mqtt.clean=1");
    drive_expect(d, "mqtt.keep_alive=60");
    drive_expect(d, "mqtt.will_topic=status");
    drive_expect(d, "mqtt.status=accepted");
    drive_expect(d, "mqtt.type=end");
    drive_expect(d, "mqtt.subscribed=home/#,a/b");
    drive_expect(d, "mqtt.published=hello");
    drive_expect(d, "mqtt.received=a/b");
    drive_expect(d, "mqtt.messages=3");
    drive_expect_hidden(&protocol_mqtt, EVENT_mqtt, 1883, session, COUNT(session), "secret");
    drive_expect_none(d, "secret");
    drive_expect_none(d, "world");
    drive_free(d);
}

static void version_5_has_properties(void **state) {
    (void)state;
    const struct said said[] = {
        /* session expiry of 10 s; will with a delay */
        SAID(TO_SERVER, "\x10\x25\x00\x04MQTT\x05\x06\x00\x1e"
                        "\x05\x11\x00\x00\x00\x0a"
                        "\x00\x02id"
                        "\x05\x18\x00\x00\x00\x05"
                        "\x00\x04will\x00\x03"
                        "bye"),
        SAID(TO_CLIENT, "\x20\x03\x00\x87\x00"), /* not authorized */
        SAID(TO_SERVER, "\x82\x09\x00\x01\x00\x00\x03x/y\x00"),
    };
    struct drive *d = mqtt(said, COUNT(said));
    drive_expect(d, "mqtt.version=5");
    drive_expect(d, "mqtt.client_id=id");
    drive_expect(d, "mqtt.will_topic=will");
    drive_expect(d, "mqtt.status=refused");
    drive_expect(d, "mqtt.code=135");
    drive_expect(d, "mqtt.subscribed=x/y");
    drive_expect_none(d, "anomaly");
    drive_free(d);
}

static void large_messages_are_not_kept(void **state) {
    (void)state;
    static uint8_t big[4 + 300000] = {0x30, 0xe0, 0xa7, 0x12, 0x00,
                                      0x03, 'b',  'i',  'g'}; /* 300000 in sevens */
    struct drive *d = drive_new(&protocol_mqtt, EVENT_mqtt);
    d->server_port = 1883;
    drive_open(d);
    drive_say(d, &session[0], 0);
    for (uint32_t at = 0; at < sizeof big; at += 1400)
        drive_send(d, TO_SERVER, big + at, sizeof big - at < 1400 ? sizeof big - at : 1400);
    drive_say(d, &session[4], 0);
    drive_close(d);
    drive_expect(d, "mqtt.published=big,hello");
    drive_expect_none(d, "anomaly");
    drive_free(d);
}

static enum recognised asks(uint16_t port, struct said said) {
    struct probe probe = {.data = (const uint8_t *)said.bytes,
                          .length = said.length,
                          .direction = said.direction,
                          .transport = TRANSPORT_TCP,
                          .server_port = port};
    return protocol_mqtt.recognise(&probe);
}

static void content_tells(void **state) {
    (void)state;
    assert_int_equal(asks(9999, session[0]), RECOGNISED_YES);
    assert_int_equal(asks(9999, session[1]), RECOGNISED_NO);
    assert_int_equal(asks(1883, session[1]), RECOGNISED_YES);
    assert_int_equal(asks(1883, session[4]), RECOGNISED_YES);
    assert_int_equal(asks(1883, (struct said)SAID(TO_SERVER, "\x10\x10\x00\x04HTTP\x04")), RECOGNISED_NO);
    assert_int_equal(asks(1883, (struct said)SAID(TO_SERVER, "GET / HTTP/1.1\r\n")), RECOGNISED_NO);
    assert_int_equal(asks(1883, (struct said)SAID(TO_SERVER, "\x16\x03\x01\x02")), RECOGNISED_NO);
}

static void noise_does_no_harm(void **state) {
    (void)state;
    drive_noise(&protocol_mqtt, EVENT_mqtt, 1883, session, COUNT(session));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_told_by_its_connect),
        cmocka_unit_test(version_5_has_properties),
        cmocka_unit_test(large_messages_are_not_kept),
        cmocka_unit_test(content_tells),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
