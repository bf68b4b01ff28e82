/* Is a word of an option well formed? What can be told before anything is opened: -1 and what was expected,
 * without the option's name. */
#ifndef LUNETTE_CLI_WORD_CHECK_H
#define LUNETTE_CLI_WORD_CHECK_H

#include "base/error.h"

int check_not_empty(const char *word, struct error *err);
int check_script(const char *word, struct error *err);  /* a file or folder that is there */
int check_filter(const char *word, struct error *err);  /* a pcap-filter(7) expression */
int check_setting(const char *word, struct error *err); /* DETECTOR.KEY=VALUE */
int check_record(const char *word, struct error *err);  /* an event's kind, alert, report or stats */
int check_network(const char *word, struct error *err); /* an address, or a CIDR block */
int check_pace(const char *word, struct error *err);    /* max, 1x, 0.5x */
int check_metrics(const char *word, struct error *err); /* 127.0.0.1:9177, [::1]:9177, localhost:9177 */

/* Packet seconds per second; 0 for max. Of a word that check_pace() passed. */
double pace_of(const char *word);

#endif
