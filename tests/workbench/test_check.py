"""`lunette check`: against luacheck where both have an opinion, against LuaJIT for what is a script at all, and rule by rule
for what only lunette knows."""
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "corpus"))
from captures import LUNETTE, needs_lunette  # noqa: E402

pytestmark = needs_lunette

HANG = 120
HEAD = 'local lunette = require "lunette"\nlunette.detector { title = "T", category = "C" }\n'
LINE = re.compile(r"^(.*):(\d+):(\d+): \(([WE])([L\d]\d+)\) (.*)$")


def check(*words, status=None):
    """Its standard output; what it says on standard error belongs to wrong use alone."""
    done = subprocess.run([str(LUNETTE), "check", *map(str, words)], capture_output=True, timeout=HANG, cwd=ROOT)
    output = done.stdout.decode("utf-8", "replace")
    assert done.returncode in (0, 1, 2), done.stderr.decode()
    if status is not None:
        assert done.returncode == status, output + done.stderr.decode()
    return output


def findings(output):
    """(file, line, column, code, words) of each finding."""
    found = [LINE.match(line) for line in output.splitlines()]
    return [(m[1], int(m[2]), int(m[3]), m[5], m[6]) for m in found if m]


@pytest.fixture
def script(tmp_path):
    def write(body, name="mine.lua", head=HEAD):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((head + body).encode() if isinstance(body, str) else body)
        return path

    return write


# ------------------------------------------------------------------ ours
def test_what_comes_with_lunette_is_clean():
    output = check("scripts", "examples", "--tests", status=0)
    assert "Total: 0 warnings / 0 errors" in output
    assert "detector beacon" in output and "on " in output


# -------------------------------------------------------- against luacheck
needs_luacheck = pytest.mark.skipif(not shutil.which("luacheck"), reason="luacheck is not installed")

WRONG = {
    "values": """
local a = 1
a = 2
print(a)
local function rec() return rec() end
local f1, f2
function f1() return f2() end
function f2() return f1() end
local x
print(x)
x = 3
local y = {}
y.a = 1
local z = {}
z = {}
z.b = 2
for i, v in pairs({}) do v = 3 end
for i = 1, 3 do break end
local function g(a, b, _c, ...) b = 2; return _c end
local t = { a = 1, a = 2, [1] = 2, 3 }
local p, q = 1
p, q = 1
p, q = 1, 2, 3
if a then elseif b then else end
do end
for i = #t, 1 do print(i) end
if not a == b then print(not (a == b)) end
local a = 2
local function sh(a) local a = 3 return a end
local function up() local x = 1; x = x + 1 end
repeat local k = 1 until k
local unused = function() end
local m = f1()
m.x = 1
local n, o = f1()
for _ = 1, 3 do local _ = 1 end
local _, e = 1
local xx = xx
return sh
""",
    "closures": """
local x = 1
local function f()
    x = 2
    return function() return x end
end
x = 3
local y = 1
local function set() y = 2 end
set()
local z
local function inner() z = 1 end
inner()
local w
local function get() return w end
w = 1
w = 2
print(get())
local r = 1
if f then r = 2 else r = 3 end
print(r)
local u = 1
while u < 3 do u = u + 1 end
local v = 0
for i = 1, 10 do v = v + i end
local c
c.x = 1
c = {}
print(c)
local e = 1
e = e
local self = {}
function self:method(self) end
local vv; vv = function() vv() end
local cc = 1; local function dd() return cc end cc = 5 print(dd)
local tt = {}
tt.f = function() return tt end
tt.g = tt.f
local function late() return tt, r, set end
""",
    "ways": """
while true do
  if x then break end
  goto continue
  print(1)
  ::continue::
end
for i = 1, 2 do
  for j = 1, 2 do
     if i then return end
     do return 1 end
  end
end
local ok, v = pcall(error)
if ok then return v end
goto done
print(undefined, string.foo, s)
::done::
::unused::
foo = 1
foo.bar = 2
string.x = 1
print = 3
local s = string
s.nofield()
s.format()
string["rep"]("x", 2)
local key = "upper"
s[key]("x")
s[key .. "x"] = 1
while true do
  print(1)
  do break end
end
do return end
print(2)
""",
    "comments": """
-- luacheck: ignore 211
local unused = 1
local function g(a) -- luacheck: ignore 212
    local y = 1
end
local h = 1 -- luacheck: ignore
-- luacheck: push ignore 111
zzz = 1
-- luacheck: pop
zzz2 = 1
-- luacheck: globals zzz3
zzz3 = 1
local function k(a)
    -- luacheck: no unused args
    return 1
end
local function l(a) return 1 end
-- luacheck: ignore foo.*
local foo1, bar = 1, 2
-- luacheck: bogus thing
-- luacheck: pop
local last = 2 -- luacheck: no unused
-- luacheck: push
""",
    "space": "local a = 1  \n \t\nlocal s = [[x  \ny]]\n-- hm  \n  \tprint(a, s)\nprint('" + "x" * 130 + "')\n",
}


