"""SMTP, IMAP, POP3, FTP, IRC, MQTT, LDAP and XMPP against tshark's fields, over the captures that have them.

What both can say is compared as sets for each capture: envelopes, users, files, channels, topics, names. tshark goes by
ports; where a capture uses others it is told, as a person would tell it. No password that tshark sees may be in any
record of ours."""
import base64
import collections
import json
import re
import subprocess

import pytest

import tshark_view
from captures import EXAMPLES, PCAPS, needs_lunette, replay

pytestmark = needs_lunette

KINDS = "smtp imap pop3 ftp irc mqtt ldap xmpp".split()
FIELDS = """tcp.srcport smtp.req.command smtp.req.parameter imap.request.username imap.request.password
    pop.request.command pop.request.parameter ftp.request.command ftp.request.arg
    irc.request.command irc.request.command_parameter mqtt.clientid mqtt.username mqtt.passwd mqtt.topic mqtt.msgtype
    ldap.name ldap.baseObject ldap.simple xmpp.to""".split()
FTP_NOTED = "RETR STOR APPE STOU LIST NLST MLSD DELE RNFR RNTO MKD RMD".split()
# And what tshark has to be told. ftp-start-tls.pcap is not here: its client leaves TLS again (CCC, said within TLS), which
# tshark notices by what comes next and we do not; that TLS is found is tested below.
CAPTURES = {
    "ndpi/smtp.pcap": [], "ndpi/smtp-starttls.pcap": [], "ndpi/emotet.pcap": [], "ndpi/imap.pcap": [],
    "ndpi/imap-starttls.pcap": [], "ndpi/pop3.pcap": [], "ndpi/pop3_stls.pcap": [], "ndpi/ftp.pcap": [],
    "ndpi/ftp_failed.pcap": [], "ndpi/irc.pcap": ["tcp.port==8000,irc"],
    "ndpi/mqtt.pcap": [], "ndpi/coap_mqtt.pcap": ["tcp.port==17501,mqtt"], "ndpi/kerberos.pcap": [],
    "ndpi/log4j-webapp-exploit.pcap": ["tcp.port==1389,ldap"], "ndpi/jabber.pcap": [],
    "text-protocols.pcapng.gz": ["tcp.port==587,smtp"],
}


def path_of(name):
    path = PCAPS / name if "/" in name else EXAMPLES / name
    if not path.exists():
        pytest.skip("no capture " + name)
    return path


def tshark(path, decode_as):
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=\x1f"]
    command += [part for how in decode_as for part in ("-d", how)]
    command += [part for field in FIELDS for part in ("-e", field)]
    done = subprocess.run(command, capture_output=True, timeout=120)
    if done.returncode != 0 and b"cut short" not in done.stderr:
        pytest.skip("tshark: " + done.stderr.decode().strip().splitlines()[-1])
    for line in done.stdout.decode(errors="replace").split("\n"):
        columns = line.split("\t")
        if len(columns) == len(FIELDS):
            yield {field: [v for v in column.split("\x1f") if v] for field, column in zip(FIELDS, columns)}


def pairs(values, command, parameter, without=()):
    """Commands with their parameters: of several in a frame tshark gives two lists, without the parameters that there are not."""
    commands = [c.upper() for c in values[command] if c.upper() not in without]
    if len(commands) == len(values[parameter]):
        yield from zip(commands, values[parameter])


def between_brackets(text):
    found = re.search(r"<([^>]*)>", text)
    return found.group(1) if found else text.split(":", 1)[-1].strip()


