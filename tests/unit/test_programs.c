/* Whose a flow is: what its packets say of processes, when they are wrong, and what a host log adds. */
#include "base/words.h"
#include "flow/program.h"
#include "packets.h"

static const struct packet_process safari = {.pid = 512,
                                             .name = "Safari",
                                             .path = "",
                                             .has_uuid = true,
                                             .uuid = {0x44, 0x91, 0xb4, 0xfa, 0xc7, 0xec, 0x36, 0x7c, 0x9f,
                                                      0x2f, 0x13, 0x95, 0xe9, 0x1b, 0xe6, 0x36}},
                                   mail = {.pid = 600, .name = "Mail", .path = ""},
                                   responder = {.pid = 88, .name = "mDNSResponder", .path = ""},
                                   launchd = {.pid = 1, .name = "launchd", .path = ""},
                                   sshd = {.pid = 700, .name = "sshd", .path = "/usr/sbin/sshd"},
                                   nameless = {.pid = 512, .name = "", .path = ""},
                                   kernel = {.pid = 0, .name = "kernel_task", .path = ""};

/* A host log that knows some processes and one socket; counts how often it is asked. */
struct log {
    uint32_t asked;
    nanoseconds from; /* knows nothing before */
    struct ip local;  /* of the last question */
    const char *name; /* the kernel's, of the last question */
    bool contradicts;
    const char *curl, *path, *zsh, *terminal;
};

struct lab {
    struct world *w;
    struct words *words;
    struct log log;
    struct program_source source;
};

static enum program_answer by_pid(void *context, const struct ip *local, int32_t pid, const char *name,
                                  nanoseconds time, struct program *out) {
    struct log *log = context;
    log->asked++;
    log->local = *local;
    log->name = name;
    if (time < log->from || pid != 512) return PROGRAM_UNKNOWN;
    if (log->contradicts) return PROGRAM_CONTRADICTED;
    *out = (struct program){.pid = pid,
                            .name = log->curl,
                            .path = log->path,
                            .arguments = "curl -s http://example.net",
                            .ancestors = {log->zsh, log->terminal},
                            .responsible = log->terminal,
                            .signing_id = "com.apple.curl",
                            .platform = "yes"};
    return PROGRAM_TOLD;
}

static enum program_answer by_socket(void *context, const struct socket_name *socket, nanoseconds time,
                                     struct program *out) {
    char local[IP_TEXT_SIZE];
    ip_format(&socket->local, local);
    if (strcmp(local, "10.0.0.1") != 0 || socket->local_port != 50000 || socket->remote_port != 443) {
        ((struct log *)context)->asked++;
        return PROGRAM_UNKNOWN;
    }
    return by_pid(context, &socket->local, 512, NULL, time, out);
}

/* The world's room knows no words: this one does. */
static void lab_begin(struct lab *lab, bool with_log) {
    struct error err;
    *lab =
        (struct lab){.w = world_new(NULL, 1024, WORLD_BURST, NULL), .words = words_new(100, 1 << 16, &err)};
    assert_non_null(lab->words);
    lab->log = (struct log){.curl = words_keep(lab->words, "curl", 4),
                            .path = words_keep(lab->words, "/usr/bin/curl", 13),
                            .zsh = words_keep(lab->words, "zsh", 3),
                            .terminal = words_keep(lab->words, "Terminal", 8)};
    lab->source = (struct program_source){.context = &lab->log, .by_pid = by_pid, .by_socket = by_socket};
    struct flow_surroundings around = {.batch = lab->w->batch,
                                       .protocols = lab->w->protocols,
                                       .is_local = world_is_local,
                                       .interface_name = world_interface,
                                       .context = lab->w,
                                       .words = lab->words,
                                       .programs = with_log ? &lab->source : NULL};
    struct flow_config config = flow_config_defaults();
    config.max_flows = 64;
    flow_room_free(lab->w->room);
    lab->w->room = flow_room_new(&config, &around, &err);
    assert_non_null(lab->w->room);
}

static void lab_end(struct lab *lab) {
    world_free(lab->w);
    words_free(lab->words);
}

