/* JSON text: every byte, every length of good and bad UTF-8, numbers, and the checker for others' JSON. */
#include "output/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect(struct buffer *b, const char *wanted) {
    buffer_char(b, '\0');
    assert_false(b->failed);
    assert_string_equal(b->at, wanted);
    buffer_free(b);
}

static void expect_escaped(const void *bytes, size_t length, const char *wanted) {
    struct buffer b = {0};
    json_quote(&b, bytes, length);
    expect(&b, wanted);
}

static void each_byte_has_its_escape(void **state) {
    (void)state;
    static const char *const shorts[256] = {['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\f'] = "\\f",
                                            ['\n'] = "\\n", ['\r'] = "\\r",  ['\t'] = "\\t"};
    for (int c = 0; c < 256; c++) {
        char wanted[64], text = (char)c;
        if (shorts[c])
            snprintf(wanted, sizeof wanted, "\"%s\"", shorts[c]);
        else if (c < 0x20 || c >= 0x80)
            snprintf(wanted, sizeof wanted, "\"\\u%04x\"", (unsigned)c);
        else
            snprintf(wanted, sizeof wanted, "\"%c\"", c);
        expect_escaped(&text, 1, wanted);
    }
}

/* The eight-byte stride must see an odd byte wherever it stands. */
static void odd_bytes_are_found_at_every_place(void **state) {
    (void)state;
    static const struct {
        char byte;
        const char *escaped;
    } odd[] = {{'"', "\\\""},     {'\\', "\\\\"}, {'\n', "\\n"},
               {0x1f, "\\u001f"}, {0, "\\u0000"}, {(char)0x80, "\\u0080"}};
    for (size_t k = 0; k < sizeof odd / sizeof odd[0]; k++) {
        for (size_t length = 1; length <= 24; length++) {
            for (size_t at = 0; at < length; at++) {
                char text[25], wanted[64];
                memset(text, '!',
                       length); /* the least plain character beside the blank: where borrows would show */
                text[at] = odd[k].byte;
                int n = snprintf(wanted, sizeof wanted, "\"%.*s%s", (int)at, "!!!!!!!!!!!!!!!!!!!!!!!!",
                                 odd[k].escaped);
                snprintf(wanted + n, sizeof wanted - (size_t)n, "%.*s\"", (int)(length - at - 1),
                         "!!!!!!!!!!!!!!!!!!!!!!!!");
                expect_escaped(text, length, wanted);
            }
        }
    }
}

static void good_utf8_stands_as_it_is(void **state) {
    (void)state;
    expect_escaped("\xc2\x80", 2, "\"\xc2\x80\"");
    expect_escaped("caf\xc3\xa9", 5, "\"caf\xc3\xa9\"");
    expect_escaped("\xe2\x86\x92", 3, "\"\xe2\x86\x92\"");
    expect_escaped("\xed\x9f\xbf\xee\x80\x80", 6, "\"\xed\x9f\xbf\xee\x80\x80\"");
    expect_escaped("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8, "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
}

static void bad_utf8_is_escaped_byte_by_byte(void **state) {
    (void)state;
    expect_escaped("\xc0\xaf", 2, "\"\\u00c0\\u00af\"");                       /* overlong */
    expect_escaped("\xe0\x80\xaf", 3, "\"\\u00e0\\u0080\\u00af\"");            /* overlong */
    expect_escaped("\xf0\x80\x80\xaf", 4, "\"\\u00f0\\u0080\\u0080\\u00af\""); /* overlong */
    expect_escaped("\xed\xa0\x80", 3, "\"\\u00ed\\u00a0\\u0080\"");            /* surrogate */
    expect_escaped("\xf4\x90\x80\x80", 4, "\"\\u00f4\\u0090\\u0080\\u0080\""); /* beyond U+10FFFF */
    expect_escaped("\xe2\x86", 2, "\"\\u00e2\\u0086\"");                       /* cut short */
    expect_escaped("\xc3(", 2, "\"\\u00c3(\""); /* second byte is no continuation */
    expect_escaped("\xbf\xfe\xff", 3, "\"\\u00bf\\u00fe\\u00ff\"");
}

static void expect_f64(double value, const char *wanted) {
    struct buffer b = {0};
    json_f64(&b, value);
    expect(&b, wanted);
}

static void doubles(void **state) {
    (void)state;
    expect_f64(0, "0.0");
    expect_f64(-0.0, "0.0");
    expect_f64(3, "3.0");
    expect_f64(0.25, "0.25");
    expect_f64(-1.5, "-1.5");
    expect_f64(0.000001, "0.000001");
    expect_f64(0.0000004, "0.0");
    expect_f64(-0.0000004, "0.0");
    expect_f64(0.9999996, "1.0");
    expect_f64(1714564800.123456, "1714564800.123456");
    expect_f64(1e15, "1000000000000000.0");
    expect_f64(1.7976931348623157e308, "1.7976931348623157e+308");
    expect_f64(NAN, "null");
    expect_f64(INFINITY, "null");
    expect_f64(-INFINITY, "null");
}

static void integers(void **state) {
    (void)state;
    static const uint64_t values[] = {0, 7, 10, 99, 100, 101, 65535, 999999, 1000000, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char wanted[32];
        struct buffer b = {0};
        snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)values[i]);
        json_u64(&b, values[i]);
        expect(&b, wanted);
    }
}

