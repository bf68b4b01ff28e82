/* `lunette top`: once a second asks the sensor and draws cli/top_view.h's grid with ncurses. A sensor that
 * goes away is said on the screen and asked again; --once prints the grid and ends. */
#include "base/time.h"
#include "cli/cli.h"

#include "base/log.h"
#include "cli/client.h"
#include "cli/print.h"
#include "cli/top_view.h"
#include "sensor/control_path.h"

#include <curses.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: lunette top [--socket PATH] [--once]\n"
    "\n"
    "A running sensor on a screen, once a second: rates and drops, the busiest hosts and names, the\n"
    "detectors and what they cost, the latest alerts. Press h for the keys.\n"
    "\n"
    "  -s, --socket PATH   its control socket (default: $LUNETTE_SOCKET, else where a sensor of\n"
    "                      yours puts it)\n"
    "      --once          print one screen as plain text and end\n"
    "  -h, --help\n"
    "\n"
    "Exit code: 0 fine, 1 the sensor is not there (--once) or the terminal cannot be used, 2 wrong "
    "use.\n";

enum { OPTION_ONCE = 256, ONCE_ROWS = 24, ONCE_COLUMNS = 80 };

static atomic_bool interrupted; /* written by the signal handler alone */

static void on_interrupt(int signal_number) {
    (void)signal_number;
    atomic_store(&interrupted, true);
}

/* A reload may take longer than a screen may stand still. */
struct reload {
    pthread_t thread;
    const char *path;
    bool started;
    atomic_bool done;
    char outcome[256];
};

struct top {
    char path[CONTROL_PATH_SIZE];
    struct top_view view;
    struct screen screen;
    struct reload reload;
};

/* ── asking ──────────────────────────────────────────────────────── */

static int fetch(struct top *top, struct error *err) {
    struct client_answer answer;
    if (client_ask(top->path, "GET", "/top", 3, &answer, err) != 0) return -1;
    int result;
    if (answer.status == 200) {
        result = top_view_feed(&top->view, answer.body, err);
    } else {
        char text[256];
        result = error_set(err, "%s", client_complaint(&answer, text, sizeof text));
    }
    client_answer_free(&answer);
    return result;
}

static void *run_reload(void *context) {
    struct reload *reload = context;
    struct client_answer answer;
    struct error err = {0};
    char text[200];
    if (client_ask(reload->path, "POST", "/reload", 120, &answer, &err) != 0) {
        snprintf(reload->outcome, sizeof reload->outcome, "Not reloaded: %.200s", err.text);
    } else {
        json_t *root = json_loads(answer.body, 0, NULL);
        const char *summary = json_string_value(json_object_get(root, "summary"));
        if (answer.status == 200)
            snprintf(reload->outcome, sizeof reload->outcome, "Reloaded: %.200s", summary ? summary : "");
        else
            snprintf(reload->outcome, sizeof reload->outcome, "Not reloaded: %.200s",
                     client_complaint(&answer, text, sizeof text));
        json_decref(root);
        client_answer_free(&answer);
    }
    atomic_store(&reload->done, true);
    return NULL;
}

static void start_reload(struct top *top) {
    struct reload *reload = &top->reload;
    if (reload->started) return;
    reload->path = top->path;
    atomic_store(&reload->done, false);
    reload->started = pthread_create(&reload->thread, NULL, run_reload, reload) == 0;
    snprintf(top->view.message, sizeof top->view.message, "%s",
             reload->started ? "Reloading." : "Not reloaded: cannot start a thread");
}

static void look_at_reload(struct top *top) {
    struct reload *reload = &top->reload;
    if (!reload->started || !atomic_load(&reload->done)) return;
    pthread_join(reload->thread, NULL);
    reload->started = false;
    memcpy(top->view.message, reload->outcome, sizeof top->view.message);
}

/* ── the terminal ────────────────────────────────────────────────── */

static attr_t attribute_of(uint8_t ink) {
    static const attr_t plain[] = {A_NORMAL, A_BOLD, A_DIM, A_BOLD, A_NORMAL, A_NORMAL, A_NORMAL, A_REVERSE};
    static const short pairs[] = {0, 0, 0, 1, 2, 3, 4, 0};
    return plain[ink] | (attr_t)COLOR_PAIR(pairs[ink]);
}

static void start_colours(void) {
    const char *no_color = getenv("NO_COLOR");
    if ((no_color && no_color[0]) || !has_colors()) return;
    start_color();
    short back = use_default_colors() == OK ? -1 : COLOR_BLACK;
    init_pair(1, COLOR_RED, back);
    init_pair(2, COLOR_YELLOW, back);
    init_pair(3, COLOR_CYAN, back);
    init_pair(4, COLOR_GREEN, back);
}

