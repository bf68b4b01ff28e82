"""layers.pcap: what runs inside what. SOCKS, HTTP CONNECT, HTTP/2 in clear, a WebSocket and proxy configurations,
spoken by real programs (curl, dig, dante, squid, nginx) and recorded by tcpdump, as tools.pcap is (record.py).

    sudo python3 make_layers.py [FILE]

The WebSocket's two ends are Python's, below: no usual command line tool speaks it.
"""
import os
import pathlib
import signal
import shutil
import sys
import time

import record
from record import GATEWAY, NAME, SERVER, Stage, here, run, wait_for

record.HERE, record.THERE = "lunette-layers-here", "lunette-layers-there"
record.PROGRAMS = {"ip": "iproute2", "ethtool": "ethtool", "tcpdump": "tcpdump", "curl": "curl", "dig": "bind9-dnsutils",
                   "openssl": "openssl", "danted": "dante-server", "squid": "squid", "nginx": "nginx-core"}

DANTE = f"""internal: {GATEWAY} port = 1080
external: {SERVER}
socksmethod: none
clientmethod: none
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: {SERVER}/32 }}
socks block {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""
SQUID = """http_port {gateway}:3128
hosts_file {folder}/hosts
acl elsewhere dstdomain .invalid
http_access deny elsewhere
http_access allow all
cache deny all
access_log none
cache_log /dev/null
pid_filename {folder}/squid.pid
coredump_dir {folder}
shutdown_lifetime 0 seconds
"""
NGINX = """daemon off; pid {folder}/nginx.pid; error_log /dev/null; user root;
events {{ }}
http {{
    access_log off; root {folder}/web; server_name_in_redirect off;
    types {{ text/html html; application/x-ns-proxy-autoconfig pac dat; }}
    server {{ listen {server}:80; }}
    server {{ listen {server}:8080 http2; location /old {{ return 301 /index.html; }} }}
    server {{ listen {server}:443 ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; }}
}}
"""
PAC = b'function FindProxyForURL(url, host) {\n    return "PROXY 10.77.0.1:3128";\n}\n'
SOCKET_SERVER = f"""
import base64, hashlib, socket
listener = socket.create_server(("{SERVER}", 8765))
while True:
    peer, _ = listener.accept()
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        more = peer.recv(4096)
        if not more: break
        head += more
    if not head: continue
    key = [line.split(b": ")[1] for line in head.split(b"\\r\\n") if line.lower().startswith(b"sec-websocket-key")][0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    peer.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\\r\\nSec-WebSocket-Protocol: echo\\r\\n\\r\\n")
    while True:
        frame = peer.recv(4096)
        if not frame: break
        length = frame[1] & 127
        plain = bytes(byte ^ frame[2 + i % 4] for i, byte in enumerate(frame[6:6 + length]))
        peer.sendall(bytes((frame[0], length)) + plain)
        if frame[0] & 15 == 8: break
    peer.close()
"""
SOCKET_CLIENT = f"""
import os, socket, time
peer = socket.create_connection(("{SERVER}", 8765))
peer.sendall(b"GET /feed?room=1 HTTP/1.1\\r\\nHost: {NAME}:8765\\r\\nUser-Agent: sample/1\\r\\nUpgrade: websocket\\r\\n"
             b"Connection: Upgrade\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n"
             b"Origin: http://{NAME}\\r\\nSec-WebSocket-Protocol: echo, other\\r\\n\\r\\n")
peer.recv(4096)
for kind, text in ((1, b"hello"), (1, b"again"), (2, bytes(100)), (9, b"there?"), (8, b"\\x03\\xe8")):
    mask = os.urandom(4)
    peer.sendall(bytes((0x80 | kind, 0x80 | len(text))) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text)))
    peer.recv(4096)
    time.sleep(0.05)
