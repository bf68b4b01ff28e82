/* Which operating system asks for such options.
 *
 * A DHCP client's list of wishes, in its order, is compiled into the system and changes rarely: with the SYN
 * it is the best that the first packets of a host tell. 95, 44 and 46 (LDAP, NetBIOS) at the end are asked
 * for by the Mac alone of Apple's systems, as its bootp source has it; one fingerprint collection ties that
 * form to an iPad too, so take it for a good hint. Only whole lists count: a wrong name would be worse than
 * none.
 *
 * Sources. Lists: Satori's dhcp.xml; the first macOS list and the first iOS list also in captures of a Mac
 * and an iPhone that tell their release in other ways (nDPI's iphone.pcap and signal.pcap), the one with 108
 * in tcpdump's dhcp-option-108.pcapng, of a MacBookPro. Vendor classes: what those clients call themselves.
 */
#include "protocol/dhcp_event.h"
#include "protocol/text_words.h"

struct wish {
    const char *parameters;
    struct dhcp_system system;
};

static const struct wish wishes[] = {
    {"1,121,3,6,15,119,252,95,44,46", {"macOS", "macOS 10.12 to 10.15"}},
    {"1,121,3,6,15,114,119,252,95,44,46", {"macOS", "macOS 11"}},
    {"1,121,3,6,15,108,114,119,252,95,44,46", {"macOS", "macOS 12 or later"}},
    {"1,3,6,15,119,95,252,44,46", {"macOS", "OS X 10.11 or older"}},
    {"1,3,6,15,119,95,252,44,46,47", {"macOS", "OS X 10.11 or older"}},
    {"1,121,3,6,15,119,252", {"iOS", "iOS 13 or older"}},
    {"1,121,3,6,15,108,114,119,252", {"iOS", "iOS 14 or later"}},
};

struct vendor {
    const char *prefix;
    struct dhcp_system system;
};

static const struct vendor vendors[] = {
    {"AAPLBSDPC", {"macOS", "NetBoot"}}, {"MSFT 98", {"Windows", "Windows 98 or ME"}},
    {"MSFT ", {"Windows", NULL}},        {"android-dhcp-", {"Android", NULL}},
    {"udhcp", {"Linux", NULL}},
};

const struct dhcp_system *dhcp_system_of(const char *parameters, size_t length, struct slice vendor) {
    for (size_t i = 0; i < sizeof vendors / sizeof *vendors; i++)
        if (slice_begins(vendor, vendors[i].prefix)) return &vendors[i].system;
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        const char *wish = wishes[i].parameters;
        if (strlen(wish) == length && memcmp(wish, parameters, length) == 0) return &wishes[i].system;
    }
    return NULL;
}
