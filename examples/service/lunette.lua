-- lunette.lua: the configuration of a sensor.
--
-- Every option of `lunette live` is a global here, with _ for -: see `lunette live --help`. What the command line says
-- comes before this file. Check it with
--
--     lunette live --config lunette.lua --check-config
--
-- which tells all mistakes with their lines, or prints what is in force. A running sensor reads it anew when it is
-- saved, on SIGHUP and on `lunette ctl reload`; scripts, their settings and the log level change at once, anything
-- else after a restart (the log names it). A file with a mistake in it changes nothing.
--
-- This is Lua without files and modules. Variables of your own need `local`; env("NAME") reads the environment.
-- Relative paths are relative to this file's folder.

-- What to watch. Patterns are matched against interfaces that come later, too: "utun*" takes each VPN as it comes up.
interface = { "eth0" }

-- Your networks, all of them. Without it: the private, shared, link-local and unique-local ranges.
-- home_net = { "10.0.0.0/8", "2001:db8:7::/48" }

-- Packets that are never looked at cost nothing: a backup server's, say.
-- filter = "not host 192.0.2.17"

-- Threads, each with its share of the local hosts. More of them if `lunette top` shows drops.
workers = 1
ring = "64MiB" -- the kernel's buffer, for each interface and worker: what bridges a busy moment

-- Detectors: those that come with lunette, unless this names others.
-- script = { "/usr/local/share/lunette/scripts", "detectors" }
-- set = {
--     beacon = { score = 3.5, internal = true },
--     vpn = { allowed = "wireguard, vpn.example.com" }, -- what is yours: see scripts/README.md
-- }

-- Where records and alerts go: files, sockets, syslog.
output = { "/var/log/lunette/eve.json" } -- also "tcp:[::1]:9000", "unix:/run/collector.sock", "syslog:"
rotate_every = "1d"
rotate_size = "1GiB"
rotate_keep = 14
-- record = { "alert", "report", "stats", "dns", "tls", "flow" } -- default: all but packet, flow_start and onset
-- spool = "/var/lib/lunette/spool" -- what a socket does not take waits here
-- spool_size = "1GiB"
no_alerts = true -- they are in the records: not in the service's journal once more

-- The packets of a flow around an alert, each in a pcapng file.
-- pcap_on_alert = "/var/log/lunette/packets"
-- pcap_files = 500

-- Bounds on memory.
max_flows = 262144  -- at once, in each worker
script_memory = 256 -- MiB, for each detector in each worker
script_time = 2     -- seconds of CPU time that a detector may take at once; then it is off

-- Metrics for Prometheus; without a password, so on loopback only.
-- metrics = "127.0.0.1:9177"

stats_every = "1m"
log_level = "info"