static void give(struct lab *lab, double at, struct decoded d, enum packet_direction direction,
                 const struct packet_process *process, const struct packet_process *effective) {
    const struct packet_origin origin = {
        .process = process, .effective = effective, .service_class = ORIGIN_NO_CLASS, .drop_function = ""};
    world_packet(lab->w, at, &d);
    struct packet *packet = &lab->w->packets[lab->w->waiting - 1];
    packet->direction = (uint8_t)direction;
    packet->origin = process || effective ? &origin : NULL;
    world_flush(lab->w);
}

static struct decoded from_mac(const char *payload) {
    return udp("10.0.0.1", 50000, "93.184.216.34", 443, payload);
}
static struct decoded to_mac(const char *payload) {
    return udp("93.184.216.34", 443, "10.0.0.1", 50000, payload);
}

static const struct event_flow *only_flow(struct lab *lab) {
    world_finish(lab->w);
    assert_int_equal(lab->w->flows, 1);
    return &lab->w->flow[0].e;
}

static void expect_text(const char *text, const char *wanted) {
    if (wanted)
        assert_string_equal(text ? text : "(none)", wanted);
    else
        assert_null(text);
}

static void expect_head(const struct event_head_body *head, const char *program, const char *process,
                        uint32_t pid, const char *effective, uint32_t effective_pid, const char *direction) {
    expect_text(head->program, program);
    expect_text(head->process, process);
    assert_int_equal(head->pid, pid);
    expect_text(head->effective_process, effective);
    assert_int_equal(head->effective_pid, effective_pid);
    expect_text(head->direction, direction);
}

/* ---- what packets say */

static void the_first_packet_tells(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, false);
    give(&lab, 0, from_mac("a"), PACKET_OUT, &safari, NULL);
    give(&lab, 1, to_mac("b"), PACKET_IN, NULL, NULL);
    expect_head(&lab.w->start[0].head, "Safari", "Safari", 512, NULL, 0, "out");
    expect_head(&only_flow(&lab)->head, "Safari", "Safari", 512, NULL, 0, "out");
    assert_null(lab.w->flow[0].e.body.server_process);
    assert_int_equal(lab.w->flow[0].e.body.process_uuid.length, 36);
    const char *text = strstr(lab.w->text, "process_uuid="), *last = text;
    while ((text = strstr(text + 1, "process_uuid="))) last = text;
    assert_memory_equal(last + 13, "34343931423446412d43374543", 26); /* 4491B4FA-C7EC… */
    lab_end(&lab);
}

static void later_packets_fill_what_is_lacking(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, false);
    give(&lab, 0, from_mac("a"), PACKET_OUT, NULL,
         NULL); /* captured before the kernel had made up its mind */
    give(&lab, 1, from_mac("b"), PACKET_OUT, &nameless, NULL);
    give(&lab, 2, to_mac("c"), PACKET_IN, &safari, NULL);
    expect_head(&lab.w->start[0].head, NULL, NULL, 0, NULL, 0, "out");
    expect_head(&only_flow(&lab)->head, "Safari", "Safari", 512, NULL, 0, "out");
    assert_int_equal(lab.w->flow[0].e.body.process_uuid.length, 36);
    lab_end(&lab);
}

static void the_effective_process_is_the_latest(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, false);
    give(&lab, 0, from_mac("a"), PACKET_OUT, &responder, &safari);
    expect_head(&lab.w->start[0].head, "Safari", "mDNSResponder", 88, "Safari", 512, "out");
    give(&lab, 1, to_mac("b"), PACKET_IN, &responder, NULL); /* says nothing of it: no news */
    give(&lab, 2, from_mac("c"), PACKET_OUT, &responder, &mail);
    expect_head(&only_flow(&lab)->head, "Mail", "mDNSResponder", 88, "Mail", 600, "out");
    assert_int_equal(lab.w->flow[0].e.body.effective_uuid.length, 0); /* Safari's is not Mail's */
    lab_end(&lab);
    lab_begin(&lab, false);
    give(&lab, 0, from_mac("a"), PACKET_OUT, &safari, &safari); /* for itself */
    expect_head(&only_flow(&lab)->head, "Safari", "Safari", 512, NULL, 0, "out");
    lab_end(&lab);
}

