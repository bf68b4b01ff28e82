local t = require "lunette.test"

local function call(c, name) c:host("192.168.1.20"):tls { to = "203.0.113.9", sni = name } end

t.case("a digit for a letter", function(c)
    call(c, "www.paypa1.com")
    c:expect { severity = "high", where = "www.paypa1.com", evidence = { brand = "paypal.com", distance = 0 } }
end)

t.case("a Cyrillic letter, as it stands on the wire", function(c)
    call(c, "xn--pypal-4ve.com")
    c:expect { severity = "high", evidence = { brand = "paypal.com" } }
end)

t.case("a slip", function(c)
    call(c, "login.microsofft.com")
    c:expect { severity = "medium", evidence = { brand = "microsoft.com", distance = 1 } }
end)

t.case("the owners themselves, and others", function(c)
    for _, name in ipairs { "www.paypal.com", "login.microsoft.com", "www.example.com", "dropbox.com" } do call(c, name) end
    c:expect_none()
end)

t.case("a first boot", function(c)
    c:capture "../mac-first-boot.pcapng.gz"
    c:expect_none()
end)
