/* Whose logs they are: "[ADDRESS,…=]FILE", and whose clock is how wrong: "[ADDRESS=]SECONDS".
 *
 * A log without an address is that of the capturing host: the Mac whose processes the capture names. Logs
 * with an address in common are of one host. */
#ifndef LUNETTE_ENDPOINT_HOSTS_H
#define LUNETTE_ENDPOINT_HOSTS_H

#include "base/error.h"
#include "base/ip.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOST_ADDRESSES = 16, HOSTS_MOST = 1024 };

struct host {
    struct ip addresses[HOST_ADDRESSES]; /* none: the capturing host */
    uint32_t address_count;
    nanoseconds clock_offset; /* added to its times */
    bool clock_told;
    bool asked; /* a flow has asked for one of its processes */
};

struct hosts {
    struct host *list; /* owned */
    uint32_t count;
};

/* Is the word well formed? For options, before anything is opened. */
int hosts_check_log(const char *word, struct error *err);
int hosts_check_offset(const char *word, struct error *err);

/* Where the file's name begins in a word of the first form. */
const char *hosts_path(const char *word);

/* The host of a log, made if it is a new one: its number, or -1. */
int hosts_add(struct hosts *hosts, const char *word, struct error *err);

/* After all logs. -1 if there is no log of that address. */
int hosts_set_offset(struct hosts *hosts, const char *word, struct error *err);

/* The host with that address, else the capturing one; -1 if there is neither. */
int hosts_find(const struct hosts *hosts, const struct ip *address);

void hosts_clear(struct hosts *hosts);

#endif
