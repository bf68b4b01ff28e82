"""Reads the stubs that `lunette events --stubs-in` writes: LuaLS annotations, as far as they occur there.

`functions`: "lunette.alert", "names.random", "ring:add" → Function. `classes`: "lunette.Event.dns" → field → type, without what it
inherits (`parents`). `modules`: "lunette.names" → "names", the name that stands before its functions."""

import dataclasses
import re


@dataclasses.dataclass
class Function:
    parameters: list
    documented: list
    doc: list
    optional: set
    returns: str = ""


@dataclasses.dataclass
class Stubs:
    functions: dict = dataclasses.field(default_factory=dict)
    classes: dict = dataclasses.field(default_factory=dict)
    parents: dict = dataclasses.field(default_factory=dict)
    locals: dict = dataclasses.field(default_factory=dict)   # "ring" → "lunette.Ring"
    fields: dict = dataclasses.field(default_factory=dict)   # "beat" → names of values
    modules: dict = dataclasses.field(default_factory=dict)

    def fields_of(self, name):
        """A class's fields with those that it inherits; methods that are functions count."""
        found = {}
        while name:
            found = {**self.classes.get(name, {}), **found}
            name = self.parents.get(name)
        return found


def type_at(text):
    """The type at the beginning of `text`: up to the first space that is in no bracket and follows no colon or comma."""
    depth, at = 0, 0
    while at < len(text):
        c = text[at]
        if c in "([{<":
            depth += 1
        elif c in ")]}>":
            depth -= 1
        elif c == " " and depth == 0 and text[at - 1] not in ":,":
            break
        at += 1
    return text[:at]


def read_file(path, module, stubs):
    doc, current = [], None
    for line in path.read_text().splitlines():
        if line.startswith("---"):
            doc.append(line[3:].strip())
            word, _, rest = doc[-1].partition(" ")
            if word == "@class":
                current, _, parent = (part.strip() for part in rest.partition(":"))
                stubs.classes.setdefault(current, {})
                if parent:
                    stubs.parents[current] = parent
            elif word == "@field":
                name, _, rest = rest.partition(" ")
                stubs.classes[current][name.rstrip("?")] = type_at(rest)
            continue
        function = re.match(r"function ([\w.:]+)\((.*)\) end", line)
        table = re.match(r"local (\w+) = {}", line)
        value = re.match(r"(\w+)\.([\w.]+) = {}", line)
        if function:
            params = [re.match(r"@param (\w+|\.\.\.)(\??) (.*)", d) for d in doc]
            returns = [type_at(d.split(" ", 1)[1]) for d in doc if d.startswith("@return ")]
            name = function.group(1)
            stubs.functions[name] = Function(
                parameters=[p.strip() for p in function.group(2).split(",") if p.strip()],
                documented=[p.group(1) for p in params if p],
                doc=doc,
                optional={p.group(1) for p in params if p and (p.group(2) or type_at(p.group(3)).endswith("?") or
                    re.search(r"\b(nil|any)\b", type_at(p.group(3))))},
                returns=returns[0] if returns else "")
        elif table and current:
            stubs.locals[table.group(1)] = current
        elif value:
            stubs.fields.setdefault(value.group(1), set()).add(value.group(2))
        result = re.match(r"return (\w+)", line)
        if result:
            stubs.modules[module] = result.group(1)
        doc = []


def read_stubs(folder):
    stubs = Stubs()
    read_file(folder / "lunette.lua", "lunette", stubs)
    for path in sorted((folder / "lunette").glob("*.lua")):
        read_file(path, "lunette." + path.stem, stubs)
    return stubs
