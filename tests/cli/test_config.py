"""lunette.lua and the options of `live`: every option has a key, mistakes are told with their lines, the file can do
nothing but compute, and the command line comes first. All through --check-config, which needs no interface."""
import os
import pathlib
import plistlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "corpus"))
from captures import EXAMPLES, LUNETTE, needs_lunette, replay, run  # noqa: E402

pytestmark = needs_lunette

SERVICE = EXAMPLES / "service"
COMMAND_LINE_ONLY = {"config", "check-config", "events", "help", "watch"}
DETECTOR = """local lunette = require "lunette"
lunette.detector { title = "Test", category = "Test" }
local t = lunette.tunables { score = 1, few = 2 }
lunette.on("flow", function() end)
"""


@pytest.fixture
def config(tmp_path):
    """Writes lunette.lua in a folder of its own and returns its path."""
    def write(text):
        path = tmp_path / "conf" / "lunette.lua"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def check(path, *arguments, command="live", **options):
    """The shipped detectors are loaded only where something is said of detectors."""
    file = pathlib.Path(options.get("cwd", "."), path)
    said = (file.read_text(errors="replace") if file.is_file() else "") + " ".join(map(str, arguments))
    without = [] if re.search(r"script|\bset\b|-s\b", said) else ["--no-scripts"]
    return run(command, "--config", path, "--check-config", *without, *arguments, **options)


def in_force(done):
    """{key: (Lua text of its value, who said so)} of what --check-config printed."""
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.decode().splitlines() if not line.startswith("--")]
    matches = [re.fullmatch(r"(\w+) = (.*?) +-- (.*)", line) for line in lines]
    return {match[1]: (match[2], match[3]) for match in matches}


def mistakes(done, path):
    """[(line, what)] in the order in which they were told; None for a mistake of the file as a whole."""
    assert done.returncode == 2 and done.stdout == b""
    told = []
    for line in done.stderr.decode().splitlines():
        match = re.fullmatch(rf"(?:lunette: |    ){re.escape(str(path))}(?::(\d+))?: (.*)", line)
        assert match, line
        told.append((int(match[1]) if match[1] else None, match[2]))
    return told


def options_of(command):
    """{option: its argument's name, or None} of the help."""
    text = run(command, "--help").stdout.decode()
    return {m[1]: m[2] for m in re.finditer(r"^  (?:-\w|  )[, ] --([\w-]+)(?: (\S+))?(?:  |$)", text, re.M)}


# ------------------------------------------------------------------- the help
@pytest.mark.parametrize("command", ["replay", "live"])
def test_the_help_fits_in_100_columns_and_names_each_option_once(command):
    done = run(command, "--help")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0 and max(map(len, lines)) <= 100
    named = [m[1] for line in lines if (m := re.match(r"  (?:-\w,|   ) --([\w-]+)", line))]
    assert len(named) == len(set(named)) > 20
    headings = [line for line in lines if re.fullmatch(r"\w.*:", line)]
    assert len(headings) == len(set(headings)) > 3


def test_live_has_what_an_operator_looks_for():
    wanted = """interface script no-scripts set output rotate-size rotate-every rotate-keep spool spool-size record filter
        workers dealing ring snap-length no-promiscuous home-net max-flows script-memory script-time batch user no-seccomp control
        metrics state state-every stats-every no-watch pcap-on-alert pcap-before pcap-after pcap-file-size pcap-files
        pcap-ring host-log host-clock-offset audit log-level log-format log no-alerts quiet summary color config check-config no-supervisor stall-limit"""
    assert set(wanted.split()) <= set(options_of("live"))
    assert {"pace", "control", "metrics", "state", "no-watch", "stats-every", "pcap-on-alert"} <= set(options_of("replay"))


# ------------------------------------------------------------------- the keys
@pytest.mark.parametrize("command", ["replay", "live"])
def test_every_option_has_its_key(command, config):
    """A value of no option's kind, a function, is a mistake of type under the option's key: so the key is known."""
    keys = [option.replace("-", "_") for option in options_of(command) if option not in COMMAND_LINE_ONLY]
    for key in keys:
        path = config(f"\n{key} = function() end\n")
        (line, what), = mistakes(check(path, command=command), path)
        assert line == 2 and what.startswith(f"{key}: expected ") and what.endswith("got a function")
    printed = in_force(check(config(""), command=command))
    assert set(keys) == set(printed)


