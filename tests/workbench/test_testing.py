"""`lunette test`: what passes, what fails and how it says so, what a stranger's test file cannot do."""

import xml.etree.ElementTree as xml

import pytest

from author import ECHO, ROOT, squeezed

ASK = 'local mac = c:host "192.168.1.20"\nmac:dns { name = "www.example.com", a = { "203.0.113.9" } }\n'


# ── expectations ────────────────────────────────────────────────────────────

@pytest.mark.parametrize("expect", [
    'c:expect { title = "Asked" }',
    'c:expect { title = "Asked", severity = "low", who = "192.168.1.20", where = "www.example.com", detector = "echo", score = 2.5 }',
    'c:expect { where = t.like "^www%.", why = t.contains "asked" }',
    'c:expect { evidence = { labels = 3, half = 1, list = { "www", "example", "com" }, type = "A" } }',
    'c:expect { evidence = { labels = t.near(3.2, 0.5), list = { t.like "w+", "example", "com" } } }',
    'c:expect { time = "2026-05-01 12:00:00", score = t.near(2.5) }',
    'c:expect { category = "Discovery", repeats = 0 }',
    'c:ignore { detector = "echo" }',
    'c:expect { where = "www.example.com" } c:report { title = "Done", note = "all" }',
    'c:expect { where = "www.example.com" } c:report { rows = { { "first", 1 }, { t.like "sec", 2.5 } }, columns = { "what", ">n" } }',
])
def test_what_is_there_passes(author, expect):
    author.passes(ASK + expect)


@pytest.mark.parametrize("expect, told", [
    ('c:expect { who = "192.168.1.21" }', '≠ who expected "192.168.1.21" got "192.168.1.20"'),
    ('c:expect { where = t.like "^example" }', '≠ where expected t.like "^example" got "www.example.com"'),
    ('c:expect { where = t.like "www.example.com$", why = "t" }', '≠ why expected "t" got "it asked"'),
    ('c:expect { evidence = { labels = 4 } }', "≠ evidence.labels expected 4 got 3"),
    ('c:expect { evidence = { labels = t.near(4, 0.5) } }', "≠ evidence.labels expected t.near(4, 0.5) got 3"),
    ('c:expect { evidence = { list = { "www", "example" } } }', '≠ evidence.list expected { "www", "example" } got { "www", "example", "com" }'),
    ('c:expect { evidence = { nothing = 1 } }', "≠ evidence.nothing expected 1 got nil"),
    ('c:expect { severity = "high" }', '≠ severity expected "high" got "low"'),
    ('c:expect { title = "Asked", times = 2 }', "expected twice, came once"),
])
def test_what_differs_is_told_beside_what_came(author, expect, told):
    out = author.fails(ASK + expect)
    assert "echo_test.lua:5: expected" in out
    assert told in squeezed(out)


# What it knows of a host is a fact; one that was taken back is none.
TELLER = """
local lunette = require "lunette"
lunette.on("dns", { type = "query" }, function(e)
    lunette.fact(e.client_ip, "identity", { "Mac, macOS 14", "by its question" }, { kind = "mac", score = 0.97 })
    lunette.fact(e.client_ip, "phase", "steady")
    lunette.fact(e.client_ip, "phase", nil)
end)
"""


@pytest.mark.parametrize("expect", [
    '',
    'c:fact { host = "192.168.1.20", topic = "identity" }',
    'c:fact { topic = "identity", text = "Mac, macOS 14\\nby its question", detector = "echo" }',
    'c:fact { text = { "Mac, macOS 14", "by its question" }, details = { kind = "mac" } }',
    'c:fact { text = t.contains "macOS", details = { score = t.near(1, 0.1) } }',
])
def test_a_fact_that_stands_passes(author, expect):
    author.passes(ASK + expect, detector=TELLER)


@pytest.mark.parametrize("expect, told", [
    ('c:fact { host = "192.168.1.21", topic = "identity" }', '≠ host expected "192.168.1.21" got "192.168.1.20"'),
    ('c:fact { topic = "identity", text = "Windows" }', '≠ text expected "Windows" got "Mac, macOS 14\\nby its question"'),
    ('c:fact { topic = "identity", details = { kind = "pc" } }', '≠ details expected { kind = "pc" } got { kind = "mac", score = 0.97 }'),
    ('c:fact { topic = "phase" }', '≠ topic expected "phase" got "identity"'),
])
def test_a_fact_that_is_not_so_is_told(author, expect, told):
    assert told in squeezed(author.fails(ASK + expect, detector=TELLER))


