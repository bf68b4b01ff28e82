/* Capabilities through libcap-ng, whose state is read anew from the kernel before each use, so that nothing
 * rests on what an earlier call left in the library. */
#include "sensor/privilege_linux.h"

#ifdef __linux__

#include <cap-ng.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What the supervisor goes on holding. Each is used at a restart or between: the sensor opens interfaces
 * (CAP_NET_ADMIN: nflog and other odd devices) and its metrics port, reads scripts and lists wherever they
 * are, makes folders and gives them away, becomes its user and empties its bounding set; and signals go to a
 * process of another user. What goes, then: modules, mounts, raw memory, tracing, BPF, the clock, devices,
 * and the rest of administration. */
static const unsigned supervisor_keeps[] = {
    CAP_NET_RAW, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_SETUID, CAP_SETGID,          CAP_SETPCAP,
    CAP_KILL,    CAP_CHOWN,     CAP_FOWNER,           CAP_FSETID, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE};

/* Whether the running kernel has this capability, which may be newer than our headers. */
static bool is_capability(unsigned number) {
    return prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0;
}

static bool is_held(capng_type_t set, unsigned number) {
    return capng_have_capability(set, number) == 1;
}

static int read_own(struct error *err) {
    if (capng_get_caps_process() == 0) return 0;
    return error_set(err, "cannot read the capabilities of this process: %s", strerror(errno));
}

bool capabilities_allow_change(void) {
    return capng_get_caps_process() == 0 && is_held(CAPNG_EFFECTIVE, CAP_SETUID) &&
           is_held(CAPNG_EFFECTIVE, CAP_SETGID);
}

int capabilities_hold(struct error *err) {
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0) return 0;
    return error_set(err, "cannot keep capabilities over the change of user: %s", strerror(errno));
}

/* Allowed with CAP_SETPCAP only; without it the set is of no use either, as nothing can be executed. */
static void empty_bounding_set(const unsigned *kept, size_t count) {
    for (unsigned number = 0; is_capability(number); number++) {
        bool keep = false;
        for (size_t i = 0; i < count; i++) keep |= kept[i] == number;
        if (!keep) prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
    }
}

/* Permitted and effective become what is permitted now of `kept`; inheritable becomes empty, and ambient with
 * it. */
static int keep_only(const unsigned *kept, size_t count, struct error *err) {
    if (read_own(err) < 0) return -1;
    bool held[64] = {false};
    for (size_t i = 0; i < count; i++) held[kept[i]] = is_held(CAPNG_PERMITTED, kept[i]);
    capng_clear(CAPNG_SELECT_CAPS);
    for (size_t i = 0; i < count; i++)
        if (held[kept[i]]) capng_update(CAPNG_ADD, CAPNG_PERMITTED | CAPNG_EFFECTIVE, kept[i]);
    if (capng_apply(CAPNG_SELECT_CAPS) == 0) return 0;
    return error_set(err, "cannot give capabilities up: %s", strerror(errno));
}

/* CAP_SETPCAP may be permitted and not effective, after a change of user: the bounding set goes first. */
static void make_effective(unsigned number) {
    if (capng_get_caps_process() < 0 || !is_held(CAPNG_PERMITTED, number)) return;
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, number);
    capng_apply(CAPNG_SELECT_CAPS);
}

int capabilities_drop(bool keep_capture, struct error *err) {
    static const unsigned capture[] = {CAP_NET_RAW};
    make_effective(CAP_SETPCAP);
    empty_bounding_set(NULL, 0);
    if (keep_only(capture, keep_capture ? 1 : 0, err) < 0) return -1;
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(err, "cannot set no_new_privs: %s", strerror(errno));
    return 0;
}

int capabilities_verify(bool keep_capture, struct error *err) {
    if (read_own(err) < 0) return -1;
    for (unsigned number = 0; is_capability(number); number++) {
        bool held = is_held(CAPNG_PERMITTED, number) || is_held(CAPNG_EFFECTIVE, number) ||
                    is_held(CAPNG_INHERITABLE, number);
        if (held && !(keep_capture && number == CAP_NET_RAW))
            return error_set(err, "capability %u is still held after giving it up", number);
    }
    capng_update(CAPNG_ADD, CAPNG_PERMITTED | CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
    if (capng_apply(CAPNG_SELECT_CAPS) == 0)
        return error_set(err, "capabilities can be had back after giving them up");
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return error_set(err, "no_new_privs did not stay set");
    return 0;
}

int capabilities_reduce(struct error *err) {
    size_t count = sizeof supervisor_keeps / sizeof supervisor_keeps[0];
    empty_bounding_set(supervisor_keeps, count);
    return keep_only(supervisor_keeps, count, err);
}

void capabilities_describe(char *out, size_t size) {
    if (capng_get_caps_process() < 0) return;
    for (unsigned number = 0; is_capability(number); number++) {
        const char *name = is_held(CAPNG_PERMITTED, number) ? capng_capability_to_name(number) : NULL;
        size_t used = strlen(out);
        if (name) snprintf(out + used, size - used, ", cap_%s", name);
    }
}

#else

bool capabilities_allow_change(void) {
    return false;
}

int capabilities_hold(struct error *err) {
    (void)err;
    return 0;
}

int capabilities_drop(bool keep_capture, struct error *err) {
    (void)keep_capture, (void)err;
    return 0;
}

int capabilities_verify(bool keep_capture, struct error *err) {
    (void)keep_capture, (void)err;
    return 0;
}

int capabilities_reduce(struct error *err) {
    (void)err;
    return 0;
}

void capabilities_describe(char *out, size_t size) {
    (void)out, (void)size;
}

#endif
