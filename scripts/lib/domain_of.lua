-- The registrable domain of a name, as lunette.registrable gives it, but false for none; names that were asked for lately are not looked up
-- in the public suffix list again.
local lunette = require "lunette"
local remember = require "remember"

return remember(function(name) return lunette.registrable(name) or false end, 2048)
