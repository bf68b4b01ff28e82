"""Makes desk.pcapng.gz: a Mac at work in an office. A Kerberos login and a ticket for a file server, SMB with its shares,
Screen Sharing of another Mac, RDP to a Windows host, and STUN with a TURN relay that refuses. Who is who is made up; keys,
proofs and tickets are bytes of no meaning.

    python3 make_desk.py [FOLDER]
"""

import pathlib
import random
import struct
import sys

import tls
from mac import MacBook
from talk import Tcp, datagram
from wire import Timeline, address

MAC, KDC, FILES, STUDIO, WINDOWS, RELAY = "192.168.7.23", "192.168.7.10", "192.168.7.11", "192.168.7.31", "192.168.7.45", "203.0.113.78"
REALM = "CORP.EXAMPLE"


def session(mac, at, server, port, turns):
    """A connection whose sides take turns: what the client (">") and the server ("<") say."""
    talk = Tcp(mac, at, mac.server(server), port, keep=(4000, 4000)).open()
    for side, data in turns:
        if side == ">":
            talk.client_says(data)
        else:
            talk.server_says(data, think=0.002)
        talk.wait(0.01)
    return talk.close()


# ------------------------------------------------------------ Kerberos (RFC 4120 section 5)
def der(tag, *parts):
    body = b"".join(parts)
    size = len(body)
    length = bytes((size,)) if size < 128 else bytes((0x82,)) + struct.pack(">H", size)
    return bytes((tag,)) + length + body


def field(number, *parts):
    return der(0xA0 + number, *parts)


def number(value):
    return der(2, bytes((value,)))


def text(value):
    return der(0x1B, value.encode())


def principal(kind, *names):
    return der(0x30, field(0, number(kind)), field(1, der(0x30, *map(text, names))))


def encrypted(mac, size):
    return der(0x30, field(0, number(18)), field(2, der(4, mac.rng.randbytes(size))))


def asking(kind, who, service, padata=b""):
    name = field(1, principal(1, who)) if who else b""
    body = der(0x30, field(0, der(3, b"\0\x40\x81\0\x10")), name, field(2, text(REALM)), field(3, principal(2, *service)),
               field(5, der(0x18, b"20240612100000Z")), field(7, der(2, b"\x11\x22\x33\x44")),
               field(8, der(0x30, *map(number, (18, 17, 20, 19, 23)))))
    return der(0x60 + kind, der(0x30, field(1, number(5)), field(2, number(kind)), padata, field(4, body)))


def ticket(mac, service, size):
    return der(0x61, der(0x30, field(0, number(5)), field(1, text(REALM)), field(2, principal(2, *service)),
                         field(3, encrypted(mac, size))))


def giving(mac, kind, who, service):
    return der(0x60 + kind, der(0x30, field(0, number(5)), field(1, number(kind)), field(3, text(REALM)), field(4, principal(1, who)),
                                field(5, ticket(mac, service, 900)), field(6, encrypted(mac, 300))))


def refusing(code, service):
    return der(0x7E, der(0x30, field(0, number(5)), field(1, number(30)), field(4, der(0x18, b"20240611090000Z")),
                         field(5, number(7)), field(6, number(code)), field(9, text(REALM)), field(10, principal(2, *service))))


def kerberos(mac, at):
    login, files, reports = ("krbtgt", REALM), ("cifs", "files.corp.example"), ("http", "reports.corp.example")

    def asked(at, question, answer):
        framed = [struct.pack(">I", len(message)) + message for message in (question, answer)]
        session(mac, at, KDC, 88, [(">", framed[0]), ("<", framed[1])])

    proof = field(3, der(0x30, der(0x30, field(1, number(2)), field(2, der(4, encrypted(mac, 56))))))
    asked(at, asking(10, "anna", login), refusing(25, login))
    asked(at + 0.2, asking(10, "anna", login, proof), giving(mac, 11, "anna", login))
    shown = der(0x6E, der(0x30, field(0, number(5)), field(1, number(14)), field(2, der(3, b"\0\0\0\0\0")),
                          field(3, ticket(mac, login, 900)), field(4, encrypted(mac, 200))))
    proof = field(3, der(0x30, der(0x30, field(1, number(1)), field(2, der(4, shown)))))
    asked(at + 0.4, asking(12, None, files, proof), giving(mac, 13, "anna", files))
    asked(at + 0.6, asking(12, None, reports, proof), refusing(7, reports))


# ------------------------------------------------------------ SMB (MS-SMB2 section 2.2)
def smb(command, identifier, body, status=0, answer=False, tree=0):
    header = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, status, command, 1, int(answer), 0, identifier, 0xFEFF, tree, 0x41 if identifier > 1 else 0)
    message = header + bytes(16) + body
    return struct.pack(">I", len(message)) + message


def ntlm_names(domain, user, host):
    values = [value.encode("utf-16-le") for value in (domain, user, host)]
    at, fields, data = 88, [], b""
    for value in (b"", bytes(24), *values, b""):
        fields.append(struct.pack("<HHI", len(value), len(value), at + len(data)))
        data += value
    return b"NTLMSSP\0" + struct.pack("<I", 3) + b"".join(fields) + struct.pack("<I", 0x62088215) + bytes(24) + data


def setup(blob):
    return struct.pack("<HBBIIHHQ", 25, 0, 1, 1, 0, 88, len(blob), 0) + blob


