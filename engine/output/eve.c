/* How a field table becomes a program, and the walk along it.
 *
 * A step's object is a number in the kind's list of objects; each object knows its parent, so that going from
 * one step's object to the next one's is: close up to what they share, open the rest. */
#include "output/eve.h"

#include "event/schema.h"
#include "output/json.h"

#include <stdlib.h>

enum {
    OBJECTS = 24,
    KEY_SIZE = 52,
    STEP_LITERAL = FIELD_TYPES, /* the key text is all there is to write */
    STEP_VLAN,                  /* EVE writes it as an array */
};

struct step {
    uint8_t type; /* enum field_type or one of the above */
    uint8_t omit_if_zero;
    uint8_t object;
    uint8_t key_length;
    uint32_t offset;    /* in the event */
    char key[KEY_SIZE]; /* ,"rrname": */
};

struct object {
    uint8_t parent;
    uint8_t depth; /* 0 for the record itself */
    uint8_t open_length;
    char open[KEY_SIZE]; /* ,"dns":{ */
};

struct program {
    struct step *steps;
    uint32_t count;
    uint32_t object_count;
    struct object objects[OBJECTS];
};

struct eve {
    struct program programs[EVENT_KINDS]; /* [EVENT_head] is for alerts: the head and nothing else */
};

/* ── making programs ─────────────────────────────────────────────── */

/* Writes ,"name"tail into `out`. Returns its length, or 0 if it is too long or needs escaping. */
static uint8_t key_text(char out[KEY_SIZE], const char *name, size_t length, const char *tail) {
    size_t tail_length = strlen(tail);
    if (length == 0 || length + tail_length + 3 >= KEY_SIZE) return 0;
    for (size_t i = 0; i < length; i++)
        if (name[i] < 0x20 || name[i] == '"' || name[i] == '\\') return 0;
    out[0] = ',';
    out[1] = '"';
    memcpy(out + 2, name, length);
    out[length + 2] = '"';
    memcpy(out + length + 3, tail, tail_length);
    return (uint8_t)(length + tail_length + 3);
}

static bool is_inside(const struct program *p, uint8_t object, uint8_t ancestor) {
    while (p->objects[object].depth > p->objects[ancestor].depth) object = p->objects[object].parent;
    return object == ancestor;
}

/* The object called `name` in `parent`, made if it is new. -1 if it was closed by the steps before, or there
 * are too many. */
static int object_in(struct program *p, uint8_t parent, const char *name, size_t length) {
    struct object wanted = {.parent = parent, .depth = p->objects[parent].depth + 1};
    wanted.open_length = key_text(wanted.open, name, length, ":{");
    if (!wanted.open_length) return -1;
    uint8_t last = p->count ? p->steps[p->count - 1].object : 0;
    for (uint32_t i = 1; i < p->object_count; i++) {
        const struct object *o = &p->objects[i];
        if (o->parent == parent && o->open_length == wanted.open_length &&
            memcmp(o->open, wanted.open, wanted.open_length) == 0)
            return is_inside(p, last, (uint8_t)i) ? (int)i : -1;
    }
    if (p->object_count == OBJECTS) return -1;
    p->objects[p->object_count] = wanted;
    return (int)p->object_count++;
}

static int add_field(struct program *p, const struct event_schema *schema, const struct field *field,
                     struct error *err) {
    if (!field->key[0]) return 0;
    const char *key = field->key;
    int object = 0;
    for (const char *dot; object >= 0 && (dot = strchr(key, '.')); key = dot + 1)
        object = object_in(p, (uint8_t)object, key, (size_t)(dot - key));
    struct step step = {.type = field->type, .omit_if_zero = field->omit_if_zero, .offset = field->offset};
    step.key_length = key_text(step.key, key, strlen(key), ":");
    if (object < 0 || !step.key_length)
        return error_set(
            err,
            "events.def: key \"%s\" of event %s: fields of one JSON object must stand together, and "
            "names be short and plain",
            field->key, schema->name);
    step.object = (uint8_t)object;
    if (schema == event_schema_of(EVENT_head) && strcmp(field->key, "vlan") == 0) step.type = STEP_VLAN;
    p->steps[p->count++] = step;
    return 0;
}

