/* What launchd starts by itself that uses the network by a tool, or sets how the network is used:
 * LaunchDaemons and LaunchAgents outside /System (launchd.plist(5)). An app's own helper is no business of
 * this file; a shell, an interpreter or a tool is, since that is what implants that live in scripts look
 * like, and what changes proxies behind a user's back. */
#include "audit/inner.h"

#include <string.h>

struct agent {
    const char *file, *label, *command; /* the command: program and arguments, blanks between them */
    char program[PATH_ROOM];            /* its last component */
    bool sets, pipes, fetches, tunnels, inlined, hidden, apples;
};

/* ── a command ───────────────────────────────────────────────────── */

static bool is_word_end(char c) {
    return c == '\0' || strchr(" \t\n;|&()'\"`$/", c);
}

/* Is one of the words in the command, as a program would be? */
static bool runs(const char *command, const char *words) {
    char word[32];
    for (const char *at = words; *at;) {
        size_t length = strcspn(at, " ");
        say(word, sizeof word, "%.*s", (int)length, at);
        for (const char *found = command; (found = strstr(found, word)); found++)
            if ((found == command || is_word_end(found[-1])) && is_word_end(found[length])) return true;
        at += length + strspn(at + length, " ");
    }
    return false;
}

static const char *const shells = "sh bash zsh dash ksh tcsh csh";
static const char *const interpreters = "python python2 python3 perl ruby osascript node php";
static const char *const fetchers = "curl wget nscurl ftp tftp scp sftp";
static const char *const pipes =
    "nc ncat netcat socat ssh autossh telnet openssl chisel frpc ngrok cloudflared gost";
static const char *const setters =
    "networksetup scutil pfctl ipconfig route defaults dscacheutil mDNSResponder dnscrypt-proxy";

static bool sets_network(const char *command) {
    static const char *const words[] = {"-setwebproxy",
                                        "-setsecurewebproxy",
                                        "-setsocksfirewallproxy",
                                        "-setautoproxyurl",
                                        "-setdnsservers",
                                        "-setproxyautodiscovery",
                                        "-setsearchdomains",
                                        "State:/Network",
                                        "Setup:/Network",
                                        "pfctl",
                                        "/etc/hosts",
                                        "/etc/resolver",
                                        "SystemConfiguration"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(command, words[i])) return true;
    return runs(command, "networksetup");
}

static bool pipes_into_shell(const char *command) {
    const char *bar = strchr(command, '|');
    bool decoded =
        strstr(command, "base64 -d") || strstr(command, "base64 -D") || strstr(command, "base64 --decode");
    for (; bar; bar = strchr(bar + 1, '|'))
        if (runs(bar, shells) || runs(bar, interpreters)) return true;
    if (strstr(command, "eval") && (runs(command, fetchers) || decoded)) return true;
    return decoded || strstr(command, "/dev/tcp/") || strstr(command, "$(curl") || strstr(command, "`curl");
}

static bool is_hidden_place(const char *command) {
    return strstr(command, "/tmp/") || strstr(command, "/var/folders/") ||
           strstr(command, "/Users/Shared/") || strstr(command, "/.");
}

static void look(struct agent *agent) {
    const char *command = agent->command;
    agent->sets = sets_network(command);
    agent->pipes = pipes_into_shell(command);
    agent->fetches = runs(command, fetchers);
    agent->tunnels = runs(command, pipes);
    agent->inlined =
        (runs(agent->program, shells) && strstr(command, " -c")) ||
        (runs(agent->program, interpreters) && (strstr(command, " -c") || strstr(command, " -e")));
    agent->hidden = is_hidden_place(command);
    agent->apples = strncmp(agent->label, "com.apple.", 10) == 0;
}