@pytest.mark.parametrize("key", sorted(COMMAND_LINE_ONLY))
def test_what_the_command_line_alone_has_is_no_key(key, config):
    path = config(f"{key.replace('-', '_')} = true")
    assert "command line" in mistakes(check(path), path)[0][1]


@pytest.mark.parametrize("text, key, value", [
    ('interface = "en0"', "interface", '{ "en0" }'),
    ('interface = { "en0", "utun*" }', "interface", '{ "en0", "utun*" }'),
    ("workers = 2", "workers", "2"),
    ("workers = 1 + 1", "workers", "2"),
    ('ring = "1GiB"', "ring", "1024"),
    ("ring = 128", "ring", "128"),
    ('ring = "8192 KiB"', "ring", "8"),
    ('rotate_every = "1h"', "rotate_every", "3600"),
    ('stats_every = "500ms"', "stats_every", "0.5"),
    ("stats_every = 0", "stats_every", "0"),
    ("no_watch = true", "no_watch", "true"),
    ("no_watch = false", "no_watch", "false"),
    ('dealing = "share"', "dealing", '"share"'),
    ('record = { "dns", "alert" }', "record", '{ "dns", "alert" }'),
    ('record = "dns,alert"', "record", '{ "dns", "alert" }'),
    ('home_net = { "10.0.0.0/8", "fd00::/8" }', "home_net", '{ "10.0.0.0/8", "fd00::/8" }'),
    ('filter = "tcp port 80"', "filter", '"tcp port 80"'),
    ('log = "/a\\"b\\\\c"', "log", '"/a\\"b\\\\c"'),
    ('metrics = "[::1]:9177"', "metrics", '"[::1]:9177"'),
    ('log_level = "debug"', "log_level", '"debug"'),
    ("user = nil", "user", "nil"),
    ('workers = tonumber(("x7"):match("%d"))', "workers", "7"),
    ('interface = {} table.insert(interface, "lo")', "interface", '{ "lo" }'),
    ("for i = 3, 5 do workers = i end", "workers", "5"),
    ("local n = 3 workers = n max_flows = workers * 1000", "max_flows", "3000"),
    ('user = env("LUNETTE_TEST_USER")', "user", '"nobody"'),
    ('user = env("LUNETTE_TEST_NOT_THERE") or "nobody"', "user", '"nobody"'),
])
def test_values(text, key, value, config):
    done = check(config(text), env={**os.environ, "LUNETTE_TEST_USER": "nobody"})
    assert in_force(done)[key][0] == value


def test_settings_reach_the_detector(config, tmp_path):
    """Numbers, strings, true and false, lists: as the detector sees them."""
    detector = tmp_path / "conf" / "mine.lua"
    path = config('script = "mine.lua" '
                  'set = { mine = { score = 4.5, name = "a=b.c", on = true, off = false, list = { "x", "y" } } }')
    detector.write_text("""local lunette = require "lunette"
lunette.detector { title = "Test", category = "Test" }
local t = lunette.tunables { score = 1, name = "n", on = false, off = true, list = { "" }, other = 7 }
lunette.on("flow", function() end)
lunette.log(("%s %s %s %s %s %s"):format(t.score, t.name, t.on, t.off, table.concat(t.list, "+"), t.other))
""")
    done = replay("--config", path, EXAMPLES / "tools.pcap")
    assert done.returncode == 0 and b"4.5 a=b.c true false x+y 7" in done.stderr


def test_what_is_printed_is_a_configuration_that_says_the_same(config, tmp_path):
    first = check(config("""interface = { "en0", "utun*" } workers = 2 ring = "1GiB" rotate_every = "1h"
        set = { beacon = { score = 4, few = 9 }, lolbin = { large = 5 } } output = { "/x/eve.json", "tcp:[::1]:9000", "-" }
        home_net = "10.0.0.0/8" no_watch = true pcap_file_size = 0.5 log_level = "debug" control = "none" """))
    again = tmp_path / "again.lua"
    again.write_bytes(first.stdout)
    strip = {key: value for key, (value, _) in in_force(first).items()}
    assert strip == {key: value for key, (value, _) in in_force(check(again)).items()}
    assert strip["set"].count('["beacon"]') == 1