# Says when it was asked, and figures that are not whole.
FIGURES = """
local lunette = require "lunette"
lunette.on("dns", { type = "query" }, function(e)
    lunette.alert { title = "Asked", score = 0.7654321,
        evidence = { large = 1234567.5, small = 0.1234564, middle = 123456.7, below = 999999.7, at = e.time, whole = 1234567 } }
end)
"""
AT = 'c:clock "2026-05-01 12:00:00.25"\n' + ASK


@pytest.mark.parametrize("expect, fits", [
    ('time = "2026-05-01 12:00:00.25"', True),
    ('time = "2026-05-01 12:00:00.252"', False),
    ('time = "2026-05-01 12:00:00"', True),
    ('time = "2026-05-01 12:00:02"', False),
    ('time = "2026-05-01 12:01:00"', False),
    ('time = "2026-05-01 13:45:00"', False),
    ('time = 1777636800.25', True),
    ('time = 1777636800.2605', False),
    ('time = 1777636801.25', False),
    ('score = 0.7654321', True),
    ('score = 0.7655', False),
    ('evidence = { large = 1234567.5 }', True),
    ('evidence = { large = 1234567.6 }', False),
    ('evidence = { large = 1234569.5 }', False),
    ('evidence = { small = 0.1234564 }', True),
    ('evidence = { small = 0.123458 }', False),
    ('evidence = { middle = 123456.7 }', True),
    ('evidence = { middle = 123459.7 }', False),
    ('evidence = { below = 999999.7 }', True),
    ('evidence = { at = 1777636800.25 }', True),
    ('evidence = { at = 1777636805.25 }', False),
    ('evidence = { whole = 1234567 }', True),
    ('evidence = { whole = 1234568 }', False),
])
def test_figures_that_are_not_whole_are_held_to_what_an_alert_carries(author, expect, fits):
    judged = author.passes if fits else author.fails  # 1777636800: `date -u -d '2026-05-01 12:00:00' +%s`
    judged(AT + "c:expect { %s }" % expect, detector=FIGURES)


def test_an_alert_that_nobody_expected_is_written_as_the_expectation_that_takes_it(author):
    out = author.fails(ASK + "c:expect_none()")
    assert "echo_test.lua:5: 1 alert that nobody expected:" in out
    line = next(line.strip() for line in out.splitlines() if line.strip().startswith("c:expect {"))
    author.passes(ASK + line)


def test_these_and_no_others(author):
    out = author.fails(ASK + ASK.replace("local ", "") + 'c:expect { where = "www.example.com" }')
    assert "1 alert that nobody expected" in out


def test_an_expectation_that_only_one_alert_fits_gets_it_whatever_the_order(author):
    author.passes('local mac = c:host "192.168.1.20"\nmac:dns { name = "a.example" }\nmac:dns { name = "b.example" }\n'
                  'c:expect { who = "192.168.1.20" }\nc:expect { where = "a.example" }')
    author.passes('local mac = c:host "192.168.1.20"\nmac:dns { name = "a.example" }\nmac:dns { name = "b.example" }\n'
                  'c:expect { who = "192.168.1.20", times = 1 }\nc:expect { where = "b.example" }')


def test_times_takes_that_many(author):
    twice = 'c:host("192.168.1.20"):dns { name = "twice.example" }\n'
    author.passes(twice + 'c:expect { where = "twice.example", times = 2 }')
    assert "expected 3 times, came twice" in author.fails(twice + 'c:expect { where = "twice.example", times = 3 }')
    assert "nobody expected" in author.fails(twice + 'c:expect { where = "twice.example" }')


def test_a_report_that_differs(author):
    out = author.fails(ASK + 'c:ignore {}\nc:report { title = "Done", rows = { { "first", 1 }, { "second", 3 } } }')
    assert '≠ rows[2] expected { "second", 3 } got { "second", "2.5" }' in squeezed(out)
    out = author.fails(ASK + 'c:ignore {}\nc:report { rows = { { "first", 1 } } }')
    assert "expected 1, got 2" in squeezed(out)
    out = author.fails(ASK + 'c:ignore {}\nc:report { title = "Other" }')
    assert '≠ title expected "Other" got "Done"' in squeezed(out)


def test_no_alert_at_all(author):
    out = author.fails('c:expect { title = "Asked" }')
    assert "there was none at all" in out and 'title        "Asked"' in out


