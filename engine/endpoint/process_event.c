/* See process_event.h. What the line itself says comes first; what it does not say, the table may know: an
 * exit names its process by the pid alone. */
#include "endpoint/process_event.h"

#include <string.h>

enum { EVENT_ARGUMENTS = 256 };

static struct text_ref text_of(struct batch *batch, struct span text) {
    return batch_text(batch, text.at, text.length);
}

static struct list_ref arguments_list(struct batch *batch, struct span arguments) {
    struct text_ref list[EVENT_ARGUMENTS];
    uint32_t count = 0;
    const char *at = arguments.at, *end = at ? at + arguments.length : NULL;
    while (at < end && count < EVENT_ARGUMENTS) {
        size_t length = strnlen(at, (size_t)(end - at));
        list[count++] = batch_text(batch, at, length);
        at += length + 1;
    }
    return batch_list(batch, list, count);
}

static struct list_ref ancestors_list(struct batch *batch, const char *const ancestors[PROGRAM_ANCESTORS]) {
    struct text_ref list[PROGRAM_ANCESTORS];
    uint32_t count = 0;
    while (count < PROGRAM_ANCESTORS && ancestors[count]) {
        list[count] = batch_string(batch, ancestors[count]);
        count++;
    }
    return batch_list(batch, list, count);
}

static const char *word_of(struct words *words, struct span text) {
    return text.at ? words_keep(words, text.at, text.length) : NULL;
}

static void head_fill(struct event_head_body *head, const struct host *host, const struct news *news,
                      const struct program *program, struct words *words) {
    head->time = news->time;
    if (host->address_count) head->client_ip = host->addresses[0];
    head->client_local = 1;
    head->program = head->process = program->name;
    head->pid = (uint32_t)program->pid;
    head->path = program->path;
    head->parent = program->ancestors[0];
    head->ancestry = program_ancestry(words, program->ancestors);
}

static struct text_ref host_name(struct batch *batch, const struct host *host, const struct news *news) {
    char text[IP_TEXT_SIZE];
    if (news->host.at) return text_of(batch, news->host);
    if (!host->address_count) return batch_string(batch, "capturing host");
    return batch_text(batch, text, (size_t)ip_format(&host->addresses[0], text));
}

bool process_event_make(struct batch *batch, struct process_table *table, struct words *words,
                        const struct host *host, const struct news *news, const struct process *process) {
    bool about_image = news->action == NEWS_EXEC || news->action == NEWS_FORK;
    const struct image *image = about_image ? &news->image : &news->actor;
    struct program program = {.pid = image->pid};
    if (process) process_table_describe(table, process, &program);
    struct event_process *e = batch_begin(batch, EVENT_process);
    if (!e) return false;
    if (!program.name) program.name = word_of(words, image_name(image));
    if (!program.path) program.path = word_of(words, image->path);
    head_fill(&e->head, host, news, &program, words);
    struct event_process_body *body = &e->body;
    const struct process *parent = process ? process_table_parent(table, process) : NULL;
    int32_t parent_pid = process ? process->parent_pid : image->parent_pid;
    body->action = news_action_name(news->action);
    body->source = news_source_name(news->source);
    body->parent_pid = parent_pid > 0 ? (uint32_t)parent_pid : 0;
    body->parent_path = parent ? parent->path : NULL;
    body->ancestors = ancestors_list(batch, program.ancestors);
    body->responsible = program.responsible;
    body->arguments = arguments_list(batch, news->arguments);
    body->cwd = text_of(batch, news->cwd);
    body->signing_id = program.signing_id ? program.signing_id : word_of(words, image->signing_id);
    body->team_id = program.team_id ? program.team_id : word_of(words, image->team_id);
    body->cdhash = text_of(batch, image->cdhash);
    body->platform = program.platform ? program.platform : image->platform;
    body->uid = process ? process->uid : image->uid;
    body->username = text_of(batch, news->username);
    body->exit_status = news->exit_status;
    body->exit_signal = news->exit_signal;
    body->uuid = text_of(batch, news->uuid);
    body->host = host_name(batch, host, news);
    batch_commit(batch);
    return true;
}