def test_it_says_who_said_so(config):
    told = in_force(check(config("\n\nworkers = 2\n"), "--batch", "7"))
    assert told["workers"][1] == "line 3" and told["batch"][1] == "command line"
    assert told["ring"][1] == "default" and told["user"][1] == "not set"


# --------------------------------------------------------------------- mistakes
@pytest.mark.parametrize("text, told", [
    ("interfce = 1", "'interfce', did you mean 'interface'?"),
    ("Workers = 1", "did you mean 'workers'?"),
    ("my_own_thing = 1", "local my_own_thing"),
    ("workers = 0", "workers: expected a number from 1 to 64, got '0'"),
    ("workers = 65", "1 to 64"),
    ("workers = 1.5", "got '1.5'"),
    ("workers = 0/0", "1 to 64"),
    ("workers = math.huge", "1 to 64"),
    ('workers = "2"', "workers: expected a number from 1 to 64, got the string '2'"),
    ("workers = { 2 }", "got a table"),
    ("workers = true", "got a boolean"),
    ("ring = 3", "from 4 to 2048"),
    ('ring = "1TiB"', "from 4 to 2048"),
    ('ring = "lots"', "got 'lots'"),
    ('ring = "64 parsecs"', "got '64 parsecs'"),
    ("stats_every = -1", "got '-1'"),
    ('stats_every = "1y"', "got '1y'"),
    ("user = 5", "expected a string, got 5"),
    ('user = "a\\0b"', "zero byte"),
    ('user = ""', "got nothing"),
    ('no_watch = "yes"', "no_watch: expected true or false"),
    ("no_watch = 1", "expected true or false, got 1"),
    ('dealing = "fanot"', "expected fanout or share, got 'fanot', did you mean 'fanout'?"),
    ('color = "pink"', "auto, never or always"),
    ('log_level = "loud"', "error, warning, info or debug"),
    ('interface = { "a", 5 }', "interface[2]: expected a string, got a number"),
    ('interface = { "a", nil, "b" }', "without names"),
    ('interface = { "a", name = "b" }', "without names"),
    ("interface = 5", "expected a string, or a list"),
    ('record = { "dns", "dsn" }', "record[2]: there is no event 'dsn'"),
    ('home_net = "10.0.0.0/33"', "10.0.0.0/33"),
    ('filter = "frob ("', "frob ("),
    ('pace = "fast"', "expected max"),
    ('metrics = "9177"', "ADDR:PORT"),
    ('script = "nowhere.lua"', "nowhere.lua: No such file"),
    ("set = { beacon = 4 }", "set.beacon: expected a table for each detector"),
    ("set = { 4 }", "expected a table for each detector"),
    ("set = { beacon = { 4 } }", "set.beacon: expected names and values"),
    ("set = { beacon = { score = {{}} } }", "set.beacon.score: expected a number, a string"),
    ("set = { beacon = { score = math.abs } }", "got a function"),
    ('set = "beacon.score=4"', "set: expected a table for each detector"),
    ("set = { beacon = { scor = 4 } }", "set.beacon.scor: there is no such tunable; did you mean 'score'?"),
    ('set = { beacon = { score = "many" } }', "set.beacon.score: a number is expected, got 'many'"),
    ("set = { becon = { score = 4 } }", "set.becon.score: no detector of that name is loaded; did you mean 'beacon'?"),
    ('user = "nobody-of-that-name"', "user: there is no user"),
    ("stall_limit = 4", "stall_limit: expected 0, or seconds from 5 to 86400"),
])
def test_a_mistake_is_told_with_its_line(text, told, config):
    path = config(f"-- a comment\n\n{text}\nlocal fine = 1\n")
    (line, what), = mistakes(check(path), path)
    assert line == 3 and told in what