static void a_service_of_the_host(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, false);
    give(&lab, 0, udp("93.184.216.34", 40000, "10.0.0.1", 22, "a"), PACKET_IN, &launchd, NULL);
    expect_head(&lab.w->start[0].head, "launchd", "launchd", 1, NULL, 0, "in");
    /* launchd listens for others; whoever takes over is the one. */
    give(&lab, 1, udp("10.0.0.1", 22, "93.184.216.34", 40000, "b"), PACKET_OUT, &sshd, NULL);
    expect_head(&only_flow(&lab)->head, "sshd", "sshd", 700, NULL, 0, "in");
    expect_text(lab.w->flow[0].e.body.server_process, "sshd");
    assert_int_equal(lab.w->flow[0].e.body.server_pid, 700);
    expect_text(lab.w->flow[0].e.head.path, "/usr/sbin/sshd");
    lab_end(&lab);
}

/* On lo0 each packet is seen leaving, with the sender's process, and arriving, with the receiver's. */
static void both_ends_on_one_host(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++) { /* the arriving copy may come first, or alone */
        struct lab lab;
        lab_begin(&lab, false);
        struct decoded d = udp("127.0.0.1", 50000, "127.0.0.1", 631, "a");
        if (first == 0) give(&lab, 0, d, PACKET_OUT, &safari, NULL);
        give(&lab, 0, d, PACKET_IN, &sshd, NULL);
        if (first == 1) give(&lab, 0, d, PACKET_OUT, &safari, NULL);
        expect_head(&only_flow(&lab)->head, "Safari", "Safari", 512, NULL, 0, first ? "in" : "out");
        expect_text(lab.w->flow[0].e.body.server_process, "sshd");
        lab_end(&lab);
    }
}

static void the_kernel_is_wrong_at_times(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, false);
    struct decoded later = to_mac("a");
    later.fragment = true;
    later.fragment_offset = 1480;
    give(&lab, 0, later, PACKET_IN, &mail, NULL); /* looked for by ports that are not there */
    expect_head(&lab.w->start[0].head, NULL, NULL, 0, NULL, 0, "out");
    give(&lab, 1, to_mac("b"), PACKET_IN, &mail, NULL);      /* found among sockets */
    give(&lab, 2, from_mac("c"), PACKET_OUT, &safari, NULL); /* by the packet's own mark: better */
    give(&lab, 3, to_mac("d"), PACKET_IN, &mail, NULL);
    give(&lab, 4, from_mac("e"), PACKET_OUT, &sshd,
         NULL); /* the socket was handed on: not whose flow it is */
    expect_head(&only_flow(&lab)->head, "Safari", "Safari", 512, NULL, 0, "out");
    lab_end(&lab);
    lab_begin(&lab, false);
    give(&lab, 0, from_mac("a"), PACKET_OUT, &kernel, NULL);
    expect_head(&only_flow(&lab)->head, "kernel_task", "kernel_task", 0, NULL, 0, "out");
    lab_end(&lab);
}

static void without_a_direction(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, false);
    give(&lab, 0, to_mac("a"), PACKET_DIRECTION_UNKNOWN, &safari, NULL); /* 10.0.0.1 is at home */
    expect_head(&only_flow(&lab)->head, "Safari", "Safari", 512, NULL, 0, NULL);
    assert_null(lab.w->flow[0].e.body.server_process);
    lab_end(&lab);
    lab_begin(&lab, false);
    give(&lab, 0, udp("93.184.216.34", 40000, "10.0.0.1", 22, "a"), PACKET_DIRECTION_UNKNOWN, &sshd, NULL);
    expect_text(only_flow(&lab)->body.server_process, "sshd");
    lab_end(&lab);
    lab_begin(&lab, false); /* direction alone */
    give(&lab, 0, to_mac("a"), PACKET_IN, NULL, NULL);
    expect_head(&only_flow(&lab)->head, NULL, NULL, 0, NULL, 0, "out");
    lab_end(&lab);
}

/* ---- what others know */

