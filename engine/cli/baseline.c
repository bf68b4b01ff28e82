/* `lunette baseline`: what is normal for some hosts is learnt into a file, shown, and held against others. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/text.h"
#include "cli/baseline_feed.h"
#include "cli/baseline_options.h"
#include "cli/print.h"
#include "cli/rig_values.h"
#include "output/profile_compare.h"
#include "output/profile_file.h"
#include "output/profile_print.h"
#include "output/writer.h"
#include "sensor/home.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char about[] =
    "usage: lunette baseline learn -o PROFILE [options] FILE...\n"
    "       lunette baseline show [options] PROFILE\n"
    "       lunette baseline compare [options] PROFILE FILE...\n"
    "\n"
    "What is normal: learns names, counts, sizes, rhythm, fingerprints and programs of healthy hosts, and "
    "holds\n"
    "others against them, the most surprising first. FILE is a capture, or records as `replay -o` and `live "
    "-o`\n"
    "write them, plain or compressed. A profile is a table that can be read and edited.\n"
    "\n"
    "learn:\n"
    "  -o, --output=PROFILE         where it goes (default: standard output)\n"
    "      --add=PROFILE            goes on from an earlier one; it may be the same file\n"
    "show:\n"
    "      --kind=KIND              one kind of row: name, service, tls, program …\n"
    "      --top=N                  rows of each kind (default 20; 0: all)\n"
    "compare:\n"
    "      --least=BITS             what is less surprising is not told (default 3: happens once in eight)\n"
    "      --top=N                  the N most surprising of each host\n"
    "      --fail=BITS              exit with 1 if anything is at least so surprising\n"
    "show, compare:\n"
    "      --json                   lines of JSON instead of tables\n"
    "learn, compare:\n"
    "      --host=ADDRESS,...       these hosts alone (default: all in the home networks)\n"
    "      --same=ADDRESS,...       addresses of one host, such as its IPv4 and its IPv6 one; repeatable\n"
    "      --apart                  hosts of different files are different ones, whatever their addresses\n"
    "  -f, --filter=EXPRESSION      of captures: a pcap-filter(7) expression\n"
    "      --home-net=CIDR,...      your networks, instead of the private and link-local ranges\n"
    "      --host-log=[ADDR=]FILE   for captures: what a Mac tells of its programs, as for replay; "
    "repeatable\n"
    "      --host-clock-offset=S    seconds added to the times in it\n"
    "      --batch=EVENTS           events that are handled at once\n"
    "  -h, --help                   print this\n"
    "\n"
    "Exit code: 0 fine, 1 compare found something of --fail bits or more (learn: the file could not be "
    "written),\n"
    "2 wrong use, or a file that cannot be read.\n";

static const enum option_id taken[] = {
    OPTION_FILTER, OPTION_HOME_NET, OPTION_HOST_LOG, OPTION_HOST_CLOCK_OFFSET, OPTION_BATCH, OPTION_HELP};

static bool is_local(void *context, const struct ip *address) {
    return home_has(context, address);
}

/* ── counting what the files hold ────────────────────────────────── */

static int feed(const struct baseline_options *o, const struct invocation *files, struct rig_values *rig,
                struct profile_collector **out, struct error *err) {
    struct home *home = home_new(rig->rig.home_networks, err);
    if (!home) return -1;
    const struct profile_collect_options collect = {.is_local = is_local,
                                                    .context = home,
                                                    .only = o->only,
                                                    .only_count = o->only_count,
                                                    .aliases = o->same,
                                                    .alias_count = o->same_count};
    struct profile_collector *collector = profile_collector_new(&collect, err);
    const struct baseline_feed feed = {
        .collector = collector,
        .rig = &rig->rig,
        .files = (const char *const *)&files->argv[files->rest],
        .file_count = (size_t)(files->argc - files->rest),
        .apart = o->apart,
    };
    int outcome = collector ? baseline_feed(&feed, err) : -1;
    home_free(home); /* nothing is counted any more */
    if (outcome == 0)
        *out = collector;
    else
        profile_collector_free(collector);
    return outcome;
}

