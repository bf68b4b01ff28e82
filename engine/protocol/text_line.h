/* Protocols that talk in lines: SMTP, IMAP, POP3, FTP, IRC.
 *
 * A parser has a `struct text_reader` in its state and shows it the bytes of both directions; the reader
 * calls it back with each whole line, and the callback says how to go on: with the next line, past a body
 * that ends with a lonely dot, past (or with) a run of counted bytes, over to another protocol. Nothing but a
 * line that is cut across segments is ever kept; one longer than TEXT_LINE_MOST is an anomaly, and passed
 * over.
 *
 * STARTTLS: the side that asks for it is put on hold, so that what it sends next belongs to TLS, whatever the
 * order in which the capture shows the two sides; the answer hands the stream over, or lifts the hold. TLS
 * that begins where a line should (because the asking or the answer is not in the capture) is handed over
 * too. */
#ifndef LUNETTE_PROTOCOL_TEXT_LINE_H
#define LUNETTE_PROTOCOL_TEXT_LINE_H

#include "flow/protocol.h"
#include "protocol/text_words.h"

enum { TEXT_LINE_MOST = 16 * 1024 };

enum text_step {
    TEXT_NEXT,    /* go on with the next line */
    TEXT_DOTS,    /* a body follows that ends with a line of one dot; on_body_end tells its size */
    TEXT_SKIP,    /* reader->count[direction] bytes follow that nobody wants */
    TEXT_COUNTED, /* reader->count[direction] bytes follow, at most TEXT_VALUE_MOST: on_counted wants them */
    TEXT_HAND_OVER, /* what follows is another protocol's */
    TEXT_OVER,      /* nothing more is wanted in either direction */
};

struct text_reader {
    uint64_t count[2]; /* of TEXT_SKIP and TEXT_COUNTED, by direction */
    uint64_t body[2];  /* bytes of the body so far, by direction */
    bool in_body[2];
    uint8_t matched[2]; /* of CR LF . CR LF, by what came last */
    bool torn[2];       /* the rest of a line is to be passed over */
    bool counted[2];    /* on_counted is owed `count` bytes */
    bool hold[2];       /* whoever set it waits for the other side's answer */
    bool heard[2];      /* that side has said something */
};

struct text_handler {
    /* A line without its end. */
    enum text_step (*on_line)(struct conversation *c, enum direction direction, struct slice line);
    /* A body is over: `bytes` without the dot's line. NULL: nobody wants to know. */
    void (*on_body_end)(struct conversation *c, enum direction direction, uint64_t bytes);
    void (*on_counted)(struct conversation *c, enum direction direction, struct slice bytes);
    /* TLS begins, and the stream is handed over. NULL: the protocol knows no STARTTLS. */
    void (*on_tls)(struct conversation *c);
};

/* What protocol.stream returns. */
int64_t text_stream(struct conversation *c, struct text_reader *reader, const struct text_handler *handler,
                    enum direction direction, const uint8_t *data, uint32_t length);

/* What TEXT_DOTS does, for the other direction too. */
void text_body_begin(struct text_reader *reader, enum direction direction);

/* For protocol.gap: the line that is cut is passed over, the body goes on. */
void text_gap(struct text_reader *reader, enum direction direction, uint64_t missing);

/* Replies of SMTP and FTP: three digits, then a blank, or '-' if more lines follow (RFC 5321 section 4.2.1,
 * RFC 959 section 4.2). */
struct text_reply {
    uint16_t open; /* code of a reply of several lines whose last is still to come, else 0 */
    uint16_t code;
    struct slice text; /* of this line */
};

/* Reads a line of a reply. Returns true if it is the reply's last: `code` and `text` are good. */
bool text_reply_read(struct text_reply *reply, struct slice line);

/* Does a probe's beginning look like a reply of that form? MAYBE if it is too short to tell. */
enum recognised text_reply_looks(const uint8_t *data, uint32_t length);

/* The first line as far as it has come, without its end; `whole` tells whether that was there. */
struct slice text_first_line(const struct probe *probe, bool *whole);

/* Commands that wait for their replies, oldest first; of too many the oldest are forgotten. */
enum { TEXT_QUEUE_MOST = 64 };
struct text_queue {
    uint8_t at, count;
    uint8_t kinds[TEXT_QUEUE_MOST];
};
void text_queue_push(struct text_queue *queue, uint8_t kind);
/* The oldest, or 0 if there is none. */
uint8_t text_queue_first(const struct text_queue *queue);
void text_queue_pop(struct text_queue *queue);

#endif