static void add_event_type(struct program *p, const char *name) {
    struct buffer text = {0};
    json_key(&text, "event_type");
    json_text(&text, name);
    struct step step = {.type = STEP_LITERAL};
    if (!text.failed && text.length + 1 < KEY_SIZE) {
        step.key[0] = ',';
        memcpy(step.key + 1, text.at, text.length);
        step.key_length = (uint8_t)(text.length + 1);
        p->steps[p->count++] = step;
    }
    buffer_free(&text);
}

/* EVE has the event's type after the interface and before the addresses. */
static bool comes_before_type(const struct field *field) {
    static const char *const early[] = {"timestamp", "flow_id", "in_iface"};
    for (size_t i = 0; i < sizeof early / sizeof early[0]; i++)
        if (strcmp(field->key, early[i]) == 0) return true;
    return false;
}

/* For events of a schema, or for the head alone. */
static int make_program(struct program *p, const struct event_schema *own, const char *type,
                        struct error *err) {
    const struct event_schema *head = event_schema_of(EVENT_head);
    p->object_count = 1;
    p->steps = calloc(head->field_count + own->field_count + 1, sizeof *p->steps);
    if (!p->steps) return error_set(err, "out of memory for the record writer");
    for (int early = 1; early >= 0; early--) {
        for (uint32_t i = 0; i < head->field_count; i++)
            if (comes_before_type(&head->fields[i]) == early && add_field(p, head, &head->fields[i], err))
                return -1;
        if (early) add_event_type(p, type);
    }
    if (own == head) return 0;
    for (uint32_t i = 0; i < own->field_count; i++)
        if (add_field(p, own, &own->fields[i], err)) return -1;
    return 0;
}

struct eve *eve_new(struct error *err) {
    struct eve *eve = calloc(1, sizeof *eve);
    if (!eve) {
        error_set(err, "out of memory for the record writer");
        return NULL;
    }
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        const struct event_schema *own = event_schema_of((enum event_kind)kind);
        const char *type = kind == EVENT_head ? "alert" : own->name;
        if (make_program(&eve->programs[kind], own, type, err) == 0) continue;
        eve_free(eve);
        return NULL;
    }
    return eve;
}

void eve_free(struct eve *eve) {
    if (!eve) return;
    for (int kind = 0; kind < EVENT_KINDS; kind++) free(eve->programs[kind].steps);
    free(eve);
}

/* ── walking them ────────────────────────────────────────────────── */

struct walk {
    struct buffer *b;
    const struct program *program;
    const char *text; /* the batch's */
    uint8_t object;   /* the innermost open one */
};

/* Keys begin with a comma, which is not wanted right after an object was opened. All that a key may
 * have is copied, since a copy of constant size is a few instructions. */
static void put_key(struct buffer *b, const char key[KEY_SIZE], uint8_t length) {
    if (!buffer_reserve(b, KEY_SIZE)) return;
    uint8_t skip = b->at[b->length - 1] == '{';
    memcpy(b->at + b->length, key + skip, KEY_SIZE - 1);
    b->length += (size_t)length - skip;
}

static void open_object(struct walk *w, uint8_t object, uint8_t above) {
    const struct object *o = &w->program->objects[object];
    if (object == above) return;
    open_object(w, o->parent, above);
    put_key(w->b, o->open, o->open_length);
}

static void move_to(struct walk *w, uint8_t object) {
    while (!is_inside(w->program, object, w->object)) {
        buffer_char(w->b, '}');
        w->object = w->program->objects[w->object].parent;
    }
    open_object(w, object, w->object);
    w->object = object;
}

static void put_time(struct buffer *b, nanoseconds t) {
    if (!buffer_reserve(b, TIMESTAMP_LENGTH + 3)) return;
    char *out = b->at + b->length;
    out[0] = '"';
    int length = time_format_eve(t, out + 1);
    out[length + 1] = '"';
    b->length += (size_t)length + 2;
}

