/* What the control socket may ask for. These run on its threads; what concerns the main thread is put down as
 * an errand, and the main thread is knocked up. */
#include "sensor/sensor.h"

#include "output/json.h"

#include <string.h>

enum { ANSWER_SECONDS = 5, RELOAD_SECONDS = 60 };

static void call_board(void *context, struct board *out) {
    struct sensor *sensor = context;
    pthread_mutex_lock(&sensor->board_mutex);
    *out = sensor->board;
    pthread_mutex_unlock(&sensor->board_mutex);
}

/* ------------------------------------------------------------------------ flows */

struct listing {
    struct letter letter;
    struct buffer *json;
    const struct ip *host; /* or NULL */
    uint32_t left;
};

static void pair_address(struct buffer *b, const char *key, const struct ip *address) {
    char text[IP_TEXT_SIZE];
    ip_format(address, text);
    json_pair_text(b, key, text);
}

static void pair_time(struct buffer *b, const char *key, nanoseconds time) {
    char text[TIMESTAMP_LENGTH + 1];
    time_format_eve(time, text);
    json_pair_text(b, key, text);
}

/* In the shape of a flow's record. */
static void flow_put(struct buffer *b, const struct flow_view *flow) {
    json_item(b);
    buffer_char(b, '{');
    json_pair_u64(b, "flow_id", flow->id);
    pair_address(b, "src_ip", &flow->client_ip);
    json_pair_u64(b, "src_port", flow->client_port);
    pair_address(b, "dest_ip", &flow->server_ip);
    json_pair_u64(b, "dest_port", flow->server_port);
    json_pair_text(b, "proto", flow->proto);
    if (flow->app_proto) json_pair_text(b, "app_proto", flow->app_proto);
    if (flow->name_length) {
        json_key(b, "server_name");
        json_quote(b, flow->name, flow->name_length);
    }
    if (flow->interface && flow->interface[0]) json_pair_text(b, "in_iface", flow->interface);
    if (flow->program) {
        json_key(b, "process");
        buffer_char(b, '{');
        json_pair_text(b, "program", flow->program);
        buffer_char(b, '}');
    }
    json_key(b, "flow");
    buffer_char(b, '{');
    json_pair_u64(b, "pkts_toserver", flow->packets_to_server);
    json_pair_u64(b, "pkts_toclient", flow->packets_to_client);
    json_pair_u64(b, "bytes_toserver", flow->bytes_to_server);
    json_pair_u64(b, "bytes_toclient", flow->bytes_to_client);
    pair_time(b, "start", flow->start);
    pair_time(b, "end", flow->last);
    json_pair_f64(b, "age", ns_to_seconds(flow->last - flow->start));
    json_pair_text(b, "state", flow->state);
    buffer_char(b, '}');
    if (flow->tcp_state) {
        json_key(b, "tcp");
        buffer_char(b, '{');
        json_pair_text(b, "state", flow->tcp_state);
        buffer_char(b, '}');
    }
    buffer_char(b, '}');
}

static bool listing_visit(void *context, const struct flow_view *flow) {
    struct listing *listing = context;
    if (listing->left == 0) return false;
    if (listing->host && !ip_equals(listing->host, &flow->client_ip) &&
        !ip_equals(listing->host, &flow->server_ip))
        return true;
    flow_put(listing->json, flow);
    return --listing->left > 0;
}

static void listing_run(struct letter *letter, struct station *station) {
    flow_room_visit(worker_room(station_worker(station)), listing_visit, letter->context);
}

static int call_flows(void *context, const char *host, uint32_t limit, struct buffer *json,
                      struct error *err) {
    struct sensor *sensor = context;
    struct ip address;
    if (host && ip_parse(host, &address) < 0) return error_set(err, "host: '%s' is no address", host);
    struct listing listing = {.letter = {.run = listing_run, .context = &listing},
                              .json = json,
                              .host = host ? &address : NULL,
                              .left = limit};
    buffer_char(json, '[');
    for (uint32_t i = 0; i < sensor->station_count; i++)
        if (station_ask(sensor->stations[i], &listing.letter, ANSWER_SECONDS) < 0)
            return error_set(err, "worker %u did not answer within %d s", i, ANSWER_SECONDS);
    buffer_char(json, ']');
    return 0;
}

