/* SSH: banners, KEXINITs and HASSH. The algorithm lists are those of OpenSSH 7.6 and 7.8, whose fingerprints
 * others have published. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

static const char client_kex[] =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,"
    "diffie-hellman-group-exchange-sha1,diffie-hellman-group14-sha256,diffie-hellman-group14-sha1,ext-info-c";
static const char client_kex_78[] =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,"
    "diffie-hellman-group14-sha256,diffie-hellman-group14-sha1,ext-info-c";
static const char server_kex[] =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,"
    "diffie-hellman-group14-sha256,diffie-hellman-group14-sha1";
static const char ciphers[] = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,"
                              "aes128-gcm@openssh.com,aes256-gcm@openssh.com";
static const char macs[] = "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,"
                           "hmac-sha2-512-etm@openssh.com,"
                           "hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,"
                           "hmac-sha2-512,hmac-sha1";

enum { BYTES_MOST = 16 * 1024 };

struct bytes {
    size_t length;
    uint8_t at[BYTES_MOST];
};

static void put(struct bytes *b, const void *bytes, size_t length) {
    assert_true(b->length + length <= BYTES_MOST);
    memcpy(b->at + b->length, bytes, length);
    b->length += length;
}

static void put_text(struct bytes *b, const char *text) {
    put(b, text, strlen(text));
}

static void put_u32(struct bytes *b, uint32_t value) {
    put(b, (uint8_t[]){(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value},
        4);
}

static void put_list(struct bytes *b, const char *list) {
    put_u32(b, (uint32_t)strlen(list));
    put_text(b, list);
}

/* A binary packet around a payload (RFC 4253 section 6), with seven bytes of padding. */
static void put_packet(struct bytes *b, const struct bytes *payload) {
    put_u32(b, (uint32_t)payload->length + 8);
    put(b, "\7", 1);
    put(b, payload->at, payload->length);
    put(b, "\0\0\0\0\0\0", 7);
}

/* Lists that only the other side's fingerprint may use are marked, so that a mix-up changes the hash. */
static void put_kexinit(struct bytes *b, const char *kex, bool client, const char *compression) {
    static struct bytes payload;
    payload.length = 0;
    put(&payload, "\24cookiecookiecook", 17);
    put_list(&payload, kex);
    put_list(&payload, "ssh-ed25519");
    put_list(&payload, client ? ciphers : "other");
    put_list(&payload, client ? "other" : ciphers);
    put_list(&payload, client ? macs : "other");
    put_list(&payload, client ? "other" : macs);
    put_list(&payload, client ? compression : "other");
    put_list(&payload, client ? "other" : compression);
    put_list(&payload, "");
    put_list(&payload, "");
    put(&payload, "\0\0\0\0\0", 5);
    put_packet(b, &payload);
}

static struct bytes client, server;

static int setup(void **state) {
    (void)state;
    client.length = server.length = 0;
    return 0;
}

static void put_client(const char *kex) {
    put_text(&client, "SSH-2.0-OpenSSH_7.6\r\n");
    put_kexinit(&client, kex, true, "none,zlib@openssh.com,zlib");
}

static void put_server(void) {
    put_text(&server, "SSH-2.0-OpenSSH_7.6p1 Ubuntu-4\r\n");
    put_kexinit(&server, server_kex, false, "none,zlib@openssh.com");
}

static struct drive *ssh_drive(void) {
    return drive_new(&protocol_ssh, EVENT_ssh);
}