# ── the case ────────────────────────────────────────────────────────────────

def test_time_passes_as_it_is_told(author):
    body = """
    c:clock "2030-02-28 23:59:59.5"
    local mac = c:host "192.168.1.20"
    mac:dns { name = "first.example" }
    c:wait(86400)
    mac:dns { name = "second.example" }
    c:times(3, 60, function(i) mac:dns { name = "n" .. i .. ".example" } end)
    mac:dns { name = "last.example" }
    c:expect { where = "first.example", time = t.near(1898553599.5, 0.1) }
    c:expect { where = "second.example", time = t.near(1898553599.5 + 86400, 0.1) }
    for i = 1, 3 do c:expect { where = "n" .. i .. ".example", time = t.near(1898553599.5 + 86400 + 60 * (i - 1), 0.1) } end
    c:expect { where = "last.example", time = t.near(1898553599.5 + 86400 + 180, 0.1) }
    """
    author.passes(body)  # 1898553599: `date -u -d '2030-02-28 23:59:59' +%s`


def test_what_is_told_out_of_order_is_played_in_order(author):
    body = """
    local a, b = c:host "192.168.1.20", c:host "192.168.1.21"
    c:meanwhile(function() c:times(3, 10, function(i) a:dns { name = "a" .. i .. ".example" } end) end)
    c:wait(5)
    c:times(3, 10, function(i) b:dns { name = "b" .. i .. ".example" } end)
    c:report { rows = { { "a1.example" }, { "b1.example" }, { "a2.example" }, { "b2.example" }, { "a3.example" }, { "b3.example" } } }
    """
    author.passes(body, detector="""
        local lunette = require "lunette"
        local rows = {}
        lunette.on("dns", { type = "query" }, function(e) rows[#rows + 1] = { e.rrname } end)
        lunette.on_end(function() lunette.report { title = "order", columns = { "name" }, rows = rows } end)""")


def test_the_clock_goes_on_to_the_end_so_that_timers_run(author):
    detector = """
        local lunette = require "lunette"
        lunette.on("dns", { type = "query" }, function() lunette.after(3600, function() lunette.alert { title = "an hour" } end) end)"""
    ask = 'c:host("192.168.1.20"):dns { name = "a.example" }\n'
    author.passes(ask + 'c:wait(3590)\nc:expect_none()', detector=detector)
    author.passes(ask + 'c:wait(3610)\nc:expect { title = "an hour" }', detector=detector)


def test_jitter_is_the_same_in_each_run(author):
    body = """
    local mac = c:host "192.168.1.20"
    c:times(20, 60, function(i) mac:dns { name = "n" .. i .. ".example" } end, { jitter = 0.3 })
    c:expect { where = "n20.example", time = t.like "^%d+" }
    c:ignore { }
    print(c:clock())
    """
    first = [line for line in author.passes(body, "-v").splitlines() if "test: " in line]
    second = [line for line in author.passes(body, "-v").splitlines() if "test: " in line]
    assert first == second and first
    end = float(first[0].rsplit(" ", 1)[1]) - 1777636800
    assert 20 * 60 * 0.7 < end < 20 * 60 * 1.3 and abs(end - 1200) > 0.001


def test_settings_and_home_networks(author):
    author.passes('c:set { quiet = "www.example.com" }\n' + ASK + "c:expect_none()")
    author.passes('c:set("echo", { quiet = "www.example.com" })\n' + ASK + "c:expect_none()")
    detector = """
        local lunette = require "lunette"
        lunette.on("dns", { type = "query" }, function(e) lunette.alert { title = tostring(e.client_local) .. tostring(e.server_local) } end)"""
    ask = 'c:host("10.1.1.1"):dns { name = "x.example", server = "192.168.1.1" }\n'
    author.passes(ask + 'c:expect { title = "truetrue" }', detector=detector)
    author.passes('c:home("10.0.0.0/8")\n' + ask + 'c:expect { title = "truefalse" }', detector=detector)
    assert "c:set: echo.quite: there is no such tunable; did you mean 'quiet'?" in author.errs("c:set { quite = 1 }")


