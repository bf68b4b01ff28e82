/* Giving up what the sensor does not need any more, right after the first handles are open.
 *
 * What stays on Linux: CAP_NET_RAW, since interfaces come and go; no other capability, none to be gained
 * (no_new_privs), and the system calls of a list (libseccomp): no exec, no fork, no ptrace, no modules, no
 * mounts.
 *
 * How a sensor can have been started, and what this makes of it:
 *      root, with a user               that user, CAP_NET_RAW
 *      root, without                   root by name: its files, but no capability besides CAP_NET_RAW
 *      cap_net_raw on the program, or systemd's AmbientCapabilities      who it is, CAP_NET_RAW
 *      anybody (replay --pace)         who it is, nothing
 *
 * Open outputs, state and sockets after privilege_drop(), never before: their folders belong to the user, who
 * might have left links there for root to follow. */
#ifndef LUNETTE_SENSOR_PRIVILEGE_H
#define LUNETTE_SENSOR_PRIVILEGE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct privilege_options {
    const char *user;  /* name or number to become, with its groups; NULL: stay who we are */
    bool keep_capture; /* CAP_NET_RAW stays */
    bool filter_calls; /* seccomp, where there is; off under a sanitizer, whose leak check needs ptrace */
};

/* Checks that the user exists and can be become: before anything is opened. */
int privilege_check(const struct privilege_options *options, struct error *err);

/* For the supervisor, before it forks: keeps only the capabilities that a sensor started anew will need
 * (privilege_linux.c lists them). */
int privilege_reduce(struct error *err);

/* Before any thread is started. `folders` (64 at most) are those that the sensor must go on writing to. One
 * that is missing is made (its parent must exist). One of root's goes to the user if all that is in it is the
 * user's already or a control socket that nobody listens on, which then is the user's, too. As root without
 * a user, another user's folder with nothing in it but such sockets becomes root's again. Anything else is
 * left as it is (a link, a folder that others may write to), and it is an error if the sensor could not write
 * there: folders made by this call are removed again then. */
int privilege_drop(const struct privilege_options *options, const char *const *folders, uint32_t folder_count,
                   struct error *err);

/* One line of what is left, for the log: "user lunette, cap_net_raw, seccomp". */
void privilege_describe(char *out, size_t size);

#endif
