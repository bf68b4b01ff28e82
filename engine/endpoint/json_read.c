/* See json_read.h. */
#include "endpoint/json_read.h"

#include <stdlib.h>
#include <string.h>

struct span json_member_text(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) return (struct span){NULL, 0};
    return span_of(json_string_value(value), json_string_length(value));
}

double json_to_number(const json_t *value, double otherwise) {
    if (json_is_number(value)) return json_number_value(value);
    if (!json_is_string(value) || json_string_length(value) == 0) return otherwise;
    const char *text = json_string_value(value);
    if (strspn(text, "-.0123456789") != json_string_length(value)) return otherwise;
    char *end;
    double number = strtod(text, &end);
    return end != text && *end == '\0' ? number : otherwise;
}

double json_member_number(const json_t *object, const char *key, double otherwise) {
    return json_to_number(json_object_get(object, key), otherwise);
}

int32_t json_to_pid(const json_t *value) {
    double number = json_to_number(value, NEWS_NO_PID);
    return number >= 0 && number <= INT32_MAX ? (int32_t)number : NEWS_NO_PID;
}

uint32_t json_to_u32(const json_t *value, uint32_t otherwise) {
    double number = json_to_number(value, -1e12);
    if (number >= 0 && number <= UINT32_MAX) return (uint32_t)number;
    if (number >= INT32_MIN && number < 0) return (uint32_t)(int32_t)number;
    return otherwise;
}
