/* Walks the field table and writes down the structs once more, for the other compiler. The Lua side compares
 * the offsets that LuaJIT computes from this text with the ones that the C compiler put into the table. */
#include "script/cdef.h"

#include "event/schema.h"

#include <lauxlib.h>
#include <stdbool.h>

static const char *declaration_of(uint8_t type) {
    switch (type) {
    case FIELD_u8:
    case FIELD_bool:
        return "uint8_t %s;";
    case FIELD_u16:
        return "uint16_t %s;";
    case FIELD_u32:
        return "uint32_t %s;";
    case FIELD_u64:
        return "uint64_t %s;";
    case FIELD_f64:
        return "double %s;";
    case FIELD_time:
        return "int64_t %s;";
    case FIELD_ip:
        return "uint8_t %s[16];";
    case FIELD_word:
        return "const char *%s;";
    default:
        return "struct lunette_ref %s;";
    }
}

static void add_fields(luaL_Buffer *text, lua_State *L, const struct event_schema *schema) {
    for (uint32_t i = 0; i < schema->field_count; i++) {
        lua_pushfstring(L, declaration_of(schema->fields[i].type), schema->fields[i].name);
        luaL_addvalue(text);
        luaL_addchar(text, '\n');
    }
}

void cdef_push_head(lua_State *L) {
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    luaL_addstring(&text, "struct lunette_head {\n");
    add_fields(&text, L, event_schema_of(EVENT_head));
    luaL_addstring(&text, "};\n");
    luaL_pushresult(&text);
}

static void push_field(lua_State *L, const struct field *field, uint32_t number, bool head) {
    lua_createtable(L, 0, 6);
    lua_pushstring(L, field->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, event_type_name(field->type));
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, (lua_Integer)field->offset);
    lua_setfield(L, -2, "offset");
    lua_pushinteger(L, (lua_Integer)number);
    lua_setfield(L, -2, "number");
    lua_pushboolean(L, head);
    lua_setfield(L, -2, "head");
}

static void push_kind(lua_State *L, const struct event_schema *schema) {
    const struct event_schema *head = event_schema_of(EVENT_head);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, schema->name);
    lua_setfield(L, -2, "name");
    lua_pushinteger(L, (lua_Integer)schema->size);
    lua_setfield(L, -2, "size");
    lua_createtable(L, (int)(head->field_count + schema->field_count), 0);
    uint32_t number = 0;
    for (uint32_t i = 0; i < head->field_count; i++, number++) {
        push_field(L, &head->fields[i], number, true);
        lua_rawseti(L, -2, (int)number + 1);
    }
    for (uint32_t i = 0; i < schema->field_count; i++, number++) {
        push_field(L, &schema->fields[i], number, false);
        lua_rawseti(L, -2, (int)number + 1);
    }
    lua_setfield(L, -2, "fields");
}

void cdef_push_names(lua_State *L) {
    lua_createtable(L, EVENT_KINDS, 0);
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        lua_pushstring(L, event_schema_of((enum event_kind)kind)->name);
        lua_rawseti(L, -2, kind);
    }
}

/* The kind's declaration; `prefix` stands before the names of its body's members, which else may be no words
 * of C. */
static void push_text(lua_State *L, const struct event_schema *schema, const char *own, const char *prefix) {
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    lua_pushfstring(L, "struct lunette_body_%s {\n", own);
    luaL_addvalue(&text);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        lua_pushfstring(L, "%s%s", prefix, schema->fields[i].name);
        lua_pushfstring(L, declaration_of(schema->fields[i].type), lua_tostring(L, -1));
        lua_remove(L, -2);
        luaL_addvalue(&text);
    }
    lua_pushfstring(
        L, "};\nstruct lunette_event_%s { struct lunette_head head; struct lunette_body_%s body; };\n", own,
        own);
    luaL_addvalue(&text);
    luaL_pushresult(&text);
}

static void name_members(lua_State *L, const struct event_schema *schema) {
    uint32_t head = event_schema_of(EVENT_head)->field_count;
    lua_getfield(L, -1, "fields");
    for (uint32_t i = 0; i < schema->field_count; i++) {
        lua_rawgeti(L, -1, (int)(head + i) + 1);
        lua_pushfstring(L, "own_%s", schema->fields[i].name);
        lua_setfield(L, -2, "member");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void cdef_push_kind(lua_State *L, const struct event_schema *schema, const char *own) {
    push_kind(L, schema);
    if (own) {
        name_members(L, schema);
        lua_pushstring(L, own);
        lua_setfield(L, -2, "own");
    }
    push_text(L, schema, own ? own : schema->name, own ? "own_" : "");
    lua_setfield(L, -2, "cdef");
}

void cdef_push_schema(lua_State *L) {
    lua_createtable(L, EVENT_KINDS, 0);
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        push_kind(L, event_schema_of((enum event_kind)kind));
        lua_rawseti(L, -2, kind);
    }
}
