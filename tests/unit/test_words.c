/* Words: kept once, fit to print, bounded, one keeper for many threads. */
#include "base/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct words *keeper(uint32_t most, size_t bytes) {
    struct error err;
    struct words *words = words_new(most, bytes, &err);
    assert_non_null(words);
    return words;
}

static void a_word_is_known_by_its_address(void **state) {
    (void)state;
    struct words *words = keeper(100, 1 << 16);
    char text[] = "Safari";
    const char *first = words_keep(words, text, 6);
    assert_string_equal(first, "Safari");
    text[0] = 'X'; /* it is a copy */
    assert_string_equal(first, "Safari");
    assert_ptr_equal(words_keep(words, "Safari", 6), first);
    assert_ptr_not_equal(words_keep(words, "Safari", 5), first);
    assert_null(words_keep(words, "Safari", 0));
    assert_int_equal(words_refused(words), 0);
    words_free(words);
}

static void what_is_unfit_is_marked(void **state) {
    (void)state;
    static const struct {
        const char *from;
        size_t length;
        const char *to;
    } cases[] = {
        {"caf\xc3\xa9", 5, "caf\xc3\xa9"},
        {"\xe6\x97\xa5\xe6\x9c\xac", 6, "\xe6\x97\xa5\xe6\x9c\xac"},
        {"a\x1b[31mb", 7, "a\xef\xbf\xbd[31mb"},
        {"a\0b", 3,
         "a\xef\xbf\xbd"
         "b"},
        {"a\x7f", 2, "a\xef\xbf\xbd"},
        {"\xc2\x9b"
         "1m",
         4,
         "\xef\xbf\xbd"
         "1m"}, /* U+009B, a control of eight bits */
        {"\xff\xfe", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong: RFC 3629 section 4 */
        {"x\xe6\x97", 3, "x\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"line\nline", 9, "line\xef\xbf\xbdline"},
    };
    struct words *words = keeper(100, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *word = words_keep(words, cases[i].from, cases[i].length);
        assert_string_equal(word, cases[i].to);
        assert_ptr_equal(words_keep(words, cases[i].from, cases[i].length), word);
        assert_ptr_equal(words_keep(words, cases[i].to, strlen(cases[i].to)), word);
    }
    words_free(words);
}

static void long_texts_are_cut_between_characters(void **state) {
    (void)state;
    struct words *words = keeper(100, 1 << 16);
    char text[3000];
    memset(text, 'a', sizeof text);
    assert_int_equal(strlen(words_keep(words, text, sizeof text)), 1024);
    assert_int_equal(strlen(words_keep(words, text, 1024)), 1024);
    memcpy(text + 1023, "\xc3\xa9", 2); /* a character that straddles the end */
    assert_int_equal(strlen(words_keep(words, text, sizeof text)), 1023);
    memset(text, '\xff', sizeof text);
    assert_int_equal(strlen(words_keep(words, text, sizeof text)), 3 * 1024);
    words_free(words);
}

static void a_full_keeper_says_so(void **state) {
    (void)state;
    char text[32];
    struct words *words = keeper(1000, 1 << 20);
    const char *kept[1000];
    for (int i = 0; i < 1000; i++) kept[i] = words_keep(words, text, (size_t)sprintf(text, "program %d", i));
    for (int i = 0; i < 1000; i++)
        assert_ptr_equal(words_keep(words, text, (size_t)sprintf(text, "program %d", i)), kept[i]);
    assert_int_equal(words_refused(words), 0);
    assert_string_equal(words_keep(words, "another", 7), "(more programs)");
    assert_string_equal(words_keep(words, "another", 7), "(more programs)");
    assert_int_equal(words_refused(words), 2);
    assert_string_equal(words_keep(words, "program 7", 9), "program 7");
    words_free(words);

    words = keeper(1000, 4096); /* by bytes */
    int fit = 0;
    while (words_refused(words) == 0) words_keep(words, text, (size_t)sprintf(text, "program %d", fit++));
    assert_in_range(fit, 50, 400);
    words_free(words);
}

enum { THREADS = 4, DIFFERENT = 500, ROUNDS = 40 };

struct crowd {
    struct words *words;
    const char *seen[THREADS][DIFFERENT];
    bool moved[THREADS];
};

struct member {
    struct crowd *crowd;
    int number;
};

static void *keep_all(void *argument) {
    const struct member *me = argument;
    char text[32];
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < DIFFERENT; i++) {
            int which = (i * 7 + me->number * 131) % DIFFERENT;
            size_t length = (size_t)sprintf(text, "program %d", which);
            const char *word = words_keep(me->crowd->words, text, length),
                       **seen = me->crowd->seen[me->number];
            if (round > 0 && seen[which] != word) me->crowd->moved[me->number] = true;
            seen[which] = word;
            if (strcmp(word, text) != 0) me->crowd->moved[me->number] = true;
        }
    return NULL;
}

static void threads_get_the_same_words(void **state) {
    (void)state;
    struct crowd crowd = {.words = keeper(DIFFERENT, 1 << 20)};
    struct member members[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        members[i] = (struct member){&crowd, i};
        assert_int_equal(pthread_create(&threads[i], NULL, keep_all, &members[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_false(crowd.moved[i]);
        for (int k = 0; k < DIFFERENT; k++) assert_ptr_equal(crowd.seen[i][k], crowd.seen[0][k]);
    }
    assert_int_equal(words_refused(crowd.words), 0);
    words_free(crowd.words);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_known_by_its_address),
        cmocka_unit_test(what_is_unfit_is_marked),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(a_full_keeper_says_so),
        cmocka_unit_test(threads_get_the_same_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
