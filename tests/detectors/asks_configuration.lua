-- For configuration_test.lua: says of each DNS question what lib/configuration.lua answers.
local lunette = require "lunette"
local configuration = require "configuration"

lunette.detector { title = "asked", category = "Discovery" }

lunette.on("dns", { type = "answer" }, function(e)
    local mac = configuration.of(e.client_ip)
    lunette.alert { severity = "info", who = e.client_ip, where = mac and mac.name or "nobody", why = "asked", evidence = {
        resolver = tostring(configuration.resolver_given(e.client_ip, e.server_ip)),
        proxy = tostring(configuration.proxy_given(e.client_ip, "127.0.0.1", 8080)),
        wireguard = tostring(configuration.vpn_given(e.client_ip, "wireguard", "203.0.113.7")),
        ikev2 = tostring(configuration.vpn_given(e.client_ip, "ikev2", "198.51.100.4")),
        doh = tostring(configuration.encrypted_dns_given(e.client_ip, "dns.example")),
    } }
end)
