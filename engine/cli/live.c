/* `lunette live`: options and configuration in; the sensor runs in a process of its own, under the
 * supervisor. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/fill.h"
#include "cli/session.h"

static const char about[] =
    "usage: lunette live [options] -i INTERFACE...\n"
    "\n"
    "Watches interfaces for as long as it is let, runs the detectors and writes alerts and records.\n"
    "SIGHUP reloads scripts and configuration, SIGUSR1 begins new files, SIGTERM ends it in good order.\n";

struct service {
    struct invocation invocation;
    struct values *values; /* as of the start */
};

static int wrong_use(const struct error *err) {
    log_failure(err->text);
    return EXIT_WRONG_USE;
}

/* In the sensor's process. One that was started again works by the configuration as it is now, if that is
 * sound: a mistake made since the start must not end the service. */
static int sensor(void *context, const struct supervised *self) {
    struct service *service = context;
    struct error err = {.text = ""};
    struct values *values = service->values;
    if (self->restarts > 0) {
        struct values *now = session_values(&service->invocation, &err);
        if (now) {
            values_free(values);
            values = now;
        } else {
            log_line(LOG_ERROR, "started anew with the old configuration: %s", err.text);
        }
        if (fill_log(values, &err) < 0) log_line(LOG_ERROR, "%s", err.text);
    }
    service->values = NULL;
    return session_run(&service->invocation, values, self);
}

static int service_run(struct service *service) {
    static const struct supervised nobody = {.descriptor = -1};
    struct error err = {.text = ""};
    if (service->values->of[OPTION_INTERFACE].count == 0) {
        error_set(&err, "live: which interface? (try: lunette live -i any, or lunette live --help)");
        return wrong_use(&err);
    }
    if (fill_log(service->values, &err) < 0) return wrong_use(&err);
    if (value_flag(service->values, OPTION_NO_SUPERVISOR)) return sensor(service, &nobody);
    const struct supervisor_options options = {
        .silence_limit = value_number(service->values, OPTION_STALL_LIMIT),
        .first_wait = 0.1,
        .longest_wait = 60,
    };
    if (privilege_reduce(&err) < 0) {
        log_failure(err.text);
        return EXIT_SOMETHING_FAILED;
    }
    return supervisor_run(&options, sensor, service);
}

int cli_live(int argc, char **argv) {
    struct error err = {.text = ""};
    struct service service = {.invocation = {.command = FOR_LIVE, .argc = argc, .argv = argv}};
    service.values = session_values(&service.invocation, &err);
    if (!service.values) return wrong_use(&err);
    int outcome;
    if (value_flag(service.values, OPTION_HELP))
        outcome = session_help(FOR_LIVE, about);
    else if (value_flag(service.values, OPTION_CHECK_CONFIG))
        outcome = session_check(FOR_LIVE, service.values);
    else
        outcome = service_run(&service);
    values_free(service.values);
    return outcome;
}
