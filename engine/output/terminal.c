/* Text for people: safe characters, colours, wrapping, and the block of an alert. */
#include "output/terminal.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_DEFAULT = 80, WIDTH_LEAST = 40, WIDTH_MOST = 200 };

static bool wants_colour(int fd, enum colour_choice choice) {
    if (choice != COLOUR_AUTO) return choice == COLOUR_ALWAYS;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (no_color && no_color[0]) return false;
    return isatty(fd) && term && strcmp(term, "dumb") != 0;
}

struct terminal_style terminal_style_of(int fd, enum colour_choice choice) {
    struct terminal_style style = {.colour = wants_colour(fd, choice), .width = WIDTH_DEFAULT};
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return style;
    style.width = size.ws_col < WIDTH_LEAST  ? WIDTH_LEAST
                  : size.ws_col > WIDTH_MOST ? WIDTH_MOST
                                             : size.ws_col;
    style.fit_tables = size.ws_col;
    return style;
}

void terminal_ink(struct buffer *b, const struct terminal_style *style, enum ink ink) {
    static const char *const codes[] = {"\x1b[0m",  "\x1b[1m",  "\x1b[2m", "\x1b[1;31m",
                                        "\x1b[33m", "\x1b[36m", "\x1b[32m"};
    if (style->colour) buffer_string(b, codes[ink]);
}

/* ── what may be shown ───────────────────────────────────────────── */

/* Columns of a character: two for East Asian wide ones and pictures, none for combining marks (roughly:
 * Unicode Standard Annex 11). */
static uint32_t columns_of(uint32_t c) {
    if (c < 0x300) return 1;
    if (c <= 0x36f || (c >= 0xfe00 && c <= 0xfe0f)) return 0;
    if ((c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3))
        return 2;
    if ((c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60))
        return 2;
    return (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd)
               ? 2
               : 1;
}

/* The next piece of text as it is shown: one character, or the bytes of one that may not be. */
struct glyph {
    uint32_t used; /* bytes of the text */
    uint32_t columns;
    bool shown;
};

static struct glyph next_glyph(const uint8_t *p, size_t left) {
    uint32_t code;
    uint32_t used = utf8_decode(p, left, &code);
    if (!used) return (struct glyph){.used = 1, .columns = 4};
    if (!utf8_is_shown(code)) return (struct glyph){.used = used, .columns = 4 * used};
    return (struct glyph){.used = used, .columns = columns_of(code), .shown = true};
}

static void put_glyph(struct buffer *b, const uint8_t *p, struct glyph glyph) {
    static const char digits[] = "0123456789abcdef";
    if (glyph.shown) {
        buffer_put(b, p, glyph.used);
        return;
    }
    for (uint32_t i = 0; i < glyph.used; i++)
        buffer_put(b, (char[4]){'\\', 'x', digits[p[i] >> 4], digits[p[i] & 15]}, 4);
}

void terminal_safe(struct buffer *b, const void *bytes, size_t length) {
    const uint8_t *p = bytes, *end = p + length;
    while (p < end) {
        struct glyph glyph = next_glyph(p, (size_t)(end - p));
        put_glyph(b, p, glyph);
        p += glyph.used;
    }
}

uint32_t terminal_width_of(const void *bytes, size_t length) {
    const uint8_t *p = bytes, *end = p + length;
    uint32_t columns = 0;
    while (p < end) {
        struct glyph glyph = next_glyph(p, (size_t)(end - p));
        columns += glyph.columns;
        p += glyph.used;
    }
    return columns;
}

static void new_line(struct buffer *b, uint32_t indent) {
    buffer_char(b, '\n');
    buffer_fill(b, ' ', indent);
}

