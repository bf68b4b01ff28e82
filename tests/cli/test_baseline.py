"""`lunette baseline`: what is normal is learnt from captures or from a sensor's records, shown, and held against others.
The healthy captures are made by examples/make_altered.py from other seeds than those in examples/."""
import gzip
import json
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "corpus"))
from captures import EXAMPLES, needs_lunette, replay, run  # noqa: E402

pytestmark = needs_lunette

FIRST, ALTERED, IMPLANT = (EXAMPLES / f"{name}.pcapng.gz" for name in ("mac-first-boot", "mac-first-boot-altered", "mac-with-implant"))
LARGE = 4  # bits: less than that is not called a surprise here
COLUMNS = ("kind key hosts of flows_low flows_mid flows_high up_low up_mid up_high down_low down_mid down_high gap gap_spread hours "
           "first_seen note").split()


def baseline(*arguments, code=0):
    done = run("baseline", *arguments)
    assert done.returncode == code, done.stderr.decode()
    return done


def table(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[0].split("\t") == COLUMNS
    return {(row[0], row[1]): dict(zip(COLUMNS, row)) for row in (line.split("\t") for line in lines[1:])}


def without_sources(text):
    return [line for line in text.splitlines() if not line.startswith("# sources")]


def surprises(profile, *files, least=LARGE):
    out = baseline("compare", "--json", "--least", least, profile, *files).stdout
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("healthy")
    subprocess.run([sys.executable, EXAMPLES / "make_altered.py", "--healthy", "8", folder], check=True, timeout=120)
    return [folder / f"healthy-{i}.pcapng.gz" for i in range(1, 9)]


@pytest.fixture(scope="module")
def profile(tmp_path_factory, healthy):
    path = tmp_path_factory.mktemp("profile") / "normal.tsv"
    baseline("learn", "-o", path, FIRST, *healthy[:7])
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.tsv"
    baseline("learn", "-o", path, FIRST)
    return path


def records_of(capture, path, *options):
    assert replay("--no-scripts", "-q", *options, "-o", path, capture).returncode == 0
    return path


# ------------------------------------------------------------------- the sample
def test_the_altered_boot_shows_what_was_altered_and_nothing_else(profile):
    told = surprises(profile, ALTERED)
    assert {finding["host"] for finding in told} == {"10.10.3.116"}
    what = {(finding["change"], finding["kind"], finding["what"]) for finding in told}
    hidden = {("new", "name", "cdn.quiet-harbour.example"), ("missing", "name", "bag.itunes.apple.com"),
              ("more", "name", "p*-contacts.icloud.com"), ("new", "tls-name", "gateway.icloud.com"), ("new", "resolver", "203.0.113.53")}
    # The stranger's questions and the upload show in the sums too.
    follows = {("more", "dns", "query A"), ("more", "dns", "answer NOERROR"), ("more", "volume", "all")}
    assert hidden <= what <= hidden | follows
    bits = [finding["surprise"] for finding in told]
    assert bits == sorted(bits, reverse=True)
    assert told[0]["what"] == "cdn.quiet-harbour.example" and "every 26 s" in told[0]["why"] or told[0]["change"] == "more"


@pytest.mark.parametrize("number", range(8))
def test_a_healthy_boot_shows_nothing(tmp_path, healthy, number):
    rest = healthy[:number] + healthy[number + 1:]
    baseline("learn", "-o", tmp_path / "p.tsv", *rest)
    assert surprises(tmp_path / "p.tsv", healthy[number]) == []
    assert surprises(tmp_path / "p.tsv", FIRST) == []


def test_one_capture_is_enough_for_what_stands_out(small, healthy):
    told = {finding["what"] for finding in surprises(small, ALTERED)}
    assert {"cdn.quiet-harbour.example", "p*-contacts.icloud.com"} <= told
    for capture in healthy[:3]:
        assert surprises(small, capture) == []


def test_it_says_when_nothing_is_new(profile):
    out = baseline("compare", profile, FIRST).stdout.decode()
    assert "10.10.3.115, 1 hour: nothing surprising" in out


def test_exit_codes_tell_of_surprises(profile, healthy):
    baseline("compare", "--fail", "10", profile, ALTERED, code=1)
    baseline("compare", "--fail", "10", profile, healthy[7], code=0)
    baseline("compare", "--fail", "4", "--least", "90", profile, ALTERED, code=1)
    baseline("compare", profile, ALTERED, code=0)


def test_top_cuts_the_table_and_says_so(profile):
    out = baseline("compare", "--top", "2", profile, ALTERED).stdout.decode()
    assert "cdn.quiet-harbour.example" in out and "bag.itunes.apple.com" not in out and "more\n" in out
    assert len(baseline("compare", "--top", "2", "--json", profile, ALTERED).stdout.splitlines()) == 2


def test_a_host_alone(profile):
    assert b"10.10.3.116" in baseline("compare", "--host", "10.10.3.116", profile, ALTERED).stdout
    assert b"nothing to compare" in baseline("compare", "--host", "10.10.3.7", profile, ALTERED, code=2).stderr


def test_an_implant_among_browsing(profile):
    names = [finding for finding in surprises(profile, IMPLANT) if finding["kind"] == "name" and finding["change"] == "new"]
    assert names[0]["what"] == "stats.orbital-metrics.example"


# --------------------------------------------------------- captures and records
@pytest.mark.parametrize("capture", ["mac-first-boot.pcapng.gz", "mac-with-implant.pcapng.gz", "programs.pcapng.gz", "desk.pcapng.gz",
                                     "tools.pcap", "layers.pcap"])
def test_records_make_the_same_profile(tmp_path, capture):
    own = baseline("learn", EXAMPLES / capture).stdout.decode()
    for options in ((), ("-w", "3"), ("--batch", "1")):
        records = records_of(EXAMPLES / capture, tmp_path / "records.jsonl", *options)
        assert without_sources(baseline("learn", records).stdout.decode()) == without_sources(own)
    for batch in ("1", "7", "1024"):
        assert baseline("learn", "--batch", batch, EXAMPLES / capture).stdout.decode() == own
    packed = tmp_path / "records.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "records.jsonl").read_bytes()))
    assert without_sources(baseline("learn", packed).stdout.decode()) == without_sources(own)


def test_comparisons_are_the_same_for_any_workers_and_batches(tmp_path, profile, healthy):
    files = [healthy[7], ALTERED, EXAMPLES / "mac-with-implant.pcapng.gz"]
    own = baseline("compare", profile, *files).stdout
    assert own.index(b"10.10.3.116") < own.index(b"10.10.3.138") < own.index(b"192.168.7.23")
    assert baseline("compare", "--batch", "1", profile, *files).stdout == own
    for workers in ("1", "4"):
        path = tmp_path / f"{workers}.jsonl"
        assert replay("--no-scripts", "-q", "-w", workers, "-o", path, *files).returncode == 0
        assert baseline("compare", profile, path).stdout == own


def test_records_written_by_others_with_spaces(tmp_path):
    records = records_of(FIRST, tmp_path / "a.jsonl")
    lines = [json.dumps(json.loads(line)) for line in records.read_text().splitlines()]
    (tmp_path / "b.jsonl").write_text("\n".join(lines) + "\n")
    a, b = (baseline("learn", tmp_path / name).stdout.decode() for name in ("a.jsonl", "b.jsonl"))
    assert without_sources(a) == without_sources(b)


def test_garbage_between_records_is_passed_over_and_told(tmp_path):
    records = records_of(FIRST, tmp_path / "a.jsonl")
    lines = records.read_bytes().splitlines()
    whole = baseline("learn", records).stdout.decode()
    spoilt = [lines[0], b"\x00\xff not JSON", b"{", b'{"event_type":"flow"', b'{"event_type":"flow","flow":7}', b"", *lines[1:]]
    records.write_bytes(b"\n".join(spoilt) + b'\n{"event_type":"dns","dns":{"rrname":"cut of')
    done = baseline("learn", records)
    assert done.stdout.decode() == whole
    assert b"5 lines are no records" in done.stderr and b"line 2" in done.stderr


def test_a_capture_and_records_together(tmp_path, healthy):
    records = records_of(healthy[0], tmp_path / "h.jsonl")
    one = baseline("learn", FIRST, healthy[0]).stdout.decode()
    other = baseline("learn", FIRST, records).stdout.decode()
    assert without_sources(one) == without_sources(other)


# -------------------------------------------------------------------- the file
def test_figures_of_a_row_are_those_of_the_capture(small):
    """Against the flow records, counted here."""
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "flow", FIRST)
    flows = [json.loads(line) for line in done.stdout.splitlines()]
    rows = table(small.read_text())
    for name in ("ocsp.apple.com", "swscan.apple.com", "www.yahoo.com"):
        own = [record["flow"] for record in flows if record.get("event_type") == "flow" and record.get("server_name") == name]
        row = rows["name", name]
        assert own and float(row["flows_mid"]) == len(own)
        assert float(row["up_mid"]) == sum(flow["bytes_toserver"] for flow in own)
        assert float(row["down_high"]) == sum(flow["bytes_toclient"] for flow in own)
        assert row["hosts"] == row["of"] == row["hours"] == "1"
    assert rows["name", "*-courier.push.apple.com"]["note"] == "apple.com"
    assert rows["agent", "com.apple.trustd"]["flows_mid"] == rows["name", "ocsp.apple.com"]["flows_mid"]
    assert ("resolver", "local") in rows and ("dns", "answer NXDOMAIN") in rows
    assert ("dns-name", "*.in-addr.arpa") in rows and ("dns-name", "www.yahoo.com") not in rows