static void put_ip(struct buffer *b, const struct ip *address) {
    if (!buffer_reserve(b, IP_TEXT_SIZE + 2)) return;
    char *out = b->at + b->length;
    out[0] = '"';
    int length = ip_format(address, out + 1);
    out[length + 1] = '"';
    b->length += (size_t)length + 2;
}

static void put_list(struct buffer *b, const char *text, const struct list_ref *list) {
    buffer_char(b, '[');
    for (uint32_t i = 0; i < list->count; i++) {
        struct text_ref item;
        memcpy(&item, text + list->at + i * sizeof item, sizeof item);
        if (i) buffer_char(b, ',');
        json_quote(b, text + item.at, item.length);
    }
    buffer_char(b, ']');
}

static void put_u16s(struct buffer *b, const char *text, const struct list_ref *list) {
    if (!buffer_reserve(b, (size_t)list->count * 6 + 2)) return;
    char *out = b->at + b->length;
    *out++ = '[';
    for (uint32_t i = 0; i < list->count; i++) {
        uint16_t item;
        memcpy(&item, text + list->at + i * sizeof item, sizeof item);
        if (i) *out++ = ',';
        out += decimal_digits(item, out);
    }
    *out++ = ']';
    b->length = (size_t)(out - b->at);
}

static uint64_t load_number(uint8_t type, const void *at) {
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;
    switch (type) {
    case FIELD_u16:
    case STEP_VLAN:
        memcpy(&v16, at, sizeof v16);
        return v16;
    case FIELD_u32:
        memcpy(&v32, at, sizeof v32);
        return v32;
    case FIELD_u64:
    case FIELD_time:
        memcpy(&v64, at, sizeof v64);
        return v64;
    default:
        return *(const uint8_t *)at;
    }
}

/* Is there nothing to write? An address that is all zero is one only where there is an IP header to have had
 * it. */
static bool is_absent(const struct step *step, const void *at, const struct event_head_body *head) {
    static const struct ip none;
    switch (step->type) {
    case STEP_LITERAL:
        return false;
    case FIELD_word:
        return *(const char *const *)at == NULL;
    case FIELD_str:
    case FIELD_bytes:
        return ((const struct text_ref *)at)->at == 0;
    case FIELD_list:
    case FIELD_u16s:
        return ((const struct list_ref *)at)->count == 0;
    case FIELD_ip:
        return (step->omit_if_zero || !head->proto) && ip_equals(at, &none);
    case FIELD_f64:
        return step->omit_if_zero && *(const double *)at == 0;
    default:
        return step->omit_if_zero && load_number(step->type, at) == 0;
    }
}

static void put_value(struct walk *w, const struct step *step, const void *at) {
    struct buffer *b = w->b;
    const struct text_ref *ref = at;
    switch (step->type) {
    case STEP_LITERAL:
        return;
    case STEP_VLAN:
        buffer_char(b, '[');
        json_u64(b, load_number(step->type, at));
        buffer_char(b, ']');
        return;
    case FIELD_f64:
        json_f64(b, *(const double *)at);
        return;
    case FIELD_bool:
        json_bool(b, *(const uint8_t *)at != 0);
        return;
    case FIELD_time:
        put_time(b, *(const nanoseconds *)at);
        return;
    case FIELD_ip:
        put_ip(b, at);
        return;
    case FIELD_word:
        json_text(b, *(const char *const *)at);
        return;
    case FIELD_str:
        json_quote(b, w->text + ref->at, ref->length);
        return;
    case FIELD_bytes:
        json_hex(b, w->text + ref->at, ref->length);
        return;
    case FIELD_list:
        put_list(b, w->text, at);
        return;
    case FIELD_u16s:
        put_u16s(b, w->text, at);
        return;
    default:
        json_u64(b, load_number(step->type, at));
        return;
    }
}

