/* See hosts.h. What stands before the first equals sign is a list of addresses if all of it reads as such;
 * else it is part of a file's name. */
#include "endpoint/hosts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double OFFSET_MOST = 366 * 86400.0;

/* Reads "ADDRESS,ADDRESS" up to `end`; returns how many there are, -1 if it is no such list. */
static int addresses_read(const char *at, const char *end, struct ip out[HOST_ADDRESSES]) {
    int count = 0;
    while (at <= end) {
        const char *stop = memchr(at, ',', (size_t)(end - at));
        if (!stop) stop = end;
        char text[IP_TEXT_SIZE + 1];
        if (stop - at >= (long)sizeof text || count == HOST_ADDRESSES) return -1;
        snprintf(text, sizeof text, "%.*s", (int)(stop - at), at);
        if (ip_parse(text, &out[count]) < 0) return -1;
        count++;
        at = stop + 1;
    }
    return count;
}

/* The addresses before the first '=', and what is behind it; all of the word if there are none. */
static int word_split(const char *word, struct ip addresses[HOST_ADDRESSES], const char **rest) {
    const char *equals = strchr(word, '=');
    int count = equals ? addresses_read(word, equals, addresses) : -1;
    *rest = count > 0 ? equals + 1 : word;
    return count > 0 ? count : 0;
}

const char *hosts_path(const char *word) {
    struct ip addresses[HOST_ADDRESSES];
    const char *rest;
    word_split(word, addresses, &rest);
    return rest;
}

/* "10.0.0.300=es.json", "localhost=es.json", "10.0.0.0/24=es.json" and "[fd00::1]=es.json" are slips more
 * likely than a file's name, unless there is such a file. "logs/day=1" is a path, there or not yet. */
static int looks_like_addresses(const char *word) {
    size_t length = strcspn(word, "=");
    if (word[length] != '=' || length == 0) return 0;
    if (strspn(word, "0123456789abcdefABCDEF.:,/[]") >= length) return 1;
    return !memchr(word, '/', length) && access(word, F_OK) != 0;
}

int hosts_check_log(const char *word, struct error *err) {
    const char *path = hosts_path(word);
    if (*path == '\0') return error_set(err, "expected FILE or ADDRESS,...=FILE, got '%s'", word);
    if (path == word && looks_like_addresses(word))
        return error_set(err,
                         "'%.*s' is no list of addresses, such as 192.168.1.20,fd00::20 (for a file of that "
                         "name write ./%s)",
                         (int)strcspn(word, "="), word, word);
    return 0;
}

static int seconds_read(const char *text, nanoseconds *out) {
    char *end;
    size_t length = strlen(text);
    if (length == 0 || strspn(text, "+-.0123456789") != length) return -1;
    double seconds = strtod(text, &end);
    if (*end || !(fabs(seconds) <= OFFSET_MOST)) return -1;
    *out = (nanoseconds)llround(seconds * 1e9);
    return 0;
}

int hosts_check_offset(const char *word, struct error *err) {
    struct ip addresses[HOST_ADDRESSES];
    const char *rest;
    nanoseconds ignored;
    int count = word_split(word, addresses, &rest);
    if (count <= 1 && seconds_read(rest, &ignored) == 0) return 0;
    return error_set(err, "expected SECONDS or ADDRESS=SECONDS, such as -1.5 or 192.168.1.20=+0.25, got '%s'",
                     word);
}

static int find(const struct hosts *hosts, const struct ip *address) {
    for (uint32_t i = 0; i < hosts->count; i++)
        for (uint32_t j = 0; j < hosts->list[i].address_count; j++)
            if (ip_equals(&hosts->list[i].addresses[j], address)) return (int)i;
    return -1;
}

static int capturing(const struct hosts *hosts) {
    for (uint32_t i = 0; i < hosts->count; i++)
        if (hosts->list[i].address_count == 0) return (int)i;
    return -1;
}

int hosts_find(const struct hosts *hosts, const struct ip *address) {
    int named = find(hosts, address);
    return named >= 0 ? named : capturing(hosts);
}

static int host_new(struct hosts *hosts, struct error *err) {
    if (hosts->count == HOSTS_MOST) return error_set(err, "logs of more than %d hosts", HOSTS_MOST);
    struct host *grown = realloc(hosts->list, (hosts->count + 1) * sizeof *grown);
    if (!grown) return error_set(err, "out of memory");
    hosts->list = grown;
    grown[hosts->count] = (struct host){.address_count = 0};
    return (int)hosts->count++;
}

int hosts_add(struct hosts *hosts, const char *word, struct error *err) {
    struct ip addresses[HOST_ADDRESSES];
    const char *rest;
    int count = word_split(word, addresses, &rest), number = -1;
    for (int i = 0; i < count && number < 0; i++) number = find(hosts, &addresses[i]);
    if (count == 0) number = capturing(hosts);
    if (number < 0) number = host_new(hosts, err);
    if (number < 0) return -1;
    struct host *host = &hosts->list[number];
    for (int i = 0; i < count; i++) {
        int other = find(hosts, &addresses[i]);
        if (other == number) continue;
        if (other >= 0)
            return error_set(
                err,
                "--host-log %s: other logs have these addresses as two hosts'; name the log that "
                "has them all first",
                word);
        if (host->address_count == HOST_ADDRESSES)
            return error_set(err, "--host-log %s: a host has at most %d addresses", word, HOST_ADDRESSES);
        host->addresses[host->address_count++] = addresses[i];
    }
    return number;
}

int hosts_set_offset(struct hosts *hosts, const char *word, struct error *err) {
    struct ip addresses[HOST_ADDRESSES];
    const char *rest;
    nanoseconds offset;
    int count = word_split(word, addresses, &rest);
    if (seconds_read(rest, &offset) < 0) return hosts_check_offset(word, err);
    if (count == 0) {
        for (uint32_t i = 0; i < hosts->count; i++)
            if (!hosts->list[i].clock_told) hosts->list[i].clock_offset = offset;
        return 0;
    }
    int number = find(hosts, &addresses[0]);
    if (number < 0) return error_set(err, "--host-clock-offset %s: no --host-log is of that address", word);
    hosts->list[number].clock_offset = offset;
    hosts->list[number].clock_told = true;
    return 0;
}

void hosts_clear(struct hosts *hosts) {
    free(hosts->list);
    *hosts = (struct hosts){.list = NULL};
}
