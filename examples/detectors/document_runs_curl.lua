-- A document's program started a tool that fetches things: Word, Excel, Preview and their like do not run curl; macros do.
--
-- Shows: events of processes (`process`, from `--host-log`), the chain of parents, and names kept as tunables.
-- False alarms: add-ins that update themselves by a script. Their responsible program and arguments are in the alert.
--
--   lunette replay -s examples/detectors/document_runs_curl.lua --host-log examples/document.eslogger.jsonl examples/document.pcapng.gz

local lunette = require "lunette"

lunette.detector { title = "A document runs a fetching tool", category = "Execution", attack = "T1204.002" }
local tunables = lunette.tunables {
    documents = { "Microsoft Word", "Microsoft Excel", "Microsoft PowerPoint", "Preview", "Pages", "Numbers", "Keynote", "soffice" },
    tools = { "curl", "wget", "nscurl", "python3", "osascript" },
}

local function set_of(list)
    local set = {}
    for i = 1, #list do set[list[i]] = true end
    return set
end
local documents, tools = set_of(tunables.documents), set_of(tunables.tools)

lunette.on("process", { action = "exec" }, function(e)
    if not tools[e.program] then return end
    local ancestors = e.ancestors
    for i = 1, #ancestors do
        if documents[ancestors[i]] then
            lunette.alert {
                severity = "high", who = e.host, where = e.path,
                why = ("%s ran %s: %s"):format(ancestors[i], e.program, table.concat(e.arguments, " ")),
                evidence = { parents = table.concat(ancestors, " < "), pid = e.pid, signing_id = e.signing_id },
                next = "Which document was open then? The flows of that pid tell what was fetched.",
            }
            return
        end
    end
end)
