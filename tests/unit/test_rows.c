/* Tables in text (lunette.tsv), and code that is compiled once and read by the next state. */
#include "script/code.h"
#include "script/rows.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *cell(lua_State *lua, int row, const char *column) {
    lua_rawgeti(lua, 1, row);
    lua_getfield(lua, -1, column);
    const char *text = lua_tostring(lua, -1);
    lua_pop(lua, 2);
    return text;
}

static lua_State *read_rows(const char *text) {
    lua_State *lua = luaL_newstate();
    rows_push(lua, text, strlen(text));
    assert_int_equal(lua_gettop(lua), 1);
    return lua;
}

static void test_lines_and_cells(void **state) {
    (void)state;
    lua_State *lua =
        read_rows("# where from\r\nname\tcategory\tnote\r\n\r\n  # no row\na.example\tstorage\tone two\n"
                  "b.example\tpaste\nc.example\t\t x \tbeyond\n   \t \nd");
    assert_int_equal(lua_objlen(lua, 1), 4);
    assert_string_equal(cell(lua, 1, "name"), "a.example");
    assert_string_equal(cell(lua, 1, "note"), "one two");
    assert_string_equal(cell(lua, 2, "category"), "paste");
    assert_null(cell(lua, 2, "note"));
    assert_string_equal(cell(lua, 3, "category"), "");
    assert_string_equal(cell(lua, 3, "note"), " x ");
    assert_string_equal(cell(lua, 4, "name"), "d");
    lua_close(lua);
}

static void test_no_rows(void **state) {
    (void)state;
    lua_State *lua = read_rows("name\tcategory\n");
    assert_true(lua_istable(lua, 1));
    assert_int_equal(lua_objlen(lua, 1), 0);
    lua_close(lua);
    lua = read_rows("# only words\n\n");
    assert_true(lua_isnil(lua, 1));
    lua_close(lua);
    lua = read_rows("");
    assert_true(lua_isnil(lua, 1));
    lua_close(lua);
}

/* As many tabs as one likes make no more columns than the stack holds. */
static void test_wide_line(void **state) {
    (void)state;
    char text[4096];
    memset(text, '\t', sizeof text);
    text[1000] = '\n';
    text[sizeof text - 1] = '\0';
    text[1001] = 'x';
    text[0] = 'n';
    lua_State *lua = read_rows(text);
    assert_string_equal(cell(lua, 1, "n"), "x");
    lua_close(lua);
}

static void run(struct code_store *store, const char *text, const char *expected) {
    lua_State *lua = luaL_newstate();
    luaL_openlibs(lua);
    int status = code_load(store, lua, text, strlen(text), "=piece");
    if (status == 0) status = lua_pcall(lua, 0, 1, 0);
    assert_string_equal(lua_tostring(lua, -1), expected);
    lua_close(lua);
}

static void test_code_is_what_it_was(void **state) {
    (void)state;
    struct code_store *store = code_store_new();
    struct code_store *shared = code_store_share(store);
    for (int time = 0; time < 3; time++) {
        run(store, "return 'one'", "one");
        run(shared, "return 'two'", "two");
        run(store, "local a = {}\n\nerror('lost')", "piece:3: lost");
        run(store, "return +", "piece:1: unexpected symbol near '+'");
        run(store, "\033LJ no script of mine", "attempt to load chunk with wrong mode");
    }
    char text[] = "return 'nul'", other[] = "return 'NUL'"; /* same size, same chunk */
    run(store, text, "nul");
    run(store, other, "NUL");
    code_store_free(store);
    run(shared, "return 'one'", "one");
    code_store_free(shared);
    run(NULL, "return 'three'", "three");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_and_cells),
        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_wide_line),
        cmocka_unit_test(test_code_is_what_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