static void test_both_sides(void **state) {
    (void)state;
    struct drive *d = ssh_drive();
    put_client(client_kex);
    put_server();
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    assert_int_equal(d->events[EVENT_ssh], 0);
    drive_send(d, TO_CLIENT, server.at, server.length);
    assert_int_equal(d->events[EVENT_ssh], 1);
    drive_expect(d, "ssh.client_banner=SSH-2.0-OpenSSH_7.6");
    drive_expect(d, "ssh.client_proto_version=2.0");
    drive_expect(d, "ssh.client_software=OpenSSH_7.6");
    drive_expect(d, "ssh.hassh=06046964c022c6407d15a27b12a6a4fb");
    drive_expect(d, "ssh.server_banner=SSH-2.0-OpenSSH_7.6p1 Ubuntu-4");
    drive_expect(d, "ssh.server_software=OpenSSH_7.6p1");
    drive_expect(d, "ssh.hassh_server=b12d2871a1189eff20364cf5333619ee");
    char line[1024];
    snprintf(line, sizeof line, "ssh.client_kex=%s", client_kex);
    drive_expect(d, line);
    snprintf(line, sizeof line, "ssh.client_ciphers=%s", ciphers);
    drive_expect(d, line);
    drive_close(d);
    assert_int_equal(d->events[EVENT_ssh], 1);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static void test_another_client(void **state) {
    (void)state;
    struct drive *d = ssh_drive();
    put_client(client_kex_78);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_close(d);
    drive_expect(d, "ssh.hassh=ec7378c1a92f5a8dde7e8b7a1ddf33d1");
    assert_null(strstr(d->text, "server"));
    drive_free(d);
}

static void test_any_cut_gives_the_same_event(void **state) {
    (void)state;
    struct drive *d = ssh_drive();
    put_client(client_kex);
    put_server();
    char *expected = NULL;
    for (size_t cut = 0; cut < client.length; cut++) {
        drive_clear(d);
        drive_open(d);
        if (cut > 0) drive_send(d, TO_SERVER, client.at, cut);
        if (cut > 0 && cut < server.length) drive_send(d, TO_CLIENT, server.at, cut);
        drive_send(d, TO_SERVER, client.at + cut, client.length - cut);
        size_t server_cut = cut < server.length ? cut : 0;
        drive_send(d, TO_CLIENT, server.at + server_cut, server.length - server_cut);
        drive_close(d);
        assert_int_equal(d->events[EVENT_ssh], 1);
        if (!expected) expected = strdup(d->text);
        assert_string_equal(d->text, expected);
    }
    free(expected);
    drive_free(d);
}

static void test_lines_before_the_banner(void **state) {
    (void)state;
    struct drive *d = ssh_drive();
    put_text(&server, "Unauthorised use is forbidden.\r\nYou have been told.\r\n");
    put_server();
    drive_open(d);
    drive_send(d, TO_CLIENT, server.at, server.length);
    drive_close(d);
    drive_expect(d, "ssh.server_software=OpenSSH_7.6p1");
    drive_expect(d, "ssh.hassh_server=b12d2871a1189eff20364cf5333619ee");
    drive_free(d);
}

static void test_version_1_has_no_kexinit(void **state) {
    (void)state;
    struct drive *d = ssh_drive();
    drive_open(d);
    drive_send(d, TO_CLIENT, "SSH-1.5-1.2.27\n", 15);
    drive_send(d, TO_SERVER, "SSH-1.5-1.2.26\n", 15);
    assert_int_equal(d->events[EVENT_ssh], 1);
    drive_expect(d, "ssh.server_proto_version=1.5");
    drive_expect(d, "ssh.client_software=1.2.26");
    assert_null(strstr(d->text, "hassh"));
    drive_free(d);
}

static void test_ignore_before_kexinit(void **state) {
    (void)state;
    struct drive *d = ssh_drive();
    struct bytes *ignore = calloc(1, sizeof *ignore);
    put(ignore, "\2", 1);
    put_list(ignore, "nothing");
    put_text(&client, "SSH-2.0-Test\r\n");
    put_packet(&client, ignore);
    put_kexinit(&client, client_kex, true, "none,zlib@openssh.com,zlib");
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_close(d);
    drive_expect(d, "ssh.hassh=06046964c022c6407d15a27b12a6a4fb");
    free(ignore);
    drive_free(d);
}

static void test_broken_kexinit_keeps_the_banner(void **state) {
    (void)state;
    struct drive *d = ssh_drive();
    put_client(client_kex);
    memset(client.at + 21 + 22, 0xff, 4); /* length of the first list */
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_close(d);
    drive_expect(d, "ssh.client_software=OpenSSH_7.6");
    drive_expect(d, "anomaly.name=bad_kexinit");
    assert_null(strstr(d->text, "hassh"));
    drive_free(d);
}

static uint32_t random_next(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void send_mutated(struct drive *d, enum direction direction, const struct bytes *original,
                         uint64_t *seed) {
    static struct bytes b;
    b = *original;
    for (uint32_t changes = random_next(seed) % 5; changes > 0; changes--) {
        size_t at = random_next(seed) % (random_next(seed) % 2 ? 64 : b.length);
        b.at[at] = random_next(seed) % 3 ? (uint8_t)random_next(seed) : 0xff;
    }
    if (random_next(seed) % 8 == 0) b.length = 1 + random_next(seed) % b.length;
    for (size_t at = 0; at < b.length;) {
        size_t size = 1 + random_next(seed) % 1460;
        if (size > b.length - at) size = b.length - at;
        drive_send(d, direction, b.at + at, size);
        at += size;
    }
}

static void test_mutations_do_no_harm(void **state) {
    (void)state;
    uint64_t seed = 20240502;
    struct drive *d = ssh_drive();
    put_client(client_kex);
    put_text(&server, "A line before\r\n");
    put_server();
    for (int i = 0; i < 100000; i++) {
        drive_clear(d);
        drive_open(d);
        send_mutated(d, TO_SERVER, &client, &seed);
        send_mutated(d, TO_CLIENT, &server, &seed);
        drive_close(d);
        assert_true(d->events[EVENT_ssh] <= 1);
    }
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_both_sides, setup),
        cmocka_unit_test_setup(test_another_client, setup),
        cmocka_unit_test_setup(test_any_cut_gives_the_same_event, setup),
        cmocka_unit_test_setup(test_lines_before_the_banner, setup),
        cmocka_unit_test_setup(test_version_1_has_no_kexinit, setup),
        cmocka_unit_test_setup(test_ignore_before_kexinit, setup),
        cmocka_unit_test_setup(test_broken_kexinit_keeps_the_banner, setup),
        cmocka_unit_test_setup(test_mutations_do_no_harm, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
