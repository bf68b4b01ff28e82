/* Reading what jansson parsed: every look-up may meet nothing, null, or a value of another type than the
 * format's page says, and then it yields "absent". Numbers are doubles (lines are parsed so that integers of
 * any size are): exact to 2^53, which covers all that is read here. */
#ifndef LUNETTE_ENDPOINT_JSON_READ_H
#define LUNETTE_ENDPOINT_JSON_READ_H

#include "endpoint/news.h"

#include <jansson.h>

/* The text of a string member; absent if it is none. */
struct span json_member_text(const json_t *object, const char *key);

/* A member's number, also of a string of digits (osquery writes them so); `otherwise` if there is none. */
double json_to_number(const json_t *value, double otherwise);
double json_member_number(const json_t *object, const char *key, double otherwise);

/* As a process id: NEWS_NO_PID if there is none that could be one. */
int32_t json_to_pid(const json_t *value);

/* As an unsigned number of 32 bits; negative ones as they are kept there (-2 is nobody's uid). */
uint32_t json_to_u32(const json_t *value, uint32_t otherwise);

#endif
