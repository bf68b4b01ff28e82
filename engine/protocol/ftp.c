/* FTP's control connection (RFC 959, RFC 2428 for EPRT and EPSV, RFC 4217 for AUTH).
 *
 * Commands wait in a queue for their replies. Those of note (logins, transfers, lists, changes of files) make
 * an event when their last reply is in: "150" only announces it. PORT, PASV and their kin come before a
 * transfer and say where its data will flow; that is told with the transfer. Passwords are never copied. */
#include "protocol/protocols.h"

#include "protocol/text_line.h"

enum { PORT_FTP = 21, WAITING_MOST = 8, LINE_PROBE = 512 };

enum command {
    COMMAND_NONE,
    COMMAND_OTHER,
    COMMAND_USER,
    COMMAND_AUTH,
    COMMAND_PASV,
    COMMAND_EPSV,
    COMMAND_NOTED, /* this and the following: number of a waiting command */
};

/* A command of note that waits for its reply. */
struct waiting {
    char command[8];
    struct text_value argument;
};

struct ftp {
    struct text_reader reader;
    struct text_queue queue;
    struct text_reply reply;
    struct text_value banner, user;
    struct waiting waiting[WAITING_MOST];
    uint8_t next; /* of `waiting`, in turn */
    bool password, starttls;
    bool reported;
    const char *mode;           /* how the next transfer's data flows */
    char data_ip[IP_TEXT_SIZE]; /* "" if only the port was said */
    uint16_t data_port;
};

/* ------------------------------------------------------------------ recognition */

/* USER is POP3's and IRC's too, QUIT, LIST and others everybody's: those need the port or a server that
 * greets as FTP does. */
static const char *const own[] = {"PASV", "EPSV", "EPRT", "SYST", "FEAT", "CWD",  "PWD",  "RETR", "STOR",
                                  "MLSD", "NLST", "MKD",  "SIZE", "OPTS", "MDTM", "TYPE", NULL};
static const char *const shared[] = {"USER", "PASS", "AUTH", "QUIT", "LIST", "PORT", "HELP", "NOOP", "ABOR",
                                     "CLNT", "DELE", "CDUP", "ACCT", "REST", "SITE", "STAT", "STRU", "MODE",
                                     "XPWD", "XCWD", "HOST", "PBSZ", "PROT", "ALLO", "APPE", "RNFR", NULL};

static enum recognised client_looks(const struct probe *probe) {
    bool whole;
    if (!is_letter(probe->data[0])) return RECOGNISED_NO;
    struct slice rest = text_first_line(probe, &whole);
    if (!slice_printable(rest) && probe->server_port != PORT_FTP) return RECOGNISED_NO;
    struct slice word = word_take(&rest);
    bool known = word.length <= 4 || word_among(word, own) || word_among(word, shared);
    if (!whole) return known && probe->length < LINE_PROBE ? RECOGNISED_MAYBE : RECOGNISED_NO;
    bool is_own = word_among(word, own), is_shared = word_among(word, shared);
    if (!is_own && !is_shared) return RECOGNISED_NO;
    if (probe->server_port == PORT_FTP) return RECOGNISED_YES;
    if (probe->other.length == 0) return RECOGNISED_MAYBE;
    return text_reply_looks(probe->other.at, probe->other.length) == RECOGNISED_YES ? RECOGNISED_YES
                                                                                    : RECOGNISED_NO;
}

static enum recognised server_looks(const struct probe *probe) {
    enum recognised form = text_reply_looks(probe->data, probe->length);
    if (form != RECOGNISED_YES) return form;
    bool whole;
    struct slice line = text_first_line(probe, &whole);
    bool greeting = memcmp(line.at, "220", 3) == 0 || memcmp(line.at, "120", 3) == 0;
    if (greeting && slice_contains(line, "SMTP")) return RECOGNISED_NO;
    if (greeting && slice_contains(line, "FTP")) return RECOGNISED_YES;
    if (probe->server_port == PORT_FTP) return whole ? RECOGNISED_YES : RECOGNISED_MAYBE;
    return greeting ? RECOGNISED_MAYBE : RECOGNISED_NO;
}

static enum recognised ftp_recognise(const struct probe *probe) {
    return probe->direction == TO_SERVER ? client_looks(probe) : server_looks(probe);
}

/* ------------------------------------------------------------------ the event */

static bool has_data(const char *command) {
    static const char *const list[] = {"RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD", NULL};
    return word_among((struct slice){(const uint8_t *)command, (uint32_t)strlen(command)}, list);
}