def test_programs_are_learnt():
    rows = table(baseline("learn", EXAMPLES / "programs.pcapng.gz").stdout.decode())
    assert ("program", "Safari") in rows and ("program-name", "curl dl.quiet-harbour.example") not in rows
    assert any(kind == "program-name" and key.startswith("updater ") for kind, key in rows)


def test_an_earlier_profile_goes_on(tmp_path, healthy):
    path = tmp_path / "p.tsv"
    baseline("learn", "-o", path, FIRST)
    for capture in healthy[:3]:
        baseline("learn", "-o", path, "--add", path, capture)
    text = path.read_text()
    assert "# host-hours: 4\n" in text and text.count("# host: ") == 4
    rows, at_once = table(text), table(baseline("learn", FIRST, *healthy[:3]).stdout.decode())
    assert rows.keys() == at_once.keys()
    for key, row in rows.items():
        for column in ("hosts", "of", "hours", "first_seen"):
            assert row[column] == at_once[key][column], key
    baseline("learn", "-o", path, "--add", path, FIRST)  # the same host again: one more hour, no more hosts
    assert table(path.read_text())["name", "ocsp.apple.com"]["hosts"] == "4"


def test_hosts_of_one_address_are_told_apart_if_asked(tmp_path):
    copy = tmp_path / "copy.pcapng.gz"
    copy.write_bytes(FIRST.read_bytes())
    rows = table(baseline("learn", "--apart", FIRST, copy).stdout.decode())
    assert rows["name", "swscan.apple.com"]["hosts"] == "2"


