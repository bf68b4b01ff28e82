/* The keys of named state: against a simple model of what they promise, and against keys that were chosen to
 * be slow. */
#include "script/keys.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static size_t used;

static struct key text_key(const char *text) {
    return (struct key){.bytes = text, .length = (uint32_t)strlen(text)};
}

static struct keys *keys_of(uint32_t max, double ttl) {
    struct keys *keys = keys_new(max, ttl, &used, (size_t)64 << 20);
    assert_non_null(keys);
    return keys;
}

/* ------------------------------------------------------------------ a model */

enum { MODEL_MAX = 20, STEPS = 200000 };

/* Slots in an array that is searched from end to end; free ones in a stack. */
static struct model {
    struct {
        bool taken, used;
        int key;
        double set_at;
    } slots[MODEL_MAX + 1];
    int free[MODEL_MAX];
    int free_count, count, high, hand, evicted;
} model;

static int model_at(int key) {
    for (int slot = 1; slot <= model.high; slot++)
        if (model.slots[slot].taken && model.slots[slot].key == key) return slot;
    return 0;
}

static void model_drop(int slot) {
    model.slots[slot].taken = false;
    model.free[model.free_count++] = slot;
    model.count--;
}

static int model_find(int key, double now, double ttl) {
    int slot = model_at(key);
    if (slot != 0 && now - model.slots[slot].set_at > ttl) {
        model_drop(slot);
        return 0;
    }
    if (slot != 0) model.slots[slot].used = true;
    return slot;
}

static int model_take(int key, double now, double ttl) {
    int slot = model_find(key, now, ttl);
    if (slot == 0) {
        while (model.count == MODEL_MAX) {
            model.hand = model.hand % MODEL_MAX + 1;
            bool over = now - model.slots[model.hand].set_at > ttl;
            if (over || !model.slots[model.hand].used) {
                model_drop(model.hand);
                model.evicted += !over;
            } else {
                model.slots[model.hand].used = false;
            }
        }
        slot = model.free_count > 0 ? model.free[--model.free_count] : ++model.high;
        model.slots[slot].taken = true;
        model.slots[slot].used = false;
        model.slots[slot].key = key;
        model.count++;
    }
    model.slots[slot].set_at = now;
    return slot;
}

/* Short keys and long ones, and numbers. */
static struct key key_numbered(int n, char text[128], double *number) {
    *number = n;
    if (n % 3 == 0) return key_of_number(number);
    snprintf(text, 128, "%.*s%d", n % 3 == 1 ? 0 : 60,
             "a name that is far too long to be kept where its slot is, so that it lies elsewhere", n);
    return text_key(text);
}

static void compare_with_model(const struct keys *keys, double now, double ttl) {
    struct keys_figures figures = keys_figures(keys);
    assert_int_equal(figures.count, model.count);
    assert_int_equal(figures.high, model.high);
    assert_true(figures.evicted == model.evicted);
    uint32_t slot = 0;
    for (int i = 1; i <= model.high; i++) {
        char text[128];
        double number;
        if (!model.slots[i].taken || now - model.slots[i].set_at > ttl) continue;
        slot = keys_next(keys, slot, now);
        assert_int_equal(slot, i);
        struct key got = keys_key(keys, slot), wanted = key_numbered(model.slots[i].key, text, &number);
        assert_int_equal(got.is_number, wanted.is_number);
        assert_int_equal(got.length, wanted.length);
        assert_memory_equal(got.bytes, wanted.bytes, wanted.length);
        assert_true(keys_set_at(keys, slot) == model.slots[i].set_at);
    }
    assert_int_equal(keys_next(keys, slot, now), 0);
    slot = 0;
    for (int i = model.free_count; i > 0; i--)
        assert_int_equal(slot = keys_next_free(keys, slot), model.free[i - 1]);
    assert_int_equal(keys_next_free(keys, slot), 0);
}