/* Leaves the record open: its last '}' is for the caller. */
static void put_event(const struct program *program, struct buffer *b, const void *event, const char *text) {
    struct walk w = {.b = b, .program = program, .text = text};
    buffer_char(b, '{');
    for (uint32_t i = 0; i < program->count; i++) {
        const struct step *step = &program->steps[i];
        const void *at = (const char *)event + step->offset;
        if (is_absent(step, at, event)) continue;
        if (step->object != w.object) move_to(&w, step->object);
        put_key(b, step->key, step->key_length);
        put_value(&w, step, at);
    }
    move_to(&w, 0);
}

void eve_event(const struct eve *eve, struct buffer *b, enum event_kind kind, const void *event,
               const struct batch *batch) {
    put_event(&eve->programs[kind], b, event, batch ? batch->text : NULL);
    buffer_put(b, "}\n", 2);
}

static void program_free(void *program) {
    free(((struct program *)program)->steps);
    free(program);
}

void eve_custom(struct buffer *b, struct custom_schema *custom, const void *event, const char *text) {
    if (!custom->note) {
        struct program *program = calloc(1, sizeof *program);
        if (!program || make_program(program, &custom->schema, custom->schema.name, NULL) < 0) {
            if (program) program_free(program);
            b->failed = true;
            return;
        }
        custom->note = program;
        custom->note_free = program_free;
    }
    put_event(custom->note, b, event, text);
    buffer_put(b, "}\n", 2);
}

static void begin_headless(struct buffer *b, nanoseconds time, const char *type) {
    buffer_char(b, '{');
    json_key(b, "timestamp");
    put_time(b, time);
    json_pair_text(b, "event_type", type);
}

/* ── alerts, reports, statistics ─────────────────────────────────── */

uint32_t eve_signature_id(const char *detector, const char *title) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *p = detector; *p; p++) hash = (hash ^ (uint8_t)*p) * 16777619u;
    hash *= 16777619u; /* a zero byte between the two */
    for (const char *p = title; *p; p++) hash = (hash ^ (uint8_t)*p) * 16777619u;
    hash &= 0x7fffffffu;
    return hash ? hash : 1;
}

/* "T1071.004, T1568" as an array. */
static void put_techniques(struct buffer *b, const char *attack) {
    json_key(b, "metadata");
    buffer_char(b, '{');
    json_key(b, "mitre_technique_id");
    buffer_char(b, '[');
    for (const char *p = attack; *p;) {
        p += strspn(p, ", ");
        size_t length = strcspn(p, ", ");
        if (!length) break;
        json_item(b);
        json_quote(b, p, length);
        p += length;
    }
    buffer_string(b, "]}");
}

static void pair_if_said(struct buffer *b, const char *key, const char *text) {
    if (text && text[0]) json_pair_text(b, key, text);
}

static void put_own_part(struct buffer *b, const struct alert *alert) {
    json_key(b, "lunette");
    buffer_char(b, '{');
    json_pair_text(b, "detector", alert->detector);
    pair_if_said(b, "who", alert->who);
    pair_if_said(b, "where", alert->where);
    pair_if_said(b, "why", alert->why);
    pair_if_said(b, "next", alert->next);
    if (alert->has_head) pair_if_said(b, "partial", alert->head.partial);
    if (alert->score == alert->score) json_pair_f64(b, "score", alert->score);
    if (alert->confidence == alert->confidence) json_pair_f64(b, "confidence", alert->confidence);
    if (alert->repeats) json_pair_u64(b, "repeats", alert->repeats);
    pair_if_said(b, "pcap_file", alert->pcap);
    const char *evidence = alert->evidence ? alert->evidence : "{}";
    size_t length = strlen(evidence);
    if (json_is_object(evidence, length)) {
        json_key(b, "evidence");
        buffer_put(b, evidence, length);
    } else {
        json_pair_text(b, "evidence_text", evidence);
    }
    buffer_char(b, '}');
}

