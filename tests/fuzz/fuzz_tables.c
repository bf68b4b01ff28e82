/* libFuzzer target: what a script reads from data/: a table of tab-separated values, the lines of a file, and
 * what both are for, sets. The input is data/input.tsv of a script that reads it in all these ways; it must
 * be loaded, or say why not, within its memory. */
#include "unit/script_bench.h"

#include "base/log.h"

static const char script[] =
    "local lunette = require 'lunette'\n"
    "local rows = lunette.tsv 'input.tsv'\n"
    "local lines = lunette.lines 'input.tsv'\n"
    "local cells = {}\n"
    "for i = 1, math.min(#rows, 2000) do for name, cell in pairs(rows[i]) do\n"
    "  assert(type(name) == 'string' and type(cell) == 'string' and not cell:find '[\\t\\n\\r]')\n"
    "  cells[#cells + 1] = cell end end\n"
    "for i = 1, #lines do assert(not lines[i]:find '\\n') end\n"
    "for _, make in ipairs { 'strings', 'domains', 'prefixes' } do for _, list in ipairs { cells, lines } "
    "do\n"
    "  local ok, set = pcall(lunette.set[make], list)\n"
    "  if ok then\n"
    "    for i = 1, math.min(#list, 300) do\n"
    "      assert(type(set:has(list[i])) == 'boolean')\n"
    "      if make == 'strings' then assert(set:has(list[i])) end\n"
    "    end\n"
    "  end\n"
    "end end\n"
    "lunette.on('dns', {}, function() end)\n";

static struct bench bench;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error err = {.text = ""};
    if (!bench.folder[0]) {
        log_set_level(LOG_ERROR);
        bench_begin(&bench);
        bench_script(&bench, "s.lua", script);
        bench_file(&bench, "data/input.tsv", "");
        bench.memory = 32 << 20;
    }
    char path[128];
    snprintf(path, sizeof path, "%s/data/input.tsv", bench.folder);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
    if (bench_start(&bench, 1, &err) < 0) abort();
    if (script_host_failed(bench.host) > 0 && !script_host_failed_why(bench.host, 0)[0]) abort();
    const char *why = script_host_failed(bench.host) > 0 ? script_host_failed_why(bench.host, 0) : "";
    if (strstr(why, "assertion failed")) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    script_host_free(bench.host);
    batch_free(bench.batch);
    bench.length = 0;
    return 0;
}
