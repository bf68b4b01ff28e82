/* Names and addresses whose owner everybody knows. */
#include "audit/inner.h"

#include "base/ip.h"
#include "protocol/encrypted_dns.h"

#include <string.h>
#include <strings.h>

/* Addresses that these services publish for everybody. */
static const char *const resolvers[][2] = {
    {"1.1.1.1", "Cloudflare"},
    {"1.0.0.1", "Cloudflare"},
    {"1.1.1.2", "Cloudflare"},
    {"1.0.0.2", "Cloudflare"},
    {"1.1.1.3", "Cloudflare"},
    {"1.0.0.3", "Cloudflare"},
    {"2606:4700:4700::1111", "Cloudflare"},
    {"2606:4700:4700::1001", "Cloudflare"},
    {"8.8.8.8", "Google"},
    {"8.8.4.4", "Google"},
    {"2001:4860:4860::8888", "Google"},
    {"2001:4860:4860::8844", "Google"},
    {"9.9.9.9", "Quad9"},
    {"149.112.112.112", "Quad9"},
    {"9.9.9.10", "Quad9"},
    {"9.9.9.11", "Quad9"},
    {"149.112.112.11", "Quad9"},
    {"2620:fe::fe", "Quad9"},
    {"2620:fe::9", "Quad9"},
    {"208.67.222.222", "OpenDNS"},
    {"208.67.220.220", "OpenDNS"},
    {"208.67.222.123", "OpenDNS"},
    {"208.67.220.123", "OpenDNS"},
    {"2620:119:35::35", "OpenDNS"},
    {"2620:119:53::53", "OpenDNS"},
    {"94.140.14.14", "AdGuard"},
    {"94.140.15.15", "AdGuard"},
    {"94.140.14.15", "AdGuard"},
    {"94.140.15.16", "AdGuard"},
    {"185.228.168.9", "CleanBrowsing"},
    {"185.228.169.9", "CleanBrowsing"},
    {"76.76.2.0", "Control D"},
    {"76.76.10.0", "Control D"},
    {"45.90.28.0", "NextDNS"},
    {"45.90.30.0", "NextDNS"},
    {"193.110.81.0", "dns0.eu"},
    {"185.253.5.0", "dns0.eu"},
    {"4.2.2.1", "Lumen"},
    {"4.2.2.2", "Lumen"},
    {"64.6.64.6", "UltraDNS"},
    {"64.6.65.6", "UltraDNS"},
    {"223.5.5.5", "Alibaba"},
    {"223.6.6.6", "Alibaba"},
    {"114.114.114.114", "114DNS"},
    {"119.29.29.29", "Tencent"},
    {"77.88.8.8", "Yandex"},
    {"77.88.8.1", "Yandex"},
};

static const char *const apple[] = {
    "apple.com",
    "icloud.com",
    "icloud-content.com",
    "mzstatic.com",
    "cdn-apple.com",
    "aaplimg.com",
    "apple-dns.net",
    "apple-cloudkit.com",
    "apple-mapkit.com",
    "appattest.apple.com",
    "itunes.com",
    "me.com",
    "mac.com",
    "apple.news",
    "applemusic.com",
    "apple-livephotoskit.com",
    "safebrowsing.apple",
};

/* Security products, management, certificates' revocation, and updates of browsers. */
static const char *const guards[] = {
    "crowdstrike.com",
    "cloudsink.net",
    "sentinelone.net",
    "sentinelone.com",
    "jamf.com",
    "jamfcloud.com",
    "kandji.io",
    "iru.com",
    "mosyle.com",
    "addigy.com",
    "malwarebytes.com",
    "mwbsys.com",
    "sophos.com",
    "sophosxl.net",
    "eset.com",
    "kaspersky.com",
    "avast.com",
    "avg.com",
    "avcdn.net",
    "symantec.com",
    "norton.com",
    "broadcom.com",
    "mcafee.com",
    "trellix.com",
    "trendmicro.com",
    "bitdefender.com",
    "bitdefender.net",
    "f-secure.com",
    "withsecure.com",
    "carbonblack.io",
    "carbonblack.com",
    "conferdeploy.net",
    "cylance.com",
    "objective-see.com",
    "objective-see.org",
    "objective-development.com",
    "obdev.at",
    "virustotal.com",
    "wdcp.microsoft.com",
    "wd.microsoft.com",
    "endpoint.security.microsoft.com",
    "smartscreen.microsoft.com",
    "safebrowsing.googleapis.com",
    "safebrowsing.google.com",
    "intego.com",
    "huntress.io",
    "redcanary.com",
    "elastic.co",
    "paloaltonetworks.com",
    "zscaler.com",
    "ocsp.digicert.com",
    "crl.digicert.com",
    "o.lencr.org",
    "c.lencr.org",
    "ocsp.sectigo.com",
    "tools.google.com",
    "update.googleapis.com",
    "aus5.mozilla.org",
    "edgedl.me.gvt1.com",
};

