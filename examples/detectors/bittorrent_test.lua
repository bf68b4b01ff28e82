local t = require "lunette.test"

local TORRENT = ("\171"):rep(20)
local function hello(peer) return "\19BitTorrent protocol" .. ("\0"):rep(8) .. TORRENT .. peer .. ("x"):rep(12) end
local function message(kind, body) return "\0\0" .. string.char(math.floor((#body + 1) / 256), (#body + 1) % 256, kind) .. body end
local piece = message(7, ("\0"):rep(8) .. ("d"):rep(1000))

t.case("a piece, cut in the middle", function(c)
    c:host("192.168.1.20"):tcp { to = "203.0.113.9", port = 51413, say = {
        { "client", hello "-TR4000-" }, { "server", hello "-qB4500-" },
        { "client", message(2, "") .. "\0\0\0\0" }, { "server", piece:sub(1, 300) }, { "server", piece:sub(301) .. piece } } }
    c:expect { title = "BitTorrent", who = "192.168.1.20", where = ("ab"):rep(20), why = "shared with 203.0.113.9:51413 (qBittorrent 4500)",
        evidence = { program = "Transmission 4000", received = 2000, sent = 0 } }
end)

t.case("the other side alone, after a key exchange", function(c)
    c:host("192.168.1.20"):tcp { to = "203.0.113.9", port = 6881, say = {
        { "client", ("\1\2\3\4"):rep(100) }, { "server", ("\5\6\7"):rep(100) .. hello "-UT3550-" } } }
    c:expect { title = "BitTorrent", why = "shared with 203.0.113.9:6881 (µTorrent 3550)" }
end)

t.case("others on its port", function(c)
    c:host("192.168.1.20"):tcp { to = "203.0.113.9", port = 6881, say = { { "client", "hello\n" }, { "server", ("y"):rep(5000) } } }
    c:host("192.168.1.20"):tls { to = "203.0.113.9", sni = "x.example" }
    c:expect_none()
end)