static void weigh(const struct audit *audit, const struct agent *agent) {
    char why[WHY_ROOM];
    bool interpreted = runs(agent->program, shells) || runs(agent->program, interpreters);
    bool daemon = strstr(agent->file, "/LaunchDaemons/") != NULL;
    struct finding finding = {.severity = "low",
                              .title = "A script is started by launchd",
                              .file = agent->file,
                              .key = "ProgramArguments",
                              .next = "Who installed it? Look at what it runs, whom that talked to since the "
                                      "file's time, and its signature",
                              .attack = daemon ? "T1543.004" : "T1543.001",
                              .about = "agents"};
    if (agent->pipes && (agent->fetches || agent->tunnels || interpreted))
        finding.severity = "high", finding.title = "What launchd starts fetches code and runs it";
    else if (agent->sets && !agent->apples)
        finding.severity = "high", finding.title = "What launchd starts changes how the network is used";
    else if (agent->tunnels)
        finding.severity = "medium", finding.title = "What launchd starts opens a connection of its own";
    else if (agent->fetches)
        finding.severity = "medium", finding.title = "What launchd starts fetches something by a tool";
    else if (interpreted && (agent->inlined || agent->hidden))
        finding.severity = "medium",
        finding.title = "What launchd starts is a script in the line, or in a hidden place";
    if (agent->apples) finding.severity = strcmp(finding.severity, "low") == 0 ? "medium" : "high";
    finding.why = say(why, sizeof why, "%.200s: %.500s%s", agent->label, agent->command,
                      agent->apples ? "; the name is Apple's, whose own lie in /System" : "");
    audit_find(audit, &finding);
}

/* ── files ───────────────────────────────────────────────────────── */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void read_agent(struct audit *audit, const char *file) {
    char command[2048] = "";
    size_t used = 0, i;
    json_t *item, *entry;
    plist_t root = audit_plist(audit, file, false);
    if (!plist_is(root, PLIST_DICT)) {
        if (root) plist_free(root);
        return;
    }
    json_t *label = plist_text(root, "Label"), *program = plist_text(root, "Program");
    json_t *arguments = plist_texts(root, "ProgramArguments", TEXTS_MOST);
    struct agent agent = {
        .file = file, .label = label ? json_string_value(label) : "(no label)", .command = command};
    json_array_foreach(arguments, i, item) {
        say(command + used, sizeof command - used, "%s%s", used ? " " : "", json_string_value(item));
        used += strlen(command + used);
    }
    if (program && json_array_size(arguments) == 0)
        say(command, sizeof command, "%s", json_string_value(program));
    const char *first = program                      ? json_string_value(program)
                        : json_array_size(arguments) ? json_string_value(json_array_get(arguments, 0))
                                                     : "";
    say(agent.program, sizeof agent.program, "%s", base_name(first));
    look(&agent);
    bool interesting = agent.sets || agent.pipes || agent.fetches || agent.tunnels ||
                       runs(agent.program, shells) || runs(agent.program, interpreters) ||
                       runs(agent.program, setters) || agent.apples;
    if (interesting) {
        entry = json_object();
        set_text(entry, "label", agent.label);
        set_text(entry, "program", first);
        json_object_set(entry, "arguments", arguments);
        set_text(entry, "command", command);
        set_text(entry, "file", file);
        set_owned(entry, "run_at_load", json_boolean(plist_number(root, "RunAtLoad", 0)));
        int64_t interval = plist_number(root, "StartInterval", 0);
        if (interval > 0) set_owned(entry, "interval", json_integer(interval));
        set_owned(entry, "disabled", json_boolean(plist_number(root, "Disabled", 0)));
        audit_add(audit, "agents", entry);
        weigh(audit, &agent);
    }
    json_decref(label);
    json_decref(program);
    json_decref(arguments);
    plist_free(root);
}

static void read_folder(struct audit *audit, const char *folder) {
    char **names, file[PATH_ROOM];
    size_t count = audit_names(audit, folder, &names);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (length < 7 || strcmp(names[i] + length - 6, ".plist") != 0) continue;
        say(file, sizeof file, "%.700s/%.256s", folder, names[i]);
        read_agent(audit, file);
    }
    tree_names_free(names, count);
}

void read_agents(struct audit *audit) {
    char **users, folder[PATH_ROOM];
    read_folder(audit, "/Library/LaunchDaemons");
    read_folder(audit, "/Library/LaunchAgents");
    size_t count = audit_names(audit, "/Users", &users);
    for (size_t i = 0; i < count && i < 256; i++) {
        say(folder, sizeof folder, "/Users/%.255s/Library/LaunchAgents", users[i]);
        read_folder(audit, folder);
    }
    tree_names_free(users, count);
    read_folder(audit, "/var/root/Library/LaunchAgents");
}