@pytest.fixture
def folders(tmp_path):
    """Folders of scripts beside the configuration's: `one` and `two` hold a detector of one name, `bad` a slip, `none`
    nothing."""
    for name in ("one", "two", "bad", "none"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "mine.lua").write_text(DETECTOR)
    (tmp_path / "two" / "mine.lua").write_text(DETECTOR)
    (tmp_path / "bad" / "good.lua").write_text(DETECTOR)
    (tmp_path / "bad" / "slip.lua").write_text(DETECTOR + "local x = = 2\n")
    return tmp_path


@pytest.mark.parametrize("command", ["live", "replay"])
@pytest.mark.parametrize("text, told", [
    ('script = { "../one", "../two" }', "two detectors are called mine"),
    ('script = "../none"', "script: no scripts in"),
    ('script = "../one" set = { mine = { scor = 4 } }', "set.mine.scor: there is no such tunable; did you mean 'score'?"),
    ('script = "../one" set = { beacon = { score = 4 } }', "set.beacon.score: no detector of that name"),
])
def test_detectors_are_loaded_too(text, told, command, config, folders):
    path = config(f"\n{text}\n")
    (line, what), = mistakes(check(path, command=command), path)
    assert line == 2 and told in what


@pytest.mark.parametrize("command", ["live", "replay"])
def test_a_detector_that_cannot_be_loaded_is_told_with_its_line(command, config, folders):
    done = check(config('script = "../bad"'), command=command)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 2 and done.stdout == b"" and len(lines) == 2
    assert "slip.lua:5: unexpected symbol" in lines[0] and "1 of 2 detectors" in lines[1]


def test_settings_of_the_command_line_are_told_as_such(config):
    done = check(config("set = { beacon = { score = 4 } }"), "--set", "beacon.scor=3")
    assert done.returncode == 2
    assert done.stderr == b"lunette: --set beacon.scor: there is no such tunable; did you mean 'score'?\n"


def test_an_interface_that_is_not_there_is_a_warning(config):
    """It may come later; a pattern that matches none, too."""
    done = check(config('interface = { "nowhere9", "nowhere*", "any" } quiet = true'))
    lines = done.stderr.decode().splitlines()
    assert in_force(done) and len(lines) == 2
    assert all("warning" in line and "nowhere" in line for line in lines)


def test_checking_opens_nothing(config, tmp_path):
    path = config('interface = "any" output = { "eve.json", "unix:s", "tcp:127.0.0.1:9" } state = "state" spool = "spool" '
                  'pcap_on_alert = "packets" control = "c.sock" log = "l" metrics = "127.0.0.1:9177"')
    assert in_force(check(path))
    assert [entry.name for entry in path.parent.iterdir()] == ["lunette.lua"]


@pytest.mark.parametrize("given, number", [("0", 0), ("5", 5), ("5s", 5), ("1m", 60)])
def test_the_stall_limit_is_zero_or_long_enough_to_be_kept(given, number, config):
    assert in_force(check(config(""), "--stall-limit", given))["stall_limit"][0] == str(number)
    assert check(config(""), "--stall-limit", "4.9").returncode == 2
    assert check(config(""), "--stall-limit", "500ms").returncode == 2


def test_all_mistakes_are_told_in_the_order_of_their_lines(config):
    path = config('workers = 0\nfrob = 1\nring = 64\ndealing = "x"\nno_watch = 1\n')
    assert [line for line, _ in mistakes(check(path), path)] == [1, 2, 4, 5]


def test_many_mistakes_are_counted(config):
    done = check(config("".join(f"frob{i} = 1\n" for i in range(500))))
    lines = done.stderr.decode().splitlines()
    told = int(re.fullmatch(r" +and (\d+) more", lines[-1])[1]) + len(lines) - 1
    assert done.returncode == 2 and told == 500


def test_a_mistake_in_a_long_path_is_told_with_the_whole_path(tmp_path):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    path = folder / "lunette.lua"
    path.write_text("workers = \n")
    assert mistakes(check(path), path)[0][1].startswith("unexpected symbol")