def by_luacheck(*paths):
    """Without 561, off here, 551, which LuaJIT takes for a mistake, and the line that 431 has for _ENV."""
    done = subprocess.run(["luacheck", "--std", "luajit", "--codes", "--formatter", "plain", "--no-cache", "--ignore", "561", "551", "--",
                           *map(str, paths)], capture_output=True, text=True, timeout=HANG, cwd=ROOT)
    return findings(done.stdout)


def by_us(*paths):
    return findings(check("--no-load", "--quiet", "--enable", "6", "--ignore", "L", "--", *paths))


def places(found, leave=()):
    return sorted((path, line, column, code) for path, line, column, code, _ in found if not code.startswith(tuple(leave)))


@needs_luacheck
@pytest.mark.parametrize("name", WRONG)
def test_findings_are_luacheck_s(name, script):
    path = script(WRONG[name], head="")
    # What string and print are differs in nothing here.
    assert places(by_us(path)) == places(by_luacheck(path))


@needs_luacheck
def test_findings_are_luacheck_s_in_real_files():
    places_of_lua = ("scripts", "examples", "engine", "lua-api", "tests")
    # tests/escapes holds lists of attempts, each a script of its own.
    paths = sorted(p for place in places_of_lua for p in (ROOT / place).rglob("*.lua") if "escapes" not in p.parts)
    assert len(paths) > 30
    ours, theirs = places(by_us(*paths), ("1", "02")), places(by_luacheck(*paths), ("1", "02"))
    assert ours == theirs


@needs_luacheck
def test_words_are_luacheck_s(script):
    path = script(WRONG["values"].replace("return sh", "print(sh)") + WRONG["closures"], head="")
    ours = {(line, column, code): text for _, line, column, code, text in by_us(path)}
    for _, line, column, code, text in by_luacheck(path):
        if code in ("113", "582"):
            continue  # "global variable" is said more plainly here
        assert ours[line, column, code] == text.replace("value assigned to index", "value assigned to field")


# ---------------------------------------------------- what is a script at all
needs_luajit = pytest.mark.skipif(not shutil.which("luajit"), reason="luajit is not installed")