static void does_what_the_model_does(void **state) {
    (void)state;
    const double ttl = 15;
    struct keys *keys = keys_of(MODEL_MAX, ttl);
    memset(&model, 0, sizeof model);
    uint32_t dice = 1;
    for (int step = 0; step < STEPS; step++) {
        double now = 1000 + step / 8.0, number;
        char text[128];
        dice = dice * 1664525 + 1013904223;
        int n = (int)(dice >> 16) % (step / 1000 % 2 ? 60 : 25), what = (int)(dice >> 8) % 10;
        struct key key = key_numbered(n, text, &number);
        uint32_t slot, dropped;
        bool evicted;
        if (what < 5) {
            assert_int_equal(keys_find(keys, &key, now, &dropped), model_find(n, now, ttl));
        } else if (what < 9) {
            int before = model_at(n), wanted = model_take(n, now, ttl);
            enum keys_taken taken = keys_take(keys, &key, now, &slot, &evicted);
            assert_int_equal(slot, wanted);
            assert_true(taken != KEYS_FULL &&
                        (taken == KEYS_NEW || taken == KEYS_NEW_FOR_OLD || before == wanted));
        } else {
            slot = keys_at(keys, &key);
            assert_int_equal(slot, model_at(n));
            if (slot != 0) keys_drop(keys, slot), model_drop((int)slot);
        }
        if (step % 100 == 0) compare_with_model(keys, now, ttl);
    }
    assert_true(model.evicted > 1000);
    keys_free(keys);
    assert_int_equal(used, 0);
}

/* ---------------------------------------------------- keys that were chosen */

enum { FLOOD = 20000 };

static double probes_of_a_look_up(char (*names)[24]) {
    struct keys *keys = keys_of(FLOOD * 2, INFINITY);
    uint64_t probes, lookups;
    for (int i = 0; i < FLOOD; i++) {
        struct key key = text_key(names[i]);
        uint32_t slot;
        bool evicted;
        assert_int_equal(keys_take(keys, &key, 1, &slot, &evicted), KEYS_NEW);
    }
    for (int i = 0; i < FLOOD; i++) {
        struct key key = text_key(names[i]);
        assert_int_equal(keys_at(keys, &key), i + 1);
    }
    keys_effort(keys, &probes, &lookups);
    keys_free(keys);
    assert_int_equal(lookups, 2 * FLOOD);
    return (double)probes / (double)lookups;
}

/* Names whose hashes without a key agree in all bits that could choose a bucket cost what other names do. */
static void chosen_names_cost_what_others_do(void **state) {
    (void)state;
    static char names[FLOOD][24];
    for (int i = 0; i < FLOOD; i++) snprintf(names[i], sizeof names[i], "host%d.test", i);
    double usual = probes_of_a_look_up(names);
    uint32_t found = 0;
    for (uint64_t i = 0; found < FLOOD; i++) {
        snprintf(names[found], sizeof names[0], "%llx", (unsigned long long)i);
        if ((XXH3_64bits(names[found], strlen(names[found])) & 0x3ff) == 0) found++;
    }
    double chosen = probes_of_a_look_up(names);
    assert_true(usual < 6);
    assert_true(chosen < 6);
}

static void each_table_has_an_order_of_its_own(void **state) {
    (void)state;
    uint64_t least = UINT64_MAX, most = 0;
    for (int table = 0; table < 100; table++) {
        struct keys *keys = keys_of(1000, INFINITY);
        uint64_t probes, lookups;
        for (int i = 0; i < 700; i++) {
            double number = i;
            struct key key = key_of_number(&number);
            uint32_t slot;
            bool evicted;
            keys_take(keys, &key, 1, &slot, &evicted);
        }
        keys_effort(keys, &probes, &lookups);
        keys_free(keys);
        if (probes < least) least = probes;
        if (probes > most) most = probes;
    }
    assert_true(least < most); /* they would all be alike if the hash had no key */
}