def test_two_addresses_of_one_host(tmp_path):
    def flow(address, name):
        return json.dumps({"event_type": "flow", "src_ip": address, "dest_ip": "192.0.2.1", "dest_port": 443, "proto": "TCP", "server_name": name,
                           "flow": {"bytes_toserver": 5, "bytes_toclient": 5, "start": "2024-06-11T08:00:00.000000+0000"}}) + "\n"

    path = tmp_path / "a.jsonl"
    path.write_text(flow("192.168.1.20", "a.example") + flow("fd00::21", "b.example") + flow("fd00::22", "c.example"))
    assert {row["of"] for row in table(baseline("learn", path).stdout.decode()).values()} == {"3"}
    text = baseline("learn", "--same", "192.168.1.20,fd00::21", "--host", "fd00::21", path).stdout.decode()
    assert "# host: 192.168.1.20, 1 h" in text and ("name", "b.example") in table(text) and ("name", "c.example") not in table(text)


def test_show(profile):
    out = baseline("show", profile).stdout.decode()
    assert "8 hosts, 8 hours" in out and "*-courier.push.apple.com" in out and "icloud.com" in out and "and 8 more" in out
    out = baseline("show", "--kind", "agent", "--top", "1", profile).stdout.decode()
    assert "com.apple.trustd" in out and "and 1 more" in out and "courier" not in out
    lines = [json.loads(line) for line in baseline("show", "--json", profile).stdout.splitlines()]
    assert lines[0]["host_hours"] == 8 and len(lines[0]["hosts"]) == 8
    assert {line["key"] for line in lines[1:] if line["kind"] == "resolver"} == {"local"}


