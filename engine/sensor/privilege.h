/* Giving up what the sensor does not need any more, right after the first handles are open.
 *
 * What stays on Linux: CAP_NET_RAW, since interfaces come and go; no other capability, none to be gained
 * (no_new_privs), and the system calls of a list (libseccomp): no exec, no ptrace, no modules, no mounts. */
#ifndef LUNETTE_SENSOR_PRIVILEGE_H
#define LUNETTE_SENSOR_PRIVILEGE_H

#include "base/error.h"

#include <stdbool.h>

struct privilege_options {
    const char *user;  /* name or number to become, with its groups; NULL: stay who we are */
    bool keep_capture; /* CAP_NET_RAW stays */
    bool filter_calls; /* seccomp, where there is; off under a sanitizer, whose leak check needs ptrace */
};

/* Checks that the user exists and can be become: before anything is opened. */
int privilege_check(const struct privilege_options *options, struct error *err);

/* Before any thread is started. Folders that the sensor must go on writing to are given to the user. */
int privilege_drop(const struct privilege_options *options, const char *const *folders, uint32_t folder_count,
                   struct error *err);

/* One line of what is left, for the log: "user lunette, cap_net_raw, seccomp". */
void privilege_describe(char *out, size_t size);

#endif