@pytest.mark.parametrize("what", ["missing", "folder", "bytecode", "huge", "wrong syntax"])
def test_what_is_no_configuration(what, config, tmp_path):
    path = config("workers = = 2")
    if what == "missing":
        path = tmp_path / "none.lua"
    elif what == "folder":
        path = tmp_path
    elif what == "bytecode":
        path.write_bytes(b"\x1bLJ\x02" + bytes(100))
    elif what == "huge":
        path.write_text("-- " + "x" * (1 << 20))
    done = check(path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and str(path) in done.stderr.decode()


def test_live_and_replay_say_the_same_and_begin_nothing(config, tmp_path):
    path = config("workers = 0")
    records = tmp_path / "records.jsonl"
    records.write_text("precious\n")
    for done in (replay("--config", path, "-o", records, EXAMPLES / "tools.pcap"), run("live", "--config", path, "-i", "lo")):
        assert mistakes(done, path)[0][0] == 1
    assert records.read_text() == "precious\n"


# ------------------------------------------------------------------- the sandbox
@pytest.mark.parametrize("text, line", [
    ("\nwhile true do end", 2),
    ("\n\nlocal function f() return f() end f()", 3),
    ("local t = {}\nfor i = 1, 1e9 do\n  t[1] = i\nend", None),
])
def test_an_endless_loop_ends(text, line, config):
    path = config(text)
    (told_line, what), = mistakes(check(path), path)
    assert "endless loop" in what and (line is None or told_line == line)


@pytest.mark.parametrize("text", [
    "local t = {} for i = 1, 1e9 do t[i] = {} end",
    'local s = ("x"):rep(1e9)',
    'local s = "x" while true do s = s .. s end',
    "interface = {} for i = 1, 1e8 do interface[i] = 'en' .. i end",
])
def test_memory_is_bounded(text, config):
    path = config(text)
    done = run("live", "--config", path, "--check-config")
    assert "MiB of memory" in mistakes(done, path)[0][1]


@pytest.mark.parametrize("name", ["io", "os", "require", "package", "debug", "load", "loadstring", "loadfile", "dofile",
                                  "ffi", "jit", "getfenv", "setfenv", "getmetatable", "setmetatable", "rawset", "pcall",
                                  "coroutine", "collectgarbage", "newproxy", "module", "_G", "print", "string.dump"])
def test_there_is_no_way_out(name, config):
    path = config(f'assert({name} == nil, "it is there")')
    assert check(path).returncode == 0


def test_deep_recursion_and_odd_errors_are_told(config):
    for text in ("local function f() return 1 + f() end f()", "error {}", "error()", "error('no', 0)", "nothing()"):
        path = config(text)
        assert len(mistakes(check(path), path)) == 1


# ------------------------------------------------------------ which one comes first
@pytest.mark.parametrize("arguments, key, value", [
    (["-w", "3"], "workers", "3"),
    (["--set", "lolbin.large=2"], "set", '{ ["lolbin"] = { ["large"] = "2", }, }'),
    (["-i", "lo"], "interface", '{ "lo" }'),
    (["-i", "lo", "--interface=any"], "interface", '{ "lo", "any" }'),
    (["lo", "any"], "interface", '{ "lo", "any" }'),
    (["--home-net", "192.0.2.0/24"], "home_net", '{ "192.0.2.0/24" }'),
    (["--home-net", "10.0.0.0/8", "--home-net", "192.0.2.0/24,192.0.3.1"], "home_net", '{ "192.0.2.0/24", "192.0.3.1" }'),
    (["--ring", "2GiB"], "ring", "2048"),
    (["--stats-every", "2m"], "stats_every", "120"),
    (["--no-watch=no"], "no_watch", "false"),
    (["--quiet"], "quiet", "true"),
    (["-q"], "quiet", "true"),
    ([], "workers", "2"),
])
def test_the_command_line_comes_first(arguments, key, value, config):
    path = config("""workers = 2 set = { beacon = { score = 4 } } interface = { "en0", "en1" } home_net = "10.0.0.0/8"
        ring = 64 stats_every = 7 no_watch = true""")
    assert in_force(check(path, *arguments))[key][0] == value


def test_a_script_named_on_the_command_line_outdoes_no_scripts(config, tmp_path):
    detector = tmp_path / "mine.lua"
    detector.write_text('local lunette = require "lunette"\nlunette.detector { title = "T", category = "T" }\n'
                        'lunette.on("flow", function() end) lunette.log("here")\n')
    path = config("no_scripts = true quiet = true")
    assert b"here" in replay("--config", path, "-s", detector, EXAMPLES / "tools.pcap").stderr
    path = config(f'script = "{detector}" quiet = true')
    assert b"here" not in replay("--config", path, "--no-scripts", EXAMPLES / "tools.pcap").stderr


def test_a_mistake_is_one_even_where_the_command_line_says_otherwise(config):
    path = config("workers = 0")
    assert check(path, "-w", "2").returncode == 2


# ------------------------------------------------------------------------ paths
@pytest.mark.parametrize("text, key, value", [
    ('output = "eve.json"', "output", '{ "CONF/eve.json" }'),
    ('output = { "file:a/b.json", "unix:s", "/abs/c", "-", "tcp:h:1", "syslog:", "syslog:unix:l", "syslog:udp:h:1" }',
     "output", '{ "file:CONF/a/b.json", "unix:CONF/s", "/abs/c", "-", "tcp:h:1", "syslog:", "syslog:unix:CONF/l", '
     '"syslog:udp:h:1" }'),
    ('output = "upd:h:1"', "output", '{ "upd:h:1" }'),  # no file, and refused when it is opened
    ('state = "s"', "state", '"CONF/s"'),
    ('spool = "../s"', "spool", '"CONF/../s"'),
    ('pcap_on_alert = "p"', "pcap_on_alert", '"CONF/p"'),
    ('control = "c.sock"', "control", '"CONF/c.sock"'),
    ('control = "none"', "control", '"none"'),
    ('log = "l"', "log", '"CONF/l"'),
    ('host_log = { "es.json", "192.168.1.2,fd00::2=es.json", "10.0.0.1=/abs/es.json", "-" }', "host_log",
     '{ "CONF/es.json", "192.168.1.2,fd00::2=CONF/es.json", "10.0.0.1=/abs/es.json", "-" }'),
    ('script = { "own" }', "script", '{ "CONF/own" }'),
    ('user = "nobody"', "user", '"nobody"'),
])
def test_relative_paths_are_relative_to_the_file(text, key, value, config):
    path = config(text)
    (path.parent / "own").mkdir()
    (path.parent / "own" / "mine.lua").write_text(DETECTOR)
    assert in_force(check(path))[key][0] == value.replace("CONF", str(path.parent))


def test_paths_on_the_command_line_are_relative_to_where_one_is(config, tmp_path):
    path = config("")
    assert in_force(check(path, "-o", "eve.json", cwd=tmp_path))["output"][0] == '{ "eve.json" }'
    assert in_force(check("lunette.lua", cwd=path.parent))["workers"][0] == "1"


def test_the_state_folder_is_the_service_managers(config):
    told = in_force(check(config(""), env={**os.environ, "STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}))
    assert told["state"] == ('"/var/lib/a"', "default")
    told = in_force(check(config('state = "none"'), env={**os.environ, "STATE_DIRECTORY": "/var/lib/a"}))
    assert told["state"][0] == '"none"'


# --------------------------------------------------------------- the command line
@pytest.mark.parametrize("arguments, told", [
    (["live"], "which interface"),
    (["live", "--frob"], "--frob"),
    (["live", "--rign", "64"], "did you mean --ring?"),
    (["live", "--ring"], "--ring"),
    (["live", "-i", "lo", "--ring", "1"], "4 to 2048"),
    (["live", "-i", "lo", "--pace", "1x"], "--pace"),
    (["live", "-i", "lo", "--metrics", "localhost"], "ADDR:PORT"),
    (["live", "-i", "lo", "--no-watch=perhaps"], "yes or no"),
    (["live", "-i", ""], "got nothing"),
    (["replay", "--control", "/tmp/x", "CAPTURE"], "--pace"),
    (["replay", "--pace", "0x", "CAPTURE"], "expected max"),
    (["replay", "--pace", "10", "CAPTURE"], "expected max"),
    (["replay", "--interface", "lo", "CAPTURE"], "--interface"),
])
def test_wrong_use_is_one_line_and_exit_code_2(arguments, told):
    done = run(*(EXAMPLES / "tools.pcap" if word == "CAPTURE" else word for word in arguments))
    assert done.returncode == 2 and done.stdout == b""
    line, = done.stderr.decode().splitlines()
    assert told in line


def test_a_configuration_for_live_serves_replay(config):
    """What only `live` has is checked, and left aside."""
    path = config('interface = "en0" metrics = "127.0.0.1:9177" control = "none" user = "nobody" no_scripts = true')
    done = replay("--config", path, "-q", "-o", "-", "--record", "stats", EXAMPLES / "tools.pcap")
    assert done.returncode == 0 and done.stdout.startswith(b"{")


# ------------------------------------------------------------ read anew while it runs
def test_a_running_sensor_takes_what_it_can(config):
    """A capture played a thousand times too slowly keeps the live loop busy. It takes signals from its first record of
    statistics on; what it logs is read line by line."""
    path = config('script = "mine.lua" set = { mine = { x = 2 } } control = "none" no_watch = true')
    (path.parent / "mine.lua").write_text('local lunette = require "lunette"\n'
                                          'lunette.detector { title = "T", category = "T" }\n'
                                          'local t = lunette.tunables { x = 1 } lunette.log("x is " .. t.x)\n'
                                          'lunette.on("flow", function() end)\n')
    process = subprocess.Popen([LUNETTE, "replay", "--config", str(path), "--pace", "0.001x", "--stats-every", "0.1",
                                "--record", "stats", "-o", "-", "-q", str(EXAMPLES / "tools.pcap")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def anew(text, until):
        path.write_text(text)
        process.send_signal(signal.SIGHUP)
        lines = []
        while not lines or until not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        return "".join(lines)

    try:
        assert "x is 2" in process.stderr.readline()
        assert "stats" in process.stdout.readline()
        told = anew('script = "mine.lua" set = { mine = { x = 3 } } control = "none" no_watch = true workers = 2 '
                    'max_flows = 1000', "x is 3")
        assert "other values for workers, max_flows: in force after a restart" in told
        told = anew("interfce = 1", "interfce")
        assert "did you mean 'interface'?" in told and "x is" not in told
        told = anew('script = "mine.lua" set = { mine = { x = 4 } } control = "none" no_watch = true log_level = "info"',
                    "reload")
        assert "x is 4" in told and "after a restart" not in told
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()


# ------------------------------------------------------------------ service files
@pytest.mark.parametrize("command", ["live", "replay"])
def test_the_sample_configuration_loads(command):
    told = in_force(check(SERVICE / "lunette.lua", command=command))
    assert told["output"][0] == '{ "/var/log/lunette/eve.json" }'


def test_the_sample_configuration_with_everything_in_it_loads(config):
    """Its commented keys are right, too. Paths of scripts are those of another machine."""
    _, text = (SERVICE / "lunette.lua").read_text().split("\n\n", 1)
    text = re.sub(r"^-- (script = .*)$", "", text, flags=re.M)
    keyed = re.sub(r"^-- (\w+ = |    \w|\})", r"\1", text, flags=re.M)
    told = in_force(check(config(keyed)))
    for key in re.findall(r"^-- (\w+) = ", text, re.M):
        assert told[key][1].startswith("line"), key


def test_the_unit_is_sound(tmp_path):
    unit = (SERVICE / "lunette.service").read_text()
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    path = tmp_path / "lunette.service"
    path.write_text(unit.replace("/usr/local/bin/lunette", str(pathlib.Path(LUNETTE).resolve())))
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stderr == b"", done.stderr


def test_the_unit_names_options_that_exist_and_lets_the_compiler_be():
    unit = (SERVICE / "lunette.service").read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.M))
    assert settings["Type"] == "notify" and settings["AmbientCapabilities"] == settings["CapabilityBoundingSet"] == "CAP_NET_RAW"
    assert "MemoryDenyWriteExecute" not in settings
    assert set(re.findall(r"--([\w-]+)", settings["ExecStart"] + settings["ExecStartPre"])) <= set(options_of("live"))


def test_the_plist_is_one_and_names_options_that_exist():
    with open(SERVICE / "org.lunette.plist", "rb") as file:
        job = plistlib.load(file)
    assert job["Label"] == "org.lunette" and job["ProgramArguments"][1] == "live"
    named = {word[2:] for word in job["ProgramArguments"] if word.startswith("--")}
    assert named and named <= set(options_of("live"))
