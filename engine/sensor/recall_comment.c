/* Readers show a comment as it is, so what came off the wire goes through terminal_safe(). */
#include "sensor/recall_comment.h"

#include "output/terminal.h"

enum { FIELD_MOST = 2048, EVIDENCE_MOST = 8192, LABEL_WIDTH = 10 };

/* At most `most` bytes of what a field became, cut between characters. */
static void cut_after(struct buffer *b, size_t begin, size_t most) {
    if (b->failed || b->length - begin <= most) return;
    size_t end = begin + most;
    while (end > begin && ((uint8_t)b->at[end] & 0xc0) == 0x80) end--;
    b->length = end;
    buffer_string(b, "… (cut)");
}

static void put_label(struct buffer *b, const char *label) {
    if (b->length > 0) buffer_char(b, '\n');
    buffer_string(b, label);
    buffer_char(b, ':');
    buffer_fill(b, ' ', LABEL_WIDTH - strlen(label));
}

static void put_field(struct buffer *b, const char *label, const char *text, size_t most) {
    if (!text || !text[0]) return;
    put_label(b, label);
    size_t begin = b->length, size = strlen(text);
    terminal_safe(b, text, size < most + 4 ? size : most + 4);
    cut_after(b, begin, most);
}

static void put_program(struct buffer *b, const struct alert *alert) {
    struct buffer text = {0};
    if (alert->has_head) program_sentence(&text, &alert->head);
    if (text.length) {
        buffer_char(&text, '\0');
        if (!text.failed) put_field(b, "program", text.at, FIELD_MOST);
    }
    buffer_free(&text);
}

void comment_alert(struct buffer *b, const struct alert *alert) {
    char time[TIMESTAMP_LENGTH + 1];
    time_format_eve(alert->time, time);
    time[TIMESTAMP_LENGTH] = '\0';
    put_field(b, "alert", alert->title, FIELD_MOST);
    put_field(b, "severity", severity_name(alert->severity), FIELD_MOST);
    put_field(b, "time", time, FIELD_MOST);
    put_field(b, "detector", alert->detector, FIELD_MOST);
    put_field(b, "category", alert->category, FIELD_MOST);
    put_field(b, "ATT&CK", alert->attack, FIELD_MOST);
    put_field(b, "who", alert->who, FIELD_MOST);
    put_field(b, "where", alert->where, FIELD_MOST);
    put_program(b, alert);
    put_field(b, "why", alert->why, FIELD_MOST);
    put_field(b, "next", alert->next, FIELD_MOST);
    put_field(b, "evidence", alert->evidence, EVIDENCE_MOST);
    if (alert->repeats) {
        put_label(b, "held back");
        buffer_format(b, "%u alerts of the same kind since the last one", alert->repeats);
    }
    cut_after(b, 0, COMMENT_MOST - 64);
}

void comment_packets(struct buffer *b, const struct ring_wish *wish, const struct ring_found *found) {
    put_label(b, "packets");
    if (wish->flow_id)
        buffer_format(b, "of flow %llu: ", (unsigned long long)wish->flow_id);
    else
        buffer_string(b, "of the host, since the alert is about no single flow: ");
    buffer_format(
        b,
        "%u kept, from up to %g s before the alert (or before the last one, if that was earlier); then "
        "what comes until %g s after it",
        found->count, ns_to_seconds(wish->before), ns_to_seconds(wish->after));
    if (found->begin_gone) {
        char time[TIMESTAMP_LENGTH + 1];
        time_format_eve(found->oldest, time);
        time[TIMESTAMP_LENGTH] = '\0';
        put_label(b, "missing");
        buffer_format(b, "the begin: memory for packets reached back to %s only", time);
    }
    if (found->too_old + found->no_room == 0) return;
    put_label(b, "left out");
    buffer_format(b, "%llu packets before the first one here: %llu too old, %llu for want of room",
                  (unsigned long long)(found->too_old + found->no_room), (unsigned long long)found->too_old,
                  (unsigned long long)found->no_room);
}
