/* See programs.h. */
#include "flow/programs.h"

enum {
    LAUNCHD = 1,
    ASKS_MOST = 8,
    ASK_FIRST = 100, /* milliseconds to the second question; each further one waits four times as long */
};

static struct flow_programs *programs_if(const struct flow_room *room, const struct flow *flow) {
    if (room->programs.top == 0) return NULL;
    const struct flow_facts *facts = flow_facts_if(room, flow);
    return facts && facts->programs ? slab_at(&room->programs, facts->programs) : NULL;
}

static struct flow_programs *programs_of(struct flow_room *room, struct flow *flow) {
    struct flow_facts *facts = flow_facts_of(room, flow);
    if (!facts) return NULL;
    if (facts->programs) return slab_at(&room->programs, facts->programs);
    facts->programs = slab_take(&room->programs);
    if (!facts->programs) return NULL;
    struct flow_programs *made = slab_at(&room->programs, facts->programs);
    for (int side = 0; side < 2; side++) made->party[side].pid = made->party[side].effective_pid = -1;
    made->service_class = ORIGIN_NO_CLASS;
    return made;
}

bool program_is_named(const char *program, const char *kernel) {
    enum { CUT = 15, UNFIT = 3 }; /* bytes of U+FFFD */
    size_t a = strlen(program), b = strlen(kernel), least = CUT;
    for (; b >= UNFIT && memcmp(kernel + b - UNFIT, "\xef\xbf\xbd", UNFIT) == 0; b -= UNFIT)
        least = CUT - UNFIT; /* a character was cut in two */
    if (a == b) return memcmp(program, kernel, a) == 0;
    size_t shorter = a < b ? a : b;
    return shorter >= least && memcmp(program, kernel, shorter) == 0;
}

const char *program_ancestry(struct words *words, const char *const ancestors[PROGRAM_ANCESTORS]) {
    char text[1024];
    size_t used = 0;
    for (int i = 0; i < PROGRAM_ANCESTORS && ancestors[i] && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " < " : "", ancestors[i]);
    if (used >= sizeof text) used = sizeof text - 1;
    return used ? words_keep(words, text, used) : NULL;
}

static const char *word(const struct flow_room *room, const char *text) {
    return words_keep(room->around.words, text, strlen(text));
}

/* ── what packets say ────────────────────────────────────────────── */

/* Which end a packet's process is at. */
static unsigned local_side(const struct flow *flow, unsigned side, const struct packet *packet) {
    if (packet->direction != PACKET_DIRECTION_UNKNOWN) return packet->direction == PACKET_OUT ? side : !side;
    unsigned client = flow_client(flow);
    bool client_local = flow->marks & MARK_CLIENT_LOCAL, server_local = flow->marks & MARK_SERVER_LOCAL;
    return client_local == server_local || client_local ? client : !client;
}

static bool is_misread(const struct packet *packet, const struct decoded *decoded) {
    return decoded->fragment_offset > 0 && packet->direction != PACKET_OUT;
}

static void take_uuid(const struct packet_process *from, bool *has, uint8_t uuid[16]) {
    if (*has || !from->has_uuid) return;
    *has = true;
    memcpy(uuid, from->uuid, sizeof from->uuid);
}

/* Fills in what is lacking. */
static void take_owner(const struct flow_room *room, struct flow_party *party,
                       const struct packet_process *owner) {
    if (!party->name) party->name = word(room, owner->name);
    if (!party->path) party->path = word(room, owner->path);
    take_uuid(owner, &party->has_uuid, party->uuid);
}

/* True if the party's owner is that process now; `*anew` if it was not before. */
static bool learn_owner(const struct flow_room *room, struct flow_party *party,
                        const struct packet_process *owner, enum party_trust trust, bool *anew) {
    bool same = party->trust != TRUST_NOBODY && party->pid == owner->pid;
    bool better = party->trust == TRUST_NOBODY || party->pid == LAUNCHD || trust > party->trust;
    if (!same && !better) return false;
    if (!same) {
        *party = (struct flow_party){.pid = owner->pid, .effective_pid = -1};
        *anew = true;
    }
    if (trust > party->trust) party->trust = (uint8_t)trust;
    take_owner(room, party, owner);
    return true;
}

