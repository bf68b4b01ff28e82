/* How the keys of a profile are made: what counts as the same thing. */
#ifndef LUNETTE_OUTPUT_PROFILE_KEY_H
#define LUNETTE_OUTPUT_PROFILE_KEY_H

#include "base/ip.h"
#include "output/profile.h"

/* A name with what only numbers its hosts folded to `*`, in front of the registrable domain
 * (publicsuffix.org):
 *  - digits at a label's beginning, alone or behind one letter, if a hyphen or the label's end follows:
 *    24-courier.push.apple.com is *-courier.push.apple.com, p70-caldav.icloud.com is p*-caldav.icloud.com,
 *    while gspe1-ssl and gspe21-ssl, which are two services, stay what they are;
 *  - runs of eight and more hexadecimal digits of which one is decimal, and of five and more decimal ones;
 *  - all of a reversed address: *.in-addr.arpa, *.ip6.arpa.
 * Lower case, without the last dot, control and other odd bytes as `?`, at most PROFILE_KEY_MAX bytes. */
void profile_key_name(const char *name, char out[PROFILE_KEY_MAX + 1]);

/* Registrable domain of a key made so, the key itself where there is none; points into `key`. */
const char *profile_key_domain(const char *key);

/* "com.apple.trustd" of "com.apple.trustd/2.0": up to the first slash or space, without a number behind a
 * hyphen; of browsers with the system that they name: "Mozilla (Macintosh)". */
void profile_key_agent(const char *agent, char out[PROFILE_KEY_MAX + 1]);

/* 203.0.113.0/24, 2001:db8:1::/48. */
void profile_key_network(const struct ip *address, char out[PROFILE_KEY_MAX + 1]);

/* "tcp/443/tls", "in tcp/22/ssh", "udp/49152+"; "icmp". `application` may be NULL. */
void profile_key_service(const char *transport, uint32_t port, const char *application, bool inward,
                         char out[PROFILE_KEY_MAX + 1]);

/* Any text: tabs, line ends, control bytes and malformed UTF-8 become `?`. */
void profile_key_text(const char *text, char out[PROFILE_KEY_MAX + 1]);

#endif
