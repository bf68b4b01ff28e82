"""What runs inside what, against tshark over examples/layers.pcap: whom SOCKS and CONNECT are asked for, what is asked over
HTTP/2, and the names and requests that are found inside. The real captures have next to no HTTP/2 in clear."""
import collections
import pathlib

import pytest

import lunette_view
import tshark_view
from captures import needs_lunette

pytestmark = needs_lunette

SAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "layers.pcap"
# tshark goes by ports, and the sample's are not all its own.
TOLD = ("-d", "tcp.port==8080,http2", "-d", "tcp.port==3128,http", "-d", "tcp.port==8765,http")
LEAST = {"socks": 4, "http2": 4, "http": 6, "tls": 2}


@pytest.fixture(scope="module")
def views():
    tshark_view.require()
    return tshark_view.look(SAMPLE, *TOLD), lunette_view.look(SAMPLE)


@pytest.mark.parametrize("kind", sorted(LEAST))
def test_tshark_sees_the_same(views, kind):
    theirs, ours = (view for view in (views[0].items[kind], views[1][kind]))
    assert theirs.keys() == ours.keys()
    assert len(ours) >= LEAST[kind]


def test_flows_say_what_carried_them(views):
    counted = collections.Counter((record.get("app_proto"), record.get("app_proto_orig"), record.get("proxy", {}).get("kind"))
                                  for records in views[1]["flow"].values() for record in records)
    assert counted[("http", "socks", "socks5")] == 1 and counted[("tls", "socks", "socks5")] == 1
    assert counted[("tls", "socks", "socks4")] == 1 and counted[("tls", "http", "http")] == 1
    assert counted[("websocket", "http", None)] == 1
    assert counted[("socks", None, "socks5")] == 1 and counted[("http", None, "http")] == 1  # the refused ones
