"""The figures as a picture: bars of CPU time beside lunette with all detectors, one panel a workload, and flows at once.

Standard library only. The picture is text and bars on no ground of its own, in colours that stand on a light page and on a dark one;
where the reader's machine says that it is dark, the inks follow. Bars are on a scale of times ten, since a bare read loop and a
dissector do not fit on one of plain seconds; every bar has its figure beside it."""

import html
import math

import table
from parts import ALL, BARE, BEFORE, TWO

WIDTH, LEFT, RIGHT, LINE, BAR = 860, 250, 190, 22, 13
STYLE = """
  text { font: 13px system-ui, -apple-system, "Helvetica Neue", Arial, sans-serif; fill: #24292f; }
  .title { font-size: 16px; font-weight: 600; } .head { font-weight: 600; } .soft { fill: #6e7781; } .end { text-anchor: end; }
  .ours { fill: #2f6fdb; } .theirs { fill: #9a8f7d; } .spread { stroke: #24292f; stroke-width: 1.2; } .one { stroke: #6e7781; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .soft { fill: #9aa4af; } .ours { fill: #6ea8ff; } .theirs { fill: #a59a88; } .spread { stroke: #e6edf3; } .one { stroke: #9aa4af; }
  }
"""


class Sheet:
    """Elements from top to bottom."""

    def __init__(self):
        self.elements, self.y = [], 0

    def text(self, x, words, style="", dy=0):
        self.elements.append(f'<text x="{x:.1f}" y="{self.y + dy:.1f}"{f" class={chr(34)}{style}{chr(34)}" if style else ""}>{html.escape(words)}</text>')

    def bar(self, x, width, style):
        self.elements.append(f'<rect x="{x:.1f}" y="{self.y - BAR + 2:.1f}" width="{max(width, 1):.1f}" height="{BAR}" rx="2" class="{style}"/>')

    def line(self, x1, y1, x2, y2, style):
        self.elements.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def svg(self, title):
        height = self.y + 20
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
                f'aria-label="{html.escape(title)}">\n<style>{STYLE}</style>\n' + "\n".join(self.elements) + "\n</svg>\n")


def scale(least, most):
    """value -> x, times ten by times ten."""
    low, high = math.floor(math.log10(least)), math.log10(most)
    per_ten = (WIDTH - LEFT - RIGHT) / max(high - low, 0.1)
    return lambda value: LEFT + (math.log10(max(value, 10 ** low)) - low) * per_ten


def bars(sheet, rows, unit, one=None):
    """rows: (name, values, is it ours). One: a line at that value."""
    values = [value for _, found, _ in rows for value in found if value > 0]
    if not values:
        return
    at = scale(min(values) / 1.5, max(values))
    top = sheet.y + 4
    for name, found, ours in rows:
        sheet.y += LINE
        centre = table.middle(found)
        sheet.text(LEFT - 8, name, "end")
        sheet.bar(LEFT, at(centre) - LEFT, "ours" if ours else "theirs")
        sheet.line(at(min(found)), sheet.y - BAR / 2 + 2, at(max(found)), sheet.y - BAR / 2 + 2, "spread")
        sheet.text(at(max(found)) + 8, f"{centre:.3g}{unit}", "")
    if one:
        sheet.line(at(one), top, at(one), sheet.y + 6, "one")
    sheet.y += LINE


def replay_panel(sheet, group, slow):
    """The peers that worked through the whole, and of the slow ones what they took beside lunette on the beginning."""
    rows = table.rows_of(group)
    found = []
    for name, runs in rows.items():
        if name.endswith(BEFORE) or (name.startswith("lunette") and name not in (ALL, "lunette, no scripts")):
            continue
        found.append((name, table.ratios(runs, rows[ALL]), name.startswith("lunette")))
    if slow:
        others = table.rows_of(slow)
        found += [(name, table.ratios(runs, others[ALL]), False) for name, runs in others.items() if name not in rows]
    sheet.y += LINE
    sheet.text(10, f"{group['title']}: {group['bytes'] / 1e6:.0f} MB, {group['packets']:,} packets", "head")
    sheet.y += LINE - 4
    sheet.text(10, group["about"], "soft")
    bars(sheet, sorted(found, key=lambda row: table.middle(row[1])), " ×", one=1)
    if TWO in rows:
        gain = table.ratios(rows[ALL], rows[TWO], lambda run: run["wall"])
        sheet.text(10, f"two workers: {table.middle(gain):.2f} times as fast as one, by the wall ({table.spread(gain)})", "soft", -4)
        sheet.y += 6


def flows_panel(sheet, found):
    name = "reading + decoding + flows + protocols, second half"
    rows = [(f"{title} flows at once", [run[name] for run in runs], True) for title, runs in found["cases"].items() if not title.endswith(BEFORE)]
    if rows:
        sheet.y += LINE
        sheet.text(10, "CPU ns a packet without scripts, each packet of a random flow, 64-byte packets", "head")
        bars(sheet, rows, " ns")


def small_panel(sheet, found):
    """The figures that are one number each."""
    lines = []
    if "packet" in found:
        costs = table.handler_costs(found["packet"])["handler"]
        lines.append(f"a Lua handler on every packet: {table.middle(costs):.1f} ns a packet ({table.spread(costs, 1)})")
    if "start" in found:
        first = found["start"]["binaries"]["now"]["all"]["first_packet"]
        lines.append(f"start to the first packet with all detectors: {first['median']:.1f} ms")
    if "flows" in found:
        lines.append(f"memory of a flow past its hello: {found['flows']['memory']['rows'][0]['bytes']:.0f} bytes")
    for line in lines:
        sheet.y += LINE
        sheet.text(10, line)


def draw(found):
    sheet = Sheet()
    sheet.y = 26
    sheet.text(10, "CPU time beside lunette with all detectors, one worker", "title")
    sheet.y += LINE
    machine = found["machine"]
    sheet.text(10, f"less is better, on a scale of times ten; medians of {found['repeats']} turns, thin lines: least to most", "soft")
    sheet.y += LINE - 4
    sheet.text(10, f"{machine['processors']} processors, {machine['model']}; {found['when']}", "soft")
    groups = found.get("replay", {}).get("groups", [])
    for group in groups:
        if not group.get("beginning"):
            slow = next((other for other in groups if other.get("beginning") and other["name"] == group["name"]), None)
            replay_panel(sheet, group, slow)
    if "flows" in found:
        flows_panel(sheet, found["flows"])
    small_panel(sheet, found)
    return sheet.svg("CPU time of lunette and its peers")