def refused_by_luajit(paths, tmp_path):
    """Those that LuaJIT does not take, as it says it itself."""
    judge = tmp_path / "judge.lua_"
    judge.write_text('for i = 1, #arg do local f = io.open(arg[i], "rb") local t = f:read("*a") f:close()\n'
                     'if not load(t, "=x", "t") then print(arg[i]) end end\n')
    done = subprocess.run(["luajit", str(judge), *map(str, paths)], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


def mutants(count, seed):
    """Real scripts with some words cut out, doubled or swapped, and with bytes changed."""
    chance = random.Random(seed)
    texts = [p.read_bytes() for p in sorted((ROOT / "scripts").rglob("*.lua"))] + [t.encode() for t in WRONG.values()]
    for _ in range(count):
        text = chance.choice(texts)
        start = chance.randrange(max(1, len(text) - 3000))
        words = re.findall(rb"\s+|\w+|.", text[start:start + 3000], re.S)
        for _ in range(chance.randrange(1, 6)):
            at, other = chance.randrange(len(words)), chance.randrange(len(words))
            what = chance.randrange(4)
            if what == 0:
                words[at] = b""
            elif what == 1:
                words[at] += words[other]
            elif what == 2:
                words[at], words[other] = words[other], words[at]
            else:
                words[at] = bytes([chance.randrange(256)])
        yield b"".join(words)
    for _ in range(count // 10):
        yield chance.randbytes(chance.randrange(400))


@needs_luajit
def test_syntax_is_luajit_s_and_nothing_makes_it_fail(tmp_path):
    paths = []
    for i, text in enumerate(mutants(400, 4)):
        paths.append(tmp_path / f"m{i}.lua")
        paths[-1].write_bytes(text)
    refused = refused_by_luajit(paths, tmp_path)
    report = json.loads(check("--json", "--no-load", "--hints", "--enable", "6", *paths))
    assert len(report["files"]) == len(paths)
    for file in report["files"]:
        codes = {finding["code"] for finding in file["findings"]}
        assert ("011" in codes) == (file["path"] in refused), file
        assert not codes & {"L032", "L033"}, file
    assert 50 < len(refused) < len(paths)


DEEP = {
    "parentheses": "x = " + "(" * 100000 + "1" + ")" * 100000,
    "functions": "f = " + "function() return " * 50000,
    "tables": "x = " + "{" * 100000 + "}" * 100000,
    "chain": "local a = 1\nprint(a" + " + a" * 200000 + ")",
    "dots": "local a = {}\nprint(a" + ".b" * 200000 + ")",
    "blocks": "do " * 100000 + "end " * 100000,
    "minus": "x = " + "- " * 100000 + "1",
    "concat": "x = 'a'" + " .. 'a'" * 100000,
    "branches": "if x then y = 1 " + "elseif x then y = 1 " * 30000 + "end",
    "values": "local a\n" + "if a then a = 1 end\n" * 30000,
    "closures": "local a\n" + "local function f() a = f() end\n" * 150 + "function g() return a end\n" * 3000,
    "long string": "x = [==[" + "\n" * 300000,
    "line": "x = '" + "x" * 3000000 + "'",
    "brackets": "[=" * 300000,
}


@pytest.mark.parametrize("name", DEEP)
def test_nothing_is_too_deep_or_too_much(name, script):
    path = script(DEEP[name], head="")
    report = json.loads(check("--json", "--enable", "6", path))
    assert not {f["code"] for f in report["files"][0]["findings"]} & {"L033"}


def test_bytecode_is_no_script(script):
    path = script(b"\x1bLJ\x02\x00")
    assert [f[3] for f in findings(check("--quiet", path, status=1))] == ["011"]


# ------------------------------------------------------------ lunette's rules
RULES = [
    ('lunette.on("dsn", function() end)', 3, "L001", "did you mean 'dns'?"),
    ('lunette.on("redis.command", function() end)', 3, "L001", "redis.command"),
    ('lunette.on("dns", function(e)\nprint(e.rrnme) end)', 4, "L002", "dns events have no field 'rrnme'; did you mean 'rrname'?"),
    ('lunette.on("dns", function(e)\nlocal x = e\nprint(x.rname) end)', 5, "L002", "rname"),
    ('local function help(a, ev)\nprint(a, ev.rname) end\nlunette.on("dns", function(e) help(1, e) end)', 4, "L002", "rname"),
    ('local function h(e)\nprint(e.rname) end\nlunette.on("dns", h)', 4, "L002", "rname"),
    ('local s = lunette.set.domains {}\nlunette.on("dns", function(e)\nprint(s:has(e, "rname")) end)', 5, "L002", "rname"),
    ('local r = lunette.records("r", { max = 9, fields = { n = "u8" } })\nlunette.on("dns", function(e)\nprint(r:make("a", e, "client_ip", "rname").n) end)', 5, "L002", "rname"),
    ('local s = lunette.state("s", { max = 9 })\nlunette.on("dns", function(e)\ns:set(e, "rname", "any")\ns:get("a") end)', 5, "L002", "rname"),
    ('lunette.on("dns", { tyep = "query" }, function() end)', 3, "L003", "did you mean 'type'?"),
    ('lunette.on("dns", { bpf = "icmp" }, function() end)', 3, "L003", "bpf"),
    ('lunette.on("tls", { server_port = "443" }, function() end)', 3, "L004", "it is a u16, not a string"),
    ('lunette.on("dns", { type = { "query", 1 } }, function() end)', 3, "L004", "not a number"),
    ('lunette.on("process", { platform = true }, function() end)', 3, "L004", "it is a word (yes or no), not a boolean"),
    ('lunette.on("process", { action = "spawn" }, function() end)', 3, "L010", "it is never 'spawn', but exec, fork, exit or seen"),
    ('lunette.on("vpn", { kind = { "openvpn", "wire guard" } }, function() end)', 3, "L010", "it is never 'wire guard', but wireguard"),
    ('local way = "inward"\nlunette.on("tls", { direction = way }, function() end)', 4, "L010", "it is never 'inward', but out or in"),
    ('lunette.onn("dns", function() end)', 3, "L005", "there is no lunette.onn; did you mean 'lunette.on'?"),
    ('lunette.set.domain {}', 3, "L005", "lunette.set.domains"),
    ('local set = lunette.set\nset.domain {}', 4, "L005", "lunette.set.domains"),
    ('print(require "lunette.beet")', 3, "L007", "lunette.beat"),
    ('lunette.on("dns", function() lunette.alert { titel = "x" } end)', 3, "L006", "did you mean 'title'?"),
    ('local s = lunette.state("s", { max = 1, tll = 2 })\nlunette.on("dns", function() s:get(1) end)', 3, "L006", "ttl"),
    ('lunette.on("dns", function() lunette.alert { severity = "hihg" } end)', 3, "L008", "high"),
    ('lunette.state("s", { max = 1 })', 3, "L011", "'s'"),
    ('lunette.on("dns", function()\nlunette.state("s", { max = 1 }):set(1, 1) end)', 4, "L012", "lunette.state"),
    ('lunette.every(5, function()\nlunette.on("dns", function() end) end)', 4, "L012", "lunette.on"),
    ('local s = lunette.state("s", { max = 1 })\nlunette.on("dns", function() s:set(1, 1) end)', 3, "L013", "'s'"),
    ('local t = lunette.tunables { a = 1, b = 2 }\nprint(t.a)', 3, "L014", "'b'"),
    ('lunette.on("dns", function(e) lunette.alert { title = "x", key = e.client_ip } end)', 3, "L016", "cooldown"),
    ('local t = lunette.tunables { window = 1 }\nprint(t.window)\nlunette.every(5, function() print(t.windw * 2) end)', 5, "L019", "'windw'; did you mean 'window'?"),
    ('local last\nlunette.on("dns", function(e)\nlast = e print(last) end)', 5, "L017", "'e'"),
    ('local all = {}\nlunette.on("dns", function(e)\nall[#all + 1] = { e = e } print(all) end)', 5, "L017", "'e'"),
    ('local all = {}\nlunette.on("dns", function(e)\ntable.insert(all, e) print(all) end)', 5, "L017", "'e'"),
    ('lunette.on("dns", function(e)\nlunette.after(5, function() print(e.rrname) end) end)', 4, "L017", "'e'"),
    ('print(io.open)', 3, "113", "'io' (not available to detectors)"),
    ('os.execute("ls")', 3, "143", "'execute' of global 'os' (not available to detectors)"),
    ('print(nowhere)', 3, "113", "accessing undefined global variable 'nowhere'"),
]


@pytest.mark.parametrize("body,line,code,words", RULES, ids=[f"{r[2]}-{i}" for i, r in enumerate(RULES)])
def test_rule(body, line, code, words, script):
    found = findings(check("--quiet", "--no-load", script(body), status=1))
    assert [f for f in found if f[1] == line and f[3] == code and words in f[4]], found


FINE = [
    'lunette.on("dns", { type = "query", client_local = true, server_port = { 53, 5353 } }, function(e) print(e.rrname, e.client_ip) end)',
    'lunette.on("packet", { bpf = "icmp" }, function(e) print(e.payload:u8(1)) end)',
    'local own = { n = 0 }\nlunette.state("own", { max = 1 }):set("all", own)\nlunette.on("dns", function() own.n = own.n + 1 end)',
    'local function help(e) if e.sni then print(e.rrname) end end\nlunette.on("dns", help)\nlunette.on("tls", help)',
    'local function help(e) print(e.anything) end\nhelp {}\nlunette.on("dns", function(e) help(e) end)',
    'lunette.on("dns", function(e)\nlocal t = {}\nt.e = e\nprint(t) end)',
    'local t = lunette.tunables { a = 1 }\nlunette.on("dns", function() print(t.a) end)',
    'local s = lunette.state("s", { max = 1, ttl = 5 })\nlunette.on("dns", function() s:set(1, (s:get(1) or 0) + 1) end)',
    'lunette.on("dns", function(e) lunette.after(5, function(now) print(now) end) print(e.time) end)',
    'lunette.on("tls", { server_port = 1 }, function() lunette.alert { key = 1, cooldown = 5, severity = "low" } end)',
]


@pytest.mark.parametrize("body", FINE)
def test_right_use_is_left_in_peace(body, script):
    assert findings(check("--quiet", script(body), status=0)) == []


def test_alert_without_any_title(script):
    path = script('local lunette = require "lunette"\nlunette.on("dns", function() lunette.alert {} end)', head="")
    assert [f[3] for f in findings(check("--quiet", path, status=1))] == ["L015"]


def test_hints_are_told_if_asked_for(script):
    path = script('lunette.on("dns", function(e)\nfor k in pairs({}) do print(k, e) end\nreturn function() end end)')
    assert check("--quiet", path, status=0)
    assert {f[3] for f in findings(check("--quiet", "--hints", path, status=1))} == {"L021", "L022"}


def test_custom_events_are_known_by_their_declarations(script):
    script('lunette.event("command", { verb = "str", keys = "u32" }, "A command")', "redis.lua")
    path = script('lunette.on("redis.command", { verb = "GET" }, function(e) print(e.verb, e.kees, e.client_ip) end)\n'
                  'lunette.on("redis.comand", { }, function() end)', "other.lua")
    found = [f for f in findings(check("--quiet", "--no-load", path.parent)) if f[0].endswith("other.lua")]
    assert [(f[1], f[3]) for f in found] == [(3, "L002"), (4, "L001")]
    assert "did you mean 'keys'?" in found[0][4] and "did you mean 'redis.command'?" in found[1][4]


def test_what_lies_beside_is_loaded_for_its_events(script):
    script('lunette.event("value", { key = "str" })\nlunette.on("first.one", function(e) unknown(e) end)\n', "redis.lua")
    script('lunette.event("one", { key = "str" })\n', "first.lua")
    path = script('lunette.on("redis.value", function(e) lunette.log(e.key) end)\n', "asks.lua")
    report = check(path, status=0)
    assert "in 1 file" in report and "redis.value" in report and "detector redis" not in report
    wrong = script('lunette.on("redis.value", function(e) lunette.log(e.kei) end)\n', "wrong.lua")
    assert [(f[3], "'key'" in f[4]) for f in findings(check(wrong, status=1))] == [("L002", True)]
    capture = ROOT / "examples" / "mac-first-boot.pcapng.gz"
    script("error('nobody asks for me')\n", "idle.lua")
    done = subprocess.run([LUNETTE, "replay", "-s", path, capture], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0 and "idle" not in done.stderr
    assert "detectors   3 ran" in done.stdout  # asks, redis, first
    lost = script('lunette.on("nowhere.value", function() end)\n', "lost.lua")
    done = subprocess.run([LUNETTE, "replay", "-s", lost, capture], capture_output=True, text=True, timeout=HANG)
    assert "no script nowhere.lua was named, and none lies beside those that were, or comes along" in done.stderr


# -------------------------------------------------------- names cannot drift
def test_what_scripts_have_is_what_is_known(script):
    """A detector says what it finds in its environment; none of that may be called undefined, and nothing else is there."""
    path = script('local names = {}\nlocal function list(t, prefix)\n  for name, value in pairs(t) do\n'
                  '    names[#names + 1] = { "name:" .. prefix .. name }\n    if type(value) == "table" and name ~= "_G" then '
                  'list(value, prefix .. name .. ".") end\n  end\nend\nlist(_G, "")\nlunette.on("dns", function() end)\n'
                  'lunette.on_end(function() lunette.report { title = "N", columns = { "name" }, rows = names } end)')
    capture = ROOT / "examples" / "tools.pcap"
    done = subprocess.run([str(LUNETTE), "replay", "-s", str(path), str(capture)], capture_output=True, text=True, timeout=HANG)
    names = re.findall(r"name:([\w.]+)", done.stdout)
    assert "string.format" in names and "os" in names
    use = script("".join(f"print({name})\n" for name in names), "use.lua")
    assert findings(check("--quiet", "--no-load", use)) == []


def test_the_program_s_own_parts_are_no_modules(script):
    for part in ("check_codes", "boot", "dispatch", "rig"):
        path = script(f'require "lunette.{part}"')
        found = findings(check("--quiet", path, status=1))
        assert {"L007", "L031"} == {f[3] for f in found}


# ------------------------------------------------------------------ loading
def test_what_is_declared_is_listed(script):
    path = script('local s = lunette.state("seen", { max = 10, ttl = 60 })\nlocal names = lunette.set.domains { "a.example", "b.example" }\n'
                  'lunette.every(30, function() end)\n'
                  'lunette.on("dns", { type = "query", rrname = names }, function(e) s:set(e.rrname, s:get(1)) end)')
    report = json.loads(check("--json", path, status=0))
    detector = report["files"][0]["detector"]
    assert detector["handlers"] == [{"event": "dns", "filter": 'rrname = a set of 2; type = "query"', "at": f"{path.name}:6"}] or \
        detector["handlers"][0]["at"].endswith("mine.lua:6")
    assert detector["states"][0]["name"] == "seen" and detector["states"][0]["max"] == "10"
    assert detector["sets"][0]["size"] == "2" or detector["sets"][0]["size"] == 2
    assert detector["timers"][0]["every"] == "30"
    assert detector["memory"] > 0
    text = check(path, status=0)
    assert "on     dns" in text and "at most 10, kept 60 s" in text and "2 entries" in text
    assert "dns" not in check("--quiet", path, status=0)


def test_what_does_not_load_is_told_with_its_line(script):
    path = script('lunette.on("dns", function() end)\nlocal x = nil\nx()\n')
    assert [(f[1], f[3]) for f in findings(check("--quiet", path, status=1)) if f[3] == "L031"] == [(5, "L031")]


def test_an_endless_body_is_given_up(script):
    path = script("while true do end\n")
    found = findings(check("--quiet", path, status=1))
    assert [f[3] for f in found if f[3] == "L031"] and "end" in found[-1][4]


def test_scripts_are_not_run_to_be_read(script, tmp_path):
    path = script('error("ran")')
    assert "ran" not in check("--no-load", path, status=0)


# --------------------------------------------------------------------- use
def test_wrong_use():
    assert check(status=2) == ""
    check("--jsn", status=2)
    check("no/such/file.lua", status=2)
    check("--ignore", status=2)


def test_total_and_patterns(script):
    path = script("local a = 1\nlocal function f(b) end\n")
    assert check("--quiet", path, status=1).endswith("Total: 3 warnings / 0 errors in 1 file\n")
    assert check("--quiet", "--ignore", "211/a", "--ignore", "211/f", path, status=1).endswith("Total: 1 warning / 0 errors in 1 file\n")
    check("--quiet", "--ignore", "21", path, status=0)


def test_every_code_is_listed_once():
    listed = re.findall(r"^(L?\d+)\s", check("--codes", status=0), re.M)
    assert len(listed) == len(set(listed)) > 60


def test_odd_names_and_text_come_out_as_json(script):
    path = script('print(\xe9, "\xff")\nprint(undefined)\n'.encode("latin-1"), 'odd"name.lua')
    report = json.loads(check("--json", "--no-load", path, status=1))
    assert report["files"][0]["path"].endswith('odd"name.lua')


def test_a_filter_of_the_wrong_type_is_told_once(script):
    path = script('lunette.on("process", { platform = true, action = "exec" }, function() end)')
    found = findings(check("--quiet", path, status=1))
    assert [f[3] for f in found] == ["L004"]
    assert "(EL004)" in check(path, status=1)