static void report(struct conversation *c, struct ftp *f, const struct waiting *w, bool answered) {
    f->reported = true;
    struct event_ftp *event = conversation_event(c, EVENT_ftp);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_ftp_body *body = &event->body;
    body->banner = text_value_ref(batch, &f->banner);
    body->user = text_value_ref(batch, &f->user);
    body->password = f->password;
    body->starttls = f->starttls;
    if (w) {
        body->command = batch_string(batch, w->command);
        body->argument = text_value_ref(batch, &w->argument);
        if (has_data(w->command)) {
            body->mode = f->mode;
            if (f->data_ip[0]) body->data_ip = batch_string(batch, f->data_ip);
            body->data_port = f->data_port;
        }
    }
    if (answered) {
        body->status = f->reply.code;
        body->status_text =
            batch_text(batch, f->reply.text.at,
                       f->reply.text.length < TEXT_VALUE_MOST ? f->reply.text.length : TEXT_VALUE_MOST);
    }
    batch_commit(batch);
}

/* ------------------------------------------------------------------ where data flows */

static void data_forget(struct ftp *f) {
    f->mode = NULL;
    f->data_ip[0] = '\0';
    f->data_port = 0;
}

/* "h1,h2,h3,h4,p1,p2": PORT's argument, and somewhere within PASV's reply. */
static void read_six(struct ftp *f, struct slice s, const char *mode) {
    uint8_t bytes[6];
    while (s.length > 0 && (s.at[0] < '0' || s.at[0] > '9')) s.at++, s.length--;
    for (unsigned i = 0; i < 6; i++) {
        if (s.length == 0 || s.at[0] < '0' || s.at[0] > '9') return;
        uint64_t number = number_take(&s);
        if (number > 255) return;
        bytes[i] = (uint8_t)number;
        if (i < 5 && (s.length == 0 || s.at[0] != ',')) return;
        if (i < 5) s.at++, s.length--;
    }
    struct ip address;
    ip_from_v4(&address, bytes);
    f->data_ip[ip_format(&address, f->data_ip)] = '\0';
    f->data_port = load_be16(bytes + 4);
    f->mode = mode;
}

/* "|1|132.235.1.2|6275|" or, in EPSV's reply, "(|||6446|)". Any sign may part the fields. */
static void read_extended(struct ftp *f, struct slice s, const char *mode) {
    if (s.length < 1) return;
    uint8_t bar = s.at[0];
    struct slice fields[3] = {{0}};
    unsigned count = 0;
    s.at++, s.length--;
    for (; count < 3; count++) {
        const uint8_t *end = memchr(s.at, bar, s.length);
        if (!end) return;
        fields[count] = (struct slice){s.at, (uint32_t)(end - s.at)};
        s = (struct slice){end + 1, s.length - fields[count].length - 1};
    }
    uint64_t port = number_take(&fields[2]);
    if (port == 0 || port > 65535 || fields[1].length >= sizeof f->data_ip || !slice_printable(fields[1]))
        return;
    memcpy(f->data_ip, fields[1].at, fields[1].length);
    f->data_ip[fields[1].length] = '\0';
    f->data_port = (uint16_t)port;
    f->mode = mode;
}

/* ------------------------------------------------------------------ what the client says */

static bool of_note(struct slice word) {
    static const char *const list[] = {"PASS", "RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD", "DELE",
                                       "RNFR", "RNTO", "MKD",  "XMKD", "RMD",  "XRMD", "SITE", NULL};
    return word_among(word, list);
}

static uint8_t note_command(struct ftp *f, struct slice word, struct slice argument) {
    uint8_t number = f->next;
    struct waiting *w = &f->waiting[number];
    f->next = (uint8_t)((f->next + 1) % WAITING_MOST);
    memset(w->command, 0, sizeof w->command);
    for (uint32_t i = 0; i < word.length && i < sizeof w->command - 1; i++)
        w->command[i] = (char)(word.at[i] >= 'a' ? word.at[i] - 'a' + 'A' : word.at[i]);
    bool password = word_is(word, "PASS");
    /* SITE may change a password, too. */
    bool secret = password || (word_is(word, "SITE") && !word_begins(argument, "CHMOD") &&
                               !word_begins(argument, "EXEC") && !word_begins(argument, "CP"));
    text_value_set(&w->argument, secret ? (struct slice){argument.at, 0} : argument);
    if (password) f->password = true;
    return (uint8_t)(COMMAND_NOTED + number);
}

/* Telnet's signs before ABOR and the like (RFC 959 section 4.1.3). */
static struct slice without_telnet(struct slice line) {
    while (line.length > 0 && line.at[0] >= 0xf0) line.at++, line.length--;
    return line;
}

