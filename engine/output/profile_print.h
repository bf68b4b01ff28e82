/* Profiles and comparisons for people, and as JSON. */
#ifndef LUNETTE_OUTPUT_PROFILE_PRINT_H
#define LUNETTE_OUTPUT_PROFILE_PRINT_H

#include "output/profile.h"
#include "output/profile_compare.h"
#include "output/terminal.h"

/* What was learnt, and the busiest `top` rows of each kind (0: all); of one kind if `kind` is not
 * PROFILE_KINDS. Names come under their registrable domains. */
void profile_show(const struct profile *profile, enum profile_kind kind, uint32_t top,
                  const struct terminal_style *style, struct buffer *b);

/* All rows as lines of JSON, the first about the profile. */
void profile_show_json(const struct profile *profile, enum profile_kind kind, struct buffer *b);

/* One host's findings, the first `top` of them (0: all). */
void profile_findings_print(const struct profile *of_one, const struct profile_findings *findings,
                            uint32_t top, const struct terminal_style *style, struct buffer *b);
void profile_findings_json(const struct profile *of_one, const struct profile_findings *findings,
                           uint32_t top, struct buffer *b);

#endif
