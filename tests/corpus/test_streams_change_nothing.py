"""A detector that listens to every stream changes nothing for the others: all records are the same, byte for byte, with
and without it. And what streams tell does not depend on the batch, nor on the number of workers."""
import collections
import json

import pytest

from captures import EXAMPLES, PCAPS, SCRIPTS, event_kinds, needs_lunette, replay, two_at_a_time

pytestmark = needs_lunette

# With losses, overlaps, cut packets, one-sided flows, many protocols; among them each that the engine parses.
REAL = """ja4/ssh2.pcapng ja4/http1-with-cookies.pcapng ja4/latest.pcapng ndpi/tls_certificate_too_long.pcap ndpi/iphone.pcap
    ndpi/anyconnect-vpn.pcap ndpi/http-manipulated.pcap ndpi/fuzz-2006-06-26-2594.pcap ndpi/fuzz-2020-02-16-11740.pcap
    ndpi/bittorrent_tcp_miss.pcapng ndpi/bittorrent.pcap ndpi/socks.pcap ndpi/signal.pcap ndpi/netflix.pcap ndpi/1kxun.pcap
    ndpi/ssh_unidirectional.pcap ndpi/tls_missing_ch_frag.pcap ndpi/dns_dot.pcap ndpi/quic_interop_V.pcapng
    ndpi/openvpn.pcap ndpi/stun.pcap ndpi/smtp-starttls.pcap ndpi/teredo.pcap""".split()

# Each first byte that there is: 16 to a declaration, for both sides. `told` is said of each flow when it is over.
LISTENER = """
local lunette = require "lunette"
lunette.detector { title = "listener" }
local function count(side)
    return function(r, s)
        while true do
            r:need(1)
            local n = r:available()
            for c in r:bytes(math.min(n, 4096)):gmatch(".") do s.state[side] = ((s.state[side] or 7) * 31 + c:byte()) % 2^32 end
        end
    end
end
for _, transport in ipairs { "tcp", "udp" } do
    for i = 0, 15 do
        local first = {}
        for k = 0, 15 do first[k + 1] = string.char(16 * i + k) end
        if transport == "tcp" or i % 2 == 0 then
            lunette.stream { transport = transport, starts = { client = first, server = first },
                client = count "client", server = count "server",
                closed = function(s, reason)
                    lunette.alert { title = "told", who = s.client_ip .. ":" .. s.client_port, where = s.server_ip .. ":" .. s.server_port,
                        why = ("%s %s %s"):format(reason, s.state.client or 0, s.state.server or 0) }
                end }
        end
    end
end
"""


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    path = tmp_path_factory.mktemp("streams") / "listener.lua"
    path.write_text(LISTENER)
    return path


def samples():
    own = sorted(EXAMPLES.glob("*.pcap*"))
    assert own
    return own + [PCAPS / name for name in REAL if (PCAPS / name).exists()]


def records(capture, *options):
    done = replay("-q", "-o", "-", "--record", ",".join(["alert", *event_kinds()]), *options, capture)
    assert done.returncode == 0, (capture, done.stderr)
    return done.stdout.splitlines()


def is_told(line):
    return b'"detector":"listener"' in line


@pytest.fixture(scope="module")
def single(listener):
    """What the listener finds without any other, event by event: {capture: lines}."""
    captures = samples()
    return dict(zip(captures, two_at_a_time(lambda capture: records(capture, "-s", listener, "--batch", 1), captures)))


def test_the_others_do_not_notice(listener, single):
    """Nor does the listener notice them."""

    def wrong(capture):
        alone, beside = records(capture, "-s", SCRIPTS), records(capture, "-s", SCRIPTS, "-s", listener)
        # story hears every alert, the listener's too: what it makes of them is its business.
        alone, others = [[line for line in lines if not is_told(line) and b'"detector":"story"' not in line] for lines in (alone, beside)]
        if list(filter(is_told, beside)) != list(filter(is_told, single[capture])):
            return "the listener heard otherwise"
        return alone != others and next(((a, b) for a, b in zip(alone, others) if a != b), "another number")

    assert [(c.name, w) for c, w in zip(single, two_at_a_time(wrong, single)) if w] == []


@pytest.mark.parametrize("events", [7, 1024])
def test_the_batch_does_not_show(listener, single, events):
    def wrong(capture):
        return records(capture, "-s", listener, "--batch", events) != single[capture]

    assert [c.name for c, w in zip(single, two_at_a_time(wrong, single)) if w] == []


def told(lines):
    counted = collections.Counter()
    for record in map(json.loads, filter(is_told, lines)):
        record.pop("flow_id", None)
        counted[json.dumps(record, sort_keys=True)] += 1
    return counted


def test_the_workers_do_not_show(listener, single):
    one = [told(lines) for lines in single.values()]
    two = two_at_a_time(lambda capture: told(records(capture, "-s", listener, "-w", 2)), single)
    assert [c.name for c, a, b in zip(single, one, two) if a != b] == []
    assert sum(sum(c.values()) for c in one) > 500
