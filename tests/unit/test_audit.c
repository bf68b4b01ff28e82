/* What stands between `lunette audit` and a stranger's files: the look at property lists before libplist has
 * them, paths that stay below the root, lines of text, names that everybody knows. */
#include "audit/inner.h"
#include "audit/json_read.h"
#include "audit/lines.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check(const char *text) {
    struct error err;
    return plist_check(text, strlen(text), &err);
}

static void test_xml_that_is_plain(void **state) {
    (void)state;
    assert_int_equal(check("<?xml version=\"1.0\"?><!DOCTYPE plist PUBLIC \"a\" \"b\"><plist "
                           "version=\"1.0\"><dict/></plist>"),
                     0);
    assert_int_equal(check(" \n<plist><array><dict><key>dictionary</key><string>&lt;/dict&gt;</string></"
                           "dict></array></plist>"),
                     0);
    assert_int_equal(check("<plist><string><![CDATA[</array></array></array>]]></string></plist>"), 0);
    assert_int_equal(check("<plist><!-- </dict> --><dict/></plist>"), 0);
}

static void test_xml_that_is_not(void **state) {
    (void)state;
    assert_int_equal(check(""), -1);
    assert_int_equal(check("{}"), -1);
    assert_int_equal(check("<!DOCTYPE plist [<!ENTITY a \"b\">]><plist/>"), -1);
    assert_int_equal(check("<plist><dict a=\"/\"></dict></plist>"), -1);
    assert_int_equal(check("<plist><dict"), -1);
    assert_int_equal(check("<plist><!-- "), -1);
    assert_int_equal(check("<plist></dict></plist>"), -1);
    char deep[8 * (PLIST_DEPTH + 1) + 1] = "";
    for (int i = 0; i <= PLIST_DEPTH; i++) strcat(deep, "<array >");
    assert_int_equal(check(deep), -1);
    deep[8 * PLIST_DEPTH] = '\0';
    assert_int_equal(check(deep), 0); /* deep enough; that it is cut short libplist says */
}

/* 2^n values of n objects: each array names the next one twice. */
static size_t doubling(uint8_t *out, int levels) {
    size_t at = 8;
    memcpy(out, "bplist00", 8);
    for (int i = 0; i < levels; i++, at += 3)
        memcpy(out + at, (uint8_t[]){0xa2, (uint8_t)(i + 1), (uint8_t)(i + 1)}, 3);
    out[at++] = 0x08;
    size_t table = at;
    for (int i = 0; i <= levels; i++) out[at++] = (uint8_t)(8 + 3 * i);
    memset(out + at, 0, 32);
    out[at + 6] = out[at + 7] = 1;
    out[at + 15] = (uint8_t)(levels + 1);
    out[at + 31] = (uint8_t)table;
    return at + 32;
}

static void test_binary_that_grows(void **state) {
    (void)state;
    uint8_t bytes[512];
    struct error err;
    size_t small = doubling(bytes, 8);
    assert_int_equal(plist_check((char *)bytes, small, &err), 0);
    plist_t root = plist_read((char *)bytes, small, &err);
    assert_true(plist_is(root, PLIST_ARRAY));
    plist_free(root);
    assert_int_equal(plist_check((char *)bytes, doubling(bytes, 40), &err), -1);
    for (size_t cut = 0; cut < small; cut++) {
        doubling(bytes, 8);
        assert_int_equal(plist_check((char *)bytes, cut, &err), -1);
    }
}

/* Whatever single byte is changed, it is refused or read; libplist finds nothing to fall over. */
static void test_binary_with_each_byte_changed(void **state) {
    (void)state;
    uint8_t bytes[512];
    struct error err;
    size_t size = doubling(bytes, 8);
    for (size_t at = 0; at < size; at++)
        for (int value = 0; value < 256; value++) {
            doubling(bytes, 8);
            bytes[at] = (uint8_t)value;
            plist_t root = plist_read((char *)bytes, size, &err);
            if (root) plist_free(root);
        }
}

static void write_file(const char *root, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void link_file(const char *root, const char *name, const char *to) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(symlink(to, path), 0);
}

static enum tree_outcome read_in(struct tree *tree, const char *path, const char *expected) {
    char *bytes;
    size_t size;
    enum tree_outcome outcome = tree_read(tree, path, &bytes, &size);
    if (outcome == TREE_READ) assert_string_equal(bytes, expected);
    free(bytes);
    return outcome;
}