@pytest.mark.parametrize("change, expected", [
    (lambda t: t.replace("\tflows_low", "\tfoo"), "column 5: expected 'flows_low', got 'foo'"),
    (lambda t: t.replace("name\tocsp.apple.com\t1", "name\tocsp.apple.com\tmany"), "hosts: expected a whole number from 0 to 4096, got 'many'"),
    (lambda t: t.replace("name\tocsp.apple.com\t1\t1", "name\tocsp.apple.com\t2\t1"), "hosts: expected 1 to 1, got 2"),
    (lambda t: t.replace("name\tocsp.apple.com\t1\t1", "name\tocsp.apple.com\t1\t9"), "of: expected 1"),
    (lambda t: t.replace("name\tocsp", "nmae\tocsp"), "kind: 'nmae' is none"),
    (lambda t: t.replace("name\tocsp.apple.com\t1\t1\t", "name\tocsp.apple.com\t1\t1\t-5\t"), "expected 18 columns with a tab between them, got 19"),
    (lambda t: t.replace("name\tocsp.apple.com\t1\t1\t", "name\tocsp.apple.com\t1\t1\t99"), "expected low <= middle <= high"),
    (lambda t: t.replace("name\tocsp.apple.com\t1\t1\t", "name\tocsp.apple.com\t1\t1\tnan"), "expected a number"),
    (lambda t: t + "name\tcut", "expected 18 columns"),
    (lambda t: t + "x" * 5000, "expected at most 4096 bytes"),
    (lambda t: t + next(line for line in t.splitlines() if line.startswith("name\tocsp")), "two of name ocsp.apple.com"),
    (lambda t: t.replace("format 1", "format 9"), "expected format 1, got '9'"),
    (lambda t: t.replace("# host: 10.10.3.115, 1 h\n", "# host: 10.10.3.115\n"), "expected '# host: ADDRESS, HOURS h'"),
    (lambda t: t.replace("# host: 10.10.3.115, 1 h\n", ""), "of: expected 0"),
    (lambda t: t.replace("Z\tapple.com", " o'clock\tapple.com"), "first_seen: expected a time"),
    (lambda t: t.replace("host-hours: 1", "host-hours: few"), "expected a number, got 'few'"),
    (lambda t: "\n".join(line for line in t.splitlines() if not line.startswith("volume")), "'volume all' is missing"),
    (lambda t: t.split("kind\t")[0], "it ends before the line that names the columns"),
    (lambda t: "", "empty"),
    (lambda t: "hello\n", "this is no profile"),
])
def test_a_malformed_profile_is_told_with_its_line(tmp_path, small, change, expected):
    path = tmp_path / "edited.tsv"
    path.write_text(change(small.read_text()))
    assert path.read_text() != small.read_text()
    for arguments in (("show", path), ("compare", path, FIRST), ("learn", "--add", path, FIRST)):
        message = baseline(*arguments, code=2).stderr.decode()
        assert expected in message and str(path) in message


def test_the_line_is_the_right_one(tmp_path, small):
    path = tmp_path / "edited.tsv"
    lines = small.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if line.startswith("name\tswscan"))
    lines[number] = lines[number].replace("name\t", "nose\t")
    path.write_text("\n".join(lines))
    assert f"{path}:{number + 1}: kind" in baseline("show", path, code=2).stderr.decode()


def test_lines_may_be_taken_out_and_comments_added(tmp_path, small):
    path = tmp_path / "edited.tsv"
    kept = [line for line in small.read_text().splitlines() if "swscan" not in line]
    path.write_text("\r\n".join([*kept[:2], "# by Anna: without updates", *kept[2:]]))
    told = surprises(path, FIRST, least=0.1)
    assert {"swscan.apple.com"} == {finding["what"] for finding in told if finding["change"] == "new"}


def test_a_detector_reads_it(tmp_path, small):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "normal.tsv").write_text(small.read_text())
    (tmp_path / "reader.lua").write_text("""
local lunette = require "lunette"
lunette.detector { title = "Reader", category = "Test" }
for _, row in ipairs(lunette.tsv("normal.tsv")) do
    if row.key == "swscan.apple.com" then lunette.log(("%s: %s of %s, %s bytes"):format(row.kind, row.hosts, row.of, row.up_mid)) end
end
lunette.on("flow", function() end)
""")
    done = replay("-s", tmp_path / "reader.lua", FIRST)
    expected = table(small.read_text())["name", "swscan.apple.com"]["up_mid"]
    assert done.returncode == 0 and f"name: 1 of 1, {expected} bytes" in done.stderr.decode()


def test_what_is_no_file_is_written_to_and_links_stay(tmp_path, small):
    """A device or a pipe must not be replaced by a file: as root that would take /dev/null away."""
    target, link = tmp_path / "target.tsv", tmp_path / "link.tsv"
    target.write_text("earlier")
    link.symlink_to(target)
    baseline("learn", "-o", link, FIRST)
    assert link.is_symlink() and target.read_text() == small.read_text()
    assert baseline("learn", "-o", "/dev/stdout", FIRST).stdout.decode() == small.read_text()
    link.unlink()
    link.symlink_to("/dev/full")
    assert "No space left" in baseline("learn", "-o", link, FIRST, code=1).stderr.decode()
    assert link.is_symlink() and not (tmp_path / "link.tsv.new").exists()


