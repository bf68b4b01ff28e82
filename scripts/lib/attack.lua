-- Techniques of MITRE ATT&CK (data/attack.tsv): names and tactics of the ids that alerts carry.
local attack = {}

-- The matrix' own order, left to right: what comes later in it is not later in time.
attack.TACTICS = { "Reconnaissance", "Resource Development", "Initial Access", "Execution", "Persistence", "Privilege Escalation", "Defense Evasion",
    "Credential Access", "Discovery", "Lateral Movement", "Collection", "Command and Control", "Exfiltration", "Impact" }

--- local techniques = require("attack").load(lunette): id → { name, tactics = { … } }
function attack.load(lunette)
    local rows = {}
    for _, row in ipairs(lunette.tsv("attack.tsv")) do
        local tactics = {}
        for tactic in row.tactics:gmatch("[^,]+") do tactics[#tactics + 1] = tactic end
        rows[row.id] = { name = row.name, tactics = tactics }
    end
    return rows
end

--- The ids in an alert's list, in its order.
function attack.ids(text)
    local list = {}
    for id in (text or ""):gmatch("T%d%d%d%d[%.%d]*") do list[#list + 1] = id end
    return list
end

local UPLOADS = { T1041 = true, T1048 = true, T1567 = true }

--- The tactics that an alert stands for: the foremost of its first technique (or of what that is a part of), and exfiltration where an upload is among the
--- others. What else they could be used for is not what was seen.
function attack.tactics(techniques, ids)
    local row = ids[1] and (techniques[ids[1]] or techniques[ids[1]:sub(1, 5)])
    local list = { row and row.tactics[1] }
    for i = 2, #ids do
        if UPLOADS[ids[i]:sub(1, 5)] and list[1] ~= "Exfiltration" and #list < 2 then list[#list + 1] = "Exfiltration" end
    end
    return list
end

return attack
