/* Nothing a detector says depends on where batches end: the same traffic in batches of 1, 7 and 1024 events.
 */
#include "script_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { HOUR = 3600 };

static void start(const char *script, uint32_t limit) {
    struct error err = {.text = ""};
    bench_script(&bench, "a.lua", script);
    bench_script(&bench, "b.lua",
                 LUNETTE "lunette.on('dns', { rrname = 'n3.test' }, function(e) lunette.alert{title='three', "
                         "why=('%.9f'):format(e.clock)} end)");
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
}

/* Runs the script over what `traffic` makes, for each size of batch; the alerts must be the same and have
 * `expected`. */
static void same_for_all(const char *script, void (*traffic)(void), const char *expected) {
    static const uint32_t limits[] = {1, 2, 7, 64, 1024};
    static char first[BENCH_TEXT];
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (i > 0) {
            bench_end(&bench);
            bench_begin(&bench);
        }
        start(script, limits[i]);
        traffic();
        if (i == 0) strcpy(first, bench.said);
        if (!strstr(bench.said, expected)) fail_msg("not said: %s\n%.2000s", expected, bench.said);
        assert_string_equal(bench.said, first);
    }
}

static void steady(void) {
    srand(5);
    for (int n = 0; n < 3000; n++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.test", rand() % 50);
        if (rand() % 4)
            bench_dns(&bench, 1000 + n * 0.37, n % 250, name);
        else
            bench_ssh(&bench, 1000 + n * 0.37, name);
        if (n % 100 == 99) script_host_tick(bench.host);
    }
    bench_finish(&bench, 3000);
}

static void a_detector_is_off_from_its_last_failure_on(void **state) {
    (void)state;
    same_for_all(LUNETTE "local n = 0\n"
                         "lunette.on('dns', function(e)\n"
                         "  n = n + 1\n"
                         "  if n >= 500 and n < 530 then error('for a while') end\n"
                         "  lunette.alert{title='seen', why=n}\n"
                         "end)\n"
                         "lunette.every(1, function(now) if n >= 500 then error('here too') end end)\n",
                 steady, "a|seen|2|||499|");
    assert_null(strstr(bench.said, "a|seen|2|||530|"));
}

static void what_ages_or_gives_way_does_so_alike(void **state) {
    (void)state;
    same_for_all(LUNETTE "local s = lunette.state('s', { max = 20, ttl = 30 })\n"
                         "local r = lunette.records('r', { max = 15, ttl = 40, fields = { n = 'u16' } })\n"
                         "lunette.on('dns', function(e)\n"
                         "  s:set(e.rrname, (s:get(e.rrname) or 0) + 1)\n"
                         "  local x, new = r:make(e.rrname)\n"
                         "  x.n = x.n + 1\n"
                         "  lunette.alert{title='t', why=table.concat({s:get(e.rrname), x.n, s:count(), "
                         "r:count(), s:evicted(), "
                         "r:evicted()}, ' '),\n"
                         "    key=e.rrname, cooldown=25}\n"
                         "end)\n"
                         "lunette.every(9, function(now)\n"
                         "  local keys = {}\n"
                         "  for key, value in s:each() do keys[#keys + 1] = key .. '=' .. value end\n"
                         "  lunette.alert{title='all', why=table.concat(keys, ' ') .. ' at ' .. now}\n"
                         "end)\n",
                 steady, "a|all|");
}

/* What the body sets is as old as the first packet, not as 1970. */
static void what_was_set_before_the_first_packet_ages_from_there(void **state) {
    (void)state;
    same_for_all(LUNETTE "local s = lunette.state('s', { max = 20, ttl = 30 })\n"
                         "s:set('early', 'there')\n"
                         "lunette.every(20, function(now) lunette.alert{title='t', why=(s:get('early') or "
                         "'gone')..' '..now} end)\n",
                 steady, "a|t|2|||there 1020|{}|+0\n");
    assert_non_null(strstr(bench.said, "a|t|2|||gone 1040|"));
}

