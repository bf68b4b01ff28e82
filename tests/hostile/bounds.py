"""What a flood's memory is held against: bounds that options and engine/README.md ("Everything that grows has a bound") state, added up.

The start is what a run over one packet takes: code, tables, the detectors' own. To it come, for one worker:

    flows             --max-flows, 2 KiB each: flow, table, wheels, names, tunnel, program, parser's state
    reassembly        256 MiB, and as much again for scripts that read streams; not more than all payload that was sent
    names from DNS    65,536 of 320 bytes
    fragments         16 MiB
    hosts' cards      32 MiB
    gathering         64 MiB of messages
    scripts           --script-memory for each state: the detectors, and those of them that gather

Scripts are the greatest part by far, since each may fill its memory. So the engine is held against its bounds without scripts as
well, where they are tight."""

MIB = 1024 * 1024
FLOW = 2048
FIXED = 65536 * 320 + (16 + 32 + 64) * MIB
REASSEMBLY = 256 * MIB
STATES = 32  # detectors that are shipped, and their gathering parts


def bound(start, max_flows, script_memory, payload, scripts=True):
    """`script_memory` in MiB, as the option has it; `payload`: bytes that the flood has at most."""
    flows = max_flows * FLOW
    if not scripts:
        return start + flows + FIXED + min(REASSEMBLY, payload)
    return start + flows + FIXED + 2 * min(REASSEMBLY, payload) + STATES * script_memory * MIB
