/* A wall clock that can be set without setting the machine's: preloaded into the sensor by test_faults.py.
 *
 * CLOCK_REALTIME is read with the seconds added that the file named by CLOCK_STEP_FILE holds (a double,
 * mapped, so that a change acts at once). The other clocks are left alone, as they are when a clock is set.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile double *step;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

static void find_real(void) {
    if (!real_clock_gettime)
        real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}

__attribute__((constructor)) static void open_step(void) {
    const char *path = getenv("CLOCK_STEP_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    find_real();
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED) step = map;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    find_real(); /* others may ask before the constructor ran */
    int outcome = real_clock_gettime(clock, out);
    if (outcome == 0 && clock == CLOCK_REALTIME && step) out->tv_sec += (time_t)*step;
    return outcome;
}
