"""Makes lan.pcapng.gz: what a Mac says on the local network in its first minute there, and what it is told.

It asks for addresses of both kinds, looks for AirPlay and printers, announces itself, looks for UPnP devices, and opens a
port on the router, by PCP and then by NAT-PMP.

    python3 make_lan.py [FOLDER]
"""

import pathlib
import struct
import sys

import names
from wire import Timeline, address, ethernet, ipv4, udp

NAME = "Annas-MacBook-Pro"
MAC, MAC_HARDWARE, MAC_LINK = "192.168.7.23", "f0:18:98:5e:21:07", "fe80::f218:98ff:fe5e:2107"
ROUTER, ROUTER_HARDWARE, ROUTER_LINK = "192.168.7.1", "02:00:00:00:00:01", "fe80::ff:fe00:1"
TV, TV_HARDWARE = "192.168.7.40", "02:00:00:00:00:28"
WISHES = bytes([1, 121, 3, 6, 15, 108, 114, 119, 252, 95, 44, 46])


def hardware(text):
    return bytes.fromhex(text.replace(":", ""))


def multicast_hardware(group):
    return "01:00:5e:" + ":".join("%02x" % byte for byte in (address(group)[1] & 127, *address(group)[2:]))


def datagram(source, target, source_port, target_port, payload, ends=(MAC_HARDWARE, ROUTER_HARDWARE), ttl=64):
    return ethernet(*ends, ipv4(source, target, 17, udp(source, target, source_port, target_port, payload), ttl=ttl, dont_fragment=False))


def datagram6(source, target, source_port, target_port, payload, ends):
    body = udp(source, target, source_port, target_port, payload)
    return ethernet(*ends, struct.pack(">IHBB", 0x60000000, len(body), 17, 1) + address(source) + address(target) + body, 0x86DD)


# ------------------------------------------------------------ addresses
def dhcp(operation, options, given="0.0.0.0"):
    head = struct.pack(">BBBBIHH", operation, 1, 6, 0, 0x5A7E11C3, 0, 0) + address("0.0.0.0") + address(given) + bytes(8)
    message = head + hardware(MAC_HARDWARE) + bytes(10 + 64 + 128) + bytes([99, 130, 83, 99])
    for code, value in options:
        message += bytes([code, len(value)]) + value
    return (message + b"\xff").ljust(300, b"\0")


def option6(code, value):
    return struct.pack(">HH", code, len(value)) + value


def addresses(line):
    client = [(61, b"\1" + hardware(MAC_HARDWARE))]
    ask = [(53, b"\1"), (55, WISHES), (57, struct.pack(">H", 1500)), *client, (51, struct.pack(">I", 7776000)), (12, NAME.encode())]
    take = [(53, b"\3"), (55, WISHES), (57, struct.pack(">H", 1500)), *client, (50, address(MAC)), (54, address(ROUTER)), (12, NAME.encode())]
    given = [(54, address(ROUTER)), (51, struct.pack(">I", 86400)), (58, struct.pack(">I", 43200)), (1, address("255.255.255.0")),
             (3, address(ROUTER)), (6, address(ROUTER)), (15, b"home.example"), (119, b"\4home\7example\0\4work\xc0\5"),
             (252, b"http://wpad.home.example/wpad.dat"), (114, b"https://portal.home.example/api")]
    up, down = (MAC_HARDWARE, "ff:ff:ff:ff:ff:ff"), (ROUTER_HARDWARE, MAC_HARDWARE)
    line.add(0.0, datagram("0.0.0.0", "255.255.255.255", 68, 67, dhcp(1, ask), up, 255))
    line.add(0.004, datagram(ROUTER, MAC, 67, 68, dhcp(2, [(53, b"\2"), *given], MAC), down))
    line.add(1.01, datagram("0.0.0.0", "255.255.255.255", 68, 67, dhcp(1, take), up, 255))
    line.add(1.015, datagram(ROUTER, MAC, 67, 68, dhcp(2, [(53, b"\5"), *given], MAC), down))
    client6 = option6(1, struct.pack(">HH", 3, 1) + hardware(MAC_HARDWARE))
    solicit = b"\1\x21\x07\x55" + client6 + option6(6, struct.pack(">HH", 23, 24)) + option6(8, b"\0\0")
    solicit += option6(3, struct.pack(">III", 1, 0, 0)) + option6(39, b"\0" + bytes([len(NAME)]) + NAME.encode())
    lease = option6(5, address("2001:db8:7::23") + struct.pack(">II", 3600, 7200))
    answer = b"\2\x21\x07\x55" + client6 + option6(2, struct.pack(">HH", 3, 1) + hardware(ROUTER_HARDWARE))
    answer += option6(3, struct.pack(">III", 1, 1800, 2880) + lease) + option6(23, address("2001:db8:7::1"))
    answer += option6(24, b"\4home\7example\0")
    line.add(1.3, datagram6(MAC_LINK, "ff02::1:2", 546, 547, solicit, (MAC_HARDWARE, "33:33:00:01:00:02")))
    line.add(1.31, datagram6(ROUTER_LINK, MAC_LINK, 547, 546, answer, (ROUTER_HARDWARE, MAC_HARDWARE)))


# ------------------------------------------------------------ names and services
def wire_name(*labels):
    return b"".join(bytes([len(label.encode())]) + label.encode() for label in labels) + b"\0"


