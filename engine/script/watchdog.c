/* See watchdog.h. Entering Lua happens once a batch and detector, so it costs a few stores and no system
 * call: an entry has a number, and its time counts from when the watchdog first saw that number. So it may
 * take a look's distance more than the limit.
 *
 * What the handler reads was written by its own thread, or is atomic. */
#include "script/watchdog.h"

#include "script/code_map.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <ucontext.h>

enum { STACK = 256 * 1024, LOOKS = 20 /* in a limit's time */ };
static const nanoseconds LONGEST_WAIT = 100 * NS_PER_MILLISECOND, SHORTEST_WAIT = NS_PER_MILLISECOND,
                         GRACE = 10 * NS_PER_MILLISECOND; /* for the hook */

/* Nobody else uses it, and it does not queue up. */
enum { SIGNAL = SIGVTALRM };

/* One for each thread that enters Lua. */
struct post {
    pthread_t thread;
    bool known; /* to the watchdog */
    struct watch *volatile current;
    volatile bool held, overdue; /* see watchdog_hold(), watchdog_obey() */
    atomic_ullong entry;         /* counts up when an entry begins or ends */
    _Atomic nanoseconds limit;   /* of the entry at hand, 0: none */
    /* by the watchdog */
    unsigned long long seen;
    nanoseconds since;
    _Atomic nanoseconds taken;
    atomic_ullong doomed; /* the entry that is over its limit */
    atomic_bool by_force;
    atomic_uint asked, answered; /* signals */
    struct post *next;
};

static _Thread_local struct post own;

