/* See tap_handle.h.
 *
 * With shares, the handle's filter is two programs in one: the share's, whose every "let through" is made a
 * jump to behind its end, where the user's begins. Jumps are relative, so neither changes else. */
#include "capture/tap_handle.h"

#include "base/log.h"
#include "capture/pktap.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_MILLISECONDS = 100, /* the kernel shows what it has after this time at the latest */
    ACCEPT_ALL = 0x40000,
};

/* A packet's time stamp may be taken this long before it is dealt. */
static const nanoseconds dealing_time = 50 * NS_PER_MILLISECOND;

/* LINKTYPE_ and DLT_ numbers are the same but for a few that systems disagree about. */
static uint16_t link_type_of(int dlt) {
    switch (dlt) {
    case DLT_RAW:
        return 101;
#ifdef __APPLE__
    case 149: /* DLT_USER2: what Apple's libpcap calls PKTAP */
        return LINKTYPE_PKTAP;
#endif
    case DLT_LOOP:
        return 108;
    default:
        return (uint16_t)dlt;
    }
}

/* Bytes that libpcap puts before a packet: a filter in the kernel does not count them. */
static uint32_t cooked_header_of(int dlt) {
    if (dlt == DLT_LINUX_SLL) return 16;
#ifdef DLT_LINUX_SLL2
    if (dlt == DLT_LINUX_SLL2) return 20;
#endif
    return 0;
}

static enum tap_opened refused(int status, pcap_t *pcap, const char *interface, struct error *err) {
    const char *words = pcap_geterr(pcap);
    const char *why = words[0] ? words : pcap_statustostr(status);
    switch (status) {
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        error_set(
            err,
            "no permission to capture on %s: run as root, or give the program the capability cap_net_raw "
            "(setcap cap_net_raw+ep), or on macOS make /dev/bpf* readable",
            interface);
        return TAP_CANNOT;
    case PCAP_ERROR_NO_SUCH_DEVICE:
        error_set(err, "there is no interface %s", interface);
        return TAP_NOT_NOW;
    case PCAP_ERROR_IFACE_NOT_UP:
        error_set(err, "interface %s is down", interface);
        return TAP_NOT_NOW;
    default:
        error_set(err, "cannot capture on %s: %s", interface, why);
        return TAP_CANNOT;
    }
}

static enum tap_opened activate(pcap_t *pcap, const struct tap_options *options, const char *interface,
                                struct error *err) {
    pcap_set_snaplen(pcap, (int)options->snap_length);
    pcap_set_promisc(pcap, options->promiscuous && strcmp(interface, "any") != 0);
    pcap_set_timeout(pcap, BLOCK_MILLISECONDS);
    pcap_set_buffer_size(pcap, (int)options->ring_bytes);
    pcap_set_tstamp_precision(pcap, PCAP_TSTAMP_PRECISION_NANO);
    int status = pcap_activate(pcap);
    if (status < 0) return refused(status, pcap, interface, err);
    if (status > 0)
        log_line(LOG_INFO, "interface %s: %s", interface,
                 status == PCAP_WARNING ? pcap_geterr(pcap) : pcap_statustostr(status));
    char text[PCAP_ERRBUF_SIZE] = "";
    if (pcap_setnonblock(pcap, 1, text) == 0) return TAP_OPENED;
    error_set(err, "cannot capture on %s: %s", interface, text);
    return TAP_CANNOT;
}

/* Of the headers that Linux makes up for `any`, the second version tells the interface. */
static void choose_link_type(pcap_t *pcap) {
#ifdef DLT_LINUX_SLL2
    if (pcap_datalink(pcap) != DLT_LINUX_SLL) return;
    if (pcap_set_datalink(pcap, DLT_LINUX_SLL2) < 0) return;
#else
    (void)pcap;
#endif
}

/* The share's program and behind it the user's, or one of them. NULL: out of memory. */
static struct bpf_insn *combine(struct tap_program share, const struct bpf_program *user, uint32_t *count) {
    const struct bpf_insn accept = BPF_STMT(BPF_RET | BPF_K, ACCEPT_ALL);
    uint32_t rest = user ? user->bf_len : 1;
    struct bpf_insn *code = malloc((share.count + rest) * sizeof *code);
    if (!code) return NULL;
    if (share.count) memcpy(code, share.instructions, share.count * sizeof *code);
    memcpy(code + share.count, user ? user->bf_insns : &accept, rest * sizeof *code);
    for (uint32_t i = 0; i < share.count; i++)
        if (code[i].code == (BPF_RET | BPF_K) && code[i].k != 0)
            code[i] = (struct bpf_insn)BPF_STMT(BPF_JMP | BPF_JA, share.count - i - 1);
    *count = share.count + rest;
    return code;
}