static enum text_step client_line(struct ftp *f, struct slice line) {
    struct slice rest = without_telnet(line), word = word_take(&rest);
    uint8_t kind = COMMAND_OTHER;
    if (word.length == 0) return TEXT_NEXT;
    if (word_is(word, "USER")) {
        text_value_set(&f->user, rest);
        f->password = false;
        kind = COMMAND_USER;
    } else if (word_is(word, "AUTH")) {
        note_command(f, word, rest);
        f->reader.hold[TO_SERVER] = true;
        kind = COMMAND_AUTH;
    } else if (word_is(word, "PORT")) {
        data_forget(f);
        read_six(f, rest, "active");
    } else if (word_is(word, "EPRT")) {
        data_forget(f);
        read_extended(f, rest, "active");
    } else if (word_is(word, "PASV")) {
        kind = COMMAND_PASV;
    } else if (word_is(word, "EPSV")) {
        kind = COMMAND_EPSV;
    } else if (of_note(word)) {
        kind = note_command(f, word, rest);
    }
    text_queue_push(&f->queue, kind);
    return TEXT_NEXT;
}

/* ------------------------------------------------------------------ what the server says */

static void passive(struct ftp *f, uint8_t command) {
    struct slice text = f->reply.text;
    data_forget(f);
    if (command == COMMAND_PASV && f->reply.code == 227) {
        const uint8_t *open = memchr(text.at, '(', text.length);
        if (open) text = (struct slice){open, text.length - (uint32_t)(open - text.at)};
        read_six(f, text, "passive");
    }
    if (command == COMMAND_EPSV && f->reply.code == 229) {
        const uint8_t *open = memchr(text.at, '(', text.length);
        if (open)
            read_extended(f, (struct slice){open + 1, text.length - (uint32_t)(open + 1 - text.at)},
                          "passive");
    }
}

static enum text_step auth_answered(struct conversation *c, struct ftp *f) {
    struct waiting w = {.command = "AUTH"};
    const struct waiting *last = &f->waiting[(f->next + WAITING_MOST - 1) % WAITING_MOST];
    if (strcmp(last->command, "AUTH") == 0) w = *last;
    f->reader.hold[TO_SERVER] = false;
    f->starttls = f->reply.code == 234 || (f->reply.code == 334 && word_begins(f->reply.text, "AUTH"));
    report(c, f, &w, true);
    return f->starttls ? TEXT_HAND_OVER : TEXT_NEXT;
}

static enum text_step server_line(struct conversation *c, struct ftp *f, struct slice line) {
    bool first = f->reply.open == 0 && f->banner.length == 0 && f->queue.count == 0;
    bool last = text_reply_read(&f->reply, line);
    if (first && f->reply.code == 220) text_value_set(&f->banner, f->reply.text);
    if (!last || f->reply.code < 200) return TEXT_NEXT; /* 1yz: another will follow */
    uint8_t command = text_queue_first(&f->queue);
    text_queue_pop(&f->queue);
    if (command == COMMAND_AUTH) return auth_answered(c, f);
    if (command == COMMAND_PASV || command == COMMAND_EPSV) passive(f, command);
    if (command == COMMAND_USER && (f->reply.code == 230 || f->reply.code >= 400)) {
        struct waiting login = {.command = "USER"}; /* that was enough for the server, or too much */
        report(c, f, &login, true);
    }
    if (command >= COMMAND_NOTED) {
        const struct waiting *w = &f->waiting[command - COMMAND_NOTED];
        report(c, f, w, true);
        if (has_data(w->command)) data_forget(f);
    }
    return TEXT_NEXT;
}

/* ------------------------------------------------------------------ protocol */

static enum text_step ftp_line(struct conversation *c, enum direction direction, struct slice line) {
    struct ftp *f = c->state;
    return direction == TO_SERVER ? client_line(f, line) : server_line(c, f, line);
}

static void ftp_tls(struct conversation *c) {
    struct ftp *f = c->state;
    f->starttls = true;
    f->reported = false;
}

static const struct text_handler handler = {.on_line = ftp_line, .on_tls = ftp_tls};

static int64_t ftp_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                          uint32_t length) {
    struct ftp *f = c->state;
    return text_stream(c, &f->reader, &handler, direction, data, length);
}

/* Tells of the commands that will get no reply now. */
static void give_up(struct conversation *c, struct ftp *f) {
    for (; f->queue.count > 0; text_queue_pop(&f->queue)) {
        uint8_t command = text_queue_first(&f->queue);
        if (command >= COMMAND_NOTED) report(c, f, &f->waiting[command - COMMAND_NOTED], false);
    }
}

static bool ftp_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    struct ftp *f = c->state;
    text_gap(&f->reader, direction, missing);
    give_up(c, f);
    f->reply.open = 0;
    return true;
}

static void ftp_end(struct conversation *c) {
    struct ftp *f = c->state;
    give_up(c, f);
    if (!f->reported && (f->banner.length > 0 || f->user.length > 0 || f->starttls))
        report(c, f, NULL, false);
}

const struct protocol protocol_ftp = {
    .name = "ftp",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct ftp),
    .recognise = ftp_recognise,
    .stream = ftp_stream,
    .gap = ftp_gap,
    .end = ftp_end,
};
