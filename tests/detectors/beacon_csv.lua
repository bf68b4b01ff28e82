-- Runs labelled connection logs through lunette.beat and writes scores for the judge.
--
--     luajit tests/detectors/beacon_csv.lua FLOWS.csv PRESENCE.csv LABELS.csv [--flows-only] [--by-name] [--maximum] > scores.csv
--
-- Each file may be gzip'ed (.gz). FLOWS has a line per event in order of time: ts, src, fqdn, bytes_out, bytes_in, kind (0 a flow,
-- 1 a burst of requests inside an open flow) and, if there is one, tls_stack; PRESENCE has src, ts: times at which the client was
-- seen to do anything; LABELS lends only the age of each name at the beginning (name_known_days_before_window): the labels
-- themselves are not read. Columns are found by their names in the first line.
--
-- As in the detector (scripts/beacon.lua) a pair is (client, name, TLS stack), and clients are counted per (name, stack);
-- --by-name leaves the stack out. --flows-only drops kind 1. What is written, `src,fqdn,auto,score`, is the best of the name's stacks
-- at the end of the log. --maximum writes the best of all moments at which the detector would have looked instead (when n doubles, or an
-- hour after the last look): that is what would have alerted; the end is the fairer measure of what state can know, and the default.
-- Figures about the run go to stderr.
package.path = "lua-api/?.lua;tests/detectors/?.lua;" .. package.path
local beat = require "beat"
local records = require "records"

local files, options = {}, {}
for _, word in ipairs(arg) do
    if word:match("^%-%-") then options[word] = true else files[#files + 1] = word end
end
for option in pairs(options) do
    if option ~= "--flows-only" and option ~= "--by-name" and option ~= "--maximum" then
        io.stderr:write("beacon_csv: unknown option " .. option .. "\n")
        os.exit(2)
    end
end
if #files ~= 3 then
    io.stderr:write("usage: beacon_csv.lua FLOWS.csv PRESENCE.csv LABELS.csv [--flows-only] [--by-name] [--maximum]\n")
    os.exit(2)
end

local function fail(text)
    io.stderr:write("beacon_csv: " .. text .. "\n")
    os.exit(1)
end

-- Iterates over a file's lines as lists of fields; `columns` are the numbers of the named ones (false: not there).
local function rows(path, wanted)
    local file = path:match("%.gz$") and io.popen("gzip -dc '" .. path:gsub("'", "'\\''") .. "'") or io.open(path)
    local first = file and file:read("*l")
    if not first then fail("cannot read " .. path) end
    local at, number = {}, 0
    for name in (first:gsub("\r$", "") .. ","):gmatch("([^,]*),") do
        number = number + 1
        at[name] = number
    end
    local columns = {}
    for i, name in ipairs(wanted) do
        local optional = name:match("^%?(.*)")
        columns[i] = at[optional or name] or (optional and false) or fail(path .. " has no column " .. name)
    end
    local fields = {}
    return function()
        local line = file:read("*l")
        if not line then
            file:close()
            return nil
        end
        local n = 0
        for field in (line:gsub("\r$", "") .. ","):gmatch("([^,]*),") do
            n = n + 1
            fields[n] = field
        end
        return fields
    end, columns
end

local new_pair, pair_size = records.define(beat.PAIR_FIELDS)
local new_clock = records.define(beat.CLOCK_FIELDS)

local age_of = {} -- "src fqdn" → days
do
    local next_row, c = rows(files[3], { "src", "fqdn", "name_known_days_before_window" })
    for row in next_row do age_of[row[c[1]] .. " " .. row[c[2]]] = tonumber(row[c[3]]) end
end

local clients, client_count = {}, 0 -- src → { clock, times, next }
local function client_of(src)
    local client = clients[src]
    if not client then
        client = { clock = new_clock(), times = {}, next = 1, active = false }
        clients[src] = client
    end
    return client
end
do
    local next_row, c = rows(files[2], { "src", "ts" })
    for row in next_row do
        local times = client_of(row[c[1]]).times
        times[#times + 1] = tonumber(row[c[2]])
    end
    for _, client in pairs(clients) do table.sort(client.times) end
end

local pairs_seen, names = {}, {} -- by "src fqdn stack"; "fqdn stack" → { count, clients }
local list, features = {}, {}
local evaluations = 0

local function evaluate(pair)
    local f = beat.features(pair.state, features)
    if not f then return end
    evaluations = evaluations + 1
    local A = beat.automation(f)
    local score = beat.score(A, pair.name.count, client_count, age_of[pair.label] or 0)
    if options["--maximum"] then
        pair.auto, pair.score = math.max(pair.auto or A, A), math.max(pair.score or score, score)
    else
        pair.auto, pair.score = A, score
    end
end

local events, counted = 0, 0
local started = os.clock()
local next_row, c = rows(files[1], { "ts", "src", "fqdn", "bytes_out", "bytes_in", "kind", "?tls_stack" })
for row in next_row do
    if not (options["--flows-only"] and row[c[6]] ~= "0") then
        local t, src, fqdn = tonumber(row[c[1]]), row[c[2]], row[c[3]]
        local stack = not options["--by-name"] and c[7] and row[c[7]] or ""
        local client = client_of(src)
        if not client.active then
            client.active, client_count = true, client_count + 1
        end
        local times, clock = client.times, client.clock
        while times[client.next] and times[client.next] <= t do
            beat.tick(clock, times[client.next])
            client.next = client.next + 1
        end
        local awake = beat.tick(clock, t)

        local key = src .. " " .. fqdn .. " " .. stack
        local pair = pairs_seen[key]
        if not pair then
            local name = names[fqdn .. " " .. stack] or { count = 0 }
            names[fqdn .. " " .. stack] = name
            name.count = name.count + 1
            pair = { state = new_pair(), label = src .. " " .. fqdn, src = src, fqdn = fqdn, name = name, due = 4, at = t }
            pairs_seen[key] = pair
            list[#list + 1] = pair
        end
        events = events + 1
        if beat.update(pair.state, t, awake, tonumber(row[c[4]]), tonumber(row[c[5]])) then
            counted = counted + 1
            if options["--maximum"] and (pair.state.n >= pair.due or t - pair.at >= 3600) then
                if pair.state.n >= pair.due then pair.due = pair.due * 2 end
                pair.at = t
                evaluate(pair)
            end
        end
    end
end

local best, order = {}, {}
for _, pair in ipairs(list) do
    evaluate(pair)
    if pair.score then
        local b = best[pair.label]
        if not b then
            b = { src = pair.src, fqdn = pair.fqdn, auto = pair.auto, score = pair.score }
            best[pair.label] = b
            order[#order + 1] = b
        end
        b.auto, b.score = math.max(b.auto, pair.auto), math.max(b.score, pair.score)
    end
end
print("src,fqdn,auto,score")
for _, b in ipairs(order) do print(("%s,%s,%.6f,%.6f"):format(b.src, b.fqdn, b.auto, b.score)) end
io.stderr:write(("%d events, %d check-ins, %d pairs of %d bytes, %d clients, %d evaluations, %.1f s\n"):format(
    events, counted, #list, pair_size, client_count, evaluations, os.clock() - started))