static int set_filter(pcap_t *pcap, const char *interface, const char *expression, struct tap_program share,
                      struct error *err) {
    struct bpf_program user, both;
    if (!expression && share.count == 0) return 0;
    if (expression && pcap_compile(pcap, &user, expression, 1, PCAP_NETMASK_UNKNOWN) < 0) {
        error_set(err, "\"%s\" is no filter for interface %s: %s", expression, interface, pcap_geterr(pcap));
        return error_is_usage(err);
    }
    uint32_t count = 0;
    int result = -1;
    both.bf_insns = combine(share, expression ? &user : NULL, &count);
    both.bf_len = count;
    if (!both.bf_insns)
        error_set(err, "out of memory");
    else if (pcap_setfilter(pcap, &both) < 0)
        error_set(err, "cannot set the filter on interface %s: %s", interface, pcap_geterr(pcap));
    else
        result = 0;
    free(both.bf_insns);
    if (expression) pcap_freecode(&user);
    return result;
}

/* Joins the interface's group. False: the handle must be filtered instead. */
static bool join(struct tap_handle *handle, const struct tap_options *options, const char *interface,
                 uint32_t interface_index, struct error *err) {
    const struct tap_deal *deal = options->deal;
    if (options->dealing != TAP_FANOUT || !deal->groups) return false;
    struct tap_program program = deal->fanout(deal->context, handle->dlt);
    if (program.count == 0) return false;
    handle->group = tap_groups_join(deal->groups, interface_index, options->worker, options->workers,
                                    handle->descriptor, program, err);
    if (!handle->group && err->text[0])
        log_line(LOG_WARNING,
                 "interface %s: the kernel cannot deal its packets (%s): they are filtered instead",
                 interface, err->text);
    return handle->group != NULL;
}

/* Several workers: joining comes last, since a member that leaves again breaks its group. */
static int deal(struct tap_handle *handle, const struct tap_options *options, const char *interface,
                uint32_t interface_index, struct error *err) {
    const struct tap_deal *deal = options->deal;
    struct tap_program share = deal->share(deal->context, handle->dlt, options->worker, options->workers);
    if (share.count == 0) {
        handle->nothing = options->worker > 0;
        if (options->worker == 0)
            log_line(LOG_WARNING,
                     "interface %s: packets of its link type cannot be dealt: one worker has all", interface);
        return 0;
    }
    if (!join(handle, options, interface, interface_index, err))
        return set_filter(handle->pcap, interface, options->filter, share, err);
    handle->share = share;
    return 0;
}

static int arrange(struct tap_handle *handle, const struct tap_options *options, const char *interface,
                   uint32_t interface_index, struct error *err) {
    const struct tap_program all = {0};
    if (handle->descriptor < 0) return error_set(err, "cannot wait for packets of interface %s", interface);
    if (handle->link_type == LINKTYPE_PKTAP && options->filter) {
        handle->user = filter_new(options->filter, err);
        if (!handle->user) return error_is_usage(err);
    } else if (set_filter(handle->pcap, interface, options->filter, all, err) < 0) {
        return -1;
    }
    return options->workers > 1 ? deal(handle, options, interface, interface_index, err) : 0;
}

enum tap_opened tap_handle_open(struct tap_handle *handle, const struct tap_options *options,
                                const char *interface, uint32_t interface_index, struct error *err) {
    char text[PCAP_ERRBUF_SIZE] = "";
    *handle = (struct tap_handle){.pcap = pcap_create(interface, text)};
    if (!handle->pcap) {
        error_set(err, "cannot capture on %s: %s", interface, text);
        return TAP_CANNOT;
    }
    enum tap_opened opened = activate(handle->pcap, options, interface, err);
    if (opened != TAP_OPENED) {
        tap_handle_close(handle, options);
        return opened;
    }
    choose_link_type(handle->pcap);
    handle->dlt = pcap_datalink(handle->pcap);
    handle->link_type = link_type_of(handle->dlt);
    handle->cooked_header = cooked_header_of(handle->dlt);
    handle->nanosecond = pcap_get_tstamp_precision(handle->pcap) == PCAP_TSTAMP_PRECISION_NANO;
    handle->descriptor = pcap_get_selectable_fd(handle->pcap);
    if (arrange(handle, options, interface, interface_index, err) == 0) return TAP_OPENED;
    tap_handle_close(handle, options);
    return TAP_CANNOT;
}

void tap_handle_close(struct tap_handle *handle, const struct tap_options *options) {
    if (handle->group) tap_groups_leave(options->deal->groups, handle->group);
    if (handle->user) filter_free(handle->user);
    if (handle->pcap) pcap_close(handle->pcap);
    *handle = (struct tap_handle){.descriptor = -1};
}

bool tap_handle_takes(struct tap_handle *handle, const struct packet *packet) {
    if (handle->nothing) return false;
    if (handle->user && !filter_matches(handle->user, packet)) return false;
    if (handle->share.count == 0) return true;
    nanoseconds whole = tap_group_whole_since(handle->group);
    if (whole < INT64_MAX - dealing_time && packet->time > whole + dealing_time) {
        handle->share.count = 0; /* the kernel deals now */
        return true;
    }
    uint32_t length = packet->captured - handle->cooked_header;
    return bpf_filter(handle->share.instructions, packet->bytes, length, packet->captured) != 0;
}
