/* Capture files as one stream of packets in time order.
 *
 * A capture is a set of files, "-" for standard input among them; each is pcap or pcapng, plain or
 * compressed, told apart by its first bytes. One file streams in its own order; several are merged by packet
 * time. */
#ifndef LUNETTE_CAPTURE_CAPTURE_H
#define LUNETTE_CAPTURE_CAPTURE_H

#include "base/error.h"
#include "capture/packet.h"

#include <stdbool.h>
#include <stddef.h>

struct capture;

/* Opens all files and reads their headers. A signal whose handler was installed without SA_RESTART ends a
 * read that waits for a pipe: here and later, the stream then ends where it is. NULL and an error that names
 * the file and what was found in it if one of them cannot be opened or is no capture. */
struct capture *capture_open(const char *const *paths, size_t count, struct error *err);

/* Fills `burst` with up to PACKET_BURST packets whose bytes stay valid until the next call. Returns how many,
 * 0 at the end of all files. A file that is cut short or damaged ends there: the rest of the capture goes on
 * and capture_warning() tells. */
int capture_next_burst(struct capture *capture, struct packet burst[PACKET_BURST]);

/* Warnings so far ("FILE: cut short at offset 1234: …"), one at a time; NULL when there are no more. */
const char *capture_warning(struct capture *capture, size_t index);

/* Files that ended before their time so far: cut short, damaged, gone. */
uint64_t capture_damaged(const struct capture *capture);

/* Name of an interface, "" for 0. The same name is the same index in all files of a capture. */
const char *capture_interface_name(const struct capture *capture, uint8_t interface);

/* For a progress bar: bytes read from the files so far and in all (0 if unknown, as for a pipe). */
void capture_progress(const struct capture *capture, uint64_t *done, uint64_t *total);

void capture_close(struct capture *capture);

#endif
