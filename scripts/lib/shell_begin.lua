-- A shell in a bare connection, told at its first bytes.
--
-- A flow is judged when it ends, and a shell stays open for days. So streams that begin as one of a few shells do, or with what people
-- first type into one, are read: a prompt or a line of each side, no more, and never by how it was cut into segments. All other
-- streams cost nothing. What these few beginnings miss is told when the flow ends.

local lunette = require "lunette"
local raw_head = require "raw_head"

local shell_begin = {}

-- What a shell shows first: the prompt, or the line. Of what is no shell's, the first four bytes.
local function shown(r)
    local head = r:bytes(4)
    if head == "bash" or head == "sh-3" then
        local text = head .. r:upto(" ", 40) .. " "
        return text:sub(-2) == ": " and text .. r:line(100) or text
    elseif head == "uid=" or head == "The " then
        return head .. r:line(200) .. "\n"
    elseif head == "\27[1m" then
        return head .. r:bytes(5)
    end
    return head
end

-- Calls speak(stream, from_client, from_server) whenever a side was read; either may be "".
function shell_begin.watch(speak)
    local function tell(s)
        if not s.midstream then speak(s, s.state.client or "", s.state.server or "") end
    end
    lunette.stream {
        name = "shell", starts = { client = raw_head.SHOWN, server = raw_head.TYPED }, limit = 1024, flows = 1000,
        client = function(r, s)
            s.state.client = shown(r)
            tell(s)
        end,
        server = function(r, s)
            s.state.server = r:upto("\n", 128) .. "\n"
            tell(s)
        end,
    }
    lunette.stream {
        name = "listening shell", starts = { server = raw_head.SHOWN }, limit = 1024, flows = 1000,
        server = function(r, s)
            s.state.server = shown(r)
            tell(s)
        end,
    }
end

return shell_begin