static void a_log_knows_more(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, true);
    give(&lab, 0, from_mac("a"), PACKET_OUT, &nameless, NULL);
    for (int i = 1; i < 100; i++) give(&lab, i, from_mac("a"), PACKET_OUT, &nameless, NULL);
    const struct event_flow *flow = only_flow(&lab);
    assert_int_equal(lab.log.asked, 1);
    expect_head(&lab.w->start[0].head, "curl", NULL, 512, NULL, 0, "out");
    expect_text(flow->head.path, "/usr/bin/curl");
    expect_text(flow->head.parent, "zsh");
    expect_text(flow->head.ancestry, "zsh < Terminal");
    expect_text(flow->body.responsible, "Terminal");
    expect_text(flow->body.signing_id, "com.apple.curl");
    expect_text(flow->body.platform, "yes");
    assert_null(flow->body.team_id);
    assert_int_equal(flow->body.ancestors.count, 2);
    assert_int_equal(flow->body.arguments.length, 26);
    lab_end(&lab);
}

static void a_log_that_is_late(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, true);
    lab.log.from = world_epoch + SECONDS(5);
    for (int i = 0; i < 1000; i++) give(&lab, i * 0.01, from_mac("a"), PACKET_OUT, &safari, NULL);
    expect_head(&lab.w->start[0].head, "Safari", "Safari", 512, NULL, 0, "out");
    expect_head(&only_flow(&lab)->head, "curl", "Safari", 512, NULL, 0, "out");
    assert_in_range(lab.log.asked, 2, 6);
    lab_end(&lab);
    lab_begin(&lab, true); /* one that never knows: bounded effort */
    for (int i = 0; i < 2000; i++) give(&lab, i, from_mac("a"), PACKET_OUT, &mail, NULL);
    expect_head(&only_flow(&lab)->head, "Mail", "Mail", 600, NULL, 0, "out");
    assert_in_range(lab.log.asked, 2, 10);
    lab_end(&lab);
}

/* What the log says is not believed then, and counted once; the kernel's word stays. */
static void a_log_that_contradicts_the_kernel(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, true);
    lab.log.contradicts = true;
    for (int i = 0; i < 20; i++) give(&lab, i, from_mac("a"), PACKET_OUT, &safari, NULL);
    const struct event_flow *flow = only_flow(&lab);
    expect_text(lab.log.name, "Safari");
    expect_head(&flow->head, "Safari", "Safari", 512, NULL, 0, "out");
    assert_null(flow->head.parent);
    assert_null(flow->head.ancestry);
    assert_int_equal(flow_room_counters(lab.w->room)->programs_asked, 1);
    assert_int_equal(flow_room_counters(lab.w->room)->programs_joined, 0);
    assert_int_equal(flow_room_counters(lab.w->room)->programs_contradicted, 1);
    lab_end(&lab);
    lab_begin(&lab, true); /* the effective process is the one that is asked for */
    static const struct packet_process curl = {.pid = 512, .name = "curl", .path = ""};
    give(&lab, 0, from_mac("a"), PACKET_OUT, &responder, &curl);
    only_flow(&lab);
    expect_text(lab.log.name, "curl");
    assert_int_equal(flow_room_counters(lab.w->room)->programs_joined, 1);
    assert_int_equal(flow_room_counters(lab.w->room)->programs_contradicted, 0);
    lab_end(&lab);
}

static void names_that_agree(void **state) {
    (void)state;
    assert_true(program_is_named("curl", "curl"));
    assert_false(program_is_named("curl", "cur"));
    assert_false(program_is_named("nc", "curl"));
    assert_true(program_is_named("com.apple.WebKit.Networking", "com.apple.WebKi")); /* 15 bytes */
    assert_true(program_is_named("com.apple.WebKit.Networking", "com.apple.WebKit"));
    assert_true(program_is_named("com.apple.WebKi", "com.apple.WebKit")); /* the log's was cut */
    assert_false(program_is_named("com.apple.WebKit.Networking", "com.apple.WebK"));
    assert_false(program_is_named("com.apple.WebKit.Networking", "com.apple.Safari"));
    assert_true(program_is_named("abcdefghijklmn\xc3\xa4xyz", "abcdefghijklmn\xef\xbf\xbd"));
    assert_false(program_is_named("abc\xc3\xa4xyz", "abc\xef\xbf\xbd"));
}

static void a_log_knows_the_effective_process(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, true);
    give(&lab, 0, from_mac("a"), PACKET_OUT, &responder, &nameless);
    expect_head(&only_flow(&lab)->head, "curl", "mDNSResponder", 88, NULL, 512, "out");
    expect_text(lab.w->flow[0].e.head.path, "/usr/bin/curl");
    lab_end(&lab);
}

