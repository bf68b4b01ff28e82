local t = require "lunette.test"

t.case("over HTTPS and over TLS", function(c)
    local mac = c:host "192.168.1.20"
    mac:tls { to = "8.8.8.8", sni = "dns.google" }
    mac:tls { to = "9.9.9.9", port = 853, sni = "dns.quad9.net" }
    c:expect { title = "Encrypted DNS", where = "dns.google", evidence = { port = 443 } }
    c:expect { title = "Encrypted DNS", where = "dns.quad9.net", evidence = { port = 853 } }
end)

t.case("below a name of the list", function(c)
    c:host("192.168.1.20"):tls { to = "104.16.1.1", sni = "mozilla.cloudflare-dns.com" }
    c:expect { where = "mozilla.cloudflare-dns.com" }
end)

t.case("a name that ends alike", function(c)
    c:host("192.168.1.20"):tls { to = "203.0.113.9", sni = "notdns.google" }
    c:expect_none()
end)

t.case("a first boot", function(c)
    c:capture "../mac-first-boot.pcapng.gz"
    c:expect_none()
end)