static void timers_set_by_handlers_and_timers_run_alike(void **state) {
    (void)state;
    same_for_all(
        LUNETTE
        "local n = 0\n"
        "lunette.on('dns', function(e)\n"
        "  n = n + 1\n"
        "  local mine = n\n"
        "  if n % 7 == 0 then lunette.after(0, function(now) lunette.alert{title='at once', why=mine..' "
        "'..n..' '..now} "
        "end) end\n"
        "  if n % 11 == 0 then lunette.after(0.37, function(now)\n"
        "    lunette.alert{title='later', why=mine..' '..n..' '..now}\n"
        "    lunette.after(3, function(t) lunette.alert{title='still', why=mine..' '..n..' '..t} end)\n"
        "  end) end\n"
        "  lunette.alert{title='event', why=n}\n"
        "end)\n",
        steady, "a|still|");
}

/* Events nanoseconds apart, closer than seconds in a double can tell. */
static void crowded(void) {
    for (int n = 0; n < 400; n++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.test", n % 5);
        bench.batch->clock = 1718114889776540917 + n * 31;
        struct event_dns *e = batch_begin(bench.batch, EVENT_dns);
        e->body.rrname = batch_string(bench.batch, name);
        batch_commit(bench.batch);
    }
    script_host_finish(bench.host, 1718114889776600000);
}

static void events_closer_than_a_double_can_tell_keep_their_order(void **state) {
    (void)state;
    same_for_all(
        LUNETTE
        "local n = 0\n"
        "lunette.on('dns', function(e)\n"
        "  n = n + 1\n"
        "  local mine = n\n"
        "  if n % 3 == 0 then lunette.after(0, function() lunette.alert{title='timer', why=mine} end) end\n"
        "  if n % 5 == 0 then lunette.after(2e-7, function() lunette.alert{title='soon', why=mine} end) end\n"
        "  lunette.alert{title='event', why=n}\n"
        "end)\n",
        crowded, "a|soon|");
}

/* An hour without events for `a`, while `b` has some: then a hole of ten days, and of years. */
static void sparse(void) {
    for (int n = 0; n < 300; n++) bench_dns(&bench, 1000 + n * 12, 1, "n3.test");
    bench_ssh(&bench, 1000 + HOUR, "x");
    bench_dns(&bench, 1010 + HOUR, 1, "n4.test");
    const nanoseconds hole = (nanoseconds)(1010 + HOUR) * NS_PER_SECOND,
                      later = hole + 240LL * HOUR * NS_PER_SECOND;
    script_host_hole(bench.host, hole, later);
    bench_dns(&bench, 1010 + 100 * HOUR, 1, "n3.test"); /* a flow timed out in the hole */
    bench_ssh(&bench, 1010 + 241 * HOUR, "x");
    for (int n = 0; n < 300; n++) bench_dns(&bench, 1010 + 241 * HOUR + n * 12, 1, "n3.test");
    script_host_hole(bench.host, (nanoseconds)(1010 + 242 * HOUR) * NS_PER_SECOND,
                     4000000000 * NS_PER_SECOND);
    bench_dns(&bench, 4e9, 1, "n3.test");
    bench_finish(&bench, 4e9 + 5);
}

/* However late a batch is handled, a timer that is due in it runs; in a hole it need not. */
static void timers_run_through_quiet_times_but_not_through_holes(void **state) {
    (void)state;
    same_for_all(LUNETTE
                 "local n, last = 0, 0\n"
                 "lunette.every(1, function(now) n, last = n + 1, now end)\n"
                 "lunette.on('ssh', function(e) lunette.alert{title='ssh', why=n..' until '..last} end)\n"
                 "lunette.on_end(function(now) lunette.alert{title='end', why=n..' until '..last} end)\n",
                 sparse, "a|ssh|2|||3600 until 4600|{}|+0\n");
    /* in a hole a thousand times, and once at its end */
    assert_non_null(strstr(bench.said, "a|ssh|2|||4611 until 868610|"));
    assert_non_null(strstr(bench.said, "a|end|2|||9217 until 4000000005|"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_detector_is_off_from_its_last_failure_on, begin, end),
        cmocka_unit_test_setup_teardown(what_ages_or_gives_way_does_so_alike, begin, end),
        cmocka_unit_test_setup_teardown(what_was_set_before_the_first_packet_ages_from_there, begin, end),
        cmocka_unit_test_setup_teardown(timers_set_by_handlers_and_timers_run_alike, begin, end),
        cmocka_unit_test_setup_teardown(events_closer_than_a_double_can_tell_keep_their_order, begin, end),
        cmocka_unit_test_setup_teardown(timers_run_through_quiet_times_but_not_through_holes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