/* ------------------------------------------------------------------ bounds */

static void memory_is_counted_and_bounded(void **state) {
    (void)state;
    size_t limit = 1 << 20;
    struct keys *keys = keys_new(KEYS_SLOTS, INFINITY, &used, limit);
    assert_non_null(keys);
    enum keys_taken taken = KEYS_NEW;
    uint32_t count = 0, slot;
    bool evicted;
    for (double i = 0; taken == KEYS_NEW && i < 100000; i++) {
        struct key key = key_of_number(&i);
        taken = keys_take(keys, &key, 1, &slot, &evicted);
        count += taken == KEYS_NEW;
        assert_true(used <= limit);
    }
    assert_int_equal(taken, KEYS_FULL);
    assert_int_equal(keys_figures(keys).count, count);
    assert_true(count > limit / 64 / 2);
    keys_free(keys);
    assert_int_equal(used, 0);
    keys = keys_new(100, INFINITY, &used, limit);
    char *large = malloc(2 * limit);
    memset(large, 'x', 2 * limit);
    struct key key = {.bytes = large, .length = (uint32_t)limit / 2};
    assert_int_equal(keys_take(keys, &key, 1, &slot, &evicted), KEYS_NEW);
    assert_true(used > limit / 2);
    key.length = (uint32_t)(2 * limit);
    assert_int_equal(keys_take(keys, &key, 1, &slot, &evicted), KEYS_FULL);
    keys_drop(keys, 1);
    assert_true(used < limit / 2);
    keys_free(keys);
    free(large);
    assert_int_equal(used, 0);
}

/* Both what the key itself takes and the buckets that grow for it. */
static void a_long_key_and_its_buckets_are_within_the_bound(void **state) {
    (void)state;
    size_t limit = 1 << 20;
    struct keys *keys = keys_new(100, INFINITY, &used, limit);
    assert_non_null(keys);
    char text[1000];
    memset(text, 'x', sizeof text);
    uint32_t slot;
    bool evicted;
    for (double i = 0; i < 12; i++) { /* three quarters of the first buckets */
        struct key key = key_of_number(&i);
        assert_int_equal(keys_take(keys, &key, 1, &slot, &evicted), KEYS_NEW);
    }
    const size_t others = limit - used - sizeof text - 20;
    used += others; /* so that there is room for the key alone */
    struct key key = {.bytes = text, .length = sizeof text};
    assert_int_equal(keys_take(keys, &key, 1, &slot, &evicted), KEYS_FULL);
    assert_true(used <= limit);
    used -= others;
    assert_int_equal(keys_take(keys, &key, 1, &slot, &evicted), KEYS_NEW);
    keys_free(keys);
    assert_int_equal(used, 0);
}

static void a_number_is_no_text(void **state) {
    (void)state;
    struct keys *keys = keys_of(10, INFINITY);
    double one = 1, zero = 0;
    struct key number = key_of_number(&one), same_bytes = {.bytes = (const char *)&one, .length = sizeof one};
    uint32_t slot;
    bool evicted;
    assert_int_equal(keys_take(keys, &number, 1, &slot, &evicted), KEYS_NEW);
    assert_int_equal(keys_at(keys, &same_bytes), 0);
    number = key_of_number(&zero);
    assert_int_equal(keys_at(keys, &number), 0);
    struct key empty = text_key("");
    assert_int_equal(keys_take(keys, &empty, 1, &slot, &evicted), KEYS_NEW);
    assert_int_equal(keys_at(keys, &empty), 2);
    keys_free(keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_what_the_model_does),
        cmocka_unit_test(chosen_names_cost_what_others_do),
        cmocka_unit_test(each_table_has_an_order_of_its_own),
        cmocka_unit_test(memory_is_counted_and_bounded),
        cmocka_unit_test(a_long_key_and_its_buckets_are_within_the_bound),
        cmocka_unit_test(a_number_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