/* Reads replay's options and all files that are left. The collector is the caller's. */
static int collect(struct baseline_options *o, const struct invocation *files, struct values *values,
                   struct profile_collector **out, struct error *err) {
    struct rig_values rig;
    if (value_read(values, OPTION_NO_SCRIPTS, BY_COMMAND_LINE, NULL, err) < 0) return -1;
    int outcome = rig_values_fill(&rig, files, values, err);
    rig.rig.scripts.paths = NULL;
    rig.rig.scripts.path_count = 0;
    if (outcome == 0) outcome = feed(o, files, &rig, out, err);
    rig_values_clear(&rig);
    return outcome;
}

/* ── learn ───────────────────────────────────────────────────────── */

/* 0, or why not. */
static int fill_file(const char *path, int flags, const struct buffer *b) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | flags, 0666);
    if (fd < 0) return errno;
    int failure = write_whole(fd, b->at, b->length);
    if (!failure && fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP)
        failure = errno; /* a pipe has none */
    if (close(fd) < 0 && !failure) failure = errno;
    return failure;
}

/* A file is written aside, so that the earlier one stays whole until then; where a link leads to is what is
 * replaced, and what is no file (a pipe, a device) is written to. */
static int write_file(const char *path, const struct buffer *b, struct error *err) {
    char target[PATH_MAX], aside[PATH_MAX + 8];
    struct stat status;
    if (strlen(path) >= sizeof target) return error_set(err, "%.60s…: the path is too long", path);
    if (!realpath(path, target)) text_copy(target, sizeof target, path);
    if (stat(target, &status) == 0 && !S_ISREG(status.st_mode)) {
        int failure = fill_file(target, 0, b);
        return failure ? error_set(err, "%s: %s", path, strerror(failure)) : 0;
    }
    snprintf(aside, sizeof aside, "%s.new", target);
    int failure = fill_file(aside, O_NOFOLLOW, b);
    if (!failure && rename(aside, target) == 0) return 0;
    if (!failure) failure = errno;
    unlink(aside);
    return error_set(err, "%s: %s", path, strerror(failure));
}

static int put_profile(const struct baseline_options *o, const struct profile *profile, struct error *err) {
    struct buffer b = {.at = NULL};
    profile_write(profile, &b);
    if (b.failed) error_set(err, "out of memory");
    if (!o->output || strcmp(o->output, "-") == 0) return print_out(&b);
    int outcome = b.failed ? -1 : write_file(o->output, &b, err);
    buffer_free(&b);
    if (outcome == 0) return EXIT_FINE;
    log_failure(err->text);
    return EXIT_SOMETHING_FAILED;
}

static int learn(struct baseline_options *o, struct values *values, struct error *err) {
    struct profile earlier = {0}, learnt = {0};
    struct profile_collector *collector = NULL;
    if (o->earlier && profile_read(o->earlier, &earlier, err) < 0) return -1;
    int outcome = collect(o, &o->rest, values, &collector, err);
    if (outcome == 0) outcome = profile_learn(collector, o->earlier ? &earlier : NULL, &learnt, err);
    if (outcome == 0 && learnt.left_out)
        log_line(LOG_WARNING, "%llu keys, hosts or hours did not fit into the profile",
                 (unsigned long long)learnt.left_out);
    if (outcome == 0 && !learnt.host_count)
        outcome = error_set(err, "baseline: nothing to learn: no connection of a local host was seen "
                                 "(--home-net names your networks)");
    if (outcome == 0) outcome = put_profile(o, &learnt, err);
    profile_collector_free(collector);
    profile_clear(&learnt);
    profile_clear(&earlier);
    return outcome;
}

/* ── show ────────────────────────────────────────────────────────── */

static int show(const struct baseline_options *o, struct error *err) {
    struct profile profile;
    struct buffer b = {.at = NULL};
    if (profile_read(o->rest.argv[o->rest.rest], &profile, err) < 0) return -1;
    struct terminal_style style = terminal_style_of(STDOUT_FILENO, COLOUR_AUTO);
    if (o->json)
        profile_show_json(&profile, o->kind, &b);
    else
        profile_show(&profile, o->kind, o->top_given ? o->top : 20, &style, &b);
    profile_clear(&profile);
    return print_out(&b);
}

/* ── compare ─────────────────────────────────────────────────────── */

struct comparison {
    const struct baseline_options *options;
    const struct profile *learnt;
    struct terminal_style style;
    struct buffer out;
    uint32_t hosts;
    bool failed; /* something is at least --fail bits surprising */
};