void eve_alert(const struct eve *eve, struct buffer *b, const struct alert *alert,
               const struct batch *batch) {
    if (alert->has_head) {
        struct event_head_body head = alert->head;
        head.time = alert->time;
        head.partial = NULL; /* is told in the alert's own part */
        if (!batch) head.iface = (struct text_ref){0};
        put_event(&eve->programs[EVENT_head], b, &head, batch ? batch->text : NULL);
    } else {
        begin_headless(b, alert->time, "alert");
    }
    json_key(b, "alert");
    buffer_string(b, "{\"action\":\"allowed\",\"gid\":1");
    json_pair_u64(b, "signature_id", eve_signature_id(alert->detector, alert->title));
    json_pair_u64(b, "rev", 1);
    json_pair_text(b, "signature", alert->title);
    json_pair_text(b, "category", alert->category ? alert->category : "");
    json_pair_u64(b, "severity", alert->severity);
    if (alert->attack && alert->attack[0]) put_techniques(b, alert->attack);
    buffer_char(b, '}');
    put_own_part(b, alert);
    buffer_put(b, "}\n", 2);
}

/* The members of an object that somebody else wrote, put in among our own. */
static void splice_members(struct buffer *b, const char *object) {
    size_t length = object ? strlen(object) : 0;
    if (!json_is_object(object ? object : "", length)) return;
    size_t from = strcspn(object, "{") + 1;
    while (length > from && object[length - 1] != '}') length--;
    length--;
    from += strspn(object + from, " \t\r\n");
    if (from >= length) return;
    json_item(b);
    buffer_put(b, object + from, length - from);
}

void eve_sensor(struct buffer *b, nanoseconds time, const char *what, uint8_t severity, const char *message,
                const char *members) {
    begin_headless(b, time, "sensor");
    json_key(b, "sensor");
    buffer_char(b, '{');
    json_pair_text(b, "what", what);
    json_pair_text(b, "message", message);
    if (severity) json_pair_u64(b, "severity", severity);
    splice_members(b, members);
    buffer_string(b, "}}\n");
}

void eve_report(struct buffer *b, const struct report *report) {
    begin_headless(b, report->time, "report");
    json_key(b, "report");
    buffer_char(b, '{');
    json_pair_text(b, "detector", report->detector);
    json_pair_text(b, "title", report->title);
    json_key(b, "columns");
    buffer_char(b, '[');
    for (uint32_t i = 0; i < report->columns; i++) {
        json_item(b);
        json_text(b, report->names[i] + (report->names[i][0] == '>'));
    }
    buffer_char(b, ']');
    json_key(b, "rows");
    buffer_char(b, '[');
    for (uint32_t row = 0; row < report->rows; row++) {
        json_item(b);
        buffer_char(b, '[');
        for (uint32_t i = 0; i < report->columns; i++) {
            const char *cell = report->cells[(size_t)row * report->columns + i];
            json_item(b);
            json_text(b, cell ? cell : "");
        }
        buffer_char(b, ']');
    }
    buffer_char(b, ']');
    pair_if_said(b, "note", report->note);
    buffer_string(b, "}}\n");
}

/* Length of the objects' part that two dotted names share, dot included. */
static size_t shared_path(const char *a, const char *b) {
    size_t shared = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.') shared = i + 1;
    return shared;
}

static uint32_t dots_in(const char *text) {
    uint32_t dots = 0;
    for (; *text; text++) dots += *text == '.';
    return dots;
}

void eve_stats(struct buffer *b, nanoseconds time, const struct stat_figure *figures, uint32_t count) {
    begin_headless(b, time, "stats");
    json_key(b, "stats");
    buffer_char(b, '{');
    const char *before = "";
    for (uint32_t i = 0; i < count; i++) {
        const char *rest = figures[i].name + shared_path(before, figures[i].name);
        buffer_fill(b, '}', dots_in(before + (rest - figures[i].name)));
        for (const char *dot; (dot = strchr(rest, '.')); rest = dot + 1) {
            json_item(b);
            json_quote(b, rest, (size_t)(dot - rest));
            buffer_string(b, ":{");
        }
        json_pair_u64(b, rest, figures[i].value);
        before = figures[i].name;
    }
    buffer_fill(b, '}', dots_in(before));
    buffer_string(b, "}}\n");
}
