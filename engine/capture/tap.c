/* See tap.h. A tap has places: one for each interface that it watches or has watched, with its figures. A
 * handle's number is its place's. What is named plainly has a place from the start; what a pattern matches
 * gets one when it comes, if need be that of an interface that is gone. */
#include "capture/tap.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/pages.h"
#include "capture/pktap.h"
#include "capture/tap_handle.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    NAME_SIZE = 64, /* "pktap,en0,en1" is longer than an interface's name may be */
    NAMES_MAX = 256,
    INDEX_CACHE = 256,
    ROUNDS_MAX = 64, /* of reading in one burst, if nearly nothing is ours */
    LINKTYPE_SLL = 113,
    LINKTYPE_SLL2 = 276,
};

struct place {
    char name[NAME_SIZE]; /* "": free */
    bool plain;           /* the user named it */
    bool told;            /* that it could not be opened */
    uint32_t index;       /* the system's, when it was opened; 0 for what is no interface */
    uint8_t interface;    /* for packets */
    struct tap_handle handle;
    uint32_t times_opened;
    uint64_t packets, bytes, dropped, interface_dropped;
    uint32_t seen_dropped, seen_interface_dropped; /* libpcap's counters when they were last added */
};

struct tap {
    const struct tap_options *options;
    int probe; /* any socket, to ask for interfaces' flags */
    bool told_full;
    bool told_nothing;
    struct place places[TAP_HANDLES];
    uint64_t gone[4]; /* figures of interfaces whose place went to another */
    uint32_t gone_opened;
    uint8_t *room; /* for the bytes of a burst */
    size_t room_size, room_used;
    struct origins origins;
    struct processes *processes; /* that PKTAP headers name */
    uint64_t processes_refused;
    uint32_t name_count; /* of names[]; 0 is the empty one */
    char names[NAMES_MAX][NAME_SIZE];
    /* `any`: the system's index of an interface → ours, forgotten at each rescan. */
    struct {
        uint32_t index;
        uint8_t interface;
    } cache[INDEX_CACHE];
};

/* --------------------------------------------------------------------- names */

static bool is_pattern(const char *name) {
    return strpbrk(name, "*?[") != NULL;
}

static bool is_any(const char *name) {
    return strcmp(name, "any") == 0;
}

/* Not in the system's list of interfaces, and always there. */
static bool is_special(const char *name) {
#ifdef __APPLE__
    if (strcmp(name, "pktap") == 0 || strncmp(name, "pktap,", 6) == 0) return true;
#endif
    return is_any(name);
}

/* Interfaces that a program makes when it connects: they may be named before they are there. */
static bool is_tunnel(const char *name) {
    static const char *const kinds[] = {"utun",  "tun", "tap", "wg",        "ppp",
                                        "ipsec", "gif", "zt",  "tailscale", "vpn"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strncmp(name, kinds[i], strlen(kinds[i])) == 0) return true;
    return false;
}

static uint8_t name_index(struct tap *tap, const char *name) {
    for (uint32_t i = 1; i < tap->name_count; i++)
        if (strcmp(tap->names[i], name) == 0) return (uint8_t)i;
    if (tap->name_count == NAMES_MAX) return 0;
    snprintf(tap->names[tap->name_count], NAME_SIZE, "%s", name);
    return (uint8_t)tap->name_count++;
}

const char *tap_interface_name(const struct tap *tap, uint8_t interface) {
    return interface < tap->name_count ? tap->names[interface] : "";
}

static uint8_t name_of_index(struct tap *tap, uint32_t index, uint8_t otherwise) {
    char name[IF_NAMESIZE];
    uint32_t slot = index % INDEX_CACHE;
    if (index == 0) return otherwise;
    if (tap->cache[slot].index != index) {
        tap->cache[slot].index = index;
        tap->cache[slot].interface = if_indextoname(index, name) ? name_index(tap, name) : otherwise;
    }
    return tap->cache[slot].interface;
}

/* ------------------------------------------------------------------- figures */