static bool is_unicode(void) {
    setlocale(LC_CTYPE, "");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* ncurses sends to the terminal only what has changed. */
static void paint(struct top *top) {
    struct screen *s = &top->screen;
    if (screen_size(s, LINES > 0 ? (uint32_t)LINES : 1, COLS > 0 ? (uint32_t)COLS : 1) != 0) return;
    top_view_draw(&top->view, s);
    erase();
    for (uint32_t row = 0; row < s->rows; row++) {
        move((int)row, 0);
        for (uint32_t column = 0; column < s->columns; column++) {
            const struct screen_cell *cell = &s->cells[(size_t)row * s->columns + column];
            attrset(attribute_of(cell->ink));
            addstr(cell->text);
        }
    }
    refresh();
}

static void scroll_by(struct top_view *view, int rows) {
    uint32_t *scroll = &view->scroll[view->focus == FOCUS_ALL ? FOCUS_ALERTS : view->focus];
    if (rows < 0 && (uint32_t)-rows > *scroll)
        *scroll = 0;
    else
        *scroll += (uint32_t)rows;
}

/* False: quit. */
static bool on_key(struct top *top, int key) {
    struct top_view *view = &top->view;
    if (key == ERR || key == KEY_RESIZE) return true;
    if (view->asking) {
        view->asking = false;
        if (key == 'y' || key == 'Y') start_reload(top);
        return true;
    }
    if (!top->reload.started) view->message[0] = '\0';
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case 'p':
    case ' ':
        view->paused = !view->paused;
        break;
    case 'h':
    case '?':
        view->help = !view->help;
        break;
    case 27: /* escape */
        view->help = false;
        break;
    case 'r':
        view->asking = !top->reload.started;
        break;
    case '\t':
        view->help = false;
        view->focus = (view->focus + 1) % FOCUS_COUNT;
        break;
    case KEY_BTAB:
        view->help = false;
        view->focus = (view->focus + FOCUS_COUNT - 1) % FOCUS_COUNT;
        break;
    case '1':
    case '2':
    case '3':
    case '4':
        view->help = false;
        view->focus = (enum top_focus)(key - '1');
        break;
    case KEY_UP:
    case 'k':
        scroll_by(view, -1);
        break;
    case KEY_DOWN:
    case 'j':
        scroll_by(view, 1);
        break;
    case KEY_PPAGE:
        scroll_by(view, -10);
        break;
    case KEY_NPAGE:
        scroll_by(view, 10);
        break;
    case KEY_HOME:
        scroll_by(view, -1000000);
        break;
    default:
        break;
    }
    return true;
}

static double monotonic(void) {
    return ns_to_seconds(time_monotonic());
}

static void show(struct top *top) {
    double next = 0;
    while (!atomic_load(&interrupted)) {
        struct error err = {0};
        double now = monotonic();
        if (now >= next) {
            next = now + 1;
            if (!top->view.paused && fetch(top, &err) != 0)
                snprintf(top->view.gone, sizeof top->view.gone, "%.250s", err.text);
        }
        look_at_reload(top);
        paint(top);
        double wait = (next - monotonic()) * 1000;
        timeout(top->reload.started && wait > 100 ? 100 : wait > 0 ? (int)wait + 1 : 0);
        if (!on_key(top, getch())) break;
    }
}

static int run_screen(struct top *top) {
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    SCREEN *terminal = newterm(NULL, stdout, stdin);
    if (!terminal) {
        log_failure("top: the terminal cannot be used (TERM is unset or unknown); try: lunette top --once");
        return EXIT_SOMETHING_FAILED;
    }
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    set_escdelay(100);
    curs_set(0);
    start_colours();
    show(top);
    endwin();
    delscreen(terminal);
    return EXIT_FINE;
}

/* ── once ────────────────────────────────────────────────────────── */

static int run_once(struct top *top) {
    struct error err = {0};
    struct buffer b = {0};
    struct winsize size = {0};
    if (fetch(top, &err) != 0) {
        log_failure(err.text);
        return EXIT_SOMETHING_FAILED;
    }
    top->view.once = true;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 && size.ws_row >= 16;
    if (screen_size(&top->screen, known ? size.ws_row - 1u : ONCE_ROWS, known ? size.ws_col : ONCE_COLUMNS) !=
        0) {
        log_failure("top: out of memory");
        return EXIT_SOMETHING_FAILED;
    }
    top_view_draw(&top->view, &top->screen);
    for (uint32_t row = 0; row < top->screen.rows; row++) {
        screen_row_text(&top->screen, row, &b);
        buffer_char(&b, '\n');
    }
    return print_out(&b);
}

static int complain(const char *what, const char *given) {
    fprintf(stderr, "lunette top: %s%s (try: lunette top --help)\n", what, given);
    return EXIT_WRONG_USE;
}

int cli_top(int argc, char **argv) {
    static const struct option long_options[] = {{"socket", required_argument, NULL, 's'},
                                                 {"once", no_argument, NULL, OPTION_ONCE},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {NULL, 0, NULL, 0}};
    const char *socket = NULL;
    bool once = false;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "s:h", long_options, NULL)) != -1;) {
        if (option == 's') {
            socket = optarg;
        } else if (option == OPTION_ONCE) {
            once = true;
        } else if (option == 'h') {
            fputs(usage, stdout);
            return EXIT_FINE;
        } else {
            return complain("unknown option or missing value: ", argv[optind - 1]);
        }
    }
    if (optind < argc) return complain("takes no such word: ", argv[optind]);
    struct top top = {.screen.unicode = is_unicode()};
    struct error err = {0};
    if (control_path_for_client(socket, top.path, &err) != 0) {
        log_failure(err.text);
        return EXIT_WRONG_USE;
    }
    if (!once && (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)))
        return complain("needs a terminal; for one screen as text use --once", "");
    int result = once ? run_once(&top) : run_screen(&top);
    if (top.reload.started) {
        pthread_detach(top.reload.thread); /* the sensor goes on with it; the process ends with main() */
        _exit(result);
    }
    top_view_free(&top.view);
    screen_free(&top.screen);
    return result;
}
