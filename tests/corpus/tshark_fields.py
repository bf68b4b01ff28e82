"""One look of tshark at each capture, for all tests that hold lunette against it.

To start tshark and to dissect a capture costs more than to print some fields more. So it prints what any of these tests
asks for, and in the folder that the environment's LUNETTE_KEPT names (ctest's is in the build) what it said of a capture is
kept for the next one that asks, and for the next run. Without that folder tshark is asked each time."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import zlib

BETWEEN = "\x1f"  # of several values of a field in one frame
# tshark_view.py
FLOWS = """frame.number frame.protocols ip.src ip.dst ipv6.src ipv6.dst ip.flags.mf ip.frag_offset
    tcp.srcport tcp.dstport udp.srcport udp.dstport gre.proto _ws.malformed
    tcp.analysis.lost_segment tcp.analysis.ack_lost_segment
    dns.qry.name dns.qry.class dns.count.queries tls.handshake.extensions_server_name
    http.request.method http.request.uri http.request.version http.host ssh.protocol
    socks.command socks.remote_name socks.v4a_dns_name socks.dst socks.dstV6 socks.port socks.dstport
    http2.headers.method http2.headers.authority http2.headers.path
    tls.handshake.type tls.handshake.ja3 tls.handshake.ja3s quic.version gquic.version quic.fixed_bit
    dtls.handshake.extensions_server_name dtls.handshake.ja3 dtls.handshake.ja3s
    ssh.kex.hassh ssh.kex.hasshserver tls.record.content_type""".split()
# test_lan.py
LAN = """frame.number frame.time_epoch frame.protocols frame.len frame.cap_len ip.flags.mf ip.frag_offset _ws.malformed
    ip.src ipv6.src udp.srcport udp.dstport tcp.srcport tcp.dstport
    dhcp.option.dhcp dhcp.option.hostname dhcp.option.request_list_item dhcp.option.type dhcp.cookie
    dhcpv6.msgtype dhcpv6.xid dhcpv6.requested_option_code dhcpv6.client_domain dhcpv6.iaaddr.ip
    dns.qry.name dns.resp.name dns.resp.type http.request.method http.response.code http.location http.server http.user_agent
    nat-pmp.opcode nat-pmp.result_code nat-pmp.internal_port nat-pmp.external_port nat-pmp.pml nat-pmp.external_ip
    ip.version ip.ttl ip.hdr_len ip.flags.df ip.flags.rb ip.id ip.dsfield.ecn ipv6.hlim ipv6.flow ipv6.tclass.ecn
    tcp.options tcp.window_size_value tcp.flags tcp.seq_raw tcp.ack_raw tcp.urgent_pointer tcp.len""".split()
# test_desk.py
DESK = """frame.protocols frame.len frame.cap_len ip.src ipv6.src ip.dst ipv6.dst tcp.srcport tcp.dstport udp.srcport udp.dstport _ws.malformed
    smb.cmd smb.flags.response smb.nt_status smb2.cmd smb2.flags.response smb2.nt_status smb2.dialect smb2.tree ntlmssp.auth.username ntlmssp.auth.domain
    kerberos.msg_type kerberos.realm kerberos.cname_string kerberos.CNameString kerberos.sname_string kerberos.SNameString kerberos.error_code
    rdp.rt_cookie rdp.neg_type rdp.negReq.requestedProtocols rdp.negReq.selectedProtocol rdp.negFailure.failureCode
    vnc.server_proto_ver vnc.client_proto_ver vnc.security_type vnc.server_security_type vnc.client_security_type vnc.auth_result
    stun.type.class stun.type.method stun.att.type stun.att.ipv4 stun.att.ipv6 stun.att.port stun.att.error.class stun.att.error stun.att.software
    classicstun.type classicstun.att.type classicstun.att.ipv4 classicstun.att.port""".split()
ALL = list(dict.fromkeys(FLOWS + LAN + DESK))
# What makes it fair: streams and datagrams put together, sums not held against offloading network cards.
OPTIONS = """tcp.desegment_tcp_streams:TRUE tcp.reassemble_out_of_order:TRUE tcp.analyze_sequence_numbers:TRUE
    tcp.check_checksum:FALSE udp.check_checksum:FALSE ip.check_checksum:FALSE ip.defragment:TRUE ipv6.defragment:TRUE
    tls.desegment_ssl_records:TRUE http.desegment_headers:TRUE http.desegment_body:TRUE""".split()
HANG = 240


def said(capture, fields, more):
    """What tshark prints, zlib's; nothing if it cannot read the capture."""
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=" + BETWEEN]
    for option in OPTIONS:
        command += ["-o", option]
    command += more
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, timeout=HANG, check=False)
    readable = done.returncode == 0 or b"cut short" in done.stderr
    return zlib.compress(b"+" + done.stdout if readable else b"-", 1)


def stamp(path):
    about = os.stat(path)
    return f"{os.path.realpath(path)} {about.st_size} {about.st_mtime_ns}"


def kept(folder, capture):
    """The same, from the folder if it is there. Who comes while another asks waits for what that one is told."""
    key = "\n".join([stamp(shutil.which("tshark")), stamp(capture), *OPTIONS, *ALL])
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / hashlib.sha256(key.encode()).hexdigest(), "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        try:
            return zlib.decompress(file.read())
        except zlib.error:  # new, or of a run that was broken off
            found = said(capture, ALL, [])
            file.truncate(0)
            file.write(found)
            return zlib.decompress(found)


def look(capture, fields, *more):
    """A list of columns for each frame, one column for each of these fields (of those above); None if tshark cannot read the
    capture. `more` are further options, after the usual ones."""
    folder = os.environ.get("LUNETTE_KEPT")
    printed = ALL if folder and not more else fields
    text = kept(pathlib.Path(folder), capture) if printed is ALL else zlib.decompress(said(capture, fields, more))
    if text[:1] != b"+":
        return None
    at = [printed.index(field) for field in fields]
    rows = (line.split("\t") for line in text[1:].decode(errors="replace").split("\n"))
    return ([columns[i] for i in at] for columns in rows if len(columns) == len(printed))