static void place_count(struct place *place) {
    struct pcap_stat now;
    if (!place->handle.pcap || pcap_stats(place->handle.pcap, &now) < 0) return;
    place->dropped += (uint32_t)now.ps_drop - place->seen_dropped; /* they wrap at 32 bits */
    place->interface_dropped += (uint32_t)now.ps_ifdrop - place->seen_interface_dropped;
    place->seen_dropped = now.ps_drop;
    place->seen_interface_dropped = now.ps_ifdrop;
}

uint32_t tap_figures(struct tap *tap, struct tap_figures *out, uint32_t max) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < TAP_HANDLES && count < max; i++) {
        struct place *place = &tap->places[i];
        if (!place->name[0]) continue;
        place_count(place);
        out[count++] = (struct tap_figures){.interface = place->name,
                                            .open = place->handle.pcap != NULL,
                                            .times_opened = place->times_opened,
                                            .packets = place->packets,
                                            .bytes = place->bytes,
                                            .dropped = place->dropped,
                                            .interface_dropped = place->interface_dropped};
    }
    if (tap->gone_opened && count < max)
        out[count++] = (struct tap_figures){.interface = "gone",
                                            .times_opened = tap->gone_opened,
                                            .packets = tap->gone[0],
                                            .bytes = tap->gone[1],
                                            .dropped = tap->gone[2],
                                            .interface_dropped = tap->gone[3]};
    return count;
}

/* -------------------------------------------------------------------- places */

static struct place *place_of(struct tap *tap, const char *name) {
    for (uint32_t i = 0; i < TAP_HANDLES; i++)
        if (strcmp(tap->places[i].name, name) == 0) return &tap->places[i];
    return NULL;
}

static void place_retire(struct tap *tap, struct place *place) {
    tap->gone_opened += place->times_opened;
    tap->gone[0] += place->packets;
    tap->gone[1] += place->bytes;
    tap->gone[2] += place->dropped;
    tap->gone[3] += place->interface_dropped;
}

static struct place *place_new(struct tap *tap, const char *name) {
    struct place *place = place_of(tap, "");
    for (uint32_t i = 0; i < TAP_HANDLES && !place; i++) {
        struct place *old = &tap->places[i];
        if (old->plain || old->handle.pcap || if_nametoindex(old->name) != 0) continue;
        place_retire(tap, old);
        place = old;
    }
    if (!place) return NULL;
    memset(place, 0, sizeof *place);
    snprintf(place->name, sizeof place->name, "%s", name);
    place->handle.descriptor = -1;
    return place;
}

static void place_close(struct tap *tap, struct place *place, const char *why) {
    const struct tap_options *options = tap->options;
    if (!place->handle.pcap) return;
    place_count(place);
    if (options->on_close)
        options->on_close(options->context, (uint32_t)(place - tap->places), place->handle.descriptor,
                          place->name, why);
    tap_handle_close(&place->handle, options);
}

/* -1: it is there and up, but cannot be opened. */
static int place_open(struct tap *tap, struct place *place, uint32_t index, struct error *err) {
    const struct tap_options *options = tap->options;
    enum tap_opened opened = tap_handle_open(&place->handle, options, place->name, index, err);
    if (opened != TAP_OPENED) {
        /* The caller tells of what makes it fail; of the rest we tell, once. */
        if (!place->told && !(place->plain && opened == TAP_CANNOT)) log_line(LOG_WARNING, "%s", err->text);
        place->told = true;
        return opened == TAP_CANNOT ? -1 : 0;
    }
    place->index = index;
    place->told = false;
    place->interface = name_index(tap, place->name);
    place->seen_dropped = place->seen_interface_dropped = 0;
    place->times_opened++;
    if (options->on_open)
        options->on_open(options->context, (uint32_t)(place - tap->places), place->handle.descriptor,
                         place->name);
    return 0;
}

/* -------------------------------------------------------------------- rescan */

static bool is_up(const struct tap *tap, const char *name) {
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%.*s", (int)sizeof request.ifr_name - 1, name);
    if (ioctl(tap->probe, SIOCGIFFLAGS, &request) < 0) return false;
    return request.ifr_flags & IFF_UP;
}

