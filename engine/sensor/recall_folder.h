/* The folder of rolling capture: names of its files, and how many there may be.
 *
 *      20260321T101502Z-beacon-192.168.1.23-4711.pcapng
 *
 * When, which detector, who, and the flow's number. Detector and host come from scripts and from the wire:
 * what is not a letter, a digit, '.', '-' or '_' becomes '_', and both are cut. A name that is taken gets a
 * number at its end, so workers may share the folder. Files of any other form are never touched. */
#ifndef LUNETTE_SENSOR_RECALL_FOLDER_H
#define LUNETTE_SENSOR_RECALL_FOLDER_H

#include "base/error.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

enum { FOLDER_NAME_SIZE = 192 };

struct recall_folder {
    int fd; /* -1: not open */
    char *path;
};

/* Makes the folder (0750) if it is not there; its parent must be. -1 if it cannot be made or written to. */
int folder_open(struct recall_folder *folder, const char *path, struct error *err);
void folder_close(struct recall_folder *folder);

/* Creates a file (0640) for writing and leaves its name. Returns its descriptor, or -1 and errno. */
int folder_create(const struct recall_folder *folder, nanoseconds time, const char *detector, const char *who,
                  uint64_t number, char name[FOLDER_NAME_SIZE]);

/* Deletes the oldest of our files, by name, until at most `keep` are there. Returns how many went, or -1 and
 * errno if the folder cannot be read or a file not be deleted. Other workers may do the same at the same
 * time. */
int folder_prune(const struct recall_folder *folder, uint32_t keep);

/* Has the name the form of ours? */
bool folder_name_is_ours(const char *name);

#endif
