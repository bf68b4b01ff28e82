"""The lab: three Macs, a tap that all they say passes, and servers outside, all real programs.

      mac1  192.168.7.11 fd07::11 ─┐
      mac2  192.168.7.12 fd07::12 ─┤ gateway ── in0 tap out0 ── servers   198.51.100.x, 2001:db8:5::x
      mac3  192.168.7.13 fd07::13 ─┘

The sensor and tcpdump watch `in0` in the tap. A server that is not installed, or that this kernel cannot carry,
is left out, and `lab.missing` says why: the deeds that need it are not done and the tests name them as skipped."""

import os
import shutil
import subprocess
import sys

from rooms import HERE, Rooms, wait_for

MACS = {name: (f"192.168.7.1{i}", f"fd07::1{i}") for i, name in ((1, "mac1"), (2, "mac2"), (3, "mac3"))}
TAP, WATCHED = "tap", "in0"


def outside(number):
    return f"198.51.100.{number}", f"2001:db8:5::{number}"


WEB, WEB6 = outside(10)        # nginx, TLS on 443 and 8443
FORGED, _ = outside(66)        # the same nginx, where no Apple name belongs
PLAIN, PLAIN6 = outside(80)    # web_server.py, 80 and 8080
SSH, SSH6 = outside(22)        # sshd, 22 and 2222
NTP, _ = outside(123)
DNS, DNS6 = outside(53)
PROXY, _ = outside(31)         # squid on 3128, dante on 1080
BARE, BARE6 = outside(40)      # nc
VPN, _ = outside(94)           # OpenVPN on 1194, WireGuard on 51820
SERVERS = (10, 66, 80, 22, 123, 53, 31, 40, 94)

# name: addresses that the lab's DNS gives
NAMES = {
    "www.alpha.example": (WEB, WEB6), "cdn.alpha.example": (WEB, WEB6), "files.beta.example": (WEB, WEB6),
    "mail.gamma.example": (WEB, WEB6), "sync.delta.example": (WEB, None), "appleid-signin.example": (WEB, None),
    "plain.alpha.example": (PLAIN, PLAIN6), "hold.epsilon.example": (PLAIN, None), "ssh.alpha.example": (SSH, SSH6),
    "time.alpha.example": (NTP, None), "proxy.alpha.example": (PROXY, None), "bare.alpha.example": (BARE, BARE6),
    "www.apple.com": ("17.253.144.10", None),  # where Apple says it is; nobody calls it there
}
TXT = {"txt.alpha.example": ["v=spf1 -all"], "big.alpha.example": [f"{i:02d}" + "x" * 248 for i in range(12)]}
MX = {"alpha.example": (10, "mail.gamma.example")}