static bool is_wanted(const struct tap *tap, const char *name) {
    for (size_t i = 0; i < tap->options->pattern_count; i++)
        if (is_pattern(tap->options->patterns[i]) && fnmatch(tap->options->patterns[i], name, 0) == 0)
            return true;
    return false;
}

/* An interface may have gone without libpcap saying so, or its name may be another's now. */
static void close_what_is_gone(struct tap *tap) {
    for (uint32_t i = 0; i < TAP_HANDLES; i++) {
        struct place *place = &tap->places[i];
        if (!place->handle.pcap) continue;
        if (place->handle.group && tap_group_is_broken(place->handle.group))
            place_close(tap, place, "another worker let go of it");
        if (!place->handle.pcap || place->index == 0) continue;
        uint32_t index = if_nametoindex(place->name);
        if (index == 0)
            place_close(tap, place, "the interface is gone");
        else if (index != place->index)
            place_close(tap, place, "another interface has its name now");
        else if (!is_up(tap, place->name))
            place_close(tap, place, "the interface is down");
    }
}

/* Opens one that is there. Down: is waited for, and said once if the user named it. */
static int interface_open(struct tap *tap, struct place *place, uint32_t index, struct error *err) {
    if (is_up(tap, place->name)) return place_open(tap, place, index, err);
    if (place->plain && !place->told && place->times_opened == 0)
        log_line(LOG_WARNING, "interface %s is down: its packets are taken when it is up", place->name);
    place->told = true;
    return 0;
}

static int open_plain(struct tap *tap, struct error *err) {
    int result = 0;
    struct error one;
    for (uint32_t i = 0; i < TAP_HANDLES; i++) {
        struct place *place = &tap->places[i];
        if (!place->plain || place->handle.pcap) continue;
        uint32_t index = if_nametoindex(place->name);
        int opened = 0;
        if (is_special(place->name))
            opened = place_open(tap, place, 0, &one);
        else if (index > 0)
            opened = interface_open(tap, place, index, &one);
        if (opened == 0) continue;
        if (err) *err = one;
        result = -1;
    }
    return result;
}

static void open_matching(struct tap *tap, const struct if_nameindex *present) {
    struct error err;
    for (const struct if_nameindex *at = present; at->if_index > 0; at++) {
        if (!is_wanted(tap, at->if_name)) continue;
        struct place *place = place_of(tap, at->if_name);
        if (place && (place->plain || place->handle.pcap)) continue;
        if (!place) place = place_new(tap, at->if_name);
        if (place) {
            interface_open(tap, place, at->if_index, &err);
        } else if (!tap->told_full) {
            log_line(LOG_WARNING, "more than %d interfaces match: %s and others are not watched", TAP_HANDLES,
                     at->if_name);
            tap->told_full = true;
        }
    }
}

static bool has_open(const struct tap *tap) {
    for (uint32_t i = 0; i < TAP_HANDLES; i++)
        if (tap->places[i].handle.pcap) return true;
    return false;
}

int tap_rescan(struct tap *tap, struct error *err) {
    memset(tap->cache, 0, sizeof tap->cache);
    close_what_is_gone(tap);
    int result = open_plain(tap, err);
    struct if_nameindex *present = if_nameindex();
    if (present) {
        open_matching(tap, present);
        if_freenameindex(present);
    }
    if (result == 0 && !tap->told_nothing && !has_open(tap) && tap->options->worker == 0)
        log_line(LOG_WARNING, "no interface that is asked for is up: waiting for one");
    tap->told_nothing = true;
    return result;
}

/* -------------------------------------------------------------------- bursts */

struct collecting {
    struct tap *tap;
    struct place *place;
    struct packet *burst;
    int count;
};

