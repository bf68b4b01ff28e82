"""Prints what parts.py found: medians with their spread, ratios taken turn by turn, and of each aim whether it is met."""

import statistics

from parts import ALL, BARE, BEFORE, NONE, TWO

AIM_BARE, AIM_PEER, AIM_WORKERS, AIM_FLOWS, AIM_FLOW_BYTES, AIM_HANDLER, AIM_START, AIM_EVENT = 1.0, 10, 1.7, 2, 256, 25, 50, 40
PEERS_WITH_AIM = ("tshark", "ndpiReader")
WIDTH = 42
SMALL = 2e7  # bytes of a workload below which loading the detectors is most of what is measured


def cpu(run):
    return run["user"] + run["system"]


def middle(values):
    return statistics.median(values)


def spread(values, digits=2):
    return f"{min(values):.{digits}f}–{max(values):.{digits}f}"


def ratios(runs, others, measure=cpu):
    """Of each turn: what strikes one turn strikes both."""
    return [measure(run) / max(measure(other), 1e-3) for run, other in zip(runs, others)]


def aim(text, value, most=None, least=None, digits=2):
    met = value <= most if least is None else value >= least
    bound = f"at most {most:g}" if least is None else f"at least {least:g}"
    print(f"  aim: {text}, {bound}: {value:.{digits}f}, {'yes' if met else 'NO'}")


def rows_of(group):
    return {row["name"]: row["runs"] for row in group["rows"]}


# ---------------------------------------------------------------------------------- replay

def replay(found, repeats):
    for group in found["groups"]:
        print_group(group, repeats)
    if found["missing"]:
        print(f"\nnot installed, so not beside it: {', '.join(found['missing'])}")


def print_group(group, repeats):
    rows = rows_of(group)
    part = ", the beginning, for slow peers" if group.get("beginning") else ""
    print(f"\n{group['title']}{part}: {group['about']}")
    print(f"{group['bytes'] / 1e6:.0f} MB, {group['packets']:,} packets, {group['bytes'] / group['packets']:.0f} bytes each; "
          f"CPU seconds, median of {repeats}, and least to most")
    if group["bytes"] < SMALL:
        print("so small that most of it is starting, of the detectors and of the programs beside them: no figure of speed")
    print(f"{'':{WIDTH}}{'seconds':>8}  {'spread':>11}{'user':>7}{'system':>8}{'ns/packet':>11}{'MB':>7}  × tcpdump")
    for row in group["rows"]:
        runs = row["runs"]
        total = [cpu(run) for run in runs]
        beside = ratios(runs, rows[BARE]) if BARE in rows else []
        print(f"{row['name']:{WIDTH}}{middle(total):8.2f}  {spread(total):>11}{middle([r['user'] for r in runs]):7.2f}"
              f"{middle([r['system'] for r in runs]):8.2f}{middle(total) / group['packets'] * 1e9:11.0f}"
              f"{max(r['memory'] for r in runs) / 1024:7.0f}" + (f"  {middle(beside):7.2f}  ({spread(beside)})" if beside else ""))
    print_walls(group, rows)
    print_before(rows)
    for row in group["rows"]:
        print(f"  {row['name']}: {row['command']}")
    print_aims(group, rows)


def print_walls(group, rows):
    """Per worker, by the wall: what a worker does while nothing else runs."""
    print("  by the wall:")
    for name in (ALL, NONE):
        for title, workers in ((name, 1), (f"{name}, 2 workers", 2)):
            if title in rows:
                wall = middle([run["wall"] for run in rows[title]])
                print(f"    {title:{WIDTH - 4}}{group['packets'] / wall / 1e6 / workers:7.2f} Mpps{group['bytes'] * 8 / wall / 1e9 / workers:7.2f} Gbit/s a worker")


def print_before(rows):
    for name in rows:
        if name + BEFORE in rows:
            values = ratios(rows[name], rows[name + BEFORE])
            print(f"  {name}: {middle(values):.2f} × before ({spread(values)})")


def print_aims(group, rows):
    if BARE in rows and ALL in rows:
        aim("all detectors, × tcpdump --count", middle(ratios(rows[ALL], rows[BARE])), most=AIM_BARE)
    for name in rows:
        if name.startswith("lunette") or name == BARE:
            continue
        values = ratios(rows[name], rows[ALL])
        if name.startswith(PEERS_WITH_AIM):
            aim(f"all detectors, times as fast as {name} ({spread(values)})", middle(values), least=AIM_PEER)
        else:
            print(f"  all detectors, times as fast as {name}: {middle(values):.2f} ({spread(values)})")
    if TWO in rows and not group.get("beginning"):
        values = ratios(rows[ALL], rows[TWO], lambda run: run["wall"])
        aim(f"two workers, times as fast as one ({spread(values)})", middle(values), least=AIM_WORKERS)


