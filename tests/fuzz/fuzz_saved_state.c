/* libFuzzer target: saved state, as a sensor finds it on its disk, read into a detector with states, records,
 * timers and cooldowns. The input is what lies in the frame (the frame's checksum is made here). What is read
 * must be readable by the script, and what the detector then saves must be taken by another one. */
#include "unit/script_bench.h"

#include "base/log.h"
#include "script/handover.h"
#include "script/reload.h"

static const char script[] =
    "local lunette = require 'lunette'\n"
    "local series, sketch = require 'lunette.series', require 'lunette.sketch'\n"
    "local seen = lunette.state('seen', { max = 64, ttl = 3600 })\n"
    "local old = lunette.state('old', { max = 16, version = 2, migrate = function(v, version, key) return { "
    "v, version } end })\n"
    "local pairs_ = lunette.records('pairs', { max = 64, fields = { n = 'u32', since = 'time', slots = "
    "'u16[8]', ok = 'bool', x = 'f64' } })\n"
    "local moved = lunette.records('moved', { max = 16, version = 3, fields = { a = 'u8', b = 'u64' },\n"
    "  migrate = function(record, version, key) record.a = version; return true end })\n"
    "seen:set('early', { ring = series.ring(8), heavy = sketch.heavy(4), few = sketch.distinct(4) })\n"
    "lunette.every(60, function(now) for k, v in seen:each() do assert(k ~= nil and v ~= nil) end end)\n"
    "lunette.after(90, function(now) end)\n"
    "local function use()\n"
    "  for _, s in ipairs { seen, old } do\n"
    "    local n = 0\n"
    "    for k, v in s:each() do n = n + 1; assert(s:get(k) ~= nil, 'a key is lost') end\n"
    "    assert(n == s:count(), 'count')\n"
    "  end\n"
    "  for _, r in ipairs { pairs_, moved } do\n"
    "    local n = 0\n"
    "    for k, v in r:each() do n = n + 1; assert(r:get(k), 'a key is lost') end\n"
    "    assert(n == r:count(), 'count')\n"
    "  end\n"
    "end\n"
    "lunette.on('dns', {}, function(e)\n"
    "  use()\n"
    "  local all = seen:get 'early'\n"
    "  if type(all) == 'table' then pcall(function() all.ring:add(e.time) all.heavy:add 'x' all.few:add 'y'\n"
    "    return all.ring:newest(), all.heavy:top(3), all.few:count() end) end\n"
    "  seen:set(e.client_ip, { all, all }); seen:set(e.rrname, e.time); old:set(7, 'x')\n"
    "  for i = 1, 70 do seen:set(i, i) end\n"
    "  local r = pairs_:make(e, 'client_ip', 'rrname'); r.n = r.n + 1; r.since = e.time; r:put('slots', 3, "
    "9); "
    "r.ok = true\n"
    "  moved:make('m').b = 5\n"
    "  for i = 1, 70 do pairs_:make(i).x = i end\n"
    "  lunette.alert { title = 'x', key = e.client_ip, cooldown = 600 }\n"
    "  use()\n"
    "end)\n";

static struct bench bench;

static void begin(void) {
    struct error err = {.text = ""};
    if (!bench.folder[0]) {
        log_set_level(LOG_ERROR);
        bench_begin(&bench);
        bench_script(&bench, "s.lua", script);
        bench.memory = 16 << 20;
    }
    bench.length = 0;
    bench.batch = batch_new(4, &err);
    const struct script_sink sink = {.context = &bench,
                                     .on_event = bench_on_event,
                                     .on_alert = bench_on_alert,
                                     .on_report = bench_on_report};
    const struct script_options options = {.paths = (const char *const *)bench.paths,
                                           .path_count = 1,
                                           .memory_limit = bench.memory,
                                           .quiet = true};
    bench.host = bench.batch ? script_host_new(&options, bench.batch, &sink, &err) : NULL;
    if (!bench.host || script_host_failed(bench.host)) {
        fprintf(stderr, "%s%s\n", err.text, bench.host ? script_host_failed_why(bench.host, 0) : "");
        exit(1);
    }
}

static void end(void) {
    script_host_free(bench.host);
    batch_free(bench.batch);
}

static int restore(const void *bytes, size_t size) {
    struct error err = {.text = ""};
    struct outgoing framed = {0};
    handover_open(&framed);
    outgoing_bytes(&framed, bytes, size);
    handover_seal(&framed);
    if (framed.failed) abort();
    int outcome = script_host_restore(bench.host, "s", framed.bytes, framed.used, &err);
    free(framed.bytes);
    if (outcome != 0 && !err.text[0]) abort(); /* it has to say why */
    return outcome;
}

static void work(double from) {
    script_host_start(bench.host, (nanoseconds)from * NS_PER_SECOND);
    for (int i = 0; i < 3; i++) bench_dns(&bench, from + i * 50, i, "www.example.com");
    bench_finish(&bench, from + 200);
    struct detector_status status;
    script_host_status(bench.host, 0, &status);
    if (strstr(status.last_error, "assertion failed") || strstr(status.last_error, "a key is lost") ||
        strstr(status.last_error, "count")) {
        fprintf(stderr, "%s\n", status.last_error);
        abort();
    }
    if (status.memory > bench.memory * 3) abort();
}

/* What the detector has to say by itself, for an input without bytes: the seed. */
static void write_seed(void) {
    const char *folder = getenv("FUZZ_SEEDS");
    char path[256];
    if (!folder) return;
    begin();
    work(1000);
    struct state_blob blob = script_host_save(bench.host, 0);
    struct slice inside;
    struct error err;
    if (!blob.bytes || handover_unseal(blob.bytes, blob.size, &inside, &err) < 0) abort();
    snprintf(path, sizeof path, "%s/by-itself", folder);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(inside.at, 1, inside.length, file) != inside.length || fclose(file) != 0) abort();
    free(blob.bytes);
    end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool seeded;
    if (!seeded) write_seed();
    seeded = true;
    begin();
    restore(data, size);
    work(1000);
    struct state_blob blob = script_host_save(bench.host, 0);
    end();
    if (!blob.bytes) return 0;
    struct slice inside;
    struct error err = {.text = ""};
    if (handover_unseal(blob.bytes, blob.size, &inside, &err) < 0) abort();
    begin();
    if (restore(inside.at, inside.length) < 0) {
        fprintf(stderr, "what was saved cannot be read\n");
        abort();
    }
    work(2000);
    end();
    free(blob.bytes);
    return 0;
}
