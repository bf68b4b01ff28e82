-- Who gave a host its resolver, its proxy or its proxy's script, in the words of a card's line.
local given = {}

function given.text(by)
    if by == "allowed" or by == "against the settings" then return by end
    if by == "not known" then return "not known who gave it" end
    return "given by " .. by
end

return given
