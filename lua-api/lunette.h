/* The boundary between the engine and Lua: this text is compiled into the engine as C and read by LuaJIT's ffi.cdef,
 * so that the two sides cannot drift. Hence no guards, no includes and no macros: only types. The structs of the events
 * themselves come from lua-api/events.def, by way of engine/script/cdef.c, which checks sizes and offsets at start-up.
 *
 * Nothing here is ever visible to a detector. The modules in engine/script use it and hand out views. */

struct lunette_set;
struct lunette_detector;

/* A run of bytes in the batch's text, valid until the batch is flushed. at == 0: absent. */
struct lunette_ref {
    uint32_t at;
    uint32_t length;
};

enum {
    LUNETTE_BATCH = 1024,   /* events in a batch, at most */
    LUNETTE_TEXT = 1048576, /* bytes of the batch's text, and of an emitter's */
    LUNETTE_EMITTED = 8192, /* events of one kind that an emitter has room for */
};

/* Where the events lie that one detector emits, beside an array for each of its kinds. */
struct lunette_arena {
    const char *text;
    uint32_t generation; /* modulo 2^19: a view of such an event carries it above the 13 bits of its slot */
};

/* What one detector is fed: entry n is an event in slot `view[n] & (LUNETTE_BATCH - 1)` of its kind's array. Entries are in
 * capture order; runs group consecutive entries of one kind: run r has entries run_end[r - 1] (or 0) to run_end[r] - 1. */
struct lunette_feed {
    const char *text;      /* the batch's text */
    uint32_t generation;   /* number of the batch, modulo 2^22: a view carries it in its upper bits */
    uint32_t count;        /* entries */
    uint32_t runs;
    uint32_t current;      /* written by Lua: the entry being handled */
    uint32_t place;        /* written by Lua: number of the handler's place in the script, 0 if none runs */
    int32_t in_timer;      /* written by Lua: 1 while a timer's function runs */
    double now;            /* written by Lua: the detector's clock, seconds since 1970 */
    double due;            /* written by Lua: when the next timer is due, infinity if none */
    double end_clock;      /* clock at the end of the batch */
    double hole_from;      /* the last hole in what was seen: nothing came from here … */
    double hole_to;        /* … to here */
    double evicted;        /* written by Lua: entries of named state that gave way to others */
    uint32_t streak;       /* failures in a row: written by both sides, 0 after a handler that went well */
    uint32_t first;        /* the first entry that is not handled yet */
    uint32_t stop;         /* an emitter's room is nearly used up: return before this entry; else 2^32 - 1 */
    uint32_t pause;        /* 1: `stop` is the next entry, so no more timers either */
    uint32_t turns;        /* written by Lua: counts the runs of timers */
    uint32_t running;      /* written by both: number of the handler that was called last, 0 while it is none of them */
    double clock[1024];    /* per entry: the clock when the event was made */
    uint32_t view[1024];   /* per entry: generation << 10 | slot */
    uint32_t mask[1024];   /* per entry: bit h is set if handler h of that kind wants it */
    uint8_t run_kind[1024];
    uint32_t run_end[1024];
};

/* What an address is: bits of address_traits(). */
enum lunette_address {
    LUNETTE_IPV4 = 1,
    LUNETTE_IPV6 = 2,
    LUNETTE_PRIVATE = 4,
    LUNETTE_LOOPBACK = 8,
    LUNETTE_LINK_LOCAL = 16,
    LUNETTE_MULTICAST = 32,
    LUNETTE_GLOBAL = 64,
};

/* Messages to the stage that gathers over workers (engine/script/message.h), as its Lua state is given them: in order, and
 * valid until it returns. A key is a text or a number. */
enum {
    LUNETTE_MAIL_NOTHING = 0, /* only a value */
    LUNETTE_MAIL_NUMBER,
    LUNETTE_MAIL_TEXT,
    LUNETTE_MAIL_BOOLEAN, /* the number is 1 or 0 */
    LUNETTE_MAIL_TABLE,   /* asked for by host.mail_value() */
};
struct lunette_message {
    double time; /* the clock when it was sent, seconds since 1970 */
    double key_number;
    double value_number;
    const char *key;
    const char *value;
    uint32_t key_length;
    uint32_t value_length;
    uint8_t key_kind;
    uint8_t value_kind;
    uint8_t is_alert; /* the value is an alert, as a table */
};
struct lunette_mail {
    uint32_t count;
    uint32_t current; /* written by Lua: the message being handled */
    struct lunette_message messages[1024];
};

/* The entries of one lunette.flow_state (script/flow_area.h): those of slots 0 to `high` may be touched. */
struct lunette_flow_area {
    void *entries;
    uint32_t high;
};

/* The keys of a named state (script/keyring.h). What is done with a key there: it is looked for, its entry being used; its
 * entry is made if need be; it is looked for, whatever its age, and nothing happens to it. */
struct lunette_keyring;
enum {
    LUNETTE_KEY_FIND = 0,
    LUNETTE_KEY_TAKE,
    LUNETTE_KEY_PEEK,
    /* The answer is a slot, from 1, or 0: there is none; with two flags: */
    LUNETTE_KEY_SLOT = 33554431,
    LUNETTE_KEY_NEW = 33554432,  /* it was made */
    LUNETTE_KEY_OLD = 67108864,  /* what was in the slot is gone, and to be forgotten; without NEW: nothing is there now */
    LUNETTE_KEY_FULL = -1,       /* there is no memory for it */
    LUNETTE_KEY_ABSENT = -2,     /* the only part has no value */
};
struct lunette_key {
    const char *text; /* valid until the entry goes */
    uint32_t length;
    uint32_t is_number;
    double number;
};
struct lunette_move {
    uint32_t from, to;
};

