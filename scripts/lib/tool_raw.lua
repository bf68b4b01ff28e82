-- What passes through a connection that speaks no protocol: a shell, a file, somebody typing. Judged by the first bytes of both
-- sides (lib/raw_head.lua) and by the rhythm. Figures are those of `flow` events.

local raw_head = require "raw_head"

local raw = {}

local function shell_out(why) return { severity = "high", confidence = 0.9, title = "Shell carried out of the host", why = why, is_shell = true } end

-- A shell, by what the two sides said first (strings, as far as they are known). Gives a finding, or nil.
-- f: server_port, server_local, answered (the client sent something).
function raw.shell(f, from_client, from_server)
    local prompt = raw_head.prompt(from_client)
    if prompt then return shell_out("the client shows a shell's prompt to the server: " .. prompt) end
    local command = raw_head.command(from_server)
    if raw_head.is_id_output(from_client) or (command and f.answered) then
        local finding = shell_out("the server types commands" .. (command and " (" .. command .. ")" or "") .. " and the client answers")
        finding.confidence = 0.8
        return finding
    end
    prompt = f.server_port ~= 23 and raw_head.prompt(from_server)
    if prompt or raw_head.is_id_output(from_server) then
        return { severity = f.server_local and "high" or "medium", confidence = 0.8, title = "Shell that listens on a port", is_shell = true,
            why = "the server shows a shell without any protocol: " .. (prompt or from_server:match("[^\r\n]*")) }
    end
end

-- A whole flow. limits: typed_turns, typed_pauses.
function raw.finding(f, from_client, from_server, limits)
    local shell = raw.shell(f, from_client, from_server)
    if shell then return shell end
    local got
    local sent, runs = raw_head.file(from_client, f.client_payload)
    if not sent then got, runs = raw_head.file(from_server, f.server_payload) end
    if sent or got then
        return { severity = (runs or sent) and "medium" or "low", confidence = 0.6,
            title = sent and "File sent without a protocol" or "File fetched without a protocol",
            why = "the stream begins with its bytes: " .. (sent or got) }
    end
    if f.proto == "TCP" and f.turns >= limits.typed_turns and f.client_pauses + f.server_pauses >= limits.typed_pauses and
        f.client_full + f.server_full == 0 and raw_head.is_typed(from_client) and raw_head.is_typed(from_server) then
        return { severity = "low", confidence = 0.4, title = "Conversation in bare lines",
            why = "both sides send lines that end in a bare newline, at the pace of a person" }
    end
end

-- Read or write request of TFTP (RFC 1350 section 5): "read" or "write", and the file's name.
function raw.tftp(head)
    local way, name, mode = head:match("^%z([\1\2])([^%z]+)%z(%a+)")
    if not way or not (mode:lower() == "octet" or mode:lower() == "netascii" or mode:lower() == "mail") then return nil end
    return way == "\1" and "read" or "write", name
end

-- One host's walk over another's ports. Gives the walk; `done` is true the moment it is long enough.
function raw.walk(walk, port, start, is_open, limits)
    if not walk or math.abs(start - walk.first) > limits.scan_window then walk = { first = start, ports = {}, n = 0, open = 0 } end
    if walk.ports[port] or walk.n > limits.scan_ports then return walk, false end
    walk.ports[port], walk.n = true, walk.n + 1
    if is_open then walk.open = walk.open + 1 end
    return walk, walk.n == limits.scan_ports
end

return raw
