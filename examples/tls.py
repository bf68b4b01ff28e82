"""TLS as it looks from outside: hellos in clear, then records of random bytes.

The lists of each stack are in the order in which it sends them; with them come the published JA4 values (FoxIO):
`python3 tls.py` computes them again from the bytes built here.
"""
import hashlib
import struct

GREASE = 0x0A0A  # stands for a place where the stack puts a reserved value (RFC 8701)

STACKS = {
    # Apple's system stack of macOS 10.15 and 11: t13d2613h2_2802a3db6c62_845d286b0d67
    "apple-2019": {
        "ciphers": [0x1301, 0x1302, 0x1303, 0xC02C, 0xC02B, 0xC024, 0xC023, 0xC00A, 0xC009, 0xCCA9, 0xC030, 0xC02F,
                    0xC028, 0xC027, 0xC014, 0xC013, 0xCCA8, 0x009D, 0x009C, 0x003D, 0x003C, 0x0035, 0x002F, 0xC008,
                    0xC012, 0x000A],
        "extensions": [0xFF01, 0, 23, 13, 5, 18, 16, 11, 51, 45, 43, 10, 21],
        "signatures": [0x0403, 0x0804, 0x0401, 0x0503, 0x0203, 0x0805, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201],
        "versions": [0x0304, 0x0303, 0x0302, 0x0301],
        "groups": [29, 23, 24, 25],
    },
    # The same, 2022 to 2024, Safari included: t13d2014h2_a09f3c656075_14788d8d241b
    "apple-2023": {
        "ciphers": [GREASE, 0x1301, 0x1302, 0x1303, 0xC02C, 0xC02B, 0xCCA9, 0xC030, 0xC02F, 0xCCA8, 0xC00A, 0xC009,
                    0xC014, 0xC013, 0x009D, 0x009C, 0x0035, 0x002F, 0xC008, 0xC012, 0x000A],
        "extensions": [GREASE, 0, 23, 0xFF01, 10, 11, 16, 5, 13, 18, 51, 45, 43, 27, GREASE, 21],
        "signatures": [0x0403, 0x0804, 0x0401, 0x0503, 0x0203, 0x0805, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201],
        "versions": [GREASE, 0x0304, 0x0303, 0x0302, 0x0301],
        "groups": [GREASE, 29, 23, 24, 25],
    },
    # Go's crypto/tls without ALPN, as Go implants of the Sliver kind have it: t13d190900_9dc949149365_97f8aa674fd9
    "go": {
        "ciphers": [0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014, 0x009C, 0x009D,
                    0x002F, 0x0035, 0xC012, 0x000A, 0x1301, 0x1302, 0x1303],
        "extensions": [0, 5, 10, 11, 13, 0xFF01, 18, 43, 51],
        "signatures": [0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603, 0x0201,
                       0x0203],
        "versions": [0x0304, 0x0303],
        "groups": [29, 23, 24, 25],
    },
}


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def words(values):
    return b"".join(struct.pack(">H", value) for value in values)


def without_grease(values):
    return [value for value in values if value != GREASE]


def handshake(kind, body):
    return bytes((kind,)) + vector(3, body)


def record(kind, version, body):
    return struct.pack(">BH", kind, version) + vector(2, body)


def extension_body(kind, stack, rng, name, alpn):
    share = rng.randbytes(32) if kind == 51 else b""
    grease_share = words([GREASE]) + vector(2, b"\0") if GREASE in stack["groups"] else b""
    return {
        GREASE: b"",
        0: vector(2, b"\0" + vector(2, name.encode())),
        5: b"\1\0\0\0\0",
        10: vector(2, words(stack["groups"])),
        11: b"\1\0",
        13: vector(2, words(stack["signatures"])),
        16: vector(2, b"".join(vector(1, protocol.encode()) for protocol in alpn)),
        18: b"",
        23: b"",
        27: b"\2\0\1",  # certificate compression: zlib
        43: vector(1, words(stack["versions"])),
        45: b"\1\1",
        51: vector(2, grease_share + words([29]) + vector(2, share)),
        0xFF01: b"\0",
    }[kind]


def client_hello(stack_name, rng, name, alpn=("h2", "http/1.1")):
    """The record with the ClientHello. Returns it with the session id, which the server repeats."""
    stack = STACKS[stack_name]
    session = rng.randbytes(32)
    head = struct.pack(">H", 0x0303) + rng.randbytes(32) + vector(1, session)
    head += vector(2, words(stack["ciphers"])) + b"\1\0"
    body = b""
    for kind in stack["extensions"]:
        if kind == 16 and not alpn:
            continue
        if kind == 21:  # RFC 7685: the whole handshake message is brought to 512 bytes
            short = 512 - (4 + len(head) + 2 + len(body) + 4)
            content = bytes(max(short, 0))
        else:
            content = extension_body(kind, stack, rng, name, alpn)
        body += struct.pack(">H", kind) + vector(2, content)
    return record(22, 0x0301, handshake(1, head + vector(2, body))), session


def server_hello(rng, session, cipher=0x1301):
    """ServerHello of TLS 1.3 and the ChangeCipherSpec that follows it for old middleboxes."""
    extensions = words([51]) + vector(2, words([29]) + vector(2, rng.randbytes(32)))
    extensions += words([43]) + vector(2, words([0x0304]))
    body = struct.pack(">H", 0x0303) + rng.randbytes(32) + vector(1, session) + words([cipher]) + b"\0"
    return record(22, 0x0303, handshake(2, body + vector(2, extensions))) + change_cipher_spec()


def change_cipher_spec():
    return record(20, 0x0303, b"\1")


def sealed(rng, size):
    """`size` bytes of content as encrypted records: each adds 5 bytes of header, a type byte and a 16-byte tag."""
    out = []
    while size > 0:
        part = min(size, 16384)
        out.append(record(23, 0x0303, rng.randbytes(part + 17)))
        size -= part
    return b"".join(out)


def ja4_of(stack_name, alpn):
    """JA4 after FoxIO's description (the BSD-licensed part)."""
    stack = STACKS[stack_name]
    ciphers = without_grease(stack["ciphers"])
    extensions = [kind for kind in without_grease(stack["extensions"]) if kind != 16 or alpn]
    tag = alpn[0][0] + alpn[0][-1] if alpn else "00"
    listed = ",".join(sorted(f"{kind:04x}" for kind in extensions if kind not in (0, 16)))
    signatures = ",".join(f"{value:04x}" for value in stack["signatures"])
    first = hashlib.sha256(",".join(sorted(f"{value:04x}" for value in ciphers)).encode()).hexdigest()[:12]
    second = hashlib.sha256(f"{listed}_{signatures}".encode()).hexdigest()[:12]
    return f"t13d{len(ciphers):02}{len(extensions):02}{tag}_{first}_{second}"


if __name__ == "__main__":
    for stack_name in STACKS:
        print(stack_name, ja4_of(stack_name, () if stack_name == "go" else ("h2", "http/1.1")))
