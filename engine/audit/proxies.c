/* SystemConfiguration's Proxies dictionaries (configd, SCSchemaDefinitions.h): a switch, a host and a port
 * for each kind, and three ways to be configured by somebody else: a file (PAC), a file in the settings
 * themselves, and discovery (WPAD). A host without its switch is off. */
#include "audit/inner.h"

#include <stdio.h>
#include <string.h>

void proxy_add(json_t *list, const char *kind, const json_t *host, int64_t port, const json_t *url) {
    json_t *proxy = json_object();
    set_text(proxy, "kind", kind);
    if (host) json_object_set(proxy, "host", (json_t *)host);
    if (port > 0 && port <= 65535) json_object_set_new(proxy, "port", json_integer(port));
    if (url) json_object_set(proxy, "url", (json_t *)url);
    json_array_append_new(list, proxy);
}

static void read_kind(json_t *list, plist_t proxies, const char *prefix, const char *kind) {
    char key[32];
    snprintf(key, sizeof key, "%sEnable", prefix);
    if (plist_number(proxies, key, 0) == 0) return;
    snprintf(key, sizeof key, "%sProxy", prefix);
    json_t *host = plist_text(proxies, key);
    snprintf(key, sizeof key, "%sPort", prefix);
    if (host) proxy_add(list, kind, host, plist_number(proxies, key, 0), NULL);
    json_decref(host);
}

json_t *proxies_read(plist_t proxies) {
    static const char *const kinds[][2] = {{"HTTP", "http"}, {"HTTPS", "https"}, {"SOCKS", "socks"},
                                           {"FTP", "ftp"},   {"RTSP", "rtsp"},   {"Gopher", "gopher"}};
    json_t *list = json_array(), *proxy;
    size_t i;
    if (!plist_is(proxies, PLIST_DICT) || plist_member(proxies, "__INACTIVE__")) return list;
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) read_kind(list, proxies, kinds[i][0], kinds[i][1]);
    if (plist_number(proxies, "ProxyAutoConfigEnable", 0)) {
        json_t *url = plist_text(proxies, "ProxyAutoConfigURLString");
        json_t *own = plist_text(proxies, "ProxyAutoConfigJavaScript");
        if (!url && own) url = json_string("javascript:");
        if (url) proxy_add(list, "pac", NULL, 0, url);
        json_decref(url);
        json_decref(own);
    }
    if (plist_number(proxies, "ProxyAutoDiscoveryEnable", 0)) proxy_add(list, "wpad", NULL, 0, NULL);
    json_t *exceptions = plist_texts(proxies, "ExceptionsList", TEXTS_MOST);
    json_array_foreach(list, i, proxy) json_object_set(proxy, "exceptions", exceptions);
    json_decref(exceptions);
    return list;
}
