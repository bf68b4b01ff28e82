/* What a sensor does once its privileges are gone, a little of everything, so that the list of system calls
 * is shown to hold all of it. Each walk returns 0, or says on stderr what failed and returns 1; it runs in a
 * forked child as a user who owns nothing, and leaves nothing behind. */
#ifndef LUNETTE_TESTS_PRIVILEGE_WALK_H
#define LUNETTE_TESTS_PRIVILEGE_WALK_H

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <linux/if_packet.h>
#include <lua.h>
#include <lualib.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* For use in a child, where cmocka's asserts would jump into the parent's frames. */
#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            dprintf(STDERR_FILENO, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));      \
            return 1;                                                                                        \
        }                                                                                                    \
    } while (0)

/* LuaJIT: a hot loop becomes machine code, in memory that is written and then executed. */
static inline int walk_lua(void) {
    lua_State *state = luaL_newstate();
    MUST(state);
    luaL_openlibs(state);
    static const char script[] = "local sum = 0 for i = 1, 1e6 do sum = sum + i % 7 end "
                                 "return require('jit.util').traceinfo(1) ~= nil";
    MUST(luaL_dostring(state, script) == 0);
    MUST(lua_toboolean(state, -1));
    lua_close(state);
    return 0;
}

static volatile sig_atomic_t walk_signalled;

static inline void walk_on_signal(int number) {
    (void)number;
    walk_signalled = 1;
}

static inline void *walk_thread(void *context) {
    pthread_barrier_t *barrier = context;
    char name[16];
    pthread_setname_np(pthread_self(), "walker");
    pthread_getname_np(pthread_self(), name, sizeof name);
    pthread_barrier_wait(barrier);
    pthread_barrier_wait(barrier);
    void *block = malloc(3 << 20); /* an arena of its own, and a map */
    free(block);
    return strcmp(name, "walker") == 0 ? barrier : NULL;
}

/* Threads, their names, signals among them, timers: what the scripts' watchdog needs. */
static inline int walk_threads(void) {
    pthread_barrier_t barrier;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = walk_on_signal}, NULL);
    MUST(pthread_create(&thread, NULL, walk_thread, &barrier) == 0);
    pthread_barrier_wait(&barrier);
    MUST(pthread_kill(thread, SIGUSR1) == 0);
    pthread_barrier_wait(&barrier);
    void *result;
    MUST(pthread_join(thread, &result) == 0 && result == &barrier && walk_signalled);
    walk_signalled = 0;
    MUST(raise(SIGUSR1) == 0 && walk_signalled);
    MUST(kill(getpid(), 0) == 0);

    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    pthread_mutex_lock(&mutex);
    soon.tv_nsec = 0;
    MUST(pthread_cond_timedwait(&condition, &mutex, &soon) == ETIMEDOUT);
    pthread_mutex_unlock(&mutex);

    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    MUST(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0);
    MUST(timer_settime(timer, 0, &(struct itimerspec){.it_value = {.tv_sec = 100}}, NULL) == 0);
    MUST(timer_delete(timer) == 0);
    MUST(nanosleep(&(struct timespec){.tv_nsec = 1}, NULL) == 0 && sysconf(_SC_NPROCESSORS_ONLN) > 0);
    return 0;
}

/* Files as outputs, spool, state and captures use them. */
static inline int walk_files(void) {
    char folder[] = "/tmp/lunette-walk-XXXXXX", from[64], to[64], sub[64];
    MUST(mkdtemp(folder));
    snprintf(from, sizeof from, "%s/from", folder);
    snprintf(to, sizeof to, "%s/to", folder);
    snprintf(sub, sizeof sub, "%s/sub", folder);
    int fd = open(from, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, "0123456789", 10) == 10);
    MUST(fsync(fd) == 0 && fdatasync(fd) == 0 && ftruncate(fd, 8) == 0 && fchmod(fd, 0640) == 0);
    MUST(posix_fallocate(fd, 0, 8192) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    MUST(flock(fd, LOCK_EX | LOCK_NB) == 0 && futimens(fd, NULL) == 0);
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED && map[1] == '1' && madvise(map, 4096, MADV_WILLNEED) == 0 &&
         munmap(map, 4096) == 0);
    MUST(close(fd) == 0 && rename(from, to) == 0 && symlink("to", from) == 0 && access(from, R_OK) == 0);
    struct stat facts;
    struct statvfs room;
    char real[4096];
    MUST(stat(from, &facts) == 0 && facts.st_size == 8192 && lstat(from, &facts) == 0 &&
         S_ISLNK(facts.st_mode));
    MUST(statvfs(folder, &room) == 0 && realpath(from, real) && mkdir(sub, 0700) == 0);
    struct dirent **names;
    int found = scandir(folder, &names, NULL, alphasort);
    MUST(found == 5);
    while (found > 0) free(names[--found]);
    free(names);
    MUST(rmdir(sub) == 0 && unlink(from) == 0 && unlink(to) == 0 && rmdir(folder) == 0);

    FILE *file = fopen("/etc/passwd", "r");
    char line[256];
    MUST(file && fgets(line, sizeof line, file) && fclose(file) == 0);
    time_t now = time(NULL);
    struct tm local;
    MUST(localtime_r(&now, &local) && isatty(0) >= 0);
    for (size_t size = 1 << 10; size < 64u << 20; size *= 4) { /* heap grown, mapped, moved, trimmed */
        char *block = realloc(malloc(size), size * 4);
        MUST(block);
        memset(block, 1, size * 4);
        free(block);
    }
    return 0;
}

