/* A number that is another one in each process, for hashes of what comes from the wire.
 *
 * Who sends packets knows which hash is used, and without a seed could make values that share a place or a
 * whole hash. Tables with an owner draw a seed of their own; this one is for hashes that several threads must
 * agree on (a tunnel's identity) or that have no owner (names within one DNS message). Nothing that depends
 * on it may be written or handed over. */
#ifndef LUNETTE_BASE_SEED_H
#define LUNETTE_BASE_SEED_H

#include <stdint.h>

/* Drawn when first asked for; thread-safe. */
uint64_t process_seed(void);

#endif
