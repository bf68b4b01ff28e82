/* See seed.h. */
#include "base/seed.h"

#include <pthread.h>
#include <sys/random.h>

static uint64_t seed;
static pthread_once_t drawn = PTHREAD_ONCE_INIT;

static void draw(void) {
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) seed = (uint64_t)(uintptr_t)&seed;
}

uint64_t process_seed(void) {
    pthread_once(&drawn, draw);
    return seed;
}
