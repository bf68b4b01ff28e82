/* Sets: what belongs to a domain, a prefix, a list, and which entry answers. */
#include "script/set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <strings.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct set *set_of(enum set_kind kind, const char *const *entries) {
    struct set *set = set_new(kind);
    struct error err;
    assert_non_null(set);
    for (int i = 0; entries[i]; i++)
        assert_int_equal(set_add(set, entries[i], strlen(entries[i]), i + 1, &err), 0);
    return set;
}

static int32_t find(const struct set *set, const char *text) {
    return set_find(set, text, strlen(text));
}

static void a_domain_has_itself_and_all_below_it(void **state) {
    (void)state;
    struct set *set = set_of(SET_DOMAINS, (const char *[]){"apple.com", "Example.ORG", "*.wild.test", NULL});
    assert_int_equal(find(set, "apple.com"), 1);
    assert_int_equal(find(set, "www.apple.com"), 1);
    assert_int_equal(find(set, "a.b.c.apple.com"), 1);
    assert_int_equal(find(set, "WWW.Apple.Com"), 1);
    assert_int_equal(find(set, "apple.com."), 1);
    assert_int_equal(find(set, "example.org"), 2);
    assert_int_equal(find(set, "x.wild.test"), 3);
    assert_int_equal(find(set, "snapple.com"), -1);
    assert_int_equal(find(set, "apple.com.evil.test"), -1);
    assert_int_equal(find(set, "com"), -1);
    assert_int_equal(find(set, ""), -1);
    set_free(set);
}

static void the_longest_entry_answers(void **state) {
    (void)state;
    struct set *set =
        set_of(SET_DOMAINS, (const char *[]){"apple.com", "push.apple.com", "=www.push.apple.com",
                                             "-caldav.icloud.com", "icloud.com", NULL});
    assert_int_equal(find(set, "1-courier.push.apple.com"), 2);
    assert_int_equal(find(set, "www.push.apple.com"), 3);
    assert_int_equal(find(set, "a.www.push.apple.com"), 2);
    assert_int_equal(find(set, "store.apple.com"), 1);
    assert_int_equal(find(set, "p70-caldav.icloud.com"), 4);
    assert_int_equal(find(set, "caldav.icloud.com"), 5);
    set_free(set);
}

static void an_address_finds_its_narrowest_block(void **state) {
    (void)state;
    struct set *set = set_of(SET_PREFIXES, (const char *[]){"17.0.0.0/8", "17.253.0.0/16", "192.0.2.1",
                                                            "2620:149:a44::/48", "0.0.0.0/0", "::/0", NULL});
    assert_int_equal(find(set, "17.1.2.3"), 1);
    assert_int_equal(find(set, "17.253.4.5"), 2);
    assert_int_equal(find(set, "192.0.2.1"), 3);
    assert_int_equal(find(set, "2620:149:a44:1::1"), 4);
    assert_int_equal(find(set, "18.0.0.1"), 5);
    assert_int_equal(find(set, "2001:db8::1"), 6);
    assert_int_equal(find(set, "no address"), -1);
    set_free(set);
}

static void odd_entries_are_refused_with_a_reason(void **state) {
    (void)state;
    static const char *const bad[] = {"10.0.0.0/33", "10.0.0/8",   "2001:db8::/129",
                                      "10.0.0.0/",   "10.0.0.0/x", ""};
    struct set *set = set_new(SET_PREFIXES);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err = {.text = ""};
        assert_int_equal(set_add(set, bad[i], strlen(bad[i]), 1, &err), -1);
        assert_true(strlen(err.text) > 10);
    }
    assert_int_equal(set_count(set), 0);
    set_free(set);
}

/* Every prefix of every length against the definition: the first n bits are equal. */
static void prefixes_agree_with_bit_by_bit_comparison(void **state) {
    (void)state;
    srand(7);
    for (int round = 0; round < 2000; round++) {
        struct ip base, probe;
        uint8_t v4[4], other[4];
        for (int i = 0; i < 4; i++) v4[i] = (uint8_t)rand();
        memcpy(other, v4, 4);
        int flipped = rand() % 32;
        other[flipped / 8] ^= (uint8_t)(0x80 >> (flipped % 8));
        ip_from_v4(&base, v4);
        ip_from_v4(&probe, other);
        int bits = rand() % 33;
        char text[64], address[IP_TEXT_SIZE];
        ip_format(&base, address);
        snprintf(text, sizeof text, "%s/%d", address, bits);
        struct set *set = set_of(SET_PREFIXES, (const char *[]){text, NULL});
        assert_int_equal(set_find_ip(set, &base), 1);
        assert_int_equal(set_find_ip(set, &probe), flipped >= bits ? 1 : -1);
        set_free(set);
    }
}

/* Blocks inside blocks, of both families: a set of a few and a set of many must name the same block, the
 * longest that holds the address. What pads the large set lies elsewhere. */
