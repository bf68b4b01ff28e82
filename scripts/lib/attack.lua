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

--- The tactic that an alert stands for: the foremost of its first technique (or of what that is a part of); nil if it names none.
function attack.tactic(techniques, text)
    local id = attack.ids(text)[1]
    local row = id and (techniques[id] or techniques[id:sub(1, 5)])
    return row and row.tactics[1]
end

return attack
