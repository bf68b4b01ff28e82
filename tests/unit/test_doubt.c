/* Parsers of datagrams that are not sure of a flow: what they leave is shown to others, and never again to
 * them. Toy protocols: each takes any first datagram, and goes when it is told so by its letter. */
#include "drive_protocol.h"

static char order[64]; /* a letter for each datagram that a parser was given; capital: it was asked first */

static void note(char letter) {
    size_t length = strlen(order);
    if (length + 1 < sizeof order) order[length] = letter;
}

static enum recognised doubter_recognise(const struct probe *probe, char letter) {
    note(letter);
    return probe->length > 0 ? RECOGNISED_YES : RECOGNISED_NO;
}

static void doubter_datagram(struct conversation *c, struct slice payload, char letter) {
    bool *begun = c->state;
    note(letter);
    if (!*begun) conversation_doubt(c);
    *begun = true;
    if (memchr(payload.at, letter, payload.length)) conversation_give_up(c);
    if (memchr(payload.at, '!', payload.length)) conversation_confirm(c);
}

static enum recognised a_recognise(const struct probe *probe) {
    return doubter_recognise(probe, 'A');
}

static enum recognised b_recognise(const struct probe *probe) {
    return doubter_recognise(probe, 'B');
}

static void a_datagram(struct conversation *c, enum direction direction, struct slice payload,
                       uint32_t original) {
    (void)direction, (void)original;
    doubter_datagram(c, payload, 'a');
}

static void b_datagram(struct conversation *c, enum direction direction, struct slice payload,
                       uint32_t original) {
    (void)direction, (void)original;
    doubter_datagram(c, payload, 'b');
}

static const struct protocol a = {.name = "a",
                                  .transports = TRANSPORT_UDP,
                                  .state_size = sizeof(bool),
                                  .recognise = a_recognise,
                                  .datagram = a_datagram};
static const struct protocol b = {.name = "b",
                                  .transports = TRANSPORT_UDP,
                                  .state_size = sizeof(bool),
                                  .recognise = b_recognise,
                                  .datagram = b_datagram};
static const struct protocol *const both[] = {&a, &b, NULL};

static struct drive *begin(void) {
    memset(order, 0, sizeof order);
    struct drive *d = drive_new_of(both, EVENT_flow);
    d->proto = 17;
    return d;
}

static void say(struct drive *d, const char *text) {
    drive_send(d, TO_SERVER, text, strlen(text));
}

static void who_gives_up_is_not_asked_again(void **state) {
    (void)state;
    struct drive *d = begin();
    say(d, "1");
    say(d, "a"); /* a goes, and b is shown the same one */
    say(d, "b"); /* so does b: nobody is left */
    say(d, "4");
    assert_string_equal(order, "AaaBbb");
    drive_close(d);
    assert_null(strstr(d->text, "app_proto"));
    drive_free(d);
}

static void who_confirms_has_the_flow(void **state) {
    (void)state;
    struct drive *d = begin();
    say(d, "1");
    say(d, "a");
    say(d, "!");
    say(d, "a");
    assert_string_equal(order, "AaaBbbb");
    drive_close(d);
    drive_expect(d, "flow.app_proto=b");
    drive_free(d);
}

static void doubt_at_the_end_is_no_protocol(void **state) {
    (void)state;
    struct drive *d = begin();
    say(d, "1");
    say(d, "2");
    drive_close(d);
    assert_null(strstr(d->text, "app_proto"));
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_gives_up_is_not_asked_again),
        cmocka_unit_test(who_confirms_has_the_flow),
        cmocka_unit_test(doubt_at_the_end_is_no_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
