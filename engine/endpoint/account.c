/* See account.h. */
#include "endpoint/account.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { TIME_TEXT = 40, SPAN_TEXT = 2 * TIME_TEXT + 16 };

struct scene {
    const struct endpoint *const *endpoints;
    uint32_t count;
    struct endpoint_figures figures;
    const struct flow_counters *flows;
    nanoseconds first, last;
};

static void time_text(nanoseconds time, char text[TIME_TEXT]) {
    time_t seconds = (time_t)(time / NS_PER_SECOND);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    if (strftime(text, TIME_TEXT, "%Y-%m-%d %H:%M:%S", &tm) == 0) text[0] = '\0';
}

static void span_text(nanoseconds from, nanoseconds to, char text[SPAN_TEXT]) {
    char begin[TIME_TEXT], end[TIME_TEXT];
    time_text(from, begin);
    time_text(to, end);
    snprintf(text, SPAN_TEXT, "%s to %s UTC", begin, end);
}

__attribute__((format(printf, 2, 3))) static void warn(struct endpoint_account *account, const char *format,
                                                       ...) {
    va_list arguments;
    if (account->warning_count == sizeof account->warnings / sizeof account->warnings[0]) return;
    va_start(arguments, format);
    vsnprintf(account->warnings[account->warning_count++], sizeof account->warnings[0], format, arguments);
    va_end(arguments);
}

static bool has_times(const struct scene *scene) {
    return scene->figures.oldest <= scene->figures.newest;
}

static bool was_asked(const struct scene *scene, uint32_t host) {
    for (uint32_t i = 0; i < scene->count; i++)
        if (endpoint_hosts(scene->endpoints[i])->list[host].asked) return true;
    return false;
}

/* A Mac whose address is in no flow: a slip in the address, as like as not. */
static void strangers_tell(struct endpoint_account *account, const struct scene *scene) {
    const struct hosts *hosts = endpoint_hosts(scene->endpoints[0]);
    uint32_t strangers = 0;
    const struct host *example = NULL;
    for (uint32_t i = 0; i < hosts->count; i++) {
        if (hosts->list[i].address_count == 0 || was_asked(scene, i)) continue;
        if (!example) example = &hosts->list[i];
        strangers++;
    }
    if (!example) return;
    char address[IP_TEXT_SIZE];
    ip_format(&example->addresses[0], address);
    if (strangers == 1)
        warn(account, "--host-log %s=…: no flow is of that address", address);
    else
        warn(account, "--host-log %s=… and %u others: no flow is of these addresses", address, strangers - 1);
}

/* A log of the capturing Mac: its events have no address, so no host's card has the alerts of them. */
static bool is_without_address(const struct scene *scene) {
    const struct hosts *hosts = endpoint_hosts(scene->endpoints[0]);
    for (uint32_t i = 0; i < hosts->count; i++)
        if (hosts->list[i].address_count == 0) return true;
    return false;
}

static void nothing_joined(struct endpoint_account *account, const struct scene *scene) {
    const struct endpoint_figures *f = &scene->figures;
    const struct flow_counters *flows = scene->flows;
    static const char title[] = "no flow found its program in the host logs";
    char logs[SPAN_TEXT], packets[SPAN_TEXT];
    if (!has_times(scene)) {
        warn(account, "%s: no line there tells of a process", title);
        return;
    }
    if (scene->first && (f->newest < scene->first || f->oldest > scene->last)) {
        span_text(f->oldest, f->newest, logs);
        span_text(scene->first, scene->last, packets);
        warn(account,
             "%s: they are of %s, the packets of %s (a clock that is wrong is set right by "
             "--host-clock-offset)",
             title, logs, packets);
        return;
    }
    if (account->warning_count) return; /* the address explains it */
    if (flows->programs_unnamed == flows->programs_asked && f->sockets == 0)
        warn(account,
             "%s: the capture names no processes, and the logs no sockets (only osquery's rows of sockets "
             "join there)",
             title);
    else if (flows->programs_contradicted == 0)
        warn(account, "%s: they know none of its %s", title,
             flows->programs_unnamed == flows->programs_asked ? "sockets" : "process ids");
}

static void contradictions_tell(struct endpoint_account *account, const struct flow_counters *flows) {
    if (flows->programs_contradicted == 0 || flows->programs_contradicted < flows->programs_joined) return;
    warn(account,
         "of %llu flows the host logs name another program than the kernel does under that process id, and "
         "are not believed: are they of another Mac, or is their clock off (--host-clock-offset)?",
         (unsigned long long)flows->programs_contradicted);
}

void endpoint_account_make(struct endpoint_account *account, const struct endpoint *const *endpoints,
                           uint32_t count, const struct flow_counters *flows, nanoseconds first,
                           nanoseconds last) {
    *account = (struct endpoint_account){.warning_count = 0};
    if (count == 0 || !endpoints[0]) return;
    const struct scene scene = {.endpoints = endpoints,
                                .count = count,
                                .figures = endpoint_figures(endpoints[0]),
                                .flows = flows,
                                .first = first,
                                .last = last};
    const struct endpoint_figures *f = &scene.figures;
    char span[SPAN_TEXT] = "no time in them";
    if (has_times(&scene)) span_text(f->oldest, f->newest, span);
    snprintf(account->read, sizeof account->read, "%llu lines, %llu news of processes and sockets, %s",
             (unsigned long long)f->lines, (unsigned long long)f->news, span);
    snprintf(
        account->joined, sizeof account->joined,
        "%llu of %llu flows found their program there, %llu contradicted; %llu news late%s",
        (unsigned long long)flows->programs_joined, (unsigned long long)flows->programs_asked,
        (unsigned long long)flows->programs_contradicted, (unsigned long long)f->late,
        flows->programs_joined && is_without_address(&scene)
            ? ". Say whose the log is (--host-log ADDRESS=FILE), and its programs' starts are on the card"
            : "");
    if (f->lines == 0 || flows->programs_asked == 0) return; /* a log that is empty is told of elsewhere */
    strangers_tell(account, &scene);
    if (flows->programs_joined == 0) nothing_joined(account, &scene);
    contradictions_tell(account, flows);
}