def theirs(frames):
    found, secrets = collections.defaultdict(set), set()
    for values in frames:
        for command, parameter in pairs(values, "smtp.req.command", "smtp.req.parameter", ("DATA", "QUIT", "RSET")):
            if command in ("MAIL", "RCPT"):
                found[command].add(between_brackets(parameter))
            if command in ("EHLO", "HELO"):
                found["helo"].add(parameter)
        for command, parameter in pairs(values, "pop.request.command", "pop.request.parameter"):
            if command == "USER":
                found["pop3 user"].add(parameter)
            if command == "PASS":
                secrets.add(parameter)
        for command, argument in pairs(values, "ftp.request.command", "ftp.request.arg"):
            if command in FTP_NOTED:
                found["ftp"].add((command, argument))
            if command == "USER":
                found["ftp user"].add(argument)
            if command == "PASS" and "@" not in argument:
                secrets.add(argument)
        if "JOIN" in values["irc.request.command"]:
            found["irc join"].update(p for p in values["irc.request.command_parameter"] if p[0] in "#&")
        found["imap user"].update(user.strip('"') for user in values["imap.request.username"])
        found["mqtt client"].update(values["mqtt.clientid"])
        found["mqtt user"].update(values["mqtt.username"])
        found["mqtt topic"].update(values["mqtt.topic"])
        found["ldap name"].update(values["ldap.name"])
        found["ldap base"].update(values["ldap.baseObject"])
        if values["tcp.srcport"] == ["5222"]:
            found["xmpp jid"].update(to for to in values["xmpp.to"] if "@" in to and "/" in to)
        secrets.update(values["imap.request.password"] + values["mqtt.passwd"] + values["ldap.simple"])
    public = set().union(*(found[name] for name in ("mqtt user", "imap user", "pop3 user")))
    return found, {secret.strip('"') for secret in secrets if len(secret) > 3} - public


def ours(text):
    found = collections.defaultdict(set)
    for record in map(json.loads, text.splitlines()):
        kind = record["event_type"]
        body = record.get(kind, {})

        def add(name, *keys):
            for value in (body.get(key) for key in keys):
                found[name].update(value if isinstance(value, list) else [value] if value else [])
        if kind == "smtp":
            add("MAIL", "mail_from"), add("RCPT", "rcpt_to"), add("helo", "helo")
        if kind == "pop3" and body.get("mechanism") == "USER":
            add("pop3 user", "user")
        if kind == "imap" and body.get("mechanism") == "LOGIN":
            add("imap user", "user")
        if kind == "ftp":
            add("ftp user", "user")
            if body.get("command") in FTP_NOTED and "command_data" in body:
                found["ftp"].add((body["command"], body["command_data"]))
        if kind == "irc" and body["type"] == "join":
            add("irc join", "channels")
        if kind == "mqtt":
            add("mqtt client", "client_id"), add("mqtt user", "user")
            add("mqtt topic", "subscribed", "published", "received", "will_topic")
        if kind == "ldap":
            add("ldap name", "name"), add("ldap base", "bases")
        if kind == "xmpp":
            add("xmpp jid", "jid")
    return found


@pytest.mark.parametrize("name", CAPTURES)
def test_they_find_the_same(name):
    tshark_view.require()
    path = path_of(name)
    expected, secrets = theirs(tshark(path, CAPTURES[name]))
    done = replay("--no-scripts", "-q", "-o", "-", "--record", ",".join(KINDS), path)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert text, "no event at all"
    found = ours(text)
    if "MAIL" in expected or "helo" in expected:
        # tshark does not show whether the server took a HELO; of several greetings the last one counts for us.
        assert found["helo"] <= expected["helo"] and bool(found["helo"]) == bool(expected.pop("helo"))
        found.pop("helo")
    differing = {kind: expected[kind] ^ found[kind] for kind in expected.keys() | found.keys() if expected[kind] != found[kind]}
    assert not differing
    for secret in secrets:
        assert secret not in text and base64.b64encode(secret.encode()).decode() not in text


UPGRADES = {"ndpi/smtp-starttls.pcap": "smtp", "ndpi/imap-starttls.pcap": "imap", "ndpi/pop3_stls.pcap": "pop3",
            "ndpi/ftp-start-tls.pcap": "ftp"}


@pytest.mark.parametrize("name", UPGRADES)
def test_tls_behind_starttls_is_read(name):
    """tshark follows STARTTLS too: the same server names, and as many hellos."""
    tshark_view.require()
    path, carrier = path_of(name), UPGRADES[name]
    hellos = subprocess.run(["tshark", "-n", "-r", str(path), "-Y", "tls.handshake.type==1", "-T", "fields", "-e",
                             "tls.handshake.extensions_server_name"], capture_output=True, timeout=60).stdout.decode()
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "flow,tls," + carrier, path)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    tls = [record for record in records if record["event_type"] == "tls"]
    assert len(tls) == len(hellos.splitlines()) > 0
    assert sorted(record["tls"].get("sni", "") for record in tls) == sorted(hellos.splitlines())
    flows = [record for record in records if record["event_type"] == "flow" and record.get("app_proto") == "tls"]
    assert {record.get("app_proto_orig") for record in flows} == {carrier}
    upgraded = {record["flow_id"] for record in records if record.get(carrier, {}).get("starttls")}
    assert upgraded == {record["flow_id"] for record in tls}