static void test_paths_stay_below_the_root(void **state) {
    (void)state;
    char folder[] = "/tmp/lunette-tree-XXXXXX", root[64], command[96];
    struct error err;
    assert_non_null(mkdtemp(folder));
    snprintf(root, sizeof root, "%s/root", folder);
    assert_int_equal(mkdir(root, 0700), 0);
    write_file(folder, "x", "outside");
    write_file(root, "x", "inside");
    link_file(root, "up", "../x");
    link_file(root, "top", "/x");
    link_file(root, "self", "self");
    link_file(root, "a", "b");
    link_file(root, "b", "a");
    struct tree *tree = tree_open(root, &err);
    assert_non_null(tree);
    assert_int_equal(read_in(tree, "/x", "inside"), TREE_READ);
    assert_int_equal(read_in(tree, "../../x", "inside"), TREE_READ);
    assert_int_equal(read_in(tree, "/up", "inside"), TREE_READ);
    assert_int_equal(read_in(tree, "/top", "inside"), TREE_READ);
    assert_int_equal(read_in(tree, "/self", ""), TREE_LOOP);
    assert_int_equal(read_in(tree, "/a", ""), TREE_LOOP);
    assert_int_equal(read_in(tree, "/x/y", ""), TREE_NOT_THERE);
    assert_int_equal(read_in(tree, "/", ""), TREE_NO_FILE);
    assert_int_equal(read_in(tree, "/nothing", ""), TREE_NOT_THERE);
    tree_close(tree);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void test_lines(void **state) {
    (void)state;
    static const char text[] = "# only a comment\n  one \\\n two # rest\n\n\"a # b\"\r\nlast";
    struct lines lines = lines_of(text, strlen(text), true);
    assert_true(lines_next(&lines));
    assert_string_equal(lines.text, "one   two");
    assert_int_equal(lines.number, 2);
    assert_true(lines_next(&lines));
    assert_string_equal(lines.text, "\"a # b\"");
    assert_int_equal(lines.number, 5);
    assert_true(lines_next(&lines));
    assert_string_equal(lines.text, "last");
    assert_false(lines_next(&lines));
}

static void test_names_and_addresses(void **state) {
    (void)state;
    char host[256];
    assert_true(is_apple_name("SWSCAN.apple.com.") && is_apple_name("apple.com"));
    assert_false(is_apple_name("pineapple.com") || is_apple_name("apple.com.example"));
    assert_true(is_private("fe80::1%en0") && is_private("100.64.0.1") && is_private("172.31.255.255"));
    assert_true(is_public_address("172.32.0.1") && is_public_address("2001:db8::1"));
    assert_false(is_public_address("name.example"));
    assert_true(is_loopback("127.8.8.8") && is_loopback("::1") && is_loopback("LocalHost"));
    assert_string_equal(known_resolver("2620:00fe::00fe"), "Quad9");
    assert_string_equal(host_of_url("https://a:b@Dns.example:8443/q?x", host), "Dns.example");
    assert_string_equal(host_of_url("http://[2001:db8::1]:80/p.pac", host), "2001:db8::1");
    assert_string_equal(host_of_url("javascript:", host), "");
}

static void test_text_that_is_not_utf8(void **state) {
    (void)state;
    json_t *text = text_json("a\xff\0b", 4);
    assert_string_equal(json_string_value(text), "a\xef\xbf\xbd\xef\xbf\xbd"
                                                 "b");
    json_decref(text);
    char out[8];
    assert_string_equal(say(out, sizeof out, "%s", "abcde\xc3\xa9\xc3\xa9"), "abcde\xc3\xa9");
    assert_string_equal(say(out, sizeof out, "%s", "abcdef\xc3\xa9"), "abcdef");
    assert_string_equal(say(out, sizeof out, "%s", "abcd\xe2\x86\x92x"), "abcd\xe2\x86\x92");
    assert_string_equal(say(out, sizeof out, "%s", "abcd\xf0\x9f\x98\x80"), "abcd");
    assert_string_equal(say(out, sizeof out, "%s", "abcdefgh"), "abcdefg");
    assert_string_equal(say(out, 1, "%s", "\xc3\xa9"), "");
}

/* An empty object is two bytes and takes two hundred: what comes to too many values is not read. */
static void test_json_that_is_too_much(void **state) {
    (void)state;
    struct error err;
    const size_t size = 3 * (JSON_VALUES + 2);
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < size; i += 3) memcpy(text + i, "{},", 3);
    text[0] = '[', text[1] = '0', text[size - 1] = ']';
    assert_null(json_read(text, size, 0, &err));
    assert_non_null(strstr(err.text, "values"));
    memset(text, ',', size); /* in a string they are none */
    memcpy(text, "[\"\\\"", 4);
    memcpy(text + size - 2, "\"]", 2);
    json_t *value = json_read(text, size, 0, &err);
    assert_int_equal(json_array_size(value), 1);
    json_decref(value);
    free(text);
    assert_null(json_read("{\n]", 3, 0, &err));
    assert_memory_equal(err.text, "2: ", 3);
}

/* All that is read has a bound, not only each file. */
static void test_a_tree_without_end(void **state) {
    (void)state;
    char folder[] = "/tmp/lunette-tree-XXXXXX", path[64], *bytes;
    struct error err;
    size_t size;
    int count = 0;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x", folder);
    write_file(folder, "x", "");
    assert_int_equal(truncate(path, TREE_FILE_MOST), 0);
    struct tree *tree = tree_open(folder, &err);
    for (; tree_read(tree, "x", &bytes, &size) == TREE_READ; count++) free(bytes);
    assert_int_equal(count, TREE_BYTES_MOST / TREE_FILE_MOST);
    assert_int_equal(tree_read(tree, "x", &bytes, &size), TREE_SPENT);
    assert_null(bytes);
    tree_close(tree);
    unlink(path);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xml_that_is_plain),
        cmocka_unit_test(test_xml_that_is_not),
        cmocka_unit_test(test_binary_that_grows),
        cmocka_unit_test(test_binary_with_each_byte_changed),
        cmocka_unit_test(test_paths_stay_below_the_root),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_names_and_addresses),
        cmocka_unit_test(test_text_that_is_not_utf8),
        cmocka_unit_test(test_json_that_is_too_much),
        cmocka_unit_test(test_a_tree_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