/* What Linux puts before the packets of `any`: direction, and with version 2 the interface. */
static void read_cooked(struct tap *tap, struct packet *packet) {
    static const uint8_t directions[] = {PACKET_IN, PACKET_IN, PACKET_IN, PACKET_DIRECTION_UNKNOWN,
                                         PACKET_OUT};
    uint32_t type = UINT32_MAX;
    if (packet->link_type == LINKTYPE_SLL2 && packet->captured >= 20) {
        type = packet->bytes[10];
        packet->interface = name_of_index(tap, load_be32(packet->bytes + 4), packet->interface);
    } else if (packet->link_type == LINKTYPE_SLL && packet->captured >= 16) {
        type = load_be16(packet->bytes);
    }
    if (type < sizeof directions) packet->direction = directions[type];
}

static uint8_t header_interface(void *tap, const uint8_t *name, uint32_t length) {
    char text[NAME_SIZE];
    snprintf(text, sizeof text, "%.*s", (int)length, (const char *)name);
    return name_index(tap, text);
}

/* The header of macOS's pktap interfaces goes before anybody looks at the packet. */
static void strip_header(struct tap *tap, struct packet *packet) {
    const struct pktap_names names = {.origins = &tap->origins,
                                      .processes = &tap->processes,
                                      .refused = &tap->processes_refused,
                                      .interface = header_interface,
                                      .context = tap};
    pktap_strip(&names, packet);
}

static void collect(unsigned char *context, const struct pcap_pkthdr *header, const unsigned char *bytes) {
    struct collecting *c = (struct collecting *)context;
    struct tap *tap = c->tap;
    struct tap_handle *handle = &c->place->handle;
    struct packet *packet = &c->burst[c->count];
    size_t left = tap->room_size - tap->room_used;
    uint32_t captured = header->caplen <= left ? header->caplen : (uint32_t)left;
    int64_t fraction = header->ts.tv_usec;
    *packet = (struct packet){.bytes = bytes,
                              .captured = captured,
                              .original = header->len > captured ? header->len : captured,
                              .time = header->ts.tv_sec * NS_PER_SECOND +
                                      (handle->nanosecond ? fraction : fraction * 1000),
                              .link_type = handle->link_type,
                              .interface = c->place->interface,
                              .direction = PACKET_DIRECTION_UNKNOWN};
    if (handle->link_type == LINKTYPE_PKTAP) strip_header(tap, packet);
    if (!tap_handle_takes(handle, packet)) {
        if (packet->origin) origins_give_back(&tap->origins);
        return;
    }
    uint8_t *copy = tap->room + tap->room_used;
    memcpy(copy, packet->bytes, packet->captured);
    packet->bytes = copy;
    tap->room_used = (tap->room_used + packet->captured + 7) & ~(size_t)7;
    if (handle->link_type == LINKTYPE_SLL2 || handle->link_type == LINKTYPE_SLL) read_cooked(tap, packet);
    c->place->packets++;
    c->place->bytes += packet->original;
    c->count++;
}

int tap_next_burst(struct tap *tap, uint32_t handle, struct packet burst[PACKET_BURST]) {
    if (handle >= TAP_HANDLES || !tap->places[handle].handle.pcap) return 0;
    struct place *place = &tap->places[handle];
    struct collecting c = {.tap = tap, .place = place, .burst = burst};
    tap->room_used = 0;
    for (int round = 0; round < ROUNDS_MAX && c.count < PACKET_BURST; round++) {
        int want = PACKET_BURST - c.count;
        int got = pcap_dispatch(place->handle.pcap, want, collect, (unsigned char *)&c);
        if (got < 0) {
            char why[PCAP_ERRBUF_SIZE];
            snprintf(why, sizeof why, "%s", pcap_geterr(place->handle.pcap));
            place_close(tap, place, why);
            break;
        }
        if (got < want) break;
    }
    return c.count;
}

/* ----------------------------------------------------------------- beginning */

