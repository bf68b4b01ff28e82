"""The lab's plain web server: HTTP/1.1 with keep-alive, over IPv4 and IPv6.

    web_server.py PORT

GET /bytes/N answers N bytes, GET /health a line, POST and PUT swallow what is sent and say how much it was."""

import http.server
import socket
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Lab/1", ""

    def answer(self, body, kind="text/plain"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        part = self.path.split("/")
        if len(part) == 3 and part[1] == "bytes":
            self.answer(b"b" * int(part[2]), "application/octet-stream")
        elif self.path.startswith("/health"):
            self.answer(b"well\n")
        else:
            self.send_error(404)

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        total = left
        while left:
            left -= len(self.rfile.read(min(left, 65536)))
        self.answer(b"%d\n" % total)

    do_PUT = do_POST

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 64


Server(("::", int(sys.argv[1])), Handler).serve_forever()