def test_events_without_packets(author):
    author.passes("""
    c:event("dns", { type = "query", client_ip = "192.168.1.20", rrname = "made.example", rrtype = "A", a = { "192.0.2.1" } })
    c:wait(5)
    c:host("192.168.1.20"):dns { name = "real.example" }
    c:wait(5)
    c:event("dns", { type = "answer", rrname = "an.answer" })
    c:event("dns", { type = "query", rrname = "late.example", time = c:clock() - 1, id = 65535, rtt = 0.25 })
    c:expect { where = "made.example", who = "192.168.1.20", evidence = { type = "A" }, time = "2026-05-01 12:00:00" }
    c:expect { where = "real.example", time = t.near(1777636805, 0.01) }
    c:expect { where = "late.example", who = "::" }
    """)


def test_every_type_of_field_arrives(author):
    detector = """
        local lunette = require "lunette"
        lunette.on("tls", function(e)
            lunette.alert { title = e.sni, who = e.client_ip, where = tostring(e.client_local), evidence = { v = e.version, h = e.has_client_hello,
                n = e.client_version, l = e.client_alpns, c = e.ciphers, nb = e.not_before, s = e.self_signed, i = e.iface, u = e.flow_id } }
        end)
        lunette.on("packet", { bpf = "udp" }, function(e) lunette.alert { title = e.payload:hex() } end)"""
    author.passes(r"""
    c:event("tls", { sni = "a.b", client_ip = "2001:db8::1", version = "TLS 1.2", has_client_hello = true, client_version = 771,
        client_alpns = { "h2", "http/1.1" }, ciphers = { 1, 65535 }, not_before = 1777636800, self_signed = false, iface = "en0",
        flow_id = 9007199254740992 })
    c:host("192.168.1.20"):udp { to = "203.0.113.9", port = 9999, say = { { "client", "\0\1\255" } } }
    c:expect { title = "a.b", who = "2001:db8::1", where = "false", evidence = { v = "TLS 1.2", h = true, n = 771, l = { "h2", "http/1.1" },
        c = { 1, 65535 }, nb = 1777636800, s = false, i = "en0", u = 9007199254740992 } }
    c:expect { title = "0001ff" }
    """, detector=detector)


@pytest.mark.parametrize("call, told", [
    ('c:event("dsn", {})', "there is no event 'dsn'; did you mean 'dns'?"),
    ('c:event("dns", { rname = "x" })', "dns has no field 'rname'; did you mean 'rrname'?"),
    ('c:event("dns", { client_port = 70000 })', "'client_port' must be a whole number from 0 to 65535, got 70000"),
    ('c:event("dns", { client_port = 0/0 })', "'client_port' must be a whole number from 0 to 65535"),
    ('c:event("dns", { client_ip = "here" })', "'client_ip' must be an address, got 'here'"),
    ('c:event("dns", { rrname = 5 })', "'rrname' must be a string, got a number"),
    ('c:event("dns", { a = "1.2.3.4" })', "'a' must be a list of strings, got a string"),
    ('c:event("dns", { a = { 1 } })', "'a' must be a list of strings, entry 1 is a number"),
    ('c:event("tls", { ciphers = { 70000 } })', "'ciphers' must be a whole number from 0 to 65535"),
    ('c:event("dns", { rrname = ("x"):rep(1e6) })', "the texts of an event may have"),
    ('c:host "mac"', "an address such as 192.168.1.20 is expected, got 'mac'"),
    ('c:host("192.168.1.2"):dsn {}', "a host: there is no 'dsn'; did you mean 'dns'?"),
    ('c:host("192.168.1.2"):dns { nmae = "x" }', "dns: there is no option 'nmae'; did you mean 'name'?"),
    ('c:host("192.168.1.2"):dns {}', "dns: name is missing"),
    ('c:host("192.168.1.2"):dns { name = "x", rcode = "NXDOMIAN" }', "did you mean 'NXDOMAIN'?"),
    ('c:host("192.168.1.2"):dns { name = ("x"):rep(64) }', "a label has 1 to 63 bytes"),
    ('c:host("192.168.1.2"):dns { name = "x", a = "2001:db8::1" }', "'2001:db8::1' is no IPv4 address"),
    ('c:host("192.168.1.2"):tls { to = "2001:db8::1" }', "one is IPv4, the other IPv6"),
    ('c:host("192.168.1.2"):tls { to = "203.0.113.9", version = "1.4" }', "tls: version must be '1.3' or '1.2' or"),
    ('c:host("192.168.1.2"):tcp { to = "203.0.113.9", port = 4, say = { { "me", "x" } } }', "must be 'client' or 'server', got 'me'"),
    ('c:host("192.168.1.2"):udp { to = "203.0.113.9", port = 4, say = { { "client", 70000 } } }', "more bytes than a packet can carry"),
    ('c:host("192.168.1.2").dns { name = "x" }', "dns: call it with a colon"),
    ("c.wait(5)", "c.wait: call it with a colon: c:wait(…)"),
    ("c:wait(-1)", "c:wait: seconds, 0 or more, are expected, got -1"),
    ('c:clock "noon"', "c:clock: a time such as"),
    ("c:times(3, function() end)", "c:times: the seconds between two turns are expected second, got a function"),
    ('c:expect { tilte = "x" }', "c:expect: there is no option 'tilte'; did you mean 'title'?"),
    ('c:expect { severity = "bad" }', "severity must be 'high' or 'medium' or 'low' or 'info', got 'bad'"),
    ('c:expect { title = t.like "(" }', "t.like: unfinished capture"),
    ('c:expect {} c:expect_none()', "c:expect was said already"),
    ('c:capture "nothing.pcap"', "nothing.pcap: No such file or directory"),
    ('c:capture "echo.lua"', "not a capture"),
    ('c:capture("x.pcap", { host_log = "nothing.log" })', "nothing.log: No such file or directory"),
    ('c:capture("x.pcap", { host_log = "localhost=x" })', "'localhost' is no list of addresses"),
    ('c:capture("x.pcap", { host_log = 7 })', "host_log is a file's name, or a list of them"),
    ('c:capture("x.pcap", { hostlog = "x" })', "there is no option 'hostlog'"),
    ("c.expect = nil", "nothing can be set here"),
    ("local x = nil\nx.y = 1", "attempt to index"),
    ('error({})', "(error object is a table)"),
])
def test_a_slip_is_told_at_its_line(author, call, told):
    out = author.errs(call)
    line = 3 + call.count("\n")
    assert "echo_test.lua:%d: " % line in out
    assert told in out


