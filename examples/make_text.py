"""Makes text-protocols.pcapng.gz: one session each of SMTP, IMAP, POP3, XMPP, LDAP, FTP, IRC and MQTT, as clear as they
come, and an SMTP session that goes on in TLS. Who is who is made up; passwords in it are nobody's.

    python3 make_text.py [FOLDER]
"""

import base64
import pathlib
import random
import sys

import tls
from mac import MacBook
from talk import Tcp
from wire import Timeline

MAC = "192.168.7.23"


def session(mac, at, server, port, lines, who="client"):
    """A connection whose sides take turns: what the client (">") and the server ("<") say, or seconds to wait. Texts
    get their line ends, bytes are sent as they are."""
    talk = Tcp(mac, at, mac.server(server), port, keep=(8000, 8000)).open()
    for side, data in lines:
        if side == "wait":
            talk.wait(data)
            continue
        data = data if isinstance(data, bytes) else data.replace("\n", "\r\n").encode()
        if side == ">":
            talk.client_says(data)
        else:
            talk.server_says(data, think=0.003)
        talk.wait(0.05)
    return talk.close(who)


def ber(tag, *parts):
    body = b"".join(parts)
    return bytes((tag, len(body))) + body


def number(value, tag=2):
    return ber(tag, bytes((value,)))


def mqtt(first, *parts):
    body = b"".join(parts)
    return bytes((first, len(body))) + body


def text(value):
    return len(value).to_bytes(2, "big") + value.encode()


def smtp_mail(mac, at):
    plain = base64.b64encode(b"\0anna@mail.example\0not-a-secret").decode()
    session(mac, at, "198.51.100.25", 587, [
        ("<", "220 mail.example ESMTP Postfix\n"),
        (">", "EHLO annas-macbook-pro.local\n"),
        ("<", "250-mail.example\n250-PIPELINING\n250-SIZE 52428800\n250-AUTH PLAIN LOGIN\n250 CHUNKING\n"),
        (">", "AUTH PLAIN %s\n" % plain),
        ("<", "235 2.7.0 Authentication successful\n"),
        (">", "MAIL FROM:<anna@mail.example> SIZE=77\nRCPT TO:<bo@far.example>\nRCPT TO:<nobody@far.example>\nDATA\n"),
        ("<", "250 2.1.0 Ok\n250 2.1.5 Ok\n550 5.1.1 No such user\n354 End data with <CR><LF>.<CR><LF>\n"),
        (">", "From: anna@mail.example\nTo: bo@far.example\nSubject: Lunch\n\nAt noon?\n..\n.\n"),
        ("<", "250 2.0.0 Ok: queued as 4T1\n"),
        (">", "QUIT\n"),
        ("<", "221 2.0.0 Bye\n")])


def smtp_upgrade(mac, at):
    hello, session_id = tls.client_hello("apple-2023", mac.rng, "mail.example", ())
    session(mac, at, "198.51.100.25", 587, [
        ("<", "220 mail.example ESMTP Postfix\n"),
        (">", "EHLO annas-macbook-pro.local\n"),
        ("<", "250-mail.example\n250 STARTTLS\n"),
        (">", "STARTTLS\n"),
        ("<", "220 2.0.0 Ready to start TLS\n"),
        (">", hello),
        ("<", tls.server_hello(mac.rng, session_id) + tls.sealed(mac.rng, 1200)),
        (">", tls.change_cipher_spec() + tls.sealed(mac.rng, 53))])


def imap(mac, at):
    session(mac, at, "198.51.100.143", 143, [
        ("<", "* OK [CAPABILITY IMAP4rev1 ID STARTTLS AUTH=PLAIN] Dovecot ready.\n"),
        (">", '1.1 ID ("name" "Mac OS X Mail" "version" "16.0 (3774.600.62)" "os" "Mac OS X" "vendor" "Apple Inc.")\n'),
        ("<", '* ID ("name" "Dovecot")\n1.1 OK ID completed.\n'),
        (">", '2.1 LOGIN "anna@mail.example" "not-a-secret"\n'),
        ("<", "2.1 OK Logged in\n"),
        (">", "3.1 SELECT INBOX\n"),
        ("<", "* 1 EXISTS\n3.1 OK [READ-WRITE] Select completed\n"),
        (">", "4.1 LOGOUT\n"),
        ("<", "* BYE Logging out\n4.1 OK Logout completed\n")])


def pop3(mac, at):
    session(mac, at, "198.51.100.110", 110, [
        ("<", "+OK POP3 ready\n"),
        (">", "USER anna\n"),
        ("<", "+OK\n"),
        (">", "PASS not-the-password\n"),
        ("<", "-ERR [AUTH] Authentication failed\n"),
        (">", "QUIT\n"),
        ("<", "+OK Bye\n")])