class Lab(Rooms):
    def __init__(self):
        super().__init__()
        self.missing = {}  # program: why it is not here

    def __enter__(self):
        super().__enter__()
        try:
            self._wire()
            self._certificates()
            for start in (self._dns, self._web, self._nginx, self._sshd, self._chrony, self._squid, self._dante, self._openvpn,
                          self._wireguard):
                start()
            for program, package in (("curl", "curl"), ("nc", "netcat-openbsd"), ("ping", "iputils-ping"), ("dig", "bind9-dnsutils"),
                                     ("scp", "openssh-client"), ("tcpdump", "tcpdump")):
                self.has(program, package)
        except BaseException:
            self.__exit__()
            raise
        return self

    def has(self, program, package=None):
        found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")
        if not found:
            self.missing[program] = f"{program} is not installed" + (f" (Debian: {package})" if package else "")
        return found

    # ------------------------------------------------------------ wires
    def _wire(self):
        self.add("gateway", "tap", "servers", *MACS)
        self.run("gateway", "ip", "link", "add", "name", "lan0", "type", "bridge")
        for name, (v4, v6) in MACS.items():
            self.cable(name, "en0", "gateway", name)
            self.run("gateway", "ip", "link", "set", name, "master", "lan0")
            self.address(name, "en0", v4 + "/24", v6 + "/64")
            self.route(name, "default", "192.168.7.1", "default", "fd07::1")
        self.address("gateway", "lan0", "192.168.7.1/24", "fd07::1/64")
        self.run("gateway", "ip", "link", "set", "lan0", "up")
        self.cable("gateway", "up0", TAP, WATCHED)
        self.cable(TAP, "out0", "servers", "eth0")
        self.address("gateway", "up0", "100.64.0.1/30", "fd07:f::1/64")
        self.address(TAP, WATCHED, "100.64.0.2/30", "fd07:f::2/64")
        self.address(TAP, "out0", "198.51.100.1/24", "2001:db8:5::1/64")
        for number in SERVERS:
            v4, v6 = outside(number)
            self.address("servers", "eth0", v4 + "/24", v6 + "/64")
        self.route("gateway", "default", "100.64.0.2", "default", "fd07:f::2")
        self.route(TAP, "192.168.7.0/24", "100.64.0.1", "fd07::/64", "fd07:f::1")
        self.route("servers", "default", "198.51.100.1", "default", "2001:db8:5::1")
        for room in ("gateway", TAP):
            self.sysctl(room, net__ipv4__ip_forward=1)
            self.sysctl(room, net__ipv6__conf__all__forwarding=1)
        self._know_each_other(("gateway", "up0", "100.64.0.1", "fd07:f::1"), (TAP, WATCHED, "100.64.0.2", "fd07:f::2"))
        # Names are asked of the lab's own server.
        resolver = self.folder / "resolv.conf"
        resolver.write_text(f"nameserver {DNS}\noptions timeout:2 attempts:3\n")
        self.run(None, "sh", "-c", f"target=$(readlink -f /etc/resolv.conf) && mkdir -p \"$(dirname \"$target\")\" && touch \"$target\" && "
                 f"mount --bind {resolver} \"$target\"")
        for name, (v4, v6) in MACS.items():
            wait_for(lambda: self.run(name, "ping", "-c", "1", "-W", "1", DNS, check=False).returncode == 0, what=f"{name} to be wired")

    def address(self, room, interface, v4, v6):
        self.run(room, "ip", "addr", "add", v4, "dev", interface)
        self.run(room, "ip", "addr", "add", v6, "dev", interface, "nodad")

    def route(self, room, to4, via4, to6, via6):
        self.run(room, "ip", "route", "add", to4, "via", via4)
        self.run(room, "ip", "-6", "route", "add", to6, "via", via6)

    def _know_each_other(self, *ends):
        """Neighbours for good: nobody asks who has an address, so nothing passes the tap when nobody talks."""
        for (room, interface, *_), (other, other_interface, v4, v6) in zip(ends, reversed(ends)):
            hardware = self.run(other, "ip", "-br", "link", "show", other_interface).stdout.split()[2]
            for address in (v4, v6):
                self.run(room, "ip", "neigh", "replace", address, "lladdr", hardware, "nud", "permanent", "dev", interface)

    def plug(self, state):
        """The Macs' cables in ("up") or out ("down"): when they are out nothing passes the tap."""
        for mac in MACS:
            self.run("gateway", "ip", "link", "set", mac, state)

    def listening(self, server, port, kind="t"):
        """Waits until somebody listens on the port in the servers' room; `kind`: t for TCP, u for UDP."""
        def ready():
            if server.poll() is not None:
                raise RuntimeError(f"{server.args} ended\n{self.tail()}")
            return self.run("servers", "ss", f"-Hl{kind}n", f"sport = :{port}", check=False).stdout
        wait_for(ready, what=lambda: f"{server.args} to listen on port {port}\n{self.tail()}")

    def log(self, name):
        return self.folder / f"{name}.log"

    def tail(self):
        return "\n".join(f"{p.name}: " + p.read_text(errors="replace")[-400:] for p in sorted(self.folder.glob("*.log")))

    # ------------------------------------------------------------ servers
    def _certificates(self):
        if not self.has("openssl"):
            return
        def openssl(*words):
            subprocess.run(["openssl", *map(str, words)], cwd=self.folder, check=True, capture_output=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 7, "-subj",
                "/O=Lab/CN=Lab throw-away CA", "-keyout", "ca.key", "-out", "ca.pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=alpha.example",
                "-keyout", "server.key", "-out", "server.csr")
        names = ["*.alpha.example", "*.beta.example", "*.gamma.example", "*.delta.example", "appleid-signin.example", "www.apple.com"]
        (self.folder / "names").write_text("subjectAltName=" + ",".join("DNS:" + n for n in names) + f",IP:{WEB},IP:{WEB6}\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 7, "-extfile", "names",
                "-out", "server.pem")

    def _dns(self):
        program = self.has("dnsmasq", "dnsmasq-base")
        if not program:
            return
        lines = ["no-resolv", "no-hosts", "keep-in-foreground", "user=root", "edns-packet-max=4096", f"pid-file={self.folder}/dnsmasq.pid",
                 "local=/example/", "bind-interfaces", f"listen-address={DNS},{DNS6}"]
        lines += [f"host-record={name},{','.join(a for a in addresses if a)}" for name, addresses in NAMES.items()]
        lines += [f"txt-record={name},{text}" for name, texts in TXT.items() for text in texts]
        lines += [f"mx-host={name},{host},{preference}" for name, (preference, host) in MX.items()]
        (self.folder / "dnsmasq.conf").write_text("\n".join(lines) + "\n")
        server = self.serve("servers", program, "-C", self.folder / "dnsmasq.conf", log=self.log("dnsmasq"))
        self.listening(server, 53)

    def _web(self):
        for port in (80, 8080):
            # nginx listens on port 443 of one address alone, so the plain ports are free on all.
            server = self.serve("servers", sys.executable, HERE / "web_server.py", port, log=self.log("web"))
            self.listening(server, port)

    def _nginx(self):
        program = self.has("nginx", "nginx-light")
        if not program or "openssl" in self.missing:
            return
        listen = "".join(f"    listen {a}:{p} ssl http2;\n" for a in (WEB, FORGED, f"[{WEB6}]") for p in (443, 8443))
        (self.folder / "nginx.conf").write_text(f"""
daemon off; user root; worker_processes 1; pid {self.folder}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 100m; keepalive_timeout 30;
  client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxied; fastcgi_temp_path {self.folder}/fast;
  uwsgi_temp_path {self.folder}/uw; scgi_temp_path {self.folder}/scgi;
  server {{
{listen}    ssl_certificate {self.folder}/server.pem; ssl_certificate_key {self.folder}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ proxy_pass http://127.0.0.1:80; proxy_http_version 1.1; }}
  }}
}}
""")
        server = self.serve("servers", program, "-p", self.folder, "-c", self.folder / "nginx.conf", log=self.log("nginx"))
        self.listening(server, 443)

    def _sshd(self):
        program = self.has("sshd", "openssh-server")
        if not program or not shutil.which("ssh-keygen"):
            return
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True, capture_output=True)
        (self.folder / "sshd_config").write_text(f"""
Port 22
Port 2222
ListenAddress {SSH}
ListenAddress {SSH6}
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/user_key.pub
PidFile none
StrictModes no
UsePAM yes
PermitRootLogin yes
PasswordAuthentication no
PrintMotd no
PrintLastLog no
UseDNS no
Subsystem sftp internal-sftp
""")
        self.run(None, "mkdir", "-p", "-m", "755", "/run/sshd")
        server = self.serve("servers", program, "-D", "-e", "-f", self.folder / "sshd_config", log=self.log("sshd"))
        self.listening(server, 22)

    def _chrony(self):
        program = self.has("chronyd", "chrony")
        if not program:
            return
        (self.folder / "chrony.conf").write_text(f"local stratum 8\nallow all\nbindaddress {NTP}\ncmdport 0\nbindcmdaddress /\n"
                                                 f"pidfile {self.folder}/chrony.pid\n")
        server = self.serve("servers", program, "-d", "-x", "-u", "root", "-f", self.folder / "chrony.conf", log=self.log("chrony"))
        self.listening(server, 123, "u")

    def _squid(self):
        program = self.has("squid", "squid")
        if not program:
            return
        work = self.folder / "squid"
        work.mkdir()
        work.chmod(0o777)
        (self.folder / "squid.conf").write_text(f"""
http_port {PROXY}:3128
http_access allow all
cache deny all
cache_mem 8 MB
pid_filename {work}/pid
cache_log {work}/cache.log
access_log none
coredump_dir {work}
dns_nameservers {DNS}
shutdown_lifetime 0 seconds
pinger_enable off
netdb_filename none
visible_hostname proxy.alpha.example
""")
        server = self.serve("servers", program, "-N", "-f", self.folder / "squid.conf", log=self.log("squid"))
        self.listening(server, 3128)

    def _dante(self):
        program = self.has("danted", "dante-server")
        if not program:
            return
        (self.folder / "danted.conf").write_text(f"""
logoutput: stderr
internal: {PROXY} port = 1080
external: eth0
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
""")
        server = self.serve("servers", program, "-f", self.folder / "danted.conf", "-p", self.folder / "danted.pid", log=self.log("danted"))
        self.listening(server, 1080)

    def _openvpn(self):
        program = self.has("openvpn", "openvpn")
        if not program or "openssl" in self.missing:
            return
        try:
            os.close(os.open("/dev/net/tun", os.O_RDWR))
        except OSError as error:
            self.missing["openvpn"] = f"/dev/net/tun: {error.strerror}"
            return
        common = f"dev tun0\nproto udp4\nca {self.folder}/ca.pem\ncert {self.folder}/server.pem\nkey {self.folder}/server.key\nverb 3\n"
        (self.folder / "vpn-server.conf").write_text(common + f"tls-server\ndh none\nlocal {VPN}\nport 1194\nifconfig 10.99.0.1 10.99.0.2\n")
        (self.folder / "vpn-client.conf").write_text(common + f"tls-client\nremote {VPN} 1194\nnobind\nifconfig 10.99.0.2 10.99.0.1\n")
        server = self.serve("servers", program, "--config", self.folder / "vpn-server.conf", log=self.log("openvpn"))
        self.listening(server, 1194, "u")

    def _wireguard(self):
        if not self.has("wg", "wireguard-tools"):
            return
        ends = (("mac3", "10.98.0.2/24", "10.98.0.1/32"), ("servers", "10.98.0.1/24", "10.98.0.2/32"))
        made = self.run("mac3", "ip", "link", "add", "name", "wg0", "type", "wireguard", check=False)
        if made.returncode:
            self.missing["wg"] = "this kernel has no WireGuard: " + made.stderr.strip()
            return
        self.run("servers", "ip", "link", "add", "name", "wg0", "type", "wireguard")
        keys = {}
        for room, *_ in ends:
            secret = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
            (self.folder / f"{room}.wg").write_text(secret)
            keys[room] = subprocess.run(["wg", "pubkey"], input=secret, capture_output=True, text=True, check=True).stdout.strip()
        for (room, own, peer_address), peer in zip(ends, ("servers", "mac3")):
            more = ["endpoint", f"{VPN}:51820"] if room == "mac3" else []
            port = ["listen-port", "51820"] if room == "servers" else []
            self.run(room, "wg", "set", "wg0", *port, "private-key", self.folder / f"{room}.wg", "peer", keys[peer],
                     "allowed-ips", peer_address, *more)
            self.run(room, "ip", "addr", "add", own, "dev", "wg0")
            self.run(room, "ip", "link", "set", "wg0", "up")