static void few_and_many_prefixes_agree(void **state) {
    (void)state;
    static const char *const blocks[] = {"10.0.0.0/8", "10.1.0.0/16",   "10.1.2.0/24",     "10.1.2.3",
                                         "fe80::/10",  "2001:db8::/32", "2001:db8:1::/48", "10.0.0.0/8"};
    static const struct {
        const char *address;
        int32_t entry;
    } probes[] = {{"10.9.9.9", 1},     {"10.1.9.9", 2}, {"10.1.2.9", 3},      {"10.1.2.3", 4},
                  {"11.0.0.1", -1},    {"fe80::1", 5},  {"2001:db8:2::1", 6}, {"2001:db8:1::1", 7},
                  {"2001:db9::1", -1}, {"::", -1}};
    struct error err;
    char text[32];
    struct set *few = set_new(SET_PREFIXES), *many = set_new(SET_PREFIXES);
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        assert_int_equal(set_add(few, blocks[i], strlen(blocks[i]), (int32_t)i + 1, &err), 0);
        assert_int_equal(set_add(many, blocks[i], strlen(blocks[i]), (int32_t)i + 1, &err), 0);
        int n = snprintf(text, sizeof text, "203.0.113.%zu", i);
        for (int k = 0; k < 8; k++, n = snprintf(text, sizeof text, "198.51.%zu.%d", i, k))
            assert_int_equal(set_add(many, text, (size_t)n, 1000, &err), 0);
    }
    assert_int_equal(set_count(few), 7); /* one came twice */
    assert_true(set_count(many) > 40);
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        struct ip ip;
        assert_int_equal(ip_parse(probes[i].address, &ip), 0);
        assert_int_equal(set_find_ip(few, &ip), probes[i].entry);
        assert_int_equal(set_find_ip(many, &ip), probes[i].entry);
    }
    set_free(few);
    set_free(many);
}

static void strings_are_exact_and_many(void **state) {
    (void)state;
    struct set *set = set_new(SET_STRINGS);
    struct error err;
    char text[32];
    for (int i = 0; i < 100000; i++) {
        int n = snprintf(text, sizeof text, "entry-%d", i);
        assert_int_equal(set_add(set, text, (size_t)n, i, &err), 0);
    }
    assert_int_equal(set_count(set), 100000);
    for (int i = 0; i < 100000; i++) {
        snprintf(text, sizeof text, "entry-%d", i);
        assert_int_equal(find(set, text), i);
    }
    assert_int_equal(find(set, "entry-100000"), -1);
    assert_int_equal(find(set, "Entry-1"), -1);
    set_free(set);
}

/* Found by fuzz_tables: a set without a byte of text. UBSan sees it if there is no place for "". */
static void the_empty_string_is_an_entry(void **state) {
    (void)state;
    struct set *set = set_of(SET_STRINGS, (const char *[]){"", "", NULL});
    assert_int_equal(set_count(set), 1);
    assert_true(find(set, "") > 0);
    assert_int_equal(find(set, "a"), -1);
    set_free(set);
}

/* Names of all lengths, of letters and of what stands beside them in ASCII, against comparing label by label.
 */
static void any_name_is_found_as_by_comparing(void **state) {
    (void)state;
    static const char alphabet[] = "aAzZ@[`{./-.b";
    enum { ENTRIES = 60 };
    char entries[ENTRIES][8], name[48];
    struct error err;
    struct set *set = set_new(SET_DOMAINS);
    unsigned seed = 3, hits = 0;
    for (int i = 0; i < ENTRIES; i++) {
        size_t length = 1 + (size_t)rand_r(&seed) % 3;
        for (size_t k = 0; k < length; k++) entries[i][k] = "aAzZ@[{b"[rand_r(&seed) % 8];
        entries[i][length] = '\0';
        assert_int_equal(set_add(set, entries[i], length, i, &err), 0);
    }
    for (int n = 0; n < 200000; n++) {
        size_t length = 1 + (size_t)rand_r(&seed) % 40;
        for (size_t k = 0; k < length; k++) name[k] = alphabet[rand_r(&seed) % (sizeof alphabet - 1)];
        name[length] = '\0';
        size_t whole = length > 1 && name[length - 1] == '.' ? length - 1 : length;
        int wanted = -1;
        for (size_t at = 0; at < whole && wanted < 0; at++) {
            if (at > 0 && name[at - 1] != '.') continue;
            for (int i = 0; i < ENTRIES && wanted < 0; i++)
                if (strlen(entries[i]) == whole - at && strncasecmp(entries[i], name + at, whole - at) == 0)
                    wanted = i;
        }
        hits += wanted >= 0;
        if (set_find(set, name, length) != wanted)
            fail_msg("%s: %d, not %d", name, set_find(set, name, length), wanted);
    }
    assert_true(hits > 1000);
    set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_domain_has_itself_and_all_below_it),
        cmocka_unit_test(the_longest_entry_answers),
        cmocka_unit_test(an_address_finds_its_narrowest_block),
        cmocka_unit_test(odd_entries_are_refused_with_a_reason),
        cmocka_unit_test(prefixes_agree_with_bit_by_bit_comparison),
        cmocka_unit_test(few_and_many_prefixes_agree),
        cmocka_unit_test(strings_are_exact_and_many),
        cmocka_unit_test(the_empty_string_is_an_entry),
        cmocka_unit_test(any_name_is_found_as_by_comparing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