static int compare_host(void *context, const struct profile *of_one, struct error *err) {
    struct comparison *comparison = context;
    const struct baseline_options *o = comparison->options;
    struct profile_findings findings = {.at = NULL};
    double least = isnan(o->fail) || o->fail > o->least ? o->least : o->fail;
    profile_compare(comparison->learnt, of_one, least, &findings);
    if (findings.count && findings.at[0].bits >= o->fail) comparison->failed = true;
    while (findings.count && findings.at[findings.count - 1].bits < o->least) findings.count--;
    if (o->json)
        profile_findings_json(of_one, &findings, o->top, &comparison->out);
    else
        profile_findings_print(of_one, &findings, o->top, &comparison->style, &comparison->out);
    bool whole = !findings.failed;
    profile_findings_clear(&findings);
    comparison->hosts++;
    return whole ? 0 : error_set(err, "out of memory");
}

static void compare_heading(struct comparison *comparison) {
    const struct profile *learnt = comparison->learnt;
    if (comparison->options->json) return;
    buffer_format(
        &comparison->out,
        "Against %zu host%s, %llu hour%s of presence. Surprise is in bits: 3 is what happens once in 8 "
        "times by what was\n"
        "learnt, 10 once in 1,000; few hosts or hours learnt make little surprising.\n",
        learnt->host_count, learnt->host_count == 1 ? "" : "s", (unsigned long long)learnt->hours,
        learnt->hours == 1 ? "" : "s");
}

static int compare(struct baseline_options *o, struct values *values, struct error *err) {
    struct profile learnt;
    struct profile_collector *collector = NULL;
    struct invocation files = o->rest;
    if (profile_read(files.argv[files.rest++], &learnt, err) < 0) return -1;
    struct comparison comparison = {
        .options = o, .learnt = &learnt, .style = terminal_style_of(STDOUT_FILENO, COLOUR_AUTO)};
    compare_heading(&comparison);
    int outcome = collect(o, &files, values, &collector, err);
    if (outcome == 0) outcome = profile_each_host(collector, compare_host, &comparison, err);
    if (outcome == 0 && !comparison.hosts)
        outcome = error_set(err, "baseline: nothing to compare: no connection of a local host was seen "
                                 "(--home-net names your networks)");
    profile_collector_free(collector);
    profile_clear(&learnt);
    if (outcome == 0) {
        outcome = print_out(&comparison.out);
        return outcome == EXIT_FINE && comparison.failed ? EXIT_SOMETHING_FAILED : outcome;
    }
    buffer_free(&comparison.out);
    return -1;
}

/* ── the command ─────────────────────────────────────────────────── */

/* Are as many files named as the command needs? */
static int check_files(const struct baseline_options *o, struct error *err) {
    int files = o->rest.argc - o->rest.rest;
    const char *expected = NULL;
    if (o->command == BASELINE_LEARN && files < 1) expected = "learn: which captures or records?";
    if (o->command == BASELINE_SHOW && files != 1) expected = "show: expected one profile";
    if (o->command == BASELINE_COMPARE && files < 2)
        expected = "compare: expected a profile, then what is compared with it";
    return expected ? error_set(err, "baseline %s (try: lunette baseline --help)", expected) : 0;
}

static int run(struct baseline_options *o, struct error *err) {
    struct values *values = session_values(&o->rest, err);
    if (!values) return -1;
    int outcome;
    if (value_flag(values, OPTION_HELP)) {
        struct buffer b = {.at = NULL};
        buffer_string(&b, about);
        outcome = print_out(&b);
    } else {
        outcome = check_files(o, err);
        if (outcome == 0) outcome = rig_values_check("baseline", taken, &o->rest, values, err);
        if (outcome == 0 && o->command == BASELINE_LEARN) outcome = learn(o, values, err);
        if (outcome == 0 && o->command == BASELINE_SHOW) outcome = show(o, err);
        if (outcome == 0 && o->command == BASELINE_COMPARE) outcome = compare(o, values, err);
    }
    values_free(values);
    return outcome;
}

int cli_baseline(int argc, char **argv) {
    struct error err = {.text = ""};
    struct baseline_options options;
    int outcome = baseline_options_read(&options, argc, argv, &err);
    if (outcome == 0 && options.help) {
        struct buffer b = {.at = NULL};
        buffer_string(&b, about);
        return print_out(&b);
    }
    if (outcome == 0) outcome = run(&options, &err);
    if (outcome >= 0) return outcome;
    log_failure(err.text);
    return EXIT_WRONG_USE;
}