static bool is_effective(const struct flow_party *party, const struct packet_process *effective) {
    if (!party->has_effective) return false;
    if (effective->pid > 0) return party->effective_pid == effective->pid;
    return effective->has_uuid && party->has_effective_uuid &&
           memcmp(party->effective_uuid, effective->uuid, sizeof effective->uuid) == 0;
}

/* Who acts for itself is not its own agent. */
static bool is_itself(const struct flow_party *party, const struct packet_process *effective) {
    return effective->pid > 0 && effective->pid == party->pid;
}

static void learn_effective(const struct flow_room *room, struct flow_party *party,
                            const struct packet_process *effective, bool *anew) {
    if (is_itself(party, effective)) return;
    if (!is_effective(party, effective)) {
        party->has_effective = true;
        party->effective_pid = effective->pid;
        party->effective_name = party->effective_path = NULL;
        party->has_effective_uuid = false;
        *anew = true;
    }
    if (!party->effective_name) party->effective_name = word(room, effective->name);
    if (!party->effective_path) party->effective_path = word(room, effective->path);
    take_uuid(effective, &party->has_effective_uuid, party->effective_uuid);
}

static void learn(struct flow_room *room, struct flow *flow, unsigned side, const struct packet *packet) {
    const struct packet_origin *origin = packet->origin;
    struct flow_programs *programs = programs_of(room, flow);
    if (!programs) return;
    struct flow_party *party = &programs->party[local_side(flow, side, packet)];
    enum party_trust trust = packet->direction == PACKET_OUT ? TRUST_OUTGOING : TRUST_INCOMING;
    bool anew = false;
    if (origin->process && !learn_owner(room, party, origin->process, trust, &anew)) return;
    if (origin->effective) learn_effective(room, party, origin->effective, &anew);
    if (!anew) return;
    programs->known = false;
    programs->asked = 0;
    programs->ask_next = 0;
}

/* ── what others know ────────────────────────────────────────────── */

/* The end whose program the flow is for: the client's, if anything is known of it. */
static const struct flow_party *party_of(const struct flow *flow, const struct flow_programs *programs) {
    const struct flow_party *client = &programs->party[flow_client(flow)],
                            *server = &programs->party[flow_server(flow)];
    if (client->trust != TRUST_NOBODY || client->has_effective) return client;
    return server->trust != TRUST_NOBODY || server->has_effective ? server : NULL;
}

/* The pid that a log may know: of whom the traffic is for, -1 if the kernel names only its UUID. */
static int32_t pid_to_ask(const struct flow_party *party) {
    return party->has_effective ? party->effective_pid : party->pid;
}

static enum program_answer ask_by_pid(const struct flow_room *room, const struct flow *flow,
                                      const struct flow_party *party, unsigned side, nanoseconds time,
                                      struct program *out) {
    const struct program_source *source = room->around.programs;
    int32_t pid = pid_to_ask(party);
    const char *name = party->has_effective ? party->effective_name : party->name;
    if (pid <= 0) return PROGRAM_UNKNOWN;
    return source->by_pid(source->context, &flow->key.address[side], pid, name, time, out);
}

/* Fills in the party, too. */
static enum program_answer ask_by_socket(const struct flow_room *room, const struct flow *flow,
                                         struct flow_party *party, unsigned side, nanoseconds time,
                                         struct program *out) {
    const struct program_source *source = room->around.programs;
    const struct socket_name socket = {.local = flow->key.address[side],
                                       .remote = flow->key.address[!side],
                                       .local_port = flow->key.port[side],
                                       .remote_port = flow->key.port[!side],
                                       .proto = flow->key.proto};
    enum program_answer answer = source->by_socket(source->context, &socket, time, out);
    if (answer != PROGRAM_TOLD) return answer;
    party->trust = TRUST_LOG;
    party->name = out->name;
    party->path = out->path;
    party->pid = out->pid;
    return PROGRAM_TOLD;
}