def record(owner, kind, seconds, data, flush=True):
    return owner + struct.pack(">HHIH", kind, 0x8001 if flush else 1, seconds, len(data)) + data


def services(line):
    ends = (MAC_HARDWARE, multicast_hardware("224.0.0.251"))

    def say(at, message):
        line.add(at, datagram(MAC, "224.0.0.251", 5353, 5353, message, ends, 255))

    def service(*labels):
        return wire_name(*labels, "local")

    wanted = [service("_airplay", "_tcp"), service("_raop", "_tcp"), service("_universal", "_sub", "_ipp", "_tcp")]
    say(2.0, struct.pack(">6H", 0, 0, len(wanted), 0, 0, 0) + b"".join(name + struct.pack(">HH", names.PTR, 0x8001) for name in wanted))
    local = service(NAME)
    companion, airplay = service("Anna’s MacBook Pro", "_companion-link", "_tcp"), service("Anna’s MacBook Pro", "_airplay", "_tcp")
    info = service("Anna’s MacBook Pro", "_device-info", "_tcp")
    text = lambda *strings: b"".join(bytes([len(string)]) + string for string in strings)
    records = [
        record(service("_companion-link", "_tcp"), names.PTR, 4500, companion, False),
        record(service("_airplay", "_tcp"), names.PTR, 4500, airplay, False),
        record(companion, names.SRV, 120, struct.pack(">HHH", 0, 0, 49252) + local),
        record(companion, names.TXT, 4500, text(b"rpHN=5f0c8e1a", b"rpFl=0x20000", b"rpVr=360.4")),
        record(airplay, names.SRV, 120, struct.pack(">HHH", 0, 0, 7000) + local),
        record(airplay, names.TXT, 4500, text(b"model=Mac14,9", b"osvers=14.5", b"srcvers=770.8.1")),
        record(info, names.TXT, 4500, text(b"model=Mac14,9", b"osxvers=23"), False),
        record(local, names.A, 120, address(MAC)),
        record(local, names.AAAA, 120, address(MAC_LINK)),
    ]
    say(2.4, struct.pack(">6H", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records))


# ------------------------------------------------------------ devices, and a door in the router
def devices(line):
    wish = "urn:dial-multiscreen-org:service:dial:1"
    search = ("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: " + wish
              + "\r\nUSER-AGENT: Browser/114.0 Mac OS X\r\n\r\n")
    offer = ("CACHE-CONTROL: max-age=1800\r\nLOCATION: http://192.168.7.40:8008/description.xml\r\n"
             "SERVER: Linux/5.10 UPnP/1.1 Television/2.0\r\nUSN: uuid:3e1cc7c0-f4f3-4dc8-93ad-0242ac110002::" + wish + "\r\n")
    group = multicast_hardware("239.255.255.250")
    line.add(10.0, datagram(MAC, "239.255.255.250", 55012, 1900, search.encode(), (MAC_HARDWARE, group), 1))
    line.add(10.08, datagram(TV, MAC, 1900, 55012, ("HTTP/1.1 200 OK\r\nEXT:\r\nST: " + wish + "\r\n" + offer + "\r\n").encode(),
                             (TV_HARDWARE, MAC_HARDWARE)))
    notify = "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: " + wish + "\r\nNTS: ssdp:alive\r\n" + offer + "\r\n"
    line.add(12.5, datagram(TV, "239.255.255.250", 1900, 1900, notify.encode(), (TV_HARDWARE, group), 4))


def mapped(text):
    return bytes(10) + b"\xff\xff" + address(text)


def door(line):
    nonce = bytes(range(12))
    wish = b"\2\1\0\0" + struct.pack(">I", 7200) + mapped(MAC) + nonce + b"\6\0\0\0" + struct.pack(">HH", 5900, 5900) + mapped("0.0.0.0")
    line.add(20.0, datagram(MAC, ROUTER, 5350, 5351, wish))
    # The router knows nothing but NAT-PMP, and says so (RFC 6886 section 3.5 with erratum 3618).
    line.add(20.003, datagram(ROUTER, MAC, 5351, 5350, struct.pack(">BBHI", 0, 0x80, 1, 90000), (ROUTER_HARDWARE, MAC_HARDWARE)))
    line.add(20.01, datagram(MAC, ROUTER, 5350, 5351, struct.pack(">BBHHHI", 0, 2, 0, 5900, 5900, 7200)))
    line.add(20.014, datagram(ROUTER, MAC, 5351, 5350, struct.pack(">BBHIHHI", 0, 0x82, 0, 90000, 5900, 40411, 3600), (ROUTER_HARDWARE, MAC_HARDWARE)))
    line.add(20.02, datagram(MAC, ROUTER, 5350, 5351, b"\0\0"))
    line.add(20.024, datagram(ROUTER, MAC, 5351, 5350, struct.pack(">BBHI", 0, 0x80, 0, 90000) + address("203.0.113.5"), (ROUTER_HARDWARE, MAC_HARDWARE)))


def main(folder):
    line = Timeline(1718089200)
    for part in (addresses, services, devices, door):
        part(line)
    line.write(folder / "lan.pcapng.gz", "en0", "lunette sample: a Mac arrives on a local network")


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