# ----------------------------------------------------------------------------------- flows

def flow_table(cases):
    return {title: {name: middle([run[name] for run in runs]) for name in runs[0]} for title, runs in cases.items()}


def flows(found, repeats):
    table = flow_table(found["cases"])
    print(f"\nCPU ns a packet by flows at once, each packet of a random one, 64-byte packets, median of {repeats}")
    print(f"{'':54}" + "".join(f"{title:>16}" for title in table))
    for name in next(iter(table.values()), {}):
        print(f"{name:54}" + "".join(f"{case[name]:16.1f}" if name in case else f"{'':16}" for case in table.values()))
    for reason in found["skipped"]:
        print(f"  skipped: {reason}")
    settled = [title for title in table if not title.endswith(BEFORE)]
    for name in ("reading + decoding + flows", "reading + decoding + flows + protocols", "reading + decoding + flows + events"):
        if len(settled) > 1:
            first, last = (table[title][name + ", second half"] for title in (settled[0], settled[-1]))
            aim(f"{settled[-1]} flows, × {settled[0]} ({name})", last / first, most=AIM_FLOWS)
    memory = found["memory"]
    print(f"\nBytes of memory for each TLS connection past its hello, peak of {memory['many']} connections less that of {memory['few']}")
    for row in memory["rows"]:
        print(f"{row['name']:{WIDTH}}{row['bytes']:8.0f}")
    aim("bytes a flow past its hello", memory["rows"][0]["bytes"], most=AIM_FLOW_BYTES, digits=0)


# -------------------------------------------------------------------- packet, start, events

def handler_costs(found):
    """name -> ns a packet that the handler costs over none, of each turn."""
    rows, costs = rows_of(found), {}
    for name in rows:
        if "handler" in name and name.replace("handler", "none") in rows:
            costs[name] = [(cpu(run) - cpu(none)) / found["packets"] * 1e9 for run, none in zip(rows[name], rows[name.replace("handler", "none")])]
    return costs


def packet(found, repeats):
    print(f"\nA handler on every packet that counts bytes per protocol: ns a packet over none, {found['packets'] / 1e6:.2f} M "
          f"64-byte packets, median of {repeats}, and least to most")
    names = {"handler": "lunette, packet_bytes.lua", "handler" + BEFORE: "lunette, packet_bytes.lua" + BEFORE}
    costs = handler_costs(found)
    for name, values in costs.items():
        print(f"{names.get(name, name):{WIDTH}}{middle(values):8.1f}  {spread(values, 1):>11}")
    aim("ns a packet for a Lua handler", middle(costs["handler"]), most=AIM_HANDLER, digits=1)


def start(found, _):
    print(f"\nStart to the first packet, {found['detectors']} detectors and their tables, ms by the wall, median of {found['repeats']}, and the middle half")
    for name, kinds in found["binaries"].items():
        for kind, title in (("all", "all detectors"), ("none", "none")):
            first, whole = kinds[kind]["first_packet"], kinds[kind]["whole"]
            print(f"{name + ', ' + title:{WIDTH}}{first['median']:8.1f}  {spread(first['half'], 1):>11}   whole run {whole['median']:.1f}")
    aim("ms from start to first packet", found["binaries"]["now"]["all"]["first_packet"]["median"], most=AIM_START, digits=1)


def events(found, repeats):
    print(f"\nCPU ns an event, median of {repeats}, and least to most")
    for name in found["now"][0]:
        line = ""
        for runs in found.values():
            values = [run[name] for run in runs if name in run]
            line += f"{middle(values):10.1f}  {spread(values, 1):>13}" if values else ""
        print(f"{name:54}{line}")
    worst = max(middle([run[name] for run in found["now"]]) for name in found["now"][0] if "two fields" in name)
    aim("ns a handled event of two fields", worst, most=AIM_EVENT, digits=1)


def show(found):
    """All parts that were measured, in their order."""
    machine = found["machine"]
    print(f"\n{machine['processors']} processors, {machine['model']}; load {machine['load'][0]:.1f} before, {machine['load'][1]:.1f} after")
    for part in (replay, flows, packet, start, events):
        if part.__name__ in found:
            part(found[part.__name__], found["repeats"])