static void commas_take_care_of_themselves(void **state) {
    (void)state;
    struct buffer b = {0};
    buffer_char(&b, '{');
    json_pair_u64(&b, "a", 1);
    json_key(&b, "b\"");
    buffer_char(&b, '[');
    for (int i = 0; i < 3; i++) {
        json_item(&b);
        json_text(&b, "{[");
    }
    buffer_char(&b, ']');
    json_pair_f64(&b, "c", 0.5);
    json_key(&b, "d");
    json_hex(&b, "\x00\xff\x1a", 3);
    buffer_char(&b, '}');
    expect(&b, "{\"a\":1,\"b\\\"\":[\"{[\",\"{[\",\"{[\"],\"c\":0.5,\"d\":\"00ff1a\"}");
}

static bool is_object(const char *text) {
    return json_is_object(text, strlen(text));
}

static void the_checker_knows_json(void **state) {
    (void)state;
    static const char *const good[] = {"{}", " { } ", "{\"a\":1}",
                                       "{\"a\":[1,-2.5e+3,0,0.1,true,false,null,\"x\",{}]}",
                                       "{\"a\":\"\\u00e9\\n\\\"\"}"};
    static const char *const bad[] = {"",
                                      "[]",
                                      "1",
                                      "{",
                                      "{}}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":01}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{\"a\":1.}",
                                      "{\"a\":.5}",
                                      "{\"a\":+1}",
                                      "{\"a\":nul}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"\\u12\"}",
                                      "{\n}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":NaN}",
                                      "{\"a\":\"",
                                      "{\"a\":\"\\"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_true(is_object(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(is_object(bad[i]));
}

static void the_checker_is_not_led_into_the_deep(void **state) {
    (void)state;
    enum { LEVELS = 100000 };
    char *text = malloc(LEVELS * 5 + 1);
    assert_non_null(text);
    for (int i = 0; i < LEVELS; i++) memcpy(text + i * 5, "{\"a\":", 6);
    assert_false(is_object(text));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_has_its_escape),
        cmocka_unit_test(odd_bytes_are_found_at_every_place),
        cmocka_unit_test(good_utf8_stands_as_it_is),
        cmocka_unit_test(bad_utf8_is_escaped_byte_by_byte),
        cmocka_unit_test(doubles),
        cmocka_unit_test(integers),
        cmocka_unit_test(commas_take_care_of_themselves),
        cmocka_unit_test(the_checker_knows_json),
        cmocka_unit_test(the_checker_is_not_led_into_the_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
