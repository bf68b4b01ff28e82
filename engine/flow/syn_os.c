/* Which operating system sends such a SYN: a table of what is known of them.
 *
 * A SYN shows the kernel, not the product: macOS and iOS share one, and so do Linux and Android. The window's
 * scale tells releases of Apple's kernel apart, roughly. Nothing here looks at ECN: whether a Mac asks for it
 * depends on what it met before. TTL and option order must both fit; a wrong name would be worse than none.
 *
 * Sources. Apple: order, window 65535 and padding from xnu's tcp_output.c; scales by release from the Satori
 * fingerprints and from captures of Macs and iPhones whose release other traffic told (scale 3 is also that
 * of PowerPC Macs; 2 and 4 are p0f's for iOS; a phone of 2020 sent both 6 and 7). Windows 10 and Linux:
 * FoxIO's list of JA4T values. Windows before 10: its window of 8192 in Microsoft's and Satori's lists.
 * Linux' window of 44 segments of 1460 bytes came with 4.20 (tcp_select_initial_window, 64 KB). */
#include "flow/syn.h"

#include <string.h>

enum { ANY = -1 };

#define APPLE          "mss,nop,ws,nop,nop,ts,sok,eol+1"
#define APPLE_FASTOPEN "mss,nop,ws,nop,nop,ts,sok,?34"
#define APPLE_MPTCP    "mss,nop,ws,?30,nop,nop,ts,sok,eol+1"
#define WINDOWS        "mss,nop,ws,nop,nop,sok"
#define LINUX          "mss,sok,ts,nop,ws"

struct habit {
    const char *layout;
    uint8_t initial_ttl;
    int32_t window; /* or ANY */
    int16_t scale;  /* or ANY */
    struct syn_os system;
};

/* In order: the first that fits counts. */
static const struct habit habits[] = {
    {APPLE, 64, 65535, 1, {"macOS", "Mac OS X 10.5 to 10.7"}},
    {APPLE, 64, 65535, 2, {"iOS", "before iOS 8"}},
    {APPLE, 64, 65535, 3, {"macOS", "Mac OS X 10.5 to 10.7"}},
    {APPLE, 64, 65535, 4, {"macOS/iOS", "OS X 10.8 to macOS 10.12, iOS of that time"}},
    {APPLE, 64, 65535, 5, {"macOS/iOS", "OS X 10.9 to macOS 10.14, iOS of that time"}},
    {APPLE, 64, 65535, 6, {"macOS/iOS", "macOS 10.14 or later, iOS of that time"}},
    {APPLE, 64, 65535, 7, {"iOS", "iOS 12 or later"}},
    {APPLE_FASTOPEN, 64, 65535, ANY, {"macOS/iOS", "with TCP Fast Open"}},
    {APPLE_MPTCP, 64, 65535, ANY, {"macOS/iOS", "with Multipath TCP"}},
    {WINDOWS, 128, 64240, 8, {"Windows", "Windows 10 or later"}},
    {WINDOWS, 128, 65535, 8, {"Windows", "Windows 10 or later"}},
    {WINDOWS, 128, 8192, ANY, {"Windows", "Windows Vista to 8.1"}},
    {WINDOWS, 128, ANY, ANY, {"Windows", NULL}},
    {LINUX, 64, 64240, ANY, {"Linux", "4.20 or later"}},
    {LINUX, 64, ANY, ANY, {"Linux", NULL}},
};

const struct syn_os *syn_os_of(const struct syn *syn) {
    for (unsigned i = 0; i < sizeof habits / sizeof *habits; i++) {
        const struct habit *h = &habits[i];
        if (h->initial_ttl != syn->initial_ttl || strcmp(h->layout, syn->layout) != 0) continue;
        if (h->window != ANY && h->window != syn->window) continue;
        if (h->scale != ANY && h->scale != syn->wscale) continue;
        return &h->system;
    }
    return NULL;
}
