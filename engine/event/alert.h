/* What a detector says, on its way from its Lua state to the outputs. All strings are borrowed for the call.
 */
#ifndef LUNETTE_EVENT_ALERT_H
#define LUNETTE_EVENT_ALERT_H

#include "event/batch.h"

#include <stdbool.h>

enum severity {
    SEVERITY_HIGH = 1,
    SEVERITY_MEDIUM,
    SEVERITY_LOW,
    SEVERITY_INFO
}; /* EVE's numbers: 1 is worst */

const char *severity_name(uint8_t severity);

struct alert {
    nanoseconds time; /* packet time of what was found */
    uint64_t seq; /* seq of the event that was being handled; beyond all of them at the end, 0 in timers */
    uint32_t detector_index;
    uint32_t worker;      /* of what gathers: whose event `head` was */
    uint8_t severity;     /* enum severity */
    double score;         /* NaN: none */
    double confidence;    /* 0 to 1, NaN: none */
    const char *detector; /* its name: the file's, without ".lua" */
    const char *title;    /* one line: what */
    const char *category; /* "Command and Control" … may be "" */
    const char *attack;   /* ATT&CK technique ids, comma separated, may be "" */
    const char *who;      /* the host, usually its address, may be "" */
    const char *where;    /* the other side: a name or an address, may be "" */
    const char *why;      /* the evidence in a sentence, with figures */
    const char *next;     /* what to look at next, may be "" */
    const char *evidence; /* a JSON object, "{}" if there is none */
    const char *pcap;     /* file with the packets around it (rolling capture), or NULL */
    uint32_t repeats;     /* alerts of the same key held back by the cooldown since the last one */
    bool has_head;        /* `head` is that of the event which was being handled */
    struct event_head_body head;
};

/* Copies the alert's strings into one allocation of its own, which begins at its title; `pcap` is dropped.
 * False without memory: the alert is as it was. alert_release() frees them. */
bool alert_own(struct alert *alert);
void alert_release(struct alert *alert);

/* A table that a detector reports when asked for its findings (at the end of a capture): shown in the summary
 * and written as one record. Cells are text; `cells` has rows × columns of them, row by row. */
struct report {
    nanoseconds time;
    const char *detector;
    const char *title;
    const char *note; /* a line below the table, may be "" */
    uint32_t columns, rows;
    const char *const *names; /* columns' headings; one that begins with '>' is set flush right */
    const char *const *cells;
};

/* What a worker was given and what it could not see (lunette.capture). Packets of other workers do not count,
 * so the workers' sums are the capture's. */
struct capture_figures {
    uint64_t packets, bytes; /* after the filter, bytes on the wire */
    uint64_t cut;            /* packets cut short by the snap length */
    uint64_t undecoded;      /* packets whose headers could not be read */
    uint64_t dropped;        /* live: by the kernel, before they came here */
    uint64_t interface_dropped;
};

/* What a detector knows of a host, for its card (lunette.fact): the latest of a host and topic counts. All
 * strings are borrowed for the call. */
struct fact {
    nanoseconds time; /* the worker's clock when it was told */
    const char *detector;
    struct ip host;
    const char *topic;   /* one to 32 of a-z, 0-9, space, '_', '-' */
    const char *text;    /* lines, with '\n' between them; "": the fact is taken back */
    const char *details; /* a JSON object, "{}" if there is none */
    bool second_hand;    /* by a worker that sees little of that host: another one has its traffic */
};

#endif