# ── captures ────────────────────────────────────────────────────────────────

def test_a_capture_and_what_comes_after_it(author):
    author.passes('c:clock "2025-01-01 00:00"\n' + ASK + "c:ignore {}", "--keep", "keep")
    kept = list((author.folder / "keep").iterdir())
    assert [path.name for path in kept] == ["echo-1-it.pcapng"]
    author.passes("""
    c:capture "keep/echo-1-it.pcapng"
    c:wait(10)
    c:host("192.168.1.21"):dns { name = "after.example" }
    c:expect { where = "www.example.com", time = "2025-01-01 00:00:00" }
    c:expect { where = "after.example", time = t.near(1735689610, 0.1) }
    """)
    out = author.errs(ASK + 'c:clock "2025-01-01 00:01"\nmac:dns { name = "x.example" }\nc:clock "2024-01-01 00:00"\nc:capture "keep/echo-1-it.pcapng"')
    assert "echo_test.lua:8: c:capture: it begins at 2025-01-01 00:00:00, before the end of what was told so far" in out
    out = author.errs('c:capture "keep/echo-1-it.pcapng"\nc:clock "2024-01-01 00:00"\n' + ASK)
    assert "the capture before this ends at 2025-01-01 00:00:00, and this would be earlier" in out


def test_a_capture_with_its_host_log(author):
    """What the log tells joins the capture's flows, for every batch size that a case is played with."""
    for name in ("document.pcapng.gz", "document.eslogger.jsonl"):
        (author.folder / name).write_bytes((ROOT / "examples" / name).read_bytes())
    chain = """local lunette = require "lunette"
lunette.detector { title = "Chain" }
lunette.on("http", function(e)
    if e.ancestry and e.ancestry:find("Microsoft Word", 1, true) then
        lunette.alert { severity = "low", who = e.client_ip, where = e.host, why = e.ancestry }
    end
end)
"""
    author.passes('c:capture "document.pcapng.gz" c:expect_none()', detector=chain)
    for log in ('"document.eslogger.jsonl"', '{ "192.168.7.23=document.eslogger.jsonl" }'):
        author.passes('c:capture("document.pcapng.gz", { host_log = %s })\n'
                      'c:expect { where = "updates.sample.example", why = "sh < Microsoft Word < launchd" }' % log, detector=chain)


# ── detectors that are not well ─────────────────────────────────────────────

def test_a_detector_that_raises_fails_the_case_with_its_line(author):
    out = author.errs(ASK, detector='local lunette = require "lunette"\nlunette.on("dns", function(e)\n  local x = e.rrname .. nil\nend)\n')
    assert "the detector echo raised 2 errors: " in out and "echo.lua:3: attempt to concatenate" in out