/* Any link type's word will do: which one an interface has is not known yet. */
static int filter_check(const char *expression, struct error *err) {
    static const int link_types[] = {DLT_EN10MB, DLT_RAW, DLT_LINUX_SLL};
    char why[PCAP_ERRBUF_SIZE] = "";
    for (size_t i = 0; i < sizeof link_types / sizeof link_types[0]; i++) {
        struct bpf_program program;
        pcap_t *dead = pcap_open_dead(link_types[i], 65535);
        if (!dead) return error_set(err, "out of memory");
        int compiled = pcap_compile(dead, &program, expression, 1, PCAP_NETMASK_UNKNOWN);
        if (compiled == 0)
            pcap_freecode(&program);
        else if (i == 0)
            snprintf(why, sizeof why, "%s", pcap_geterr(dead));
        pcap_close(dead);
        if (compiled == 0) return 0;
    }
    error_set(err, "\"%s\" is not a filter: %s", expression, why);
    return error_is_usage(err);
}

/* No wrong use: the name may be right and the interface late, and a service manager may try again. */
static int no_such_interface(const char *name, struct error *err) {
    char list[512] = "";
    size_t used = 0;
    struct if_nameindex *present = if_nameindex();
    for (const struct if_nameindex *at = present; at && at->if_index > 0 && used < sizeof list - 64; at++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", at->if_name);
    if (present) if_freenameindex(present);
    error_set(err, "there is no interface %s; there are: %s. A pattern such as '%.3s*' waits for one", name,
              list, name);
    return -1;
}

static int plain_add(struct tap *tap, const char *name, struct error *err) {
    if (strlen(name) >= NAME_SIZE || name[0] == '\0') {
        error_set(err, "'%.80s' is no interface's name", name);
        return error_is_usage(err);
    }
    if (place_of(tap, name)) return 0;
    if (!is_special(name) && if_nametoindex(name) == 0) {
        if (!tap->options->patient && !is_tunnel(name)) return no_such_interface(name, err);
        log_line(LOG_INFO, "there is no interface %s yet: waiting for it", name);
    }
    struct place *place = place_new(tap, name);
    if (!place) {
        error_set(err, "more than %d interfaces", TAP_HANDLES);
        return error_is_usage(err);
    }
    place->plain = true;
    return 0;
}

static int tap_prepare(struct tap *tap, struct error *err) {
    const struct tap_options *options = tap->options;
    if (options->workers > 1 && !options->deal)
        return error_set(err, "several workers need a deal between them");
    if (options->filter && filter_check(options->filter, err) < 0) return -1;
    for (size_t i = 0; i < options->pattern_count; i++) {
        const char *name = options->patterns[i];
        if (is_any(name) && options->pattern_count > 1) {
            error_set(err, "any is all interfaces: name it alone, or each packet would be seen twice");
            return error_is_usage(err);
        }
        if (!is_pattern(name) && plain_add(tap, name, err) < 0) return -1;
    }
    tap->room_size = PACKET_BURST * (((size_t)options->snap_length + 64) & ~(size_t)7);
    tap->room = pages_reserve(tap->room_size, false); /* paid for as far as packets are that long */
    tap->probe = socket(AF_INET, SOCK_DGRAM, 0);
    if (!tap->room) return error_set(err, "out of memory");
    if (tap->probe < 0) return error_set(err, "cannot open a socket to ask for interfaces");
    fcntl(tap->probe, F_SETFD, FD_CLOEXEC);
    return 0;
}

struct tap *tap_new(const struct tap_options *options, struct error *err) {
    struct tap *tap = calloc(1, sizeof *tap);
    if (!tap) {
        error_set(err, "out of memory");
        return NULL;
    }
    tap->options = options;
    tap->probe = -1;
    tap->name_count = 1;
    if (tap_prepare(tap, err) == 0) return tap;
    tap_free(tap);
    return NULL;
}

uint64_t tap_processes_refused(const struct tap *tap) {
    return tap->processes_refused;
}

void tap_free(struct tap *tap) {
    if (!tap) return;
    for (uint32_t i = 0; i < TAP_HANDLES; i++) place_close(tap, &tap->places[i], NULL);
    pages_release(tap->room, tap->room_size);
    origins_free(&tap->origins);
    processes_free(tap->processes);
    if (tap->probe >= 0) close(tap->probe);
    free(tap);
}