def xmpp(mac, at):
    head = "<?xml version='1.0'?><stream:stream %s version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    sasl = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
    session(mac, at, "198.51.100.52", 5222, [
        (">", head % "to='chat.example'"),
        ("<", head % "from='chat.example' id='1'" + "<stream:features><mechanisms %s><mechanism>SCRAM-SHA-1</mechanism>"
         "</mechanisms></stream:features>" % sasl),
        (">", "<auth %s mechanism='SCRAM-SHA-1'>%s</auth>" % (sasl, base64.b64encode(b"n,,n=anna,r=fyko").decode())),
        ("<", "<challenge %s>%s</challenge>" % (sasl, base64.b64encode(b"r=fykoXY,s=QSXCR+Q6sek8bf92,i=4096").decode())),
        (">", "<response %s>%s</response>" % (sasl, base64.b64encode(b"c=biws,r=fykoXY,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=").decode())),
        ("<", "<success %s>%s</success>" % (sasl, base64.b64encode(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").decode())),
        (">", head % "to='chat.example'"),
        ("<", head % "from='chat.example' id='2'" + "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>"),
        (">", "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>annas-mac</resource></bind></iq>"),
        ("<", "<iq type='result' id='b' to='anna@chat.example/annas-mac'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>anna@chat.example/annas-mac</jid></bind></iq>"),
        (">", "</stream:stream>"),
        ("<", "</stream:stream>")])


def ldap(mac, at):
    ok = (number(0, 10), ber(4), ber(4))
    bind = ber(0x60, number(3), ber(4, b"uid=anna,ou=people,dc=corp,dc=example"), ber(0x80, b"not-a-secret"))
    search = ber(0x63, ber(4, b"ou=people,dc=corp,dc=example"), number(2, 10), number(0, 10), number(0), number(0),
                 number(0, 1), ber(0x87, b"mail"), ber(0x30))
    entry = ber(0x64, ber(4, b"uid=bo,ou=people,dc=corp,dc=example"), ber(0x30))
    session(mac, at, "192.168.7.10", 389, [
        (">", ber(0x30, number(1), bind)),
        ("<", ber(0x30, number(1), ber(0x61, number(49, 10), ber(4), ber(4, b"wrong")))),
        (">", ber(0x30, number(2), bind)),
        ("<", ber(0x30, number(2), ber(0x61, *ok))),
        (">", ber(0x30, number(3), search)),
        ("<", ber(0x30, number(3), entry) + ber(0x30, number(3), ber(0x65, *ok))),
        (">", ber(0x30, number(4), ber(0x42)))])


def ftp(mac, at):
    listing = "-rw-r--r-- 1 ftp ftp 20 Jun 11 2024 notes.txt\n"
    session(mac, at + 1.1, "198.51.100.21", 50211, [("<", listing)], "server")
    session(mac, at, "198.51.100.21", 21, [
        ("<", "220 (vsFTPd 3.0.5)\n"),
        (">", "USER anonymous\n"),
        ("<", "331 Please specify the password.\n"),
        (">", "PASS anna@mail.example\n"),
        ("<", "230 Login successful.\n"),
        (">", "PASV\n"),
        ("<", "227 Entering Passive Mode (198,51,100,21,196,35).\n"),
        (">", "RETR pub/notes.txt\n"),
        ("<", "150 Opening BINARY mode data connection.\n"),
        ("wait", 0.5),
        ("<", "226 Transfer complete.\n"),
        (">", "QUIT\n"),
        ("<", "221 Goodbye.\n")])


def irc(mac, at):
    session(mac, at, "198.51.100.67", 6667, [
        (">", "NICK anna7\nUSER anna 0 * :Anna\n"),
        ("<", ":irc.example NOTICE * :*** Looking up your hostname\n:irc.example 001 anna7 :Welcome\n:irc.example 376 anna7 :End of MOTD\n"),
        (">", "JOIN #macs\n"),
        ("<", ":anna7!anna@host JOIN #macs\n:irc.example 366 anna7 #macs :End of NAMES\n"),
        (">", "PRIVMSG #macs :hello\n"),
        ("<", ":bo!bo@host PRIVMSG #macs :hi\n"),
        (">", "QUIT :bye\n"),
        ("<", "ERROR :Closing link\n")])


def mqtt_session(mac, at):
    session(mac, at, "192.168.7.12", 1883, [
        (">", mqtt(0x10, text("MQTT"), b"\x04\xc2", b"\x00\x3c", text("homebridge-7"), text("home"), text("not-a-secret"))),
        ("<", mqtt(0x20, b"\0\0")),
        (">", mqtt(0x82, b"\0\1", text("home/+/state"), b"\0")),
        ("<", mqtt(0x90, b"\0\1\0")),
        (">", mqtt(0x30, text("home/door/set"), b"open")),
        ("<", mqtt(0x30, text("home/door/state"), b"open")),
        (">", mqtt(0xE0))])


def main(folder):
    line = Timeline(1718096400)
    mac = MacBook(line, random.Random(5), MAC, "3c:22:fb:00:00:17", "Annas-MacBook-Pro", "14.5")
    for i, story in enumerate((smtp_mail, smtp_upgrade, imap, pop3, xmpp, ldap, ftp, irc, mqtt_session)):
        story(mac, 10.0 * i)
    line.write(folder / "text-protocols.pcapng.gz", "en0", "lunette sample: mail, chat, files and directories in clear")


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
