-- lifecycle's alerts: a stranger in an early phase, a vendor's device management, volume beyond the profile.

local lunette = require "lunette"
local book = require "lifecycle_book"
local hosts = require "host_kind"

local alerts = {}

-- tunables, profile and lives (address → what is known of the host) are lifecycle.lua's.
function alerts.new(tunables, profile, lives)
    local object = {}

    function object.stranger(address, session, phase, stranger)
        if not hosts.may_be_mac(address) or session.told >= tunables.alerts then return end
        session.told = session.told + 1
        local life = lives:get(address)
        local after_install = life and life.installed and session.begin - life.installed < tunables.install_recent
        local grave = (phase == "install" or after_install) and not session.vendor
        local there, wanted = profile.marks(phase, session)
        local install = phase == "install"
        lunette.alert {
            title = install and "Stranger in a Mac's install" or "Stranger in a Mac's first boot",
            severity = grave and "medium" or "low", confidence = grave and 0.6 or 0.4, score = grave and 6 or 3,
            attack = install and "T1195.002" or "T1543.004,T1195.002",
            category = install and "Initial Access" or "Persistence",
            who = address, where = stranger.name,
            why = ("%s was called over %s %.0f s into the %s (%d of its %d marks seen)%s; a healthy one calls %s%s"):format(
                stranger.name, stranger.over, stranger.time - session.begin, phase, there, wanted,
                stranger.program and (", by " .. stranger.program) or "",
                install and "Apple's names alone" or "Apple's names and a handful of known ones",
                session.vendor and ("; the Mac is managed by " .. session.vendor) or ""),
            evidence = { phase = phase, marks = there, of = wanted, over = stranger.over, port = stranger.port, server = stranger.server,
                seconds = math.floor(stranger.time - session.begin), managed_by = session.vendor, install_seen = after_install or install },
            next = "Nobody has logged in yet: which image or installer did this Mac come from, and do others of it call the name? "
                .. "Look into /Library/LaunchDaemons and at the profiles that are installed.",
            key = address .. " stranger " .. stranger.name, cooldown = tunables.cooldown,
        }
    end

    function object.vendor(address, session)
        if not session.vendor or session.vendor_told or not hosts.may_be_mac(address) then return end
        session.vendor_told = true
        lunette.alert {
            title = "Mac enrols in device management", severity = "info", confidence = 0.8, score = 1, attack = "T1072", category = "Execution",
            who = address, where = session.vendor_name,
            why = ("%s, of %s, was called in the %s: who manages this Mac can run programs on it"):format(session.vendor_name, session.vendor, session.phase),
            evidence = { vendor = session.vendor, phase = session.phase, name = session.vendor_name },
            next = "Is it your organisation's own management, and is this Mac one of yours?",
            key = address .. " managed " .. session.vendor_name, cooldown = tunables.cooldown,
        }
    end

    -- page: what the name has sent and received; row: the profile's, or nil; sent: is it for what was sent?
    function object.volume(address, phase, name, page, row, sent)
        lunette.alert {
            title = "Volume beyond the profile of an early phase", severity = "low", confidence = 0.4, score = sent and 4 or 2,
            attack = sent and "T1071.001,T1041" or "T1071.001", category = sent and "Exfiltration" or "Command and Control",
            who = address, where = name,
            why = sent and ("%s sent to %s in the %s, which sends next to nothing"):format(book.human(page.up), name, phase)
                or ("%s received from %s in the %s; the profile goes up to %s"):format(book.human(page.down), name, phase, book.human(row.bytes_high)),
            evidence = { phase = phase, connections = page.flows, sent = page.up, received = page.down, most = row and row.bytes_high or nil },
            next = "Is it Apple's server? See what apple_allowlist says of the name's address; a newer system may fetch more.",
            key = address .. " volume " .. phase .. " " .. name, cooldown = tunables.cooldown,
        }
    end

    return object
end

return alerts