/* What Lua calls. Functions that compiled code calls often; the rest are plain C functions in the Lua state. */
struct lunette_api {
    uint32_t version;
    uint32_t feed_size; /* sizeof(struct lunette_feed), held against ffi.sizeof */
    /* The number of the entry that has the text, or -1. */
    int32_t (*set_find)(const struct lunette_set *set, const char *text, uint32_t length);
    /* The same for field number `field` of the event in `slot` of `kind`, without making a string. */
    int32_t (*set_find_field)(struct lunette_detector *detector, const struct lunette_set *set, uint32_t kind,
                              uint32_t slot, uint32_t field);
    /* Writes an address as text, returns its length. */
    int32_t (*ip_text)(const uint8_t *address, char *out);
    /* The address's place among `count` (a power of two) of 16 bytes each at `known`, which it takes if another was there: then
     * -1 - place. */
    int32_t (*ip_place)(uint8_t *known, uint32_t count, const uint8_t *address);
    /* Where the registrable domain (or the public suffix) begins in a name, or -1. */
    int32_t (*registrable)(const char *name, uint32_t length);
    int32_t (*public_suffix)(const char *name, uint32_t length);
    int32_t (*is_address)(const char *text, uint32_t length);
    /* Where `needle` begins in the `length` bytes at `bytes`, or -1. */
    int32_t (*find)(const char *bytes, uint32_t length, const char *needle, uint32_t needle_length);
    /* Addresses as text: engine/script/address.h tells them. `out` has room for 80 characters. */
    uint32_t (*address_traits)(const char *text, uint32_t length);
    int32_t (*address_inside)(const char *text, uint32_t length, const char *block, uint32_t block_length);
    int32_t (*address_canonical)(const char *text, uint32_t length, char *out);
    int32_t (*address_reverse)(const char *text, uint32_t length, char *out);
    int32_t (*address_network)(const char *text, uint32_t length, uint32_t bits, char *out);
    /* 64 bits of XXH3, the upper half first: the same in each run and on each machine of this byte order. */
    void (*hash)(const char *bytes, uint32_t length, uint32_t *out);
    void (*hash_number)(double number, uint32_t *out);
    /* Sends a message to the stage that gathers. `key` NULL: it is the number. 0, or what was wrong: 1 too large, 2 there
     * are too many that wait: it is lost. */
    int32_t (*send)(struct lunette_detector *detector, const char *key, uint32_t key_length, double key_number,
                    uint32_t value_kind, const char *value, uint32_t value_length, double value_number);
    /* Makes room for the entry of a slot; -1 if the detector's memory is at its bound. */
    int32_t (*flow_area_grow)(struct lunette_detector *detector, struct lunette_flow_area *area, uint32_t slot);
    /* Begins an event of the detector's own kind number `kind`: its slot, with the head filled in; -1 if there is no
     * room, -2 if nobody wants it, -3 if this is no time for it (the script is being loaded). */
    int32_t (*emit_begin)(struct lunette_detector *detector, uint32_t kind);
    /* Copies a text, and one item of a list; the place in the arena's text, 0 if there is no room. */
    uint32_t (*emit_text)(struct lunette_detector *detector, const char *text, uint32_t length);
    uint32_t (*emit_list)(struct lunette_detector *detector, uint32_t count);
    void (*emit_item)(struct lunette_detector *detector, uint32_t list, uint32_t i, const char *text, uint32_t length);
    /* Reads an address into 16 bytes; 0 if the text is none. */
    int32_t (*ip_parse)(const char *text, uint32_t length, uint8_t *address);
    /* Sends the event on its way; 0 if it did not fit and is lost. */
    int32_t (*emit_commit)(struct lunette_detector *detector, uint32_t kind);
    /* A key that is a text, a number, or made of parts: those that key_part() has put together in `begun` bytes, then up to
     * four fields of an event (each offset << 8 | type + 1, 0: no more), all as text with a tab in between. A single field
     * is the text or the number that it is. */
    int32_t (*key_text)(struct lunette_keyring *keyring, uint32_t act, const char *text, uint32_t length);
    int32_t (*key_number)(struct lunette_keyring *keyring, uint32_t act, double number);
    int32_t (*key_fields)(struct lunette_keyring *keyring, uint32_t act, uint32_t begun, const void *event,
                          const char *text, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth);
    /* Puts a part behind the `begun` bytes of those before it, 0 if it is the first; the bytes that there are then. */
    uint32_t (*key_part)(struct lunette_keyring *keyring, uint32_t begun, const char *text, uint32_t length);
    void (*key_drop)(struct lunette_keyring *keyring, uint32_t slot);
    /* The next slot in use, not past its time, after `slot`, 0 if there is none, and its key; `aged`: those past it as well. */
    uint32_t (*key_next)(struct lunette_keyring *keyring, uint32_t slot, uint32_t aged, struct lunette_key *out);
    uint32_t (*key_count)(struct lunette_keyring *keyring);
    double (*key_evicted)(struct lunette_keyring *keyring);
    /* All that was set before there was a clock, or after it, is set now. */
    void (*key_start)(struct lunette_keyring *keyring, double clock);
    /* The hand-over: has somebody give way (his slot; `of_age`: his time was up), moves the next slot below the most that
     * there may be, 0: all are there. */
    uint32_t (*key_shrink)(struct lunette_keyring *keyring);
    uint32_t (*key_pack)(struct lunette_keyring *keyring, struct lunette_move *out);
    /* Around each handler while a detector is profiled: engine/script/profile.h. */
    void (*profile_enter)(struct lunette_detector *detector, uint32_t slot);
    void (*profile_leave)(struct lunette_detector *detector);
};
