/* Alerts that outlive the call which told of them, and words for them. */
#include "event/alert.h"

#include <stdlib.h>
#include <string.h>

const char *severity_name(uint8_t severity) {
    static const char *const names[] = {"?", "high", "medium", "low", "info"};
    return names[severity <= SEVERITY_INFO ? severity : 0];
}

bool alert_own(struct alert *alert) {
    const char **fields[] = {&alert->title, &alert->detector, &alert->category, &alert->attack,  &alert->who,
                             &alert->where, &alert->why,      &alert->next,     &alert->evidence};
    size_t total = 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) total += strlen(*fields[i]) + 1;
    char *text = malloc(total);
    if (!text) return false;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *from = *fields[i];
        *fields[i] = text;
        text = stpcpy(text, from) + 1;
    }
    alert->pcap = NULL;
    return true;
}

void alert_release(struct alert *alert) {
    free((char *)alert->title);
}