static struct {
    pthread_mutex_t mutex;
    pthread_once_t once;
    pthread_key_t key; /* its destructor knows when a thread ends */
    bool running;
    struct post *posts;
} dog = {.mutex = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

/* ------------------------------------------------- in the thread that is stuck */

static bool is_doomed(void) {
    unsigned long long entry = atomic_load_explicit(&own.entry, memory_order_relaxed);
    return own.current && atomic_load_explicit(&own.doomed, memory_order_relaxed) == entry;
}

void watchdog_obey(void) {
    if (own.overdue && !own.held) heap_give_up(own.current->heap);
}

static void on_instruction(lua_State *lua, lua_Debug *where) {
    (void)where;
    if (is_doomed())
        heap_give_up(own.current->heap);
    else
        lua_sethook(lua, NULL, 0, 0); /* that entry had ended just before */
}

static uintptr_t struck_at(const void *context) {
#if defined(__linux__) && defined(__x86_64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__linux__) && defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)context;
    return 0; /* in nobody's code */
#endif
}

static void on_signal(int number, siginfo_t *info, void *context) {
    int before = errno;
    (void)number, (void)info;
    atomic_store(&own.answered, atomic_load(&own.asked));
    if (is_doomed()) {
        own.overdue = true;
        heap_hurry(own.current->heap, true);
        lua_State *lua = own.current->lua; /* NULL while it is made */
        if (lua && !atomic_load(&own.by_force))
            lua_sethook(lua, on_instruction, LUA_MASKCOUNT, 1);
        else if (!own.held && code_map_is_lua(struck_at(context)))
            heap_give_up(own.current->heap);
    }
    errno = before;
}

/* ------------------------------------------------------------- in the watchdog */

static nanoseconds cpu_time(const struct post *post) {
#ifdef __linux__
    clockid_t clock;
    struct timespec t;
    if (pthread_getcpuclockid(post->thread, &clock) != 0 || clock_gettime(clock, &t) != 0) return 0;
    return (nanoseconds)t.tv_sec * NS_PER_SECOND + t.tv_nsec;
#else
    (void)post;
    return time_monotonic();
#endif
}

static nanoseconds least(nanoseconds a, nanoseconds b) {
    return a < b ? a : b;
}

static void post_strike(struct post *post, unsigned long long entry, nanoseconds taken, bool by_force) {
    if (atomic_load(&post->asked) != atomic_load(&post->answered)) return; /* it has not had the last one */
    if (by_force) code_map_read();
    atomic_store(&post->taken, taken);
    atomic_store(&post->by_force, by_force);
    atomic_store(&post->doomed, entry);
    atomic_fetch_add(&post->asked, 1);
    pthread_kill(post->thread, SIGNAL);
}

/* How long until the next look at it. */
static nanoseconds post_look(struct post *post) {
    unsigned long long entry = atomic_load(&post->entry);
    nanoseconds limit = atomic_load(&post->limit);
    if (limit == 0) return LONGEST_WAIT;
    nanoseconds wait = limit / LOOKS < SHORTEST_WAIT ? SHORTEST_WAIT : limit / LOOKS, now = cpu_time(post);
    if (entry != post->seen) {
        post->seen = entry;
        post->since = now;
        return wait;
    }
    nanoseconds taken = now - post->since;
    if (taken < limit) return least(wait, limit - taken);
    post_strike(post, entry, taken, taken >= limit + GRACE);
    return SHORTEST_WAIT;
}

static void *keep_watch(void *unused) {
    (void)unused;
    nanoseconds usual = LONGEST_WAIT;
    for (;;) {
        nanoseconds wait = usual;
        pthread_mutex_lock(&dog.mutex);
        for (struct post *post = dog.posts; post; post = post->next) {
            nanoseconds until = post_look(post);
            wait = least(wait, until);
            /* Small limits want a sharp eye from the beginning of an entry. */
            nanoseconds limit = atomic_load(&post->limit);
            if (limit && limit / LOOKS < usual) usual = limit / LOOKS;
        }
        pthread_mutex_unlock(&dog.mutex);
        if (usual < SHORTEST_WAIT) usual = SHORTEST_WAIT;
        if (wait < SHORTEST_WAIT) wait = SHORTEST_WAIT;
        struct timespec t = {.tv_sec = wait / NS_PER_SECOND, .tv_nsec = wait % NS_PER_SECOND};
        nanosleep(&t, NULL);
    }
    return NULL;
}

/* -------------------------------------------------------- who is to be watched */

static void post_forget(void *post) {
    pthread_mutex_lock(&dog.mutex);
    struct post **place = &dog.posts;
    while (*place && *place != post) place = &(*place)->next;
    if (*place) *place = (*place)->next;
    own.known = false;
    pthread_mutex_unlock(&dog.mutex);
}

/* A child of fork() has this thread alone: no watchdog, and nobody else who was watched. */
static void before_fork(void) {
    pthread_mutex_lock(&dog.mutex);
}

static void after_fork(void) {
    pthread_mutex_unlock(&dog.mutex);
}

static void after_fork_in_child(void) {
    dog.running = false;
    dog.posts = NULL;
    own.known = false;
    pthread_mutex_unlock(&dog.mutex);
}

static void dog_prepare(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER};
    sigemptyset(&action.sa_mask); /* a jump out of the handler leaves no signal blocked */
    sigaction(SIGNAL, &action, NULL);
    pthread_key_create(&dog.key, post_forget);
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static void dog_start(void) {
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    dog.running = pthread_create(&thread, &attributes, keep_watch, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

static void post_make_known(void) {
    sigset_t ours;
    pthread_once(&dog.once, dog_prepare);
    sigemptyset(&ours);
    sigaddset(&ours, SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    pthread_setspecific(dog.key, &own);
    pthread_mutex_lock(&dog.mutex);
    if (!dog.running) dog_start();
    own.thread = pthread_self();
    own.next = dog.posts;
    dog.posts = &own;
    own.known = true;
    pthread_mutex_unlock(&dog.mutex);
}

/* The entry at hand is another, or none. */
static void post_turn(void) {
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&own.limit, own.current ? own.current->limit : 0, memory_order_relaxed);
    unsigned long long entry = atomic_load_explicit(&own.entry, memory_order_relaxed);
    atomic_store_explicit(&own.entry, entry + 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

void watchdog_enter(struct watch *watch) {
    if (!own.known && watch->limit > 0) post_make_known();
    watch->outer = own.current;
    watch->held = own.held;
    own.held = own.overdue = false;
    own.current = watch;
    post_turn();
}

void watchdog_leave(struct watch *watch) {
    post_turn(); /* from here on a signal finds that the entry it was meant for is over */
    own.overdue = false;
    heap_hurry(watch->heap, false);
    own.current = watch->outer;
    own.held = watch->held;
    post_turn();
}

nanoseconds watchdog_taken(void) {
    return atomic_load(&own.taken);
}

bool watchdog_hold(bool on) {
    bool before = own.held;
    own.held = on;
    return before;
}

int watchdog_held_call(lua_State *lua) {
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    bool before = watchdog_hold(true);
    int status = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0);
    watchdog_hold(before);
    return status == 0 ? lua_gettop(lua) : lua_error(lua);
}
