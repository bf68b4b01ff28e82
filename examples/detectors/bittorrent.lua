-- BitTorrent, read in Lua: the engine does not know it. Which torrent a Mac shares, with whose program, how much of it.
--
-- A peer begins with a byte 19, "BitTorrent protocol", eight bytes of flags, the torrent's info hash and its own name
-- (BEP 3). Then come messages: a length of four bytes, and if it is not zero a byte that says what it is. A name like
-- -TR3000-… tells program and version (BEP 20).
local lunette = require "lunette"

lunette.detector { title = "BitTorrent", category = "Policy" }
local tunables = lunette.tunables { quiet_hours = 24 }

local HELLO = "\19BitTorrent protocol"
local PIECE = 7 -- the message that carries data: piece number, offset, bytes
local PROGRAMS = { TR = "Transmission", UT = "µTorrent", UM = "µTorrent for Mac", qB = "qBittorrent", DE = "Deluge",
    lt = "libTorrent", LT = "libtorrent", AZ = "Vuze", XL = "Xunlei", BT = "BitTorrent", WW = "WebTorrent" }

local function hex(bytes)
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function program(peer_id)
    local name, version = peer_id:match("^%-(%a%a)(%w%w%w%w)%-")
    return name and ("%s %s"):format(PROGRAMS[name] or name, version)
end

local function parser(side)
    return function(r, s)
        if r:bytes(#HELLO) ~= HELLO then return end
        r:skip(8)
        local torrent, peer_id = hex(r:bytes(20)), r:bytes(20)
        s.state[side] = { torrent = torrent, program = program(peer_id), messages = 0, payload = 0 }
        local seen = s.state[side]
        while true do
            local length = r:u32be()
            if length > 0 then
                local kind = r:u8()
                if kind == PIECE and length > 9 then seen.payload = seen.payload + length - 9 end
                seen.messages = seen.messages + 1
                r:skip(length - 1)
            end
        end
    end
end

lunette.stream {
    name = "bittorrent",
    starts = { client = HELLO, server = HELLO },
    client = parser "client",
    server = parser "server",
    closed = function(s)
        local client, server = s.state.client, s.state.server
        local seen = client or server
        if not seen then return end
        lunette.alert {
            severity = "low",
            title = "BitTorrent",
            who = s.client_ip, where = seen.torrent,
            why = ("torrent %s is shared with %s:%d (%s)"):format(seen.torrent, s.server_ip, s.server_port,
                server and server.program or "unknown program"),
            evidence = { torrent = seen.torrent, program = client and client.program, peer = s.server_ip,
                peer_program = server and server.program, sent = client and client.payload,
                received = server and server.payload },
            next = "Ask the Mac's owner whether that is meant to be there.",
            key = s.client_ip .. " " .. seen.torrent, cooldown = tunables.quiet_hours * 3600,
        }
    end,
}