# ------------------------------------------------------------------ wrong use
def test_what_cannot_be_learnt_from(tmp_path):
    empty, text, nothing = tmp_path / "empty", tmp_path / "text", tmp_path / "nothing.pcap"
    empty.write_bytes(b"")
    text.write_text("hello\nworld\n")
    nothing.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    for path, expected in ((empty, "empty"), (text, "neither a capture nor records"), (nothing, "nothing to learn"),
                           (tmp_path / "absent", "absent")):
        target = tmp_path / "out.tsv"
        assert expected in baseline("learn", "-o", target, path, code=2).stderr.decode()
        assert not target.exists()


def test_nothing_to_compare(tmp_path, small):
    nothing = tmp_path / "nothing.pcap"
    nothing.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    assert b"nothing to compare" in baseline("compare", small, nothing, code=2).stderr


@pytest.mark.parametrize("arguments, expected", [
    ((), "learn, show or compare?"), (("lern",), "there is no 'lern'"), (("learn",), "which captures or records?"),
    (("show",), "expected one profile"), (("compare", "x"), "expected a profile, then"), (("show", "--kind", "nme", "x"), "did you mean name?"),
    (("learn", "--fail", "3", "x"), "takes no --fail"), (("compare", "--least", "lots", "x", "y"), "number of bits"),
    (("compare", "--top", "-1", "x", "y"), "--top takes"), (("learn", "--host", "anna", "x"), "--host takes addresses"),
    (("learn", "--same", "10.0.0.1", "x"), "two addresses or more"),
    (("learn", "-w", "2", "x"), "it takes no --workers"), (("learn", "-o"), "a value is missing"), (("show", "--json=1", "x"), "takes no value"),
])
def test_wrong_use(arguments, expected):
    assert expected in baseline(*arguments, code=2).stderr.decode()


def test_help_and_list():
    assert b"baseline compare" in baseline("--help").stdout and b"--least" in baseline("learn", "--help").stdout
    assert b"baseline" in run("--help").stdout


def test_a_place_that_cannot_be_written(tmp_path):
    assert b"no/such" in baseline("learn", "-o", tmp_path / "no/such/p.tsv", FIRST, code=1).stderr


# --------------------------------------------------------------------- bounds
def test_many_names_are_bounded_and_told(tmp_path):
    def line(name):
        return ('{"event_type":"flow","src_ip":"10.0.0.1","dest_ip":"192.0.2.1","dest_port":443,"proto":"TCP","server_name":"%s",'
                '"flow":{"bytes_toserver":1,"bytes_toclient":1,"start":"2024-06-11T08:00:00.000000+0000"}}\n' % name)

    letters = "abcdefghijklmnop"
    names = ("".join(letters[i >> 4 * k & 15] for k in range(5)) + ".example.org" for i in range(70000))
    path = tmp_path / "many.jsonl"
    path.write_text("".join(map(line, names)))
    done = baseline("learn", path)
    text = done.stdout.decode()
    assert len(table(text)) <= 65536
    assert b"did not fit" in done.stderr and "# left-out: " in text
    (tmp_path / "p.tsv").write_text(text)
    assert surprises(tmp_path / "p.tsv", path) == []


def test_names_cannot_break_the_table(tmp_path):
    record = {"event_type": "flow", "src_ip": "10.0.0.1", "dest_ip": "192.0.2.1", "dest_port": 443, "proto": "TCP\t\n",
              "server_name": "a\tb\nc\x1b[2J\u202e.example", "process": {"program": "x\ty\n# z"}, "app_proto": "\ttls",
              "flow": {"bytes_toserver": 1, "bytes_toclient": -4, "start": "2024-06-11T08:00:00.000000+0000"}}
    path = tmp_path / "odd.jsonl"
    path.write_text(json.dumps(record) + "\n")
    (tmp_path / "p.tsv").write_bytes(baseline("learn", path).stdout)
    out = baseline("show", tmp_path / "p.tsv").stdout.decode()
    assert "a?b?c?[2j?.example" in out and "\x1b" not in out
    assert surprises(tmp_path / "p.tsv", path, least=2) == []