/* Outputs by name and address: a receiver over TCP, syslog over UDP and a Unix socket, IPv6 where there is
 * any. */
static inline int walk_sockets(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
    MUST(getaddrinfo("localhost", "9", &hints, &found) == 0);
    freeaddrinfo(found);
    found = NULL;
    int missing =
        getaddrinfo("does-not-exist.invalid", "9", &hints, &found); /* asks the resolver, if there is one */
    MUST(missing != 0 && missing != EAI_SYSTEM);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    MUST(listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0);
    MUST(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 5) == 0);
    MUST(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    MUST(client >= 0 && connect(client, (struct sockaddr *)&address, length) == 0);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    MUST(server >= 0 && send(client, "line\n", 5, MSG_NOSIGNAL) == 5);
    char text[16];
    MUST(recv(server, text, sizeof text, 0) == 5 && shutdown(client, SHUT_RDWR) == 0);
    close(server), close(client), close(listener);

    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    struct ucred peer;
    length = sizeof peer;
    MUST(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == getuid());
    close(pair[0]), close(pair[1]);
    int datagrams = socket(AF_INET6, SOCK_DGRAM, 0);
    MUST(datagrams >= 0 || errno == EAFNOSUPPORT);
    if (datagrams >= 0) close(datagrams);
    return 0;
}

struct walk_loop {
    int todo;
    uv_fs_event_t folder;
    uv_timer_t timer, patience;
    uv_signal_t signal;
    uv_async_t async;
    bool late;
};

static inline void walk_done(uv_handle_t *handle) {
    struct walk_loop *walk = handle->loop->data;
    if (uv_is_closing(handle)) return;
    uv_close(handle, NULL);
    if (--walk->todo == 0) uv_close((uv_handle_t *)&walk->patience, NULL);
}

static inline void walk_on_folder(uv_fs_event_t *handle, const char *name, int events, int status) {
    (void)name, (void)events, (void)status;
    walk_done((uv_handle_t *)handle);
}

static inline void walk_on_timer(uv_timer_t *handle) {
    walk_done((uv_handle_t *)handle);
}

static inline void walk_on_late(uv_timer_t *handle) {
    struct walk_loop *walk = handle->loop->data;
    walk->late = true;
    uv_stop(handle->loop);
}

static inline void walk_on_uv_signal(uv_signal_t *handle, int number) {
    (void)number;
    walk_done((uv_handle_t *)handle);
}

static inline void walk_on_async(uv_async_t *handle) {
    walk_done((uv_handle_t *)handle);
}

static inline void walk_on_name(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
    struct walk_loop *walk = request->loop->data;
    if (status == 0) uv_async_send(&walk->async);
    uv_freeaddrinfo(found);
}

