-- BitTorrent, read in Lua: the engine does not know it. Which torrent a Mac shares, with whose program, how much of it.
--
-- A peer begins with a byte 19, "BitTorrent protocol", eight bytes of flags, the torrent's info hash and its own name
-- (BEP 3). Then come messages: a length of four bytes, and if it is not zero a byte that says what it is. A name like
-- -TR3000-… tells program and version (BEP 20). Before the beginning may stand a key exchange, of some hundred bytes, after
-- which the two agreed on plain text.
local lunette = require "lunette"

lunette.detector { title = "BitTorrent", category = "Policy" }
local tunables = lunette.tunables { quiet_hours = 24 }

lunette.event("hello", { torrent = "str", peer = "str", software = "str", by_client = "bool" }, "A peer said which torrent it shares")
lunette.event("message", { kind = "u8", length = "u32", by_client = "bool" }, "A message between peers")

local HELLO = "\19BitTorrent protocol"
local PIECE = 7 -- the message that carries data: piece number, offset, bytes
local PROGRAMS = { TR = "Transmission", UT = "µTorrent", UM = "µTorrent for Mac", qB = "qBittorrent", DE = "Deluge",
    lt = "libTorrent", LT = "libtorrent", AZ = "Vuze", XL = "Xunlei", UW = "µTorrent Web", WW = "WebTorrent" }

local function hex(bytes)
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function program(peer)
    local name, version = peer:match("^%-(%a%a)(%w%w%w%w)%-")
    return name and ("%s %s"):format(PROGRAMS[name] or name, version)
end

local function parser(side)
    return function(r, s)
        r:upto(HELLO, 2048)
        r:skip(8)
        local seen = { torrent = hex(r:bytes(20)), payload = 0 }
        local peer = r:bytes(20)
        seen.program = program(peer)
        s.state[side] = seen
        lunette.emit("hello", { torrent = seen.torrent, peer = hex(peer), software = seen.program, by_client = side == "client" })
        while true do
            local length = r:u32be()
            if length > 0 then -- else it says that the peer is still there
                local kind = r:u8()
                r:skip(length - 1)
                if kind == PIECE then seen.payload = seen.payload + length - 9 end
                lunette.emit("message", { kind = kind, length = length, by_client = side == "client" })
            end
        end
    end
end

lunette.stream {
    name = "bittorrent", ports = { 6881, 6882, 6883, 6884, 6885, 6886, 6887, 6888, 6889 },
    starts = { client = HELLO, server = HELLO },
    client = parser "client",
    server = parser "server",
    closed = function(s)
        local client, server = s.state.client or {}, s.state.server or {}
        local torrent = client.torrent or server.torrent
        if not torrent then return end
        lunette.alert {
            severity = "low",
            who = s.client_ip, where = torrent,
            why = ("shared with %s:%d (%s)"):format(s.server_ip, s.server_port, server.program or "unknown program"),
            evidence = { program = client.program, peer_program = server.program, sent = client.payload, received = server.payload },
            next = "Ask the Mac's owner whether that is meant to be there.",
            key = s.client_ip .. " " .. torrent, cooldown = tunables.quiet_hours * 3600,
        }
    end,
}