def test_a_detector_that_does_not_load(author):
    out = author.errs(ASK, detector="local x = = 1")
    assert "echo.lua:1: unexpected symbol near '='" in out
    (author.folder / "echo.lua").unlink()
    done = author.run("test", "echo_test.lua")
    assert done.returncode == 1 and "echo.lua: No such file or directory" in done.stdout


def test_a_detector_that_never_returns(author):
    out = author.errs(ASK, detector='local lunette = require "lunette"\nlunette.on("dns", function(e)\n  while true do end\nend)\n')
    assert "echo.lua:2" in out and "switched off" in out


def test_a_detector_that_looks_at_the_wall_clock_is_found_out(author):
    out = author.fails(ASK + "c:ignore {}", detector="""
        local lunette = require "lunette"

        lunette.on("dns", function(e) lunette.alert { title = "x", why = tostring(os.clock()) } end)""")
    assert "played again event by event, gave other alerts" in out
    author.passes(ASK + "c:ignore {}", "--once")


def test_what_detectors_log_is_shown_where_it_helps(author):
    assert "asked for www.example.com" in author.fails(ASK)
    assert "asked for" not in author.passes(ASK + "c:ignore {}")
    assert "asked for www.example.com" in author.passes(ASK + "c:ignore {}", "--verbose")


# ── files ───────────────────────────────────────────────────────────────────

TWO = """
local t = require "lunette.test"
t.case("first", function(c) end)
t.case("second", function(c) c:expect { title = "x" } end)
"""


def test_cases_of_a_file_do_not_see_each_other(author):
    author.write(echo_lua=ECHO, echo_test_lua="""
local t = require "lunette.test"
local count = 0
for i = 1, 3 do
    t.case("case " .. i, function(c)
        count = count + 1
        assert(count == 1)
        c:host("192.168.1.20"):dns { name = "a.example" }
        c:expect { where = "a.example" }
    end)
end""")
    done = author.run("test", "echo_test.lua")
    assert done.returncode == 0, done.stdout
    assert "●●●\n3 successes / 0 failures / 0 errors : " in done.stdout


def test_one_bad_file_stops_no_other(author):
    (author.folder / "deep" / "er").mkdir(parents=True)
    author.write(echo_lua=ECHO, bad_test_lua="local = 1", echo_test_lua=TWO)
    (author.folder / "deep" / "er" / "other_test.lua").write_text('error "stop"')
    (author.folder / "deep" / "no_test.txt").write_text("")
    done = author.run("test", ".")
    assert done.returncode == 1
    assert "./bad_test.lua:1: " in done.stdout and "./deep/er/other_test.lua:1: stop" in done.stdout
    assert "1 success / 1 failure / 2 errors" in done.stdout


def test_detectors_are_named(author):
    author.write(one_lua=ECHO, two_lua=ECHO, three_lua="broken", some_test_lua="""
local t = require "lunette.test"
t.detector("one.lua", "two.lua")
t.case("both", function(c)
    c:set("two", { quiet = "b.example" })
    c:host("192.168.1.20"):dns { name = "a.example" }
    c:host("192.168.1.20"):dns { name = "b.example" }
    c:expect { detector = "one", times = 2 }
    c:expect { detector = "two", where = "a.example" }
end)
t.detector "two.lua"
t.case("one of them", function(c)
    c:host("192.168.1.20"):dns { name = "a.example" }
    c:expect { detector = "two" }
end)
""")
    done = author.run("test", "some_test.lua", "-v")
    assert done.returncode == 0, done.stdout
    assert "some › both" in done.stdout and "some › one of them" in done.stdout
    assert author.run("test", "some_test.lua", "--filter", "some").returncode == 0
    author.write(tests_lua='local t = require "lunette.test"\nt.case("x", function() end)')
    done = author.run("test", "tests.lua")
    assert done.returncode == 1 and "tests.lua:2: which detector is tested?" in done.stdout


def test_detectors_elsewhere(author):
    (author.folder / "scripts").mkdir()
    (author.folder / "tests").mkdir()
    (author.folder / "scripts" / "echo.lua").write_text(ECHO)
    (author.folder / "tests" / "echo_test.lua").write_text('local t = require "lunette.test"\nt.case("x", function(c) end)')
    assert author.run("test", "tests").returncode == 1
    assert author.run("test", "-s", "scripts", "tests").returncode == 0


# ── the command line ────────────────────────────────────────────────────────