"""
RESOLVER = f"""
import socket
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.bind(("{GATEWAY}", 53))
while True:
    question, who = door.recvfrom(512)
    door.sendto(question[:2] + b"\\x81\\x83" + question[4:10] + b"\\0\\0" + question[12:], who)
"""


def start_servers(stage):
    web = pathlib.Path(stage.folder, "web")
    web.mkdir()
    for name, content in (("index.html", b"<html><body>a page</body></html>\n" * 20), ("proxy.pac", PAC), ("wpad.dat", PAC)):
        (web / name).write_bytes(content)
    os.chmod(stage.folder, 0o755)
    stage.path("hosts", f"{SERVER} {NAME}\n".encode())
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", stage.path("key.pem"), "-out",
        stage.path("cert.pem"), "-days", "30", "-subj", f"/O=Sample/CN={NAME}", stderr=record.subprocess.DEVNULL)
    words = {"folder": stage.folder, "gateway": GATEWAY, "server": SERVER}
    there = record.THERE
    stage.start(there, "danted", "-f", stage.path("danted.conf", DANTE.encode()), "-p", stage.path("danted.pid"))
    stage.start(there, "squid", "-N", "-f", stage.path("squid.conf", SQUID.format(**words).encode()))
    stage.start(there, "nginx", "-c", stage.path("nginx.conf", NGINX.format(**words).encode()))
    stage.start(there, sys.executable, "-c", SOCKET_SERVER)
    stage.start(there, sys.executable, "-c", RESOLVER)
    for port in (80, 443, 8080, 8765):
        wait_for(stage, port)
    for port in (1080, 3128):
        wait_for(stage, port, GATEWAY)


def talk(stage):
    curl = ["curl", "-s", "-k", "--max-time", "20", "--resolve", f"{NAME}:80:{SERVER}", "--resolve", f"{NAME}:443:{SERVER}",
            "--resolve", f"{NAME}:8080:{SERVER}"]
    here("dig", f"@{GATEWAY}", "+tries=1", "+noedns", "wpad.sample.example", "A")
    here(*curl, "--noproxy", "*", "-A", "CFNetworkAgent (unknown version)", f"http://{NAME}/proxy.pac")
    here(*curl, "--noproxy", "*", f"http://{SERVER}/wpad.dat")
    here(*curl, "--socks5", f"{GATEWAY}:1080", f"http://{SERVER}/")
    here(*curl, "--socks5-hostname", f"{GATEWAY}:1080", "-o", "/dev/null", f"https://{SERVER}/")
    here(*curl, "--socks4", f"{GATEWAY}:1080", f"https://{NAME}/")
    here(*curl, "--socks5", f"{GATEWAY}:1080", "http://192.0.2.1/", check=False)
    here(*curl, "-x", f"http://{GATEWAY}:3128", f"https://{NAME}/")
    here(*curl, "-x", f"http://{GATEWAY}:3128", "https://gone.invalid/", check=False)
    for page in ("", "missing", "old"):
        here(*curl, "--noproxy", "*", "--http2-prior-knowledge", f"http://{NAME}:8080/{page}", check=False)
    here(*curl, "--noproxy", "*", "--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H", "te: trailers",
         "-A", "grpc-c/1.60", "--data-binary", "xxxxxhello", f"http://{NAME}:8080/sample.Greeter/SayHello",
         check=False)
    here(sys.executable, "-c", SOCKET_CLIENT)


def main(path):
    record.need_tools()
    with Stage() as stage:
        start_servers(stage)
        recording = stage.path("layers.pcap")
        recorder = stage.start(record.HERE, "tcpdump", "-i", "en0", "-U", "-w", recording, "ip")
        while not os.path.exists(recording) or os.path.getsize(recording) < 24:
            time.sleep(0.1)
        talk(stage)
        time.sleep(1)
        recorder.send_signal(signal.SIGINT)
        recorder.wait(10)
        shutil.copyfile(recording, path)
    print(f"{os.path.basename(path)}: {os.path.getsize(path) / 1e3:.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "layers.pcap")
