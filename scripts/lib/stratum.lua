-- Does a connection begin as a miner's does? Stratum and its kin are JSON-RPC, a line each, over plain TCP.
--
-- `of` takes the first bytes that the client sent; what it finds is words for an alert, or nil. The forms: stratum proper ("mining.subscribe", "mining.authorize": Bitcoin's, Zcash's),
-- the CryptoNote one ("method":"login" with a wallet as "login", or a miner's "agent": Monero's), the Ethereum ones ("eth_submitLogin", "eth_getWork", or what a worker
-- submits). `STARTS` is how such a line may begin, for lunette.stream; `ENOUGH` bytes tell nearly always.

local stratum = {}

stratum.STARTS = { '{"id"', '{ "id"', '{"method"', '{ "method"', '{"jsonrpc"', '{"worker"', '{"params"' }
stratum.ENOUGH, stratum.AT_MOST = 64, 128

-- With blanks and a long beginning the wallet stands behind ENOUGH: is it worth waiting for AT_MOST bytes?
function stratum.may_be(text) return text:find('"method" ?: ?"') ~= nil or text:find('"params" ?:') ~= nil end

function stratum.of(text)
    local method = text:match('"(mining%.%l+)"') or text:match('"(eth_submit%a+)"') or text:match('"(eth_getWork)"')
    if method then return method end
    if text:find('"method" ?: ?"login"') and (text:find('"login" ?:') or text:find('"agent" ?:')) then return "login with a wallet" end
    if text:find('"worker" ?:') and text:find('"jsonrpc" ?:') then return "work of a worker" end
    return nil
end

return stratum
