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

void cdef_push_text(lua_State *L) {
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    luaL_addstring(&text, "struct lunette_head {\n");
    add_fields(&text, L, event_schema_of(EVENT_head));
    luaL_addstring(&text, "};\n");
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        const struct event_schema *schema = event_schema_of((enum event_kind)kind);
        lua_pushfstring(L, "struct lunette_body_%s {\n", schema->name);
        luaL_addvalue(&text);
        add_fields(&text, L, schema);
        lua_pushfstring(
            L, "};\nstruct lunette_event_%s { struct lunette_head head; struct lunette_body_%s body; };\n",
            schema->name, schema->name);
        luaL_addvalue(&text);
    }
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

static void push_kind(lua_State *L, enum event_kind kind) {
    const struct event_schema *head = event_schema_of(EVENT_head), *schema = event_schema_of(kind);
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

void cdef_push_schema(lua_State *L) {
    lua_createtable(L, EVENT_KINDS, 0);
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        push_kind(L, (enum event_kind)kind);
        lua_rawseti(L, -2, kind);
    }
}
