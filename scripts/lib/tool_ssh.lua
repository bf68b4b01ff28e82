-- What an SSH session is used for, by its texture: nothing inside can be read, but every use has a rhythm.
--
--   files       full segments one way, next to nothing back
--   shell       typed by one side, echoed by the other: small payloads, pauses of a person. Typed by the server: carried backwards
--   forwarding  requests of hundreds of bytes in bursts, answers of full segments, next to no keystrokes: other connections inside
--               (ssh -D, -L, and editors that work on remote hosts)
--
-- And which ssh it is, by banner and HASSH. Figures are those of `flow` events.

local ssh = {}

-- `known`: HASSH → { versions = { [version] = true }, macos = }; `versions`: all versions of the table. Gives words, macOS releases.
function ssh.identity(software, hassh, known, versions)
    if not software:find("^OpenSSH") then return "not the ssh of macOS" end
    local version = software:match("^OpenSSH_(%d+%.%d+)$")
    if not version then return "a portable OpenSSH: another system's, or Homebrew's" end
    local row = hassh and known[hassh]
    if row and row.versions[version] then return "the ssh of macOS " .. row.macos .. " by banner and HASSH", row.macos end
    if not versions[version] then return "a banner as Apple (or Red Hat) writes it, of a version this table does not know" end
    return "a banner as Apple (or Red Hat) writes it, but not the key exchange list of macOS with that version: an own configuration, "
        .. "another system, or a forged banner"
end

-- Files one way: "up", "down" or nil.
function ssh.way(up, down, bulk)
    if up >= bulk and up > 10 * down then return "up" end
    if down >= bulk and down > 10 * up then return "down" end
end

-- Typed by the server, echoed by the client. A keep-alive of the server looks alike, but comes more slowly than typing.
function ssh.is_reverse(f, least)
    return f.server_small >= least and f.server_pauses >= least / 2 and f.server_pauses >= 3 * f.client_pauses
        and f.turns >= 1.5 * f.server_pauses and f.age < 10 * f.server_pauses
end

-- Other connections inside. What the client sent beyond handshake and small payloads came in payloads of requests; keystrokes are
-- few beside them; answers fill segments; and all that again and again over a while.
function ssh.is_forwarding(f, least)
    local requests = f.client_payload - 128 * f.client_small - 6000
    return f.onsets >= least and f.age >= 60 and f.turns >= 4 * least and requests >= 600 * least and f.server_full >= 5 * least
        and f.server_payload > f.client_payload and f.client_small < f.turns
end

-- One exchange in an open session: did the client answer more than it was asked? Nobody types into a shell that way around.
function ssh.is_answer(client_payload, server_payload)
    return server_payload > 0 and server_payload < 4000 and client_payload >= 1.5 * server_payload and client_payload >= server_payload + 100
        and client_payload < 60000
end

-- Where git pushes to over ssh: the daily bread of whoever writes programs, and so a lead at most.
local CODE_HOSTS = {}
for _, name in ipairs { "github.com", "ssh.github.com", "gitlab.com", "altssh.gitlab.com", "bitbucket.org", "altssh.bitbucket.org", "codeberg.org",
    "git.sr.ht", "ssh.dev.azure.com", "vs-ssh.visualstudio.com" } do CODE_HOSTS[name] = true end

function ssh.is_code_host(name) return CODE_HOSTS[name or ""] or false end

return ssh