bool is_below(const char *name, const char *domain) {
    size_t length = strlen(name), suffix = strlen(domain);
    if (length > 0 && name[length - 1] == '.') length--;
    if (length < suffix || strncasecmp(name + length - suffix, domain, suffix) != 0) return false;
    return length == suffix || name[length - suffix - 1] == '.';
}

static bool is_of(const char *name, const char *const *domains, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (is_below(name, domains[i])) return true;
    return false;
}

bool is_apple_name(const char *name) {
    return is_of(name, apple, sizeof apple / sizeof apple[0]);
}

bool is_guarding_name(const char *name) {
    return is_of(name, guards, sizeof guards / sizeof guards[0]) || strncasecmp(name, "update.", 7) == 0 ||
           strncasecmp(name, "updates.", 8) == 0;
}

const char *known_resolver(const char *address) {
    struct ip ip, own;
    if (ip_parse(address, &ip) < 0) return NULL;
    for (size_t i = 0; i < sizeof resolvers / sizeof resolvers[0]; i++)
        if (ip_parse(resolvers[i][0], &own) == 0 && ip_equals(&ip, &own)) return resolvers[i][1];
    return NULL;
}

const char *known_encrypted_resolver(const char *host) {
    char lower[256];
    size_t length = 0;
    const char *by_address = known_resolver(host);
    if (by_address) return by_address;
    for (; host[length] && length < sizeof lower - 1; length++)
        lower[length] = (char)(host[length] >= 'A' && host[length] <= 'Z' ? host[length] + 32 : host[length]);
    return encrypted_dns_provider((struct slice){.at = (const uint8_t *)lower, .length = (uint32_t)length});
}

/* An address as settings write it: a zone behind '%' is left out. */
static bool read_address(const char *text, struct ip *ip) {
    char plain[64];
    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(text, "%"), text);
    return ip_parse(plain, ip) == 0;
}

bool is_loopback(const char *host) {
    struct ip ip;
    static const uint8_t one[16] = {[15] = 1};
    if (strcasecmp(host, "localhost") == 0 || is_below(host, "localhost")) return true;
    if (!read_address(host, &ip)) return false;
    return ip_is_v4(&ip) ? ip.bytes[12] == 127 : memcmp(ip.bytes, one, 16) == 0;
}

/* RFC 1918, 3927, 4193, 4291, 6598, and what is nobody's. */
bool is_private(const char *host) {
    struct ip ip;
    if (!read_address(host, &ip)) return false;
    const uint8_t *b = ip.bytes + 12;
    if (!ip_is_v4(&ip))
        return (ip.bytes[0] & 0xfe) == 0xfc || (ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80) ||
               is_loopback(host) || ip.bytes[0] == 0;
    return b[0] == 10 || b[0] == 127 || b[0] == 0 || (b[0] == 172 && (b[1] & 0xf0) == 16) ||
           (b[0] == 192 && b[1] == 168) || (b[0] == 169 && b[1] == 254) ||
           (b[0] == 100 && (b[1] & 0xc0) == 64) || b[0] >= 240;
}

bool is_public_address(const char *host) {
    struct ip ip;
    return read_address(host, &ip) && !is_private(host);
}

const char *host_of_url(const char *url, char out[256]) {
    const char *at = strstr(url, "://");
    out[0] = '\0';
    if (!at) return out;
    at += 3;
    size_t length = strcspn(at, "/?#");
    for (size_t i = length; i-- > 0;)
        if (at[i] == '@') {
            at += i + 1;
            length -= i + 1;
            break;
        }
    if (length > 0 && at[0] == '[') {
        at++;
        length = strcspn(at, "]/?#");
    } else {
        for (size_t i = 0; i < length; i++)
            if (at[i] == ':') length = i;
    }
    snprintf(out, 256, "%.*s", (int)(length < 255 ? length : 255), at);
    return out;
}
