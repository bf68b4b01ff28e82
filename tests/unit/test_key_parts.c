/* Keys that are made of an event's fields and of plain values: the same entries as with the key written out,
 * for lunette.records and lunette.state; and what a script gets wrong is told. */
#include "script_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void start(uint32_t limit) {
    struct error err = {.text = ""};
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
}

/* What the handler's body says (by say(…)) of one query for example.org from 192.168.0.7. */
static void expect_said(const char *body, const char *said) {
    char script[8192];
    snprintf(script, sizeof script,
             LUNETTE "local function say(...) local words = {} for i = 1, select('#', ...) do words[i] = "
                     "tostring((select(i, "
                     "...))) end lunette.alert { title = table.concat(words, ' ') } end\n"
                     "local records = lunette.records('r', { max = 8, ttl = 50, fields = { n = 'u32' } })\n"
                     "local state = lunette.state('s', { max = 8, ttl = 50 })\n"
                     "local function why(...) local ok, message = pcall(...) say(ok, "
                     "(tostring(message):gsub('^.-:%%d+: ', ''))) end\n"
                     "lunette.on('dns', function(e)\n%s\nend)\n",
             body);
    bench_script(&bench, "k.lua", script);
    start(256);
    bench_dns(&bench, 1000.5, 7, "example.org");
    bench_finish(&bench, 1001);
    char heard[8192];
    size_t used = 0;
    heard[0] = '\0';
    for (char *line = strtok(bench.said, "\n"); line; line = strtok(NULL, "\n")) {
        char *title = strchr(line, '|') + 1;
        used +=
            (size_t)snprintf(heard + used, sizeof heard - used, "%.*s\n", (int)strcspn(title, "|"), title);
    }
    assert_string_equal(heard, said);
}

static void one_field_is_its_value(void **state) {
    (void)state;
    expect_said("records:make(e, 'client_ip').n = 1\n"
                "say(records:get(e.client_ip).n, records:get('192.168.0.7').n, records:count())\n"
                "records:make(e.client_port).n = 2\n"
                "say(records:get(e, 'client_port').n, (records:get('50000')))\n"
                "state:set(e.rrname, 'name')\n"
                "say(state:get(e, 'rrname'), state:get('example.org'), state:count())\n"
                "state:set(e, 'type', 'word') state:set(e, 'time', 'time')\n"
                "say(state:get('query'), state:get(e.time), state:get(1000.5))\n"
                "for key, value in state:each() do say(type(key), key, value) end\n",
                "1 1 1\n2 nil\nname name 1\nword time time\n"
                "string example.org name\nstring query word\nnumber 1000.5 time\n");
}

static void several_are_a_text(void **state) {
    (void)state;
    expect_said(
        "records:make(e, 'client_ip', 'rrname', 'client_port', 'proto').n = 4\n"
        "local key = e.client_ip .. '\\t' .. e.rrname .. '\\t' .. e.client_port .. '\\t' .. e.proto\n"
        "say(records:get(key).n, records:get(e.client_ip, e.rrname, e.client_port, e.proto).n)\n"
        "say(records:get(e.client_ip, e.rrname, e, 'client_port', 'proto').n, records:get(e.client_ip, e, "
        "'rrname', 'client_port', 'proto').n)\n"
        "say(records:get(e.client_ip, e.rrname, e.client_port, e, 'proto').n)\n"
        "for k in records:each() do say((k:gsub('\\t', '/'))) end\n"
        "records:delete(e, 'client_ip', 'rrname', 'client_port', 'proto') say(records:get(key), "
        "records:count())\n"
        "state:set(e, 'time', 'rrname', 'a') say(state:get(e.time .. '\\t' .. e.rrname))\n"
        "state:set('x', 1, e, 'rrname', 'b') say(state:get('x\\t1\\texample.org'))\n"
        "state:set(e, 'client_ip', 'rrname', 'type', 'proto', 'c')\n"
        "say(state:get('192.168.0.7\\texample.org\\tquery\\tUDP'))\n"
        "state:set(e, 'time', 'rrname', nil) say(state:get(e, 'time', 'rrname'), state:count())\n"
        "state:delete('x', 1, e, 'rrname') say(state:count())\n"
        "state:set('', e, 'rrname', 'd') say(state:get('\\texample.org'), state:get('', e.rrname))\n",
        "4 4\n4 4\n4\n192.168.0.7/example.org/50000/UDP\nnil 0\na\nb\nc\nnil 2\n1\nd d\n");
}

static void what_is_absent_is_empty_beside_others(void **state) {
    (void)state;
    expect_said("say((records:get(e, 'rcode')))\n"
                "why(records.make, records, e, 'rcode')\n"
                "records:make(e, 'client_ip', 'rcode').n = 3 say(records:get('192.168.0.7\\t').n)\n",
                "nil\nfalse the event has no rcode: it cannot be a key\n3\n");
}

static void what_is_wrong_is_told(void **state) {
    (void)state;
    expect_said(
        "why(records.get, records, e, 'client_ib')\n"
        "why(records.make, records, e, 'client_ip', 'rname')\n"
        "why(records.get, records, e, 'a')\n"
        "why(records.get, records, e, 'client_local', 'client_ip')\n"
        "why(records.get, records, e)\n"
        "why(records.get, records, 'x', e)\n"
        "why(records.get, records, e, 7)\n"
        "why(records.make, records, 'a', {})\n"
        "why(records.make, records, 0 / 0, 'b')\n"
        "why(records.make, records, 0 / 0)\n"
        "why(records.make, records, {})\n"
        "why(records.make, records, 'a', nil, 'b') why(records.make, records, 'a', 'b', nil, 'c')\n"
        "why(records.make, records, e, 'proto', nil, 'type') why(state.set, state, e, 'proto', nil, 1)\n"
        "why(state.set, state, 'a', nil, 1)\n"
        "why(records.make, records, 1, 2, 3, 4, 5)\n"
        "why(state.set, state, e, 'proto', 'type', 'rrname', 'proto', 'qtype', 1)\n"
        "why(records.make, records, 1, e, 'proto', 'type', 'rrname', 'proto')\n"
        "say(records:get({}), records:get(0 / 0), records:get(true), (records:get(nil)))\n",
        "false dns events have no field 'client_ib'; did you mean 'client_ip'?\n"
        "false dns events have no field 'rname'; did you mean 'rrname'?\n"
        "false dns.a is neither a text nor a number: it cannot be a part of a key\n"
        "false dns.client_local is neither a text nor a number: it cannot be a part of a key\n"
        "false a key is made of fields: their names are expected after the event\n"
        "false a key is made of fields: their names are expected after the event\n"
        "false dns events have no field '7'; a value of your own stands before the event in a key\n"
        "false a key must be a string or a number, got table\n"
        "false a key must be a string or a number, got NaN\n"
        "false a key must be a string or a number, got NaN\n"
        "false a key must be a string or a number, got table\n"
        "false a key must be a string or a number, got nil\n"
        "false a key must be a string or a number, got nil\n"
        "false a key is made of fields: their names are expected after the event\n"
        "false a part of the key is nil\n"
        "false a part of the key is nil\n"
        "false a key has four parts at most\n"
        "false a key has four parts at most\n"
        "false a key has four parts at most\n"
        "nil nil nil nil\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_field_is_its_value, begin, end),
        cmocka_unit_test_setup_teardown(several_are_a_text, begin, end),
        cmocka_unit_test_setup_teardown(what_is_absent_is_empty_beside_others, begin, end),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_told, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