void terminal_wrapped(struct buffer *b, const struct terminal_style *style, uint32_t column, uint32_t indent,
                      const char *text) {
    bool fresh = true; /* nothing yet on this line */
    while (*text) {
        size_t length = strcspn(text, " ");
        uint32_t columns = terminal_width_of(text, length);
        if (!fresh && column + 1 + columns > style->width) {
            new_line(b, indent);
            column = indent;
            fresh = true;
        }
        if (!fresh) {
            buffer_char(b, ' ');
            column++;
        }
        const uint8_t *p = (const uint8_t *)text, *end = p + length;
        while (p < end) { /* a word longer than the line is broken */
            struct glyph glyph = next_glyph(p, (size_t)(end - p));
            if (column + glyph.columns > style->width && column > indent) {
                new_line(b, indent);
                column = indent;
            }
            put_glyph(b, p, glyph);
            column += glyph.columns;
            p += glyph.used;
        }
        fresh = false;
        text += length;
        text += strspn(text, " ");
    }
}

/* ── alerts ──────────────────────────────────────────────────────── */

enum { LABEL_COLUMN = 8, TEXT_COLUMN = 16 };

static enum ink severity_ink(uint8_t severity) {
    static const enum ink inks[] = {INK_PLAIN, INK_RED, INK_YELLOW, INK_CYAN, INK_DIM};
    return inks[severity <= SEVERITY_INFO ? severity : 0];
}

uint32_t terminal_time(nanoseconds t, char out[SHORT_TIME_SIZE]) {
    char full[TIMESTAMP_LENGTH + 1];
    time_format_eve(t, full);
    memcpy(out, full, SHORT_TIME_SIZE - 1);
    out[10] = ' ';
    out[SHORT_TIME_SIZE - 1] = '\0';
    return SHORT_TIME_SIZE - 1;
}

static void put_label(struct buffer *b, const struct terminal_style *style, const char *label) {
    buffer_fill(b, ' ', LABEL_COLUMN);
    terminal_ink(b, style, INK_DIM);
    buffer_string(b, label);
    terminal_ink(b, style, INK_PLAIN);
    buffer_fill(b, ' ', TEXT_COLUMN - LABEL_COLUMN - strlen(label));
}

static void put_line(struct buffer *b, const struct terminal_style *style, const char *label,
                     const char *text) {
    if (!text || !text[0]) return;
    put_label(b, style, label);
    terminal_wrapped(b, style, TEXT_COLUMN, TEXT_COLUMN, text);
    buffer_char(b, '\n');
}

/* "HIGH    2024-05-01 12:00:00.123  "; returns the column that comes next. */
static uint32_t put_severity_and_time(struct buffer *b, const struct terminal_style *style, uint8_t severity,
                                      nanoseconds time) {
    const char *name = severity_name(severity);
    terminal_ink(b, style, severity_ink(severity));
    for (const char *p = name; *p; p++) buffer_char(b, *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p);
    terminal_ink(b, style, INK_PLAIN);
    buffer_fill(b, ' ', LABEL_COLUMN - strlen(name));
    char text[SHORT_TIME_SIZE];
    uint32_t length = terminal_time(time, text);
    terminal_ink(b, style, INK_DIM);
    buffer_put(b, text, length);
    terminal_ink(b, style, INK_PLAIN);
    buffer_string(b, "  ");
    return LABEL_COLUMN + length + 2;
}

static void put_heading(struct buffer *b, const struct terminal_style *style, const struct alert *alert) {
    uint32_t column = put_severity_and_time(b, style, alert->severity, alert->time);
    terminal_ink(b, style, INK_BOLD);
    terminal_wrapped(b, style, column, LABEL_COLUMN, alert->title);
    terminal_ink(b, style, INK_PLAIN);
    buffer_char(b, '\n');
}

void terminal_sensor(struct buffer *b, const struct terminal_style *style, nanoseconds time, uint8_t severity,
                     const char *message) {
    put_severity_and_time(b, style, severity ? severity : SEVERITY_INFO, time);
    buffer_string(b, "lunette: ");
    terminal_safe(b, message, strlen(message));
    buffer_string(b, "\n\n");
}

