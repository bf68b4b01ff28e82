/* What a client's SYN tells of its maker: the options in order, the signature in p0f's notation, the
 * operating system. */
#ifndef LUNETTE_FLOW_SYN_H
#define LUNETTE_FLOW_SYN_H

#include "decode/decode.h"

enum { SYN_LAYOUT_TEXT = 256, SYN_SIGNATURE_TEXT = 512 };

/* Oddities and habits of a SYN, named by p0f's words, in the order in which p0f writes them. */
enum syn_quirk {
    QUIRK_DF = 1 << 0,         /* df: IPv4 don't-fragment */
    QUIRK_ID_PLUS = 1 << 1,    /* id+: an identification beside don't-fragment */
    QUIRK_ID_MINUS = 1 << 2,   /* id-: neither */
    QUIRK_ECN = 1 << 3,        /* ecn: in the IP header or the TCP flags */
    QUIRK_ZERO_PLUS = 1 << 4,  /* 0+: a field that must be zero is not */
    QUIRK_FLOW = 1 << 5,       /* flow: an IPv6 flow label */
    QUIRK_SEQ_MINUS = 1 << 6,  /* seq-: sequence number zero */
    QUIRK_ACK_PLUS = 1 << 7,   /* ack+: an acknowledgement number without the flag */
    QUIRK_URG_PLUS = 1 << 8,   /* uptr+: an urgent pointer without the flag */
    QUIRK_URG_FLAG = 1 << 9,   /* urgf+ */
    QUIRK_PUSH_FLAG = 1 << 10, /* pushf+ */
    QUIRK_TS1_MINUS = 1 << 11, /* ts1-: own timestamp zero */
    QUIRK_TS2_PLUS = 1 << 12,  /* ts2+: the other side's timestamp is not zero */
    QUIRK_OPT_PLUS = 1 << 13,  /* opt+: bytes behind the end of the options */
    QUIRK_EXWS = 1 << 14,      /* exws: window scale above 14 (RFC 7323 section 2.3) */
    QUIRK_BAD = 1 << 15,       /* bad: options that are broken */
};

struct syn {
    bool v4;
    uint8_t initial_ttl; /* what the TTL probably began as: 32, 64, 128 or 255 */
    uint8_t wscale;      /* 255 if absent */
    uint16_t ip_options, mss, window;
    uint16_t quirks; /* or of enum syn_quirk */
    bool timestamps, payload;
    char layout[SYN_LAYOUT_TEXT]; /* mss,nop,ws,nop,nop,ts,sok,eol+1; terminated */
    unsigned layout_length;
};

/* Reads a SYN (d->proto is TCP, its flags have SYN and no ACK). */
void syn_read(struct syn *syn, const struct decoded *d);

/* Writes "4:64:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0" and a NUL, returns its length. The window
 * is mss*N or mtu*N where it is a multiple. p0f shows the TTL as seen and the distance ("61+3"); here stands
 * their sum, as in p0f's database, so that a host's signature is the same from everywhere. */
unsigned syn_signature(const struct syn *syn, char out[SYN_SIGNATURE_TEXT]);

/* Who sends such SYNs; NULL if nobody we know. Static. */
struct syn_os {
    const char *os;
    const char *detail; /* or NULL */
};
const struct syn_os *syn_os_of(const struct syn *syn);

#endif