def setup_answer(blob):
    return struct.pack("<HHHH", 9, 0, 72, len(blob)) + blob


def tree(path):
    name = path.encode("utf-16-le")
    return struct.pack("<HHHH", 9, 0, 72, len(name)) + name


def files(mac, at):
    dialects = (0x0202, 0x0210, 0x0300, 0x0302)
    offer = struct.pack("<HHHHI", 36, len(dialects), 1, 0, 0x7F) + mac.rng.randbytes(16) + bytes(8) + struct.pack("<4H", *dialects)
    choice = struct.pack("<HHHH", 65, 3, 0x0302, 0) + mac.rng.randbytes(16) + struct.pack("<IIIIQQHHI", 0x7F, 1 << 20, 1 << 20, 1 << 20, 0, 0, 128, 0, 0)
    hello = b"NTLMSSP\0" + struct.pack("<II", 1, 0x62088215) + bytes(24)
    challenge = b"NTLMSSP\0" + struct.pack("<IHHII", 2, 0, 0, 56, 0x62088215) + mac.rng.randbytes(8) + bytes(8) + struct.pack("<HHI", 0, 0, 56) + bytes(8)
    error = struct.pack("<HBBI", 9, 0, 0, 0) + b"\0"
    session(mac, at, FILES, 445, [
        (">", smb(0, 0, offer)),
        ("<", smb(0, 0, choice, answer=True)),
        (">", smb(1, 1, setup(hello))),
        ("<", smb(1, 1, setup_answer(challenge), 0xC0000016, True)),
        (">", smb(1, 2, setup(ntlm_names("CORP", "anna", "ANNAS-MACBOOK")))),
        ("<", smb(1, 2, setup_answer(b""), answer=True)),
        (">", smb(3, 3, tree("\\\\files.corp.example\\Projects"))),
        ("<", smb(3, 3, struct.pack("<HBBIII", 16, 1, 0, 0, 0, 0x1F01FF), answer=True, tree=5)),
        (">", smb(3, 4, tree("\\\\files.corp.example\\C$"))),
        ("<", smb(3, 4, error, 0xC0000022, True)),
        (">", smb(2, 5, struct.pack("<HH", 4, 0))),
        ("<", smb(2, 5, struct.pack("<HH", 4, 0), answer=True))])


# ------------------------------------------------------------ other people's screens
def screen_sharing(mac, at):
    size = 128
    session(mac, at, STUDIO, 5900, [
        ("<", b"RFB 003.889\n"),
        (">", b"RFB 003.889\n"),
        ("<", bytes((4, 30, 33, 36, 35))),
        (">", bytes((30,))),
        ("<", struct.pack(">HH", 2, size) + mac.rng.randbytes(2 * size)),
        (">", mac.rng.randbytes(128 + size)),
        ("<", bytes(4)),
        (">", b"\1")])


def remote_desktop(mac, at):
    cookie = b"Cookie: mstshash=anna\r\n" + struct.pack("<BBHI", 1, 0, 8, 3)
    hello, session_id = tls.client_hello("apple-2023", mac.rng, "win.corp.example", ())

    def connect(code, rest):
        return struct.pack(">BBHBBHHB", 3, 0, 11 + len(rest), 6 + len(rest), code, 0, 0, 0) + rest

    session(mac, at, WINDOWS, 3389, [
        (">", connect(0xE0, cookie)),
        ("<", connect(0xD0, struct.pack("<BBHI", 2, 0, 8, 2))),
        (">", hello),
        ("<", tls.server_hello(mac.rng, session_id) + tls.sealed(mac.rng, 1200)),
        (">", tls.change_cipher_spec() + tls.sealed(mac.rng, 53))])


# ------------------------------------------------------------ STUN (RFC 8489)
def stun(kind, transaction, *attributes):
    body = b"".join(struct.pack(">HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in attributes)
    return struct.pack(">HHI", kind, len(body), 0x2112A442) + transaction + body


def masked(host, port):
    mask = bytes.fromhex("2112a442")
    return struct.pack(">BBH", 0, 1, port ^ 0x2112) + bytes(a ^ b for a, b in zip(address(host), mask))


def call(mac, at):
    port, software = 52377, (0x8022, b"sample call 1.0")
    first, second = mac.rng.randbytes(12), mac.rng.randbytes(12)

    def say(after, outward, message):
        datagram(mac, at + after, outward, RELAY, port, 3478, message)

    say(0, True, stun(0x0001, first, software))
    say(0.03, False, stun(0x0101, first, (0x0020, masked("203.0.113.5", 40555)), (0x8022, b"relay 4.6")))
    say(0.04, True, stun(0x0003, second, (0x0019, b"\x11\0\0\0"), software))
    say(0.07, False, stun(0x0113, second, (0x0009, b"\0\0\4\1Unauthorized"), (0x0014, b"relay.example"), (0x0015, b"5e1f7a90")))


def main(folder):
    line = Timeline(1718100000)
    mac = MacBook(line, random.Random(11), MAC, "3c:22:fb:00:00:17", "Annas-MacBook-Pro", "14.5")
    for i, story in enumerate((kerberos, files, screen_sharing, remote_desktop, call)):
        story(mac, 10.0 * i)
    line.write(folder / "desk.pcapng.gz", "en0", "lunette sample: logins, shares and other people's screens in an office")


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