def test_list_and_filter(author):
    author.write(echo_lua=ECHO, echo_test_lua=TWO)
    done = author.run("test", "--list", ".")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["./echo_test.lua:3: echo › first", "./echo_test.lua:4: echo › second"]
    assert author.run("test", "--list", "--filter", "second", ".").stdout == "./echo_test.lua:4: echo › second\n"
    assert author.run("test", "--filter", "echo › first", ".").returncode == 0
    assert author.run("test", "--filter", "second", ".").returncode == 1
    done = author.run("test", "--filter", "third", ".")
    assert done.returncode == 2 and "none of the 2 cases has 'third' in its name" in done.stderr


def test_wrong_use(author):
    (author.folder / "empty").mkdir()
    done = author.run("test", "empty")
    assert done.returncode == 2 and "no tests in empty: looked for files called *_test.lua" in done.stderr
    done = author.run("test", "nowhere")
    assert done.returncode == 2 and "nowhere: No such file or directory" in done.stderr
    assert author.run("test").returncode == 2
    assert author.run("test", "--wrong", ".").returncode == 2
    assert author.run("test", "--help").returncode == 0
    author.write(echo_test_lua="")
    done = author.run("test", "echo_test.lua")
    assert done.returncode == 2 and "no cases" in done.stderr


def test_what_check_finds_in_a_detector_that_passes_is_hinted_at(author):
    test = 'local t = require "lunette.test"\nt.case("x", function(c) c:host("192.168.1.20"):dns { name = "a.b" } end)'
    wrong = ECHO.replace("if e.rrname ==", "if e.rrname == 'never' then return nowhere, elsewhere end\n    if true or e.rrname ==")
    author.write(echo_lua=wrong, echo_test_lua=test, other_lua=ECHO.replace("if e", "if true or e"), other_test_lua=test)
    done = author.run("test", ".")
    assert done.returncode == 0 and done.stdout.endswith("check finds 2 warnings in echo.lua: lunette check echo.lua\n"), done.stdout
    assert done.stdout.count("check finds") == 1
    assert "2 warnings" in author.run("check", "echo.lua").stdout
    assert "check finds" not in author.run("test", ".", "--junit", "out.xml").stdout
    assert "check finds" not in author.run("test", "other_test.lua").stdout


def test_the_folder_for_packets_is_made_but_not_the_one_it_lies_in(author):
    author.write(echo_lua=ECHO, echo_test_lua='local t = require "lunette.test"\nt.case("x", function(c) ' +
                 'c:host("192.168.1.20"):udp { to = "203.0.113.9", port = 9, say = { { "client", "x" } } } end)')
    assert author.run("test", "--keep", "there", ".").returncode == 0
    assert [p.suffix for p in (author.folder / "there").iterdir()] == [".pcapng"]
    for folder, why in (("no/such", "No such file or directory"), ("echo.lua", "no folder")):
        done = author.run("test", "--keep", folder, ".")
        assert done.returncode == 2 and f"--keep {folder}: " in done.stderr and why in done.stderr


def test_colour_is_for_terminals(author):
    author.write(echo_lua=ECHO, echo_test_lua=TWO)
    assert "\x1b" not in author.run("test", ".").stdout


# The attributes that junit-10.xsd of Jenkins' xunit plugin requires and knows.
KNOWN = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, set()),
    "testsuite": ({"name", "errors", "failures", "skipped", "tests", "time", "timestamp", "id", "package", "hostname"}, {"name"}),
    "testcase": ({"name", "classname", "time", "status", "assertions"}, {"name", "classname"}),
    "failure": ({"message", "type"}, set()), "error": ({"message", "type"}, set()),
    "system-err": (set(), set()),
}
CHILDREN = {"testsuites": {"testsuite"}, "testsuite": {"testcase"}, "testcase": {"failure", "error", "system-err"}}


def check_schema(element):
    known, required = KNOWN[element.tag]
    assert required <= set(element.attrib) <= known
    for child in element:
        assert child.tag in CHILDREN[element.tag]
        check_schema(child)


