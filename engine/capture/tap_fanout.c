/* See tap_fanout.h. Joining is done under the lock, so that the order in the kernel is the order here. */
#include "capture/tap_fanout.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct tap_group {
    struct tap_group *next;
    uint32_t interface_index;
    uint16_t number; /* the kernel's */
    uint32_t joined; /* ever; also the index of the next */
    uint32_t members;
    atomic_bool broken;
    _Atomic nanoseconds whole_since;
};

struct tap_groups {
    pthread_mutex_t lock;
    struct tap_group *first; /* newest first */
};

struct tap_groups *tap_groups_new(void) {
    struct tap_groups *groups = calloc(1, sizeof *groups);
    if (groups) pthread_mutex_init(&groups->lock, NULL);
    return groups;
}

void tap_groups_free(struct tap_groups *groups) {
    if (!groups) return;
    while (groups->first) {
        struct tap_group *group = groups->first;
        groups->first = group->next;
        free(group);
    }
    pthread_mutex_destroy(&groups->lock);
    free(groups);
}

bool tap_group_is_broken(const struct tap_group *group) {
    return atomic_load_explicit(&group->broken, memory_order_relaxed);
}

nanoseconds tap_group_whole_since(const struct tap_group *group) {
    return atomic_load_explicit(&group->whole_since, memory_order_acquire);
}

void tap_groups_leave(struct tap_groups *groups, struct tap_group *group) {
    pthread_mutex_lock(&groups->lock);
    atomic_store_explicit(&group->broken, true, memory_order_relaxed);
    if (--group->members == 0) {
        struct tap_group **at = &groups->first;
        while (*at != group) at = &(*at)->next;
        *at = group->next;
        free(group);
    }
    pthread_mutex_unlock(&groups->lock);
}

#ifdef __linux__
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* The argument of PACKET_FANOUT: the group's number, and its kind with flags in the upper half. */
static int set_fanout(int descriptor, uint16_t number, uint32_t kind, struct error *err) {
    uint32_t argument = number | kind << 16;
    if (setsockopt(descriptor, SOL_PACKET, PACKET_FANOUT, &argument, sizeof argument) == 0) return 0;
    return error_set(err, "PACKET_FANOUT: %s", strerror(errno));
}

static int group_found(struct tap_group *group, int descriptor, struct tap_program program,
                       struct error *err) {
    uint32_t answer = 0;
    socklen_t size = sizeof answer;
    struct sock_fprog code = {.len = (unsigned short)program.count,
                              .filter = (struct sock_filter *)program.instructions};
    if (set_fanout(descriptor, 0, PACKET_FANOUT_CBPF | PACKET_FANOUT_FLAG_UNIQUEID, err) < 0) return -1;
    if (getsockopt(descriptor, SOL_PACKET, PACKET_FANOUT, &answer, &size) < 0)
        return error_set(err, "PACKET_FANOUT: %s", strerror(errno));
    if (setsockopt(descriptor, SOL_PACKET, PACKET_FANOUT_DATA, &code, sizeof code) < 0)
        return error_set(err, "PACKET_FANOUT_DATA: %s", strerror(errno));
    group->number = (uint16_t)answer;
    return 0;
}

static struct tap_group *group_make(struct tap_groups *groups, uint32_t interface_index, int descriptor,
                                    struct tap_program program, struct error *err) {
    struct tap_group *group = calloc(1, sizeof *group);
    if (!group) {
        error_set(err, "out of memory");
        return NULL;
    }
    group->interface_index = interface_index;
    atomic_init(&group->whole_since, INT64_MAX);
    if (group_found(group, descriptor, program, err) < 0) {
        free(group);
        return NULL;
    }
    group->next = groups->first;
    groups->first = group;
    return group;
}

static struct tap_group *group_to_join(struct tap_groups *groups, uint32_t interface_index, uint32_t worker,
                                       int descriptor, struct error *err) {
    struct tap_group *group = groups->first;
    while (group && group->interface_index != interface_index) group = group->next;
    if (!group || group->joined != worker || tap_group_is_broken(group)) return NULL;
    return set_fanout(descriptor, group->number, PACKET_FANOUT_CBPF, err) == 0 ? group : NULL;
}

struct tap_group *tap_groups_join(struct tap_groups *groups, uint32_t interface_index, uint32_t worker,
                                  uint32_t workers, int descriptor, struct tap_program program,
                                  struct error *err) {
    err->text[0] = '\0';
    pthread_mutex_lock(&groups->lock);
    struct tap_group *group = worker == 0 ? group_make(groups, interface_index, descriptor, program, err)
                                          : group_to_join(groups, interface_index, worker, descriptor, err);
    if (group) {
        group->joined++;
        group->members++;
    }
    if (group && group->joined == workers) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        atomic_store_explicit(&group->whole_since, now.tv_sec * NS_PER_SECOND + now.tv_nsec,
                              memory_order_release);
    }
    pthread_mutex_unlock(&groups->lock);
    return group;
}

#else

struct tap_group *tap_groups_join(struct tap_groups *groups, uint32_t interface_index, uint32_t worker,
                                  uint32_t workers, int descriptor, struct tap_program program,
                                  struct error *err) {
    (void)groups, (void)interface_index, (void)worker, (void)workers, (void)descriptor, (void)program;
    error_set(err, "this system has no PACKET_FANOUT");
    return NULL;
}
#endif
