-- Does a program fit a web service? A browser fits any, an app its own; an interpreter that nobody at a terminal started fits none.
--
--   fit.of(e, service, is_flow)   → nil if the program is not known; else { points = 0 } if it fits, or { points = n, words = "…" }.
--                                    is_flow: e is a flow event, which alone knows signatures
--
-- Programs that act for others (WebKit's networking, nsurlsessiond) count as not known. Points are judgements: 3 for a script that runs by itself, 4 for an unsigned program
-- in a place anybody may write to. A signed app that is in no table is taken to know what it does.

local programs = require "programs"

local fit = {}

local FITS = { points = 0 }
local ANY = { browser = true, developer = true, terminal = true, system = true, security = true, admin = true, vpn = true, installer = true, store = true, chat = true,
    sync = true, mail = true, media = true, editor = true, office = true, viewer = true } -- windows apps that do not fit are gui_app's business
local SCRIPTS = { interpreter = true, network = true, shell = true }

local WRITABLE = { temp = "a temporary folder", volume = "a mounted volume", user = "a user's folder" }

function fit.of(e, service, is_flow)
    local name = e.program
    if not name then return nil end
    local known = programs.of(name, e.path)
    if known.proxy then return nil end
    if service.apps[known.known_as or name] or service.apps[name] then return FITS end
    local class = known.class
    if class and ANY[class] or known.gui and class or known.updater then return FITS end
    if class and SCRIPTS[class] then
        local by_user = programs.is_user_run(e)
        if by_user then return FITS end
        local _, behind = programs.who_runs(e)
        if behind == "developer" or behind == "admin" or behind == "installer" then return FITS end
        if by_user == nil then return { points = 1, words = name .. " is no app of it (who started it is not known)" } end
        return { points = 3, words = name .. " runs by itself, of no terminal" }
    end
    -- No class: who signed it and where does it lie?
    local platform
    if is_flow then
        platform = e.platform
        if e.team_id or platform == "yes" then return FITS end
    end
    local place = known.place
    if WRITABLE[place or ""] then
        local unsigned = platform == "no"
        return { points = unsigned and 4 or 3, words = ("%s lies in %s%s"):format(name, WRITABLE[place], unsigned and " and is signed by nobody" or "") }
    end
    if platform == "no" then return { points = 2, words = name .. " is signed by nobody" } end
    if place == "applications" or place == "system" then return FITS end
    return { points = 1, words = name .. " is not known" }
end

return fit
