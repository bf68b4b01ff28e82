"""A Mac's files as a folder, for tests of `lunette audit`: property lists by plistlib, which knows nothing of lunette."""
import plistlib

WIFI, ETHERNET, OFFICE = "11111111-AAAA", "22222222-BBBB", "33333333-CCCC"
HOME = "99999999-HOME"
PREFERENCES = "Library/Preferences/SystemConfiguration/preferences.plist"
INTERFACES = "Library/Preferences/SystemConfiguration/NetworkInterfaces.plist"
STOCK_PF = """#
# Default PF configuration file.
#
scrub-anchor "com.apple/*"
nat-anchor "com.apple/*"
rdr-anchor "com.apple/*"
dummynet-anchor "com.apple/*"
anchor "com.apple/*"
load anchor "com.apple" from "/etc/pf.anchors/com.apple"
"""
STOCK_ANCHORS = '# com.apple ruleset\nanchor "200.AirDrop/*"\nanchor "250.ApplicationFirewall/*"\n'
STOCK_HOSTS = "##\n# Host Database\n##\n127.0.0.1\tlocalhost\n255.255.255.255\tbroadcasthost\n::1             localhost\n"


def service(name, device, hardware="Ethernet", **more):
    return {"UserDefinedName": name, "IPv4": {"ConfigMethod": "DHCP"}, "IPv6": {"ConfigMethod": "Automatic"}, "DNS": {},
            "Interface": {"DeviceName": device, "Hardware": hardware, "Type": "Ethernet", "UserDefinedName": name},
            "Proxies": {"ExceptionsList": ["*.local", "169.254/16"], "FTPPassive": 1}, **more}


def preferences(services=None, order=None, name="Automatic"):
    services = services if services is not None else {WIFI: service("Wi-Fi", "en0", "AirPort"), ETHERNET: service("Ethernet", "en5")}
    order = order if order is not None else list(services)
    return {"CurrentSet": "/Sets/" + HOME, "Model": "MacBookPro18,3", "NetworkServices": services, "__VERSION__": "20191120",
            "Sets": {HOME: {"UserDefinedName": name, "Network": {
                "Global": {"IPv4": {"ServiceOrder": order}},
                "Service": {key: {"__LINK__": "/NetworkServices/" + key} for key in services}}}},
            "System": {"System": {"ComputerName": "Anna's MacBook Pro", "HostName": "annas.corp.example"},
                       "Network": {"HostNames": {"LocalHostName": "Annas-MacBook-Pro"}}}}


def interfaces():
    return {"Model": "MacBookPro18,3", "Interfaces": [
        {"BSD Name": "en0", "IOBuiltin": True, "IOMACAddress": bytes.fromhex("f40f24000001"), "SCNetworkInterfaceType": "IEEE80211",
         "SCNetworkInterfaceInfo": {"UserDefinedName": "Wi-Fi"}},
        {"BSD Name": "en5", "IOBuiltin": False, "IOMACAddress": bytes.fromhex("f40f24000005"), "SCNetworkInterfaceType": "Ethernet",
         "SCNetworkInterfaceInfo": {"UserDefinedName": "USB LAN"}}]}


def put(root, path, content, binary=False):
    """Bytes, text, or what becomes a property list."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        content = plistlib.dumps(content, fmt=plistlib.FMT_BINARY if binary else plistlib.FMT_XML, sort_keys=False)
    file.write_bytes(content)
    return file


def healthy(root, binary=False):
    put(root, PREFERENCES, preferences(), binary)
    put(root, INTERFACES, interfaces(), binary)
    put(root, "System/Library/CoreServices/SystemVersion.plist",
        {"ProductName": "macOS", "ProductVersion": "14.4.1", "ProductBuildVersion": "23E224"}, binary)
    put(root, "private/etc/hosts", STOCK_HOSTS)
    put(root, "private/etc/pf.conf", STOCK_PF)
    put(root, "private/etc/pf.anchors/com.apple", STOCK_ANCHORS)
    if not (root / "etc").is_symlink():
        (root / "etc").symlink_to("/private/etc")
    return root


def archive(configurations):
    """NSKeyedArchiver's form (Foundation): a list of objects that refer to each other by number. Dictionaries with a "class" are
    objects, the others are what they are."""
    objects, classes = ["$null"], {}

    def keep(value):
        objects.append(value)
        return plistlib.UID(len(objects) - 1)

    def encode(value):
        if isinstance(value, dict) and "class" in value:
            name = value["class"]
            if name not in classes:
                classes[name] = keep({"$classname": name, "$classes": [name, "NSObject"]})
            out = {}
            own = keep(out)
            out["$class"] = classes[name]
            out.update({key: encode(item) for key, item in value.items() if key != "class"})
            return own
        if isinstance(value, list):
            return encode({"class": "NSArray", "list": value}) if not value else keep({"NS.objects": [encode(item) for item in value]})
        return value if isinstance(value, (bool, int)) else keep(value)

    top = {"Generation": 1}
    top.update({"configuration-%d" % i: encode(each) for i, each in enumerate(configurations)})
    return {"$archiver": "NSKeyedArchiver", "$version": 100000, "$top": top, "$objects": objects}
