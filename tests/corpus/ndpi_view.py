"""What nDPI's ndpiReader says of the flows of a capture: {flow: {verdict …}}.

A flow is (protocol, one end, other end) as in tshark_view. ndpiReader is told not to guess by port (-d). Of "TLS.Apple" the
part before the dot is the protocol that was seen, the rest an application's name, which lunette does not judge by; in
"NetBIOS.SMBv1" it is another protocol, which the first one carries. Flows without a verdict are not in its table."""
import collections
import csv
import ipaddress
import shutil
import subprocess
import tempfile

import pytest

from captures import HANG
from tshark_view import in_order

TRANSPORTS = {"6": "TCP", "17": "UDP"}


def require():
    if not shutil.which("ndpiReader"):
        pytest.skip("ndpiReader is not installed (package libndpi-bin)")


def address(text):
    """The address in its usual form; None for some of IPv6 that ndpiReader 4.2 prints wrongly (two "::")."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def look(capture):
    """The view of a capture, or None if ndpiReader cannot read it."""
    with tempfile.NamedTemporaryFile("r", suffix=".csv", errors="replace") as table:
        done = subprocess.run(["ndpiReader", "-d", "-q", "-i", capture, "-C", table.name], capture_output=True,
                              timeout=HANG, check=False)
        if done.returncode != 0:
            return None
        flows = collections.defaultdict(set)
        for row in csv.DictReader(line.lstrip("#") for line in table):
            if row["protocol"] not in TRANSPORTS or not row["ndpi_proto"]:
                continue
            ends = ((address(row["src_ip"]), int(row["src_port"])), (address(row["dst_ip"]), int(row["dst_port"])))
            if not ends[0][0] or not ends[1][0]:
                continue
            flows[TRANSPORTS[row["protocol"]], *in_order(*ends)].add(row["ndpi_proto"])
    return flows