def test_junit(author):
    author.write(echo_lua=ECHO, bad_test_lua="local = 1", echo_test_lua="""
local t = require "lunette.test"
t.case("fine", function(c) end)
t.case("<&\\"\\1\\255 odd", function(c) c:expect { title = "a < b & \\"c\\" \\0 ]]>" } end)
t.case("raises", function(c) c:host("192.168.1.20"):dns { name = "x.example" } error "no" end)
""")
    done = author.run("test", ".", "--junit", "out.xml")
    assert done.returncode == 1
    root = xml.parse(author.folder / "out.xml").getroot()
    check_schema(root)
    assert root.tag == "testsuites" and (root.get("tests"), root.get("failures"), root.get("errors")) == ("4", "1", "2")
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"./bad_test.lua", "./echo_test.lua"}
    cases = suites["./echo_test.lua"].findall("testcase")
    assert [case.get("classname") for case in cases] == ["echo"] * 3
    assert cases[0].get("name") == "fine" and len(cases[0]) == 0
    assert cases[1].get("name") == '<&"\\x01\\xff odd'
    assert "./echo_test.lua:4: expected this alert" in cases[1].find("failure").text
    assert cases[2].find("error").get("message") == "no"
    done = author.run("test", ".", "--junit", "nowhere/out.xml")
    assert done.returncode == 2 and "nowhere/out.xml" in done.stderr


# ── strangers ───────────────────────────────────────────────────────────────

@pytest.mark.parametrize("body", [
    "assert(not (io or ffi or jit or debug or package or load or loadstring or loadfile or dofile or getfenv or getmetatable or rawset or coroutine))",
    "assert(not (os.execute or os.remove or os.getenv or os.exit or string.dump))",
    'for _, name in ipairs { "ffi", "io", "lunette", "lunette.names", "test-boot", "boot" } do assert(not pcall(require, name)) end',
    'assert(not pcall(string.rep, "x", 1e10))',
    "local mac = c:host '192.168.1.20'\nassert(not pcall(function() mac.dns = 1 end))\nassert(not pcall(setmetatable, mac, {}))",
    "string.gsub = error\nstring.format = error\nmath.floor = error\ntable.concat = error\npairs = error\n"
    "c:host('192.168.1.20'):http { to = '203.0.113.9', body = 'x' }\nc:expect_none()",
    'assert(not pcall(c.host, {}, "192.168.1.20"))',
    'assert(not pcall(c:host("192.168.1.20").dns, setmetatable({ ip = "192.168.1.20" }, { __index = error }), { name = "x" }))',
])
def test_a_test_file_has_no_way_out(author, body):
    author.passes(body)


def test_a_test_that_never_ends_or_eats_all_memory(author):
    author.write(echo_lua=ECHO, echo_test_lua="""
local t = require "lunette.test"
t.case("fine", function(c) end)
t.case("loop", function(c) while true do end end)
t.case("memory", function(c) local all = {} while true do all[#all + 1] = ("x"):rep(1e5) .. #all end end)
t.case("packets", function(c) c:times(1e6, 0, function() c:host("192.168.1.20"):udp { to = "203.0.113.9", port = 1, say = { { "client", 60000 } } } end) end)
t.case("recursion", function(c) local function f() return 1 + f() end f() end)
t.case("fine as well", function(c) end)
t.case("pattern", function(c) local s = ("a"):rep(30000) s:find(("a*"):rep(20) .. "b") end)
""", loop_test_lua="while true do end")
    done = author.run("test", ".")
    assert done.returncode == 1
    assert "echo_test.lua:4: the test does not come to its end" in done.stdout
    assert "echo_test.lua:5: not enough memory: a test may have" in done.stdout
    assert "echo_test.lua:6: the packets of one case may have" in done.stdout
    assert "stack overflow" in done.stdout
    assert "echo_test.lua:9: the test does not come to its end" in done.stdout
    assert "./loop_test.lua: the test does not come to its end" in done.stdout
    assert "2 successes / 0 failures / 6 errors" in done.stdout


MEMCACHED = """
local lunette = require "lunette"
lunette.stream { name = "memcached", ports = { 11211 }, limit = 64,
    client = function(r)
        while true do
            lunette.alert { title = r:line(8) }
        end
    end }
"""


def test_a_failing_case_tells_which_stream_was_ended_and_where(author):
    out = author.fails('c:host("192.168.1.20"):tcp { to = "203.0.113.9", port = 11211, from = 50000, '
                       'say = { { "client", "get a\\r\\nget this that is long\\r\\nget b\\r\\n" } } }\n'
                       'c:expect { title = "get a" }\nc:expect { title = "get b" }', detector=MEMCACHED)
    assert "the stream memcached of 192.168.1.20:50000 > 203.0.113.9:11211 was ended: limit, at " in out
    assert "echo.lua:6 " in out