static bool ask_once(const struct flow_room *room, const struct flow *flow, struct flow_programs *programs,
                     nanoseconds time) {
    struct program out = {.pid = -1};
    const struct flow_party *party = party_of(flow, programs);
    unsigned client = flow_client(flow);
    enum program_answer answer;
    if (party) {
        answer = ask_by_pid(room, flow, party, party == &programs->party[0] ? 0 : 1, time, &out);
    } else {
        answer = ask_by_socket(room, flow, &programs->party[client], client, time, &out);
        if (answer != PROGRAM_TOLD)
            answer = ask_by_socket(room, flow, &programs->party[!client], !client, time, &out);
    }
    programs->contradicted = answer == PROGRAM_CONTRADICTED;
    if (answer != PROGRAM_TOLD) return false;
    programs->told = out;
    programs->ancestry = program_ancestry(room->around.words, out.ancestors);
    return true;
}

static void ask(struct flow_room *room, struct flow *flow, nanoseconds time) {
    struct flow_programs *programs = programs_of(room, flow);
    if (!programs || programs->known || programs->asked >= ASKS_MOST || time < programs->ask_next) return;
    programs->ask_next = time + ((nanoseconds)ASK_FIRST * NS_PER_MILLISECOND << 2 * programs->asked);
    programs->asked++;
    programs->known = ask_once(room, flow, programs, time);
}

/* ── from outside ────────────────────────────────────────────────── */

void programs_packet(struct flow_room *room, struct flow *flow, unsigned side, const struct packet *packet,
                     const struct decoded *decoded) {
    const struct packet_origin *origin = packet->origin;
    if (packet->direction != PACKET_DIRECTION_UNKNOWN && !flow_side(flow, 0)->leaves &&
        !flow_side(flow, 1)->leaves)
        flow_side_write(flow, packet->direction == PACKET_OUT ? side : !side)->leaves = true;
    if (!room->around.words) return;
    if (origin && (origin->process || origin->effective) && !is_misread(packet, decoded))
        learn(room, flow, side, packet);
    if (room->around.programs) ask(room, flow, packet->time);
}

void programs_marks(struct flow_room *room, struct flow *flow, const struct packet_origin *origin) {
    bool says = origin->service_class != ORIGIN_NO_CLASS || origin->flow_id || origin->drop_reason;
    struct flow_programs *programs = says && room->around.words ? programs_of(room, flow) : NULL;
    if (!programs) return;
    if (origin->service_class != ORIGIN_NO_CLASS) programs->service_class = origin->service_class;
    if (origin->flow_id) programs->kernel_flow = origin->flow_id;
    if (!origin->drop_reason) return;
    flow->missing |= MISSING_DROPPED;
    programs->drops++;
    programs->drop_reason = origin->drop_reason;
    programs->drop_function = word(room, origin->drop_function);
}

/* Once a flow. Who has no pid, the kernel for one, cannot be asked for. */
static void count_answer(struct flow_room *room, const struct flow_party *party,
                         const struct flow_programs *programs) {
    if (party && pid_to_ask(party) <= 0) return;
    room->counters.programs_asked++;
    room->counters.programs_joined += programs->known;
    room->counters.programs_contradicted += !programs->known && programs->contradicted;
    room->counters.programs_unnamed += !party || party->trust == TRUST_LOG;
}

void programs_finish(struct flow_room *room, struct flow *flow) {
    struct flow_programs *programs = room->around.programs ? programs_if(room, flow) : NULL;
    if (!programs) return;
    if (!programs->known) programs->known = ask_once(room, flow, programs, flow->last);
    count_answer(room, party_of(flow, programs), programs);
}

static const char *first_of(const char *a, const char *b, const char *c) {
    return a ? a : b ? b : c;
}

static const char *program_name(const struct flow_programs *programs, const struct flow_party *party) {
    return first_of(programs->known ? programs->told.name : NULL, party->effective_name, party->name);
}

