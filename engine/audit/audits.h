/* What `lunette audit ROOT --json` wrote about Macs, for detectors to ask (--audit, lunette.audit).
 *
 *      --audit mac.json                of the Mac that has one of the hardware addresses in it, or a manual
 * address
 *      --audit 192.168.1.20=mac.json   of the Mac with that address (or several, with commas)
 *      --audit audits/                 all *.json files of a folder, each as in the first line
 *
 * Read when the program starts and never changed, so all threads may look at them. The form of a document is
 * that of lua-api/README.md, under lunette.audit. */
#ifndef LUNETTE_AUDIT_AUDITS_H
#define LUNETTE_AUDIT_AUDITS_H

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>

struct audits;

/* Is the word well formed? Nothing is opened. */
int audits_check_word(const char *word, struct error *err);

struct audits *audits_new(struct error *err);
void audits_free(struct audits *audits);

/* Reads what the word names. -1 and why: no such file, or no audit. */
int audits_add_word(struct audits *audits, const char *word, struct error *err);

/* Takes a document over, of the hosts in `addresses` ("192.168.1.20", with commas; NULL: of whom its contents
 * say). What lists it lacks it gets, empty. -1 and what is wrong with it; then it is freed all the same. */
int audits_add(struct audits *audits, const char *addresses, json_t *document, struct error *err);

/* The audit of who has this IP address, or this hardware address ("aa:bb:cc:dd:ee:ff"); of several the one
 * taken last. NULL for `who`: the only audit there is, if nobody said whose it is. NULL if there is none. */
const json_t *audits_find(const struct audits *audits, const char *who);

#endif
