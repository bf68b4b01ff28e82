/* Profiles as files: tables of tab-separated values that a person, a spreadsheet and a detector
 * (lunette.tsv) read alike. Lines that begin with `#` stand in front and say what was learnt from whom; then
 * the names of the columns, then a row a line:
 *
 *   kind key hosts of flows_low flows_mid flows_high up_low up_mid up_high down_low down_mid down_high
 *   gap gap_spread hours first_seen note
 *
 * `-` stands for a rhythm that is not known. Nothing in it comes from the wall clock. */
#ifndef LUNETTE_OUTPUT_PROFILE_FILE_H
#define LUNETTE_OUTPUT_PROFILE_FILE_H

#include "output/buffer.h"
#include "output/profile.h"

enum { PROFILE_FORMAT = 1, PROFILE_LINE_MAX = 4096 };

void profile_write(const struct profile *profile, struct buffer *b);

/* -1 and "FILE:LINE: what was expected, what was found". `out` is to be cleared after 0. */
int profile_read(const char *path, struct profile *out, struct error *err);

#endif