const char *programs_name(const struct flow_room *room, const struct flow *flow) {
    const struct flow_programs *programs = programs_if(room, flow);
    const struct flow_party *party = programs ? party_of(flow, programs) : NULL;
    return party ? program_name(programs, party) : NULL;
}

void programs_fill_head(const struct flow_room *room, const struct flow *flow, struct event_head_body *head) {
    unsigned client = flow_client(flow);
    if (flow_side(flow, client)->leaves)
        head->direction = "out";
    else if (flow_side(flow, !client)->leaves)
        head->direction = "in";
    const struct flow_programs *programs = programs_if(room, flow);
    const struct flow_party *party = programs ? party_of(flow, programs) : NULL;
    if (!party) return;
    bool agent = party->has_effective;
    head->program = program_name(programs, party);
    head->process = party->name;
    head->pid = party->pid > 0 ? (uint32_t)party->pid : 0;
    head->effective_process = party->effective_name;
    head->effective_pid = party->effective_pid > 0 ? (uint32_t)party->effective_pid : 0;
    head->path = agent ? party->effective_path : party->path;
    if (!programs->known) return;
    if (programs->told.path) head->path = programs->told.path;
    head->parent = programs->told.ancestors[0];
    head->ancestry = programs->ancestry;
}

static struct text_ref uuid_text(struct batch *batch, const uint8_t uuid[16]) {
    static const char digits[] = "0123456789ABCDEF";
    char text[36];
    int length = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text[length++] = '-';
        text[length++] = digits[uuid[i] >> 4];
        text[length++] = digits[uuid[i] & 15];
    }
    return batch_text(batch, text, (size_t)length);
}

static void fill_told(struct batch *batch, const struct program *told, struct event_flow_body *body) {
    struct text_ref names[PROGRAM_ANCESTORS];
    uint32_t count = 0;
    for (; count < PROGRAM_ANCESTORS && told->ancestors[count]; count++)
        names[count] = batch_string(batch, told->ancestors[count]);
    if (count) body->ancestors = batch_list(batch, names, count);
    body->responsible = told->responsible;
    body->signing_id = told->signing_id;
    body->team_id = told->team_id;
    body->platform = told->platform;
    if (told->arguments) body->arguments = batch_string(batch, told->arguments);
}

/* SO_TC_* of xnu's bsd/sys/socket_private.h. */
static const char *class_word(uint32_t service_class) {
    static const struct {
        uint32_t number;
        const char *word;
    } classes[] = {{0, "BE"},   {100, "BK_SYS"}, {200, "BK"}, {300, "RD"}, {400, "OAM"},
                   {500, "AV"}, {600, "RV"},     {700, "VI"}, {800, "VO"}, {900, "CTL"}};
    for (unsigned i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i].number == service_class) return classes[i].word;
    return service_class == ORIGIN_NO_CLASS ? NULL : "other";
}

static void fill_marks(const struct flow_programs *programs, struct event_flow_body *body) {
    body->service_class = class_word(programs->service_class);
    body->kernel_flow = programs->kernel_flow;
    body->kernel_drops = programs->drops;
    body->drop_reason = programs->drop_reason;
    body->drop_function = programs->drop_function;
}

void programs_fill_record(const struct flow_room *room, const struct flow *flow,
                          struct event_flow_body *body) {
    struct batch *batch = room->around.batch;
    const struct flow_programs *programs = programs_if(room, flow);
    if (programs) fill_marks(programs, body);
    const struct flow_party *party = programs ? party_of(flow, programs) : NULL;
    if (!party) return;
    if (party->has_uuid) body->process_uuid = uuid_text(batch, party->uuid);
    if (party->has_effective_uuid) body->effective_uuid = uuid_text(batch, party->effective_uuid);
    const struct flow_party *server = &programs->party[flow_server(flow)];
    if (server->trust != TRUST_NOBODY) {
        body->server_process = server->name;
        body->server_pid = server->pid > 0 ? (uint32_t)server->pid : 0;
    }
    if (programs->known) fill_told(batch, &programs->told, body);
}
