-- Does a connection begin as a miner's does? Stratum and its kin are JSON-RPC, a line each, over plain TCP.
--
-- Takes the slice of the first bytes that the client sent; what it finds is words for an alert, or nil. The forms: stratum proper
-- ("mining.subscribe", "mining.authorize": Bitcoin's, Zcash's), the CryptoNote one ("method":"login" with a wallet as "login", or with a miner's "agent": Monero's),
-- the Ethereum ones ("eth_submitLogin", "eth_getWork", "eth_submitHashrate", or params that are a worker's hex numbers).

local stratum = {}

local BRACE = 123

function stratum.of(slice)
    if not slice or #slice < 16 or slice:u8(1) ~= BRACE then return nil end
    local text = slice:tostring()
    local method = text:match('"(mining%.%l+)"') or text:match('"(eth_submit%a+)"') or text:match('"(eth_getWork)"')
    if method then return method end
    if text:find('"method" ?: ?"login"') and (text:find('"login" ?:') or text:find('"agent" ?:')) then return "login with a wallet" end
    if text:find('"worker" ?:') and text:find('"jsonrpc" ?:') then return "work of a worker" end
    return nil
end

return stratum