/* ------------------------------------------------------------------------ cards */

static int call_cards(void *context, const char *host, uint32_t limit, struct buffer *json,
                      struct error *err) {
    struct sensor *sensor = context;
    struct ip address;
    if (host && ip_parse(host, &address) < 0) return error_set(err, "host: '%s' is no address", host);
    outputs_cards(sensor->outputs, host ? &address : NULL, limit, sensor_wall(), json);
    return 0;
}

/* --------------------------------------------------------------------- errands */

static int call_reload(void *context, bool force, char *summary, size_t size, struct error *err) {
    struct sensor *sensor = context;
    struct errand *errand = &sensor->errand;
    const struct timespec until = patience_until(RELOAD_SECONDS);
    pthread_mutex_lock(&errand->mutex);
    if (errand->closed) {
        pthread_mutex_unlock(&errand->mutex);
        return error_set(err, "the sensor is ending");
    }
    uint64_t number = ++errand->asked;
    errand->force |= force;
    uv_async_send(&sensor->knock);
    int late = 0;
    while (errand->answered < number && !late)
        late = pthread_cond_timedwait(&errand->done, &errand->mutex, &until);
    bool answered = errand->answered >= number;
    int outcome =
        answered ? errand->outcome : error_set(err, "the reload was not done within %d s", RELOAD_SECONDS);
    if (answered && outcome < 0) *err = errand->err;
    if (outcome == 0) snprintf(summary, size, "%s", errand->summary);
    pthread_mutex_unlock(&errand->mutex);
    return outcome;
}

static void call_rotate(void *context) {
    outputs_rotate(((struct sensor *)context)->outputs);
}

static void call_stop(void *context) {
    struct sensor *sensor = context;
    pthread_mutex_lock(&sensor->errand.mutex);
    sensor->errand.stop = true;
    pthread_mutex_unlock(&sensor->errand.mutex);
    uv_async_send(&sensor->knock);
}

void sensor_errands(struct sensor *sensor) {
    struct errand *errand = &sensor->errand;
    pthread_mutex_lock(&errand->mutex);
    bool stop = errand->stop, reload = errand->asked > errand->answered, force = errand->force;
    uint64_t asked = errand->asked;
    errand->force = false;
    pthread_mutex_unlock(&errand->mutex);
    if (reload) {
        struct error err = {.text = ""};
        char summary[sizeof errand->summary] = "";
        int outcome = sensor_reload(sensor, true, force, summary, sizeof summary, &err);
        pthread_mutex_lock(&errand->mutex);
        errand->outcome = outcome;
        errand->err = err;
        memcpy(errand->summary, summary, sizeof summary);
        errand->answered = asked;
        pthread_cond_broadcast(&errand->done);
        pthread_mutex_unlock(&errand->mutex);
    }
    if (stop) sensor_end(sensor, 0);
}

void sensor_errands_end(struct sensor *sensor) {
    struct errand *errand = &sensor->errand;
    pthread_mutex_lock(&errand->mutex);
    errand->closed = true;
    if (errand->answered < errand->asked) {
        errand->answered = errand->asked;
        errand->outcome = error_set(&errand->err, "the sensor is ending");
    }
    pthread_cond_broadcast(&errand->done);
    pthread_mutex_unlock(&errand->mutex);
}

struct control_calls sensor_calls(struct sensor *sensor) {
    return (struct control_calls){
        .context = sensor,
        .board = call_board,
        .flows = call_flows,
        .cards = call_cards,
        .reload = call_reload,
        .rotate = call_rotate,
        .stop = call_stop,
    };
}
