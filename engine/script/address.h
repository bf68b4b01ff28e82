/* What the module lunette.address asks of the engine: an address given as text, and what is known of it. An
 * IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is taken for the IPv4 address that it holds, as
 * everywhere in the engine. Texts need no NUL at their end. */
#ifndef LUNETTE_SCRIPT_ADDRESS_H
#define LUNETTE_SCRIPT_ADDRESS_H

#include <stdint.h>

enum { ADDRESS_NONE = -1, BLOCK_NONE = -2 };

/* Bits of enum lunette_address (lua-api/lunette.h), 0 if the text is no address. */
uint32_t address_traits(const char *text, uint32_t length);

/* 1 if the address lies in the block ("10.0.0.0/8"; an address stands for itself), 0 if not; ADDRESS_NONE or
 * BLOCK_NONE if one of the two makes no sense. An IPv4 block has no IPv6 addresses, nor the other way round.
 */
int32_t address_inside(const char *text, uint32_t length, const char *block, uint32_t block_length);

/* These write at most 80 characters and return how many. Of the address: the usual form (RFC 5952); the name
 * that reverse DNS has for it (RFC 1035 section 3.5, RFC 3596 section 2.5); the block of `bits` that it lies
 * in, BLOCK_NONE if there is none of that length. */
int32_t address_canonical(const char *text, uint32_t length, char *out);
int32_t address_reverse(const char *text, uint32_t length, char *out);
int32_t address_network(const char *text, uint32_t length, uint32_t bits, char *out);

#endif