static void a_log_knows_the_socket(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, true);
    give(&lab, 0, to_mac("a"), PACKET_DIRECTION_UNKNOWN, NULL, NULL);
    expect_head(&only_flow(&lab)->head, "curl", "curl", 512, NULL, 0, NULL);
    expect_text(lab.w->flow[0].e.head.parent, "zsh");
    lab_end(&lab);
    lab_begin(&lab, true); /* the kernel knows better */
    give(&lab, 0, from_mac("a"), PACKET_OUT, NULL, NULL);
    give(&lab, 1, from_mac("a"), PACKET_OUT, &mail, NULL);
    expect_head(&only_flow(&lab)->head, "Mail", "Mail", 600, NULL, 0, "out");
    lab_end(&lab);
}

/* ---- flows come and go */

static void places_are_used_again(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, false);
    for (int i = 0; i < 1000; i++) {
        char name[16];
        struct packet_process one = {.pid = 1000 + i, .name = name, .path = ""};
        snprintf(name, sizeof name, "p%d", i % 50);
        struct decoded d = udp("10.0.0.1", (uint16_t)(1024 + i), "93.184.216.34", 443, "a");
        give(&lab, i * 0.001, d, PACKET_OUT, i % 3 ? &one : NULL, NULL); /* 64 flows have room */
    }
    world_finish(lab.w);
    assert_int_equal(lab.w->flows, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        const struct event_head_body *head = &lab.w->flow[i].e.head;
        uint32_t number = head->client_port - 1024u;
        char name[16];
        snprintf(name, sizeof name, "p%u", number % 50);
        expect_text(head->program, number % 3 ? name : NULL);
        assert_int_equal(head->pid, number % 3 ? 1000 + number : 0);
    }
    lab_end(&lab);
}

static void hostile_names_are_made_fit(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, false);
    const struct packet_process hostile = {.pid = 5, .name = "\x1b[2Jx\xff", .path = "/a\nb"};
    give(&lab, 0, from_mac("a"), PACKET_OUT, &hostile, NULL);
    expect_text(only_flow(&lab)->head.program, "\xef\xbf\xbd[2Jx\xef\xbf\xbd");
    expect_text(lab.w->flow[0].e.head.path, "/a\xef\xbf\xbd"
                                            "b");
    lab_end(&lab);
}

/* Class and number are the latest told; each dropped packet counts once, the one that began the flow too. */
static void what_the_kernel_says_beside_it(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, false);
    const struct packet_origin marks[] = {
        {.service_class = 200, .flow_id = 0x1234, .drop_function = ""},
        {.service_class = ORIGIN_NO_CLASS, .drop_reason = 0x02030014, .drop_function = "ip_output_list"},
        {.service_class = 900, .drop_reason = 0x0201000b, .drop_function = ""},
    };
    for (int i = 0; i < 3; i++) {
        struct decoded d = from_mac("a");
        world_packet(lab.w, i, &d);
        lab.w->packets[lab.w->waiting - 1].origin = &marks[i];
        world_flush(lab.w);
    }
    const struct event_flow_body *body = &only_flow(&lab)->body;
    expect_text(body->service_class, "CTL");
    assert_int_equal(body->kernel_flow, 0x1234);
    assert_int_equal(body->kernel_drops, 2);
    assert_int_equal(body->drop_reason, 0x0201000b);
    expect_text(body->drop_function, NULL);
    lab_end(&lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_packet_tells),
        cmocka_unit_test(later_packets_fill_what_is_lacking),
        cmocka_unit_test(the_effective_process_is_the_latest),
        cmocka_unit_test(a_service_of_the_host),
        cmocka_unit_test(both_ends_on_one_host),
        cmocka_unit_test(the_kernel_is_wrong_at_times),
        cmocka_unit_test(without_a_direction),
        cmocka_unit_test(a_log_knows_more),
        cmocka_unit_test(a_log_that_is_late),
        cmocka_unit_test(a_log_that_contradicts_the_kernel),
        cmocka_unit_test(names_that_agree),
        cmocka_unit_test(a_log_knows_the_effective_process),
        cmocka_unit_test(a_log_knows_the_socket),
        cmocka_unit_test(places_are_used_again),
        cmocka_unit_test(hostile_names_are_made_fit),
        cmocka_unit_test(what_the_kernel_says_beside_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
