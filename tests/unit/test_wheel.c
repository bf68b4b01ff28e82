/* The timer wheel against a plain array that is searched from end to end. */
#include "packets.h"

#include "flow/wheel.h"

enum { ITEMS = 300 };

struct model {
    nanoseconds due[ITEMS + 1];
    bool in[ITEMS + 1];
};

static struct wheel_due due_of(void *context, uint32_t item) {
    const struct model *m = context;
    return (struct wheel_due){.due = m->due[item], .order = item};
}

static uint32_t model_first(const struct model *m) {
    uint32_t first = 0;
    for (uint32_t i = 1; i <= ITEMS; i++)
        if (m->in[i] && (!first || m->due[i] < m->due[first])) first = i;
    return first;
}

static void same_as_searching(void **state) {
    (void)state;
    for (uint64_t round = 1; round <= 60; round++) {
        struct model m;
        struct wheel *wheel = malloc(sizeof *wheel);
        struct error err;
        uint64_t seed = round * 7919;
        assert_non_null(wheel);
        memset(&m, 0, sizeof m);
        assert_int_equal(wheel_init(wheel, ITEMS, due_of, &m, &err), 0);
        nanoseconds now = round % 2 ? world_epoch : 0, due = 0;
        assert_int_equal(wheel_first(wheel, now, &due), 0);
        uint32_t reach = round % 3 ? 20 : 20000; /* seconds; beyond the wheel's own horizon too */
        for (int step = 0; step < 5000; step++) {
            uint32_t item = 1 + random_below(&seed, ITEMS), what = random_below(&seed, 10);
            nanoseconds far =
                (nanoseconds)random_below(&seed, reach) * NS_PER_SECOND / 7 + random_below(&seed, 1000);
            if (what < 3) { /* put, or move either way */
                m.due[item] = now + 1 + far;
                m.in[item] = true;
                wheel_put(wheel, item);
            } else if (what < 6) { /* due later, and the wheel is not told */
                m.due[item] += far;
            } else if (what == 6) {
                m.in[item] = false;
                wheel_remove(wheel, item);
            } else if (what == 7) {
                uint32_t nearest = wheel_nearest(wheel);
                assert_int_equal(nearest, model_first(&m));
            } else {
                now += step % 500 == 499 ? 4000000 * NS_PER_SECOND : far / 10;
                for (;;) {
                    uint32_t first = wheel_first(wheel, now, &due), expected = model_first(&m);
                    if (expected && m.due[expected] > now) expected = 0;
                    assert_int_equal(first, expected);
                    if (!first) break;
                    assert_true(due == m.due[first]);
                    m.in[first] = false;
                    wheel_remove(wheel, first);
                }
            }
        }
        wheel_release(wheel);
        free(wheel);
    }
}

static void a_jump_of_a_century(void **state) {
    (void)state;
    struct model m;
    struct wheel *wheel = malloc(sizeof *wheel);
    struct error err;
    nanoseconds due = 0, century = 100LL * 365 * 86400 * NS_PER_SECOND;
    assert_non_null(wheel);
    memset(&m, 0, sizeof m);
    assert_int_equal(wheel_init(wheel, ITEMS, due_of, &m, &err), 0);
    assert_int_equal(wheel_first(wheel, 0, &due), 0);
    for (uint32_t i = 1; i <= ITEMS; i++) {
        m.due[i] = (nanoseconds)((i * 7919) % 3600) * NS_PER_SECOND + i;
        wheel_put(wheel, i);
    }
    nanoseconds last = 0;
    for (uint32_t i = 1; i <= ITEMS; i++) {
        uint32_t item = wheel_first(wheel, century, &due);
        assert_true(item > 0 && due >= last);
        last = due;
        wheel_remove(wheel, item);
    }
    assert_int_equal(wheel_first(wheel, century, &due), 0);
    assert_int_equal(wheel_nearest(wheel), 0);
    wheel_release(wheel);
    free(wheel);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_searching),
        cmocka_unit_test(a_jump_of_a_century),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