/* libuv: folders watched, signals, timers, its threads and what they wake. */
static inline int walk_loop(void) {
    uv_loop_t loop;
    struct walk_loop walk = {.todo = 4};
    uv_getaddrinfo_t name;
    char folder[] = "/tmp/lunette-walk-XXXXXX", path[64];
    MUST(mkdtemp(folder) && uv_loop_init(&loop) == 0);
    snprintf(path, sizeof path, "%s/file", folder);
    loop.data = &walk;
    uv_fs_event_init(&loop, &walk.folder);
    uv_timer_init(&loop, &walk.timer);
    uv_timer_init(&loop, &walk.patience);
    uv_signal_init(&loop, &walk.signal);
    MUST(uv_async_init(&loop, &walk.async, walk_on_async) == 0);
    MUST(uv_fs_event_start(&walk.folder, walk_on_folder, folder, 0) == 0);
    MUST(uv_timer_start(&walk.timer, walk_on_timer, 1, 0) == 0);
    MUST(uv_timer_start(&walk.patience, walk_on_late, 30000, 0) == 0);
    MUST(uv_signal_start(&walk.signal, walk_on_uv_signal, SIGUSR2) == 0);
    MUST(uv_getaddrinfo(&loop, &name, walk_on_name, "localhost", NULL, NULL) == 0);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    MUST(fd >= 0 && close(fd) == 0 && raise(SIGUSR2) == 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    MUST(!walk.late && uv_loop_close(&loop) == 0);
    MUST(unlink(path) == 0 && rmdir(folder) == 0);
    return 0;
}

static inline enum MHD_Result walk_answer(void *context, struct MHD_Connection *connection, const char *url,
                                          const char *method, const char *version, const char *upload,
                                          size_t *size, void **request) {
    (void)context, (void)url, (void)method, (void)version, (void)upload, (void)size, (void)request;
    struct MHD_Response *response = MHD_create_response_from_buffer(2, (void *)"ok", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

static inline int walk_request(unsigned flags) {
    char folder[] = "/tmp/lunette-walk-XXXXXX";
    MUST(mkdtemp(folder));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/control", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
         chmod(address.sun_path, 0600) == 0);
    MUST(listen(listener, 8) == 0);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, walk_answer, NULL, MHD_OPTION_LISTEN_SOCKET, listener,
                         MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
    MUST(daemon);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    static const char request[] = "GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char answer[1024] = "";
    size_t length = 0;
    MUST(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    MUST(write(client, request, sizeof request - 1) == sizeof request - 1);
    for (ssize_t n; (n = read(client, answer + length, sizeof answer - 1 - length)) > 0;) length += (size_t)n;
    answer[length] = 0;
    MUST(strstr(answer, "200 OK") && strstr(answer, "ok"));
    close(client);
    MHD_stop_daemon(daemon);
    MUST(unlink(address.sun_path) == 0 && rmdir(folder) == 0);
    return 0;
}

/* libmicrohttpd on a Unix socket, in each of its ways to wait. */
static inline int walk_http(void) {
    return walk_request(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ITC) ||
           walk_request(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC) ||
           walk_request(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL);
}

static inline void walk_on_packet(u_char *count, const struct pcap_pkthdr *header, const u_char *bytes) {
    (void)header, (void)bytes;
    ++*(int *)(void *)count;
}

/* libpcap: interfaces listed, one opened late, as a member of a fanout group, and a packet taken from it. */
static inline int walk_capture(void) {
    char why[PCAP_ERRBUF_SIZE] = "";
    pcap_if_t *interfaces = NULL;
    if (pcap_findalldevs(&interfaces, why) != 0) dprintf(STDERR_FILENO, "%s\n", why);
    MUST(interfaces);
    pcap_freealldevs(interfaces);
    pcap_t *handle = pcap_create("lo", why);
    MUST(handle && pcap_set_snaplen(handle, 2048) == 0 && pcap_set_buffer_size(handle, 4 << 20) == 0);
    MUST(pcap_set_promisc(handle, 1) == 0 && pcap_set_timeout(handle, 10) == 0);
    int activated = pcap_activate(handle);
    if (activated < 0) dprintf(STDERR_FILENO, "%s\n", pcap_geterr(handle));
    MUST(activated >= 0 && pcap_setnonblock(handle, 1, why) == 0);
    struct bpf_program program;
    MUST(pcap_compile(handle, &program, "udp port 9", 1, PCAP_NETMASK_UNKNOWN) == 0);
    MUST(pcap_setfilter(handle, &program) == 0);
    pcap_freecode(&program);
    int fd = pcap_get_selectable_fd(handle), group = PACKET_FANOUT_HASH << 16 | (getpid() & 0xffff);
    MUST(setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof group) == 0);
    struct sockaddr_in discard = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sender = socket(AF_INET, SOCK_DGRAM, 0), count = 0;
    for (int tries = 0; tries < 300 && count == 0; tries++) {
        sendto(sender, "x", 1, 0, (struct sockaddr *)&discard, sizeof discard);
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        poll(&readable, 1, 100);
        MUST(pcap_dispatch(handle, 64, walk_on_packet, (u_char *)(void *)&count) >= 0);
    }
    struct pcap_stat figures;
    MUST(count > 0 && pcap_stats(handle, &figures) == 0);
    pcap_close(handle);
    close(sender);
    return 0;
}

#endif