static void put_parties(struct buffer *b, const struct terminal_style *style, const struct alert *alert) {
    bool who = alert->who && alert->who[0], where = alert->where && alert->where[0];
    if (!who && !where) return;
    put_label(b, style, who ? "who" : "where");
    if (who) terminal_safe(b, alert->who, strlen(alert->who));
    if (who && where) buffer_string(b, " → ");
    if (where) terminal_safe(b, alert->where, strlen(alert->where));
    buffer_char(b, '\n');
}

static void put_instance(struct buffer *b, const char *name, uint32_t pid) {
    if (name) buffer_string(b, name);
    if (pid) buffer_format(b, name ? " (pid %u)" : "pid %u", pid);
}

/* The path says the name as well, unless the process goes by another; kernels cut names to 16 bytes. */
static bool path_names(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    return !name || strncmp(slash ? slash + 1 : path, name, strlen(name)) == 0;
}

void program_sentence(struct buffer *b, const struct event_head_body *head) {
    bool agent = head->effective_process || head->effective_pid;
    const char *owner = head->process ? head->process : agent ? NULL : head->program;
    if (!head->program && !owner && !head->pid && !agent) return;
    const char *name = head->program ? head->program : owner;
    uint32_t pid = agent ? head->effective_pid : head->pid;
    bool whole = head->path && path_names(head->path, name);
    put_instance(b, whole ? head->path : name, pid);
    if (head->path && !whole) buffer_format(b, ", run from %s", head->path);
    if (head->parent) buffer_format(b, ", started by %s", head->parent);
    if (agent && (owner || head->pid)) {
        buffer_string(b, head->parent ? "," : "");
        buffer_string(b, head->program || head->effective_pid ? " through " : "through ");
        put_instance(b, owner, head->pid);
    }
}

static void put_program(struct buffer *b, const struct terminal_style *style, const struct alert *alert) {
    struct buffer text = {0};
    if (alert->has_head) program_sentence(&text, &alert->head);
    if (text.length) {
        buffer_char(&text, '\0');
        if (!text.failed) put_line(b, style, "program", text.at);
    }
    buffer_free(&text);
}

/* "one-sided, cut": a clause for each. */
static void put_partial(struct buffer *b, const struct terminal_style *style, const struct alert *alert) {
    static const char *const clauses[][2] = {
        {"midstream", "the flow's beginning is missing"},
        {"gaps", "bytes inside it are missing"},
        {"one-sided", "only one direction was seen"},
        {"cut", "its packets are cut off by the snap length"},
        {"dropped", "packets were dropped while it was open"},
    };
    const char *partial = alert->has_head ? alert->head.partial : NULL;
    struct buffer text = {0};
    for (size_t i = 0; partial && i < sizeof clauses / sizeof clauses[0]; i++) {
        if (!strstr(partial, clauses[i][0])) continue;
        if (text.length) buffer_string(&text, ", ");
        buffer_string(&text, clauses[i][1]);
    }
    if (text.length) {
        buffer_char(&text, '\0');
        if (!text.failed) put_line(b, style, "partial", text.at);
    }
    buffer_free(&text);
}

static void put_figure(struct buffer *b, const char *name, double value) {
    if (value == value) buffer_format(b, "  %s %.2f", name, value);
}

void terminal_alert(struct buffer *b, const struct terminal_style *style, const struct alert *alert) {
    put_heading(b, style, alert);
    put_parties(b, style, alert);
    put_program(b, style, alert);
    put_line(b, style, "why", alert->why);
    put_partial(b, style, alert);
    put_line(b, style, "next", alert->next);
    put_line(b, style, "ATT&CK", alert->attack);
    put_line(b, style, "packets", alert->pcap);
    put_label(b, style, "by");
    terminal_safe(b, alert->detector, strlen(alert->detector));
    put_figure(b, "score", alert->score);
    put_figure(b, "confidence", alert->confidence);
    if (alert->repeats) buffer_format(b, "  (%u more held back)", alert->repeats);
    buffer_string(b, "\n\n");
}
