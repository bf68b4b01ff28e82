"""Holds Lua files against the stubs, for machines without lua-language-server (Debian and npm have none).

    python3 type_check.py STUBS FILE...

What it finds is what that server's --check finds in such code: fields, functions and methods that a class of the stubs has not,
too few or too many arguments, a literal of the wrong type, keys that a table of options or a filter does not take, kinds of events
that there are not. It follows types through locals, calls, lists, loops, the functions that are handed to the API, and local
functions that are always called with the same classes. What has no type it leaves alone. The tree comes from the parser of
`lunette check` by way of dump_tree.lua.

A type is a string as in the annotations: "lunette.Ring", "string", "integer[]", "fun(e: lunette.Event)", "a|b"; None is unknown. A
module is "module lunette.names", and "set" below lunette "module lunette.set"."""

import json
import pathlib
import re
import subprocess
import sys

from stub_reader import read_stubs, type_at

HERE = pathlib.Path(__file__).resolve().parent
WORKBENCH = HERE.parents[1] / "engine" / "workbench"
SIMPLE = {"String": "string", "Number": "number", "True": "boolean", "False": "boolean", "Nil": "nil", "Function": "function"}
FITS = {"string": {"string"}, "number": {"number", "integer"}, "boolean": {"boolean"}, "nil": {"nil"}, "function": {"function"}}


def split(text, separators):
    """The parts of a text between separators that stand in no bracket and no quotes."""
    parts, depth, quoted, at = [""], 0, False, 0
    while at < len(text):
        c = text[at]
        quoted ^= c == '"'
        depth += (c in "([{<") - (c in ")]}>")
        if c in separators and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += c
        at += 1
    return [part.strip() for part in parts if part.strip()]


def members(type_text):
    """The alternatives of a type, "T?" being T and nil; a function's type is one, its result included."""
    if type_text is None:
        return []
    if type_text.startswith("fun("):
        return [type_text]
    found = []
    for part in split(type_text, "|"):
        if part.endswith("?") and not part.startswith("fun("):
            found += [part[:-1], "nil"]
        else:
            found.append(part)
    return found


def function_parts(type_text):
    """fun(a: T, b?: U): R → [(name, type, optional)], R; None for what is no such type."""
    if not type_text or not type_text.startswith("fun("):
        return None
    depth = 0
    for end, c in enumerate(type_text):
        depth += (c == "(") - (c == ")")
        if c == ")" and depth == 0:
            break
    parameters = []
    for part in split(type_text[4:end], ","):
        name, _, kind = (p.strip() for p in part.partition(":"))
        optional = name.endswith("?") or name == "..." or kind.endswith("?") or "nil" in members(kind) or kind in ("any", "")
        parameters.append((name.rstrip("?"), kind or None, optional))
    result = type_text[end + 1:].strip()
    return parameters, split(result[1:], ",")[0] if result.startswith(":") else None


def table_keys(type_text):
    """{ max: integer, ttl?: number } → {"max": type, …}, required names."""
    if not type_text or not (type_text.startswith("{") and type_text.endswith("}")):
        return None
    keys, required = {}, set()
    for part in split(type_text[1:-1], ","):
        name, _, kind = (p.strip() for p in part.partition(":"))
        if name.startswith("["):
            return None
        keys[name.rstrip("?")] = kind
        if not name.endswith("?"):
            required.add(name)
    return keys, required


class Scope(dict):
    def __init__(self, parent=None):
        super().__init__()
        self.parent = parent

    def find(self, name):
        scope = self
        while scope is not None:
            if name in scope:
                return scope
            scope = scope.parent
        return None


class Checker:
    def __init__(self, stubs, own_modules=()):
        self.stubs, self.own_modules = stubs, own_modules
        self.findings, self.called = [], {}

    # ------------------------------------------------------------ what the stubs say

    def say(self, node, text):
        self.findings.append((node["line"], text))

    def open_class(self, name):
        """May have any field (records), or is not known."""
        return name not in self.stubs.classes or any(field.startswith("[") for field in self.stubs.fields_of(name))

    def signature(self, path):
        function = self.stubs.functions.get(path)
        if not function:
            return None
        parameters = []
        for name in function.parameters:
            doc = next((d for d in function.doc if re.match(r"@param %s\??( |$)" % re.escape(name), d)), "@param x any")
            parameters.append((name, type_at(doc.split(" ", 2)[2]), name in function.optional or name == "..."))
        overloads = [d.split(" ", 1)[1] for d in function.doc if d.startswith("@overload ")]
        return parameters, function.returns or None, overloads

    def field(self, base, name, node):
        """The type of base.name; says so if there is no such field."""
        if base and base.startswith("module "):
            module = base[7:]
            local = self.stubs.modules.get(module) or module
            path = "%s.%s" % (local, name)
            if path in self.stubs.functions:
                return "call " + path
            if module == "lunette" and any(f.startswith("lunette.%s." % name) for f in self.stubs.functions):
                return "module lunette." + name
            if name not in self.stubs.fields.get(local, ()):
                self.say(node, "undefined-field: %s.%s" % (module, name))
            return None
        classes = [m for m in members(base) if m != "nil"]
        if not classes or any(not m.startswith("lunette.") or self.open_class(m) for m in classes):
            return None
        found = []
        for m in classes:
            method = next((local for local, c in self.stubs.locals.items() if c == m and "%s:%s" % (local, name) in self.stubs.functions), None)
            if method:
                return "call %s:%s" % (method, name)
            fields = self.stubs.fields_of(m)
            if name in fields:
                found.append(fields[name])
        if not found:
            self.say(node, "undefined-field: %s has no %s" % (" or ".join(classes), name))
        return found[0] if found else None

    # ------------------------------------------------------------ expressions

    def literal(self, node):
        return SIMPLE.get(node["tag"])

    def fits(self, node, expected):
        """False if a literal cannot be of that type."""
        literal, kinds = self.literal(node), members(expected)
        if not literal or not kinds or literal == "function":
            return True
        for kind in kinds:
            if kind in ("any", "table", "T") or kind in FITS[literal] or kind.startswith("{") and literal == "nil":
                return True
            if kind.startswith('"'):
                if literal == "string" and node["value"] == kind.strip('"'):
                    return True
                continue
            if re.fullmatch(r"\d+", kind):
                return literal == "number"
            if kind == "lunette.Key":
                return literal in ("string", "number")
            if kind in ("lunette.Severity", "lunette.EventKind"):
                return literal == "string"
            if kind[0].isupper() or "." in kind and kind not in self.stubs.classes:
                return True
        return False

    def check_table(self, node, expected, scope):
        """A table that is written out where a table of options, a filter or a class is expected."""
        for kind in members(expected):
            keys = table_keys(kind)
            if keys is None and kind in self.stubs.classes and not self.open_class(kind):
                keys = self.stubs.fields_of(kind), set()
            if keys is None:
                continue
            named, listed = {}, 0
            for item in node["items"] or []:
                if item["tag"] != "Pair":
                    listed += 1
                    self.expression(item, scope)
                elif item["key"]["tag"] == "String":
                    named[item["key"]["value"]] = item
            if listed and len(members(expected)) > 1:
                continue
            for name, item in named.items():
                if name not in keys[0]:
                    self.say(item, "undefined-field: no key %s in %s" % (name, kind))
                    self.expression(item["value"], scope)
                else:
                    self.argument(item["value"], keys[0][name], scope, "key " + name)
            missing = keys[1] - set(named)
            if missing:
                self.say(node, "missing-fields: %s" % ", ".join(sorted(missing)))
            return
        self.expression(node, scope)

    def argument(self, node, expected, scope, what):
        if node["tag"] == "Table" and expected:
            return self.check_table(node, expected, scope)
        if node["tag"] == "Function":
            for kind in members(expected):
                parts = function_parts(kind)
                if parts:
                    return self.function(node, scope, [p[1] for p in parts[0]])
        if not self.fits(node, expected):
            self.say(node, "param-type-mismatch: %s is %s, got a %s" % (what, expected, self.literal(node)))
        return self.expression(node, scope)

    def overload_for(self, path, parameters, result, overloads, args):
        """lunette.on says its parameters by the event's kind."""
        if not overloads or not args or args[0]["tag"] != "String":
            return parameters, result
        kind = args[0]["value"]
        known = False
        for overload in overloads:
            parts = function_parts(overload)
            if parts[0][0][1] == '"%s"' % kind:
                known = True
                if len(parts[0]) == len(args):
                    return parts[0], result
        if not known and "." not in kind:
            self.say(args[0], "param-type-mismatch: there is no event %s" % kind)
        if not known:
            return [(n, None, True) for n, _, _ in parameters], result
        return parameters, result

    def call(self, node, callee, args, scope, drop_self=False):
        """The type of a call's result. `callee` is what field() gave: "call PATH", or fun(…)."""
        if callee and callee.startswith("call "):
            path = callee[5:]
            parameters, result, overloads = self.signature(path)
            parameters, result = self.overload_for(path, parameters, result, overloads, args)
        else:
            parts = function_parts(callee)
            if not parts:
                for arg in args:
                    self.expression(arg, scope)
                return None
            path, (parameters, result) = "the function", parts
            if drop_self:
                parameters = parameters[1:]
        open_end = bool(args) and args[-1]["tag"] in ("Call", "Method", "Dots")
        if len(args) > len(parameters) and not any(p[0] == "..." for p in parameters) and parameters != []:
            self.say(node, "redundant-parameter: %s takes %d" % (path, len(parameters)))
        elif len(args) > 0 and parameters == [] and not open_end:
            self.say(node, "redundant-parameter: %s takes none" % path)
        required = [p for p in parameters if not p[2]]
        if len(args) < len(required) and not open_end:
            self.say(node, "missing-parameter: %s needs %s" % (path, ", ".join(p[0] for p in required)))
        given = None
        for i, arg in enumerate(args):
            expected = parameters[min(i, len(parameters) - 1)][1] if parameters else None
            kind = self.argument(arg, expected, scope, "argument %d of %s" % (i + 1, path))
            if expected == "T":
                given = kind
        return given if result == "T" else result

    def expression(self, node, scope):
        tag = node["tag"]
        if tag in ("String", "Number", "True", "False", "Nil"):
            return self.literal(node)
        if tag == "Name":
            found = scope.find(node["name"])
            return found[node["name"]] if found is not None else None
        if tag == "Function":
            self.function(node, scope, [])
            return None
        if tag == "Table":
            for item in node["items"] or []:
                if item["tag"] == "Pair":
                    self.expression(item["key"], scope)
                    self.expression(item["value"], scope)
                else:
                    self.expression(item, scope)
            return None
        if tag == "Paren":
            return self.expression(node["inner"], scope)
        if tag == "Unary":
            self.expression(node["right"], scope)
            return {"not": "boolean", "#": "integer"}.get(node["op"], "number")
        if tag == "Binary":
            left, right = self.expression(node["left"], scope), self.expression(node["right"], scope)
            if node["op"] == "or":
                kinds = [k for k in members(left) if k not in ("nil", "false")] + members(right)
                return "|".join(dict.fromkeys(kinds)) if left and right else None
            if node["op"] == "and":
                return right
            return "string" if node["op"] == ".." else "boolean" if node["op"] in ("==", "~=", "<", ">", "<=", ">=") else "number"
        if tag == "Index":
            base = self.expression(node["base"], scope)
            if node["key"]["tag"] == "String":
                return self.field(base, node["key"]["value"], node["key"])
            self.expression(node["key"], scope)
            kinds = [k for k in members(base) if k.endswith("[]")]
            return kinds[0][:-2] if kinds else None
        if tag == "Method":
            base = self.expression(node["base"], scope)
            callee = self.field(base, node["key"]["value"], node["key"])
            return self.call(node, callee, node["args"] or [], scope, drop_self=True)
        if tag == "Call":
            base, args = node["base"], node["args"] or []
            if base["tag"] == "Name" and base["name"] == "require" and scope.find("require") is None and args and args[0]["tag"] == "String":
                name = args[0]["value"]
                if name in self.stubs.modules:
                    return "module " + name
                if name.startswith("lunette.") or name == "lunette":
                    self.say(node, "there is no module " + name)
                return None
            if base["tag"] == "Name":
                found = scope.find(base["name"])
                if found is not None and found[base["name"]] == "local " + str(id(found)) + base["name"]:
                    kinds = [self.expression(arg, scope) for arg in args]
                    self.called.setdefault((id(found), base["name"]), []).append(kinds)
                    return None
                if base["name"] in ("pcall", "assert") and found is None and args:
                    kinds = [self.expression(arg, scope) for arg in args]
                    return kinds[0] if base["name"] == "assert" else None
            return self.call(node, self.expression(base, scope), args, scope)
        return None

    # ------------------------------------------------------------ statements

    def function(self, node, scope, kinds):
        inner = Scope(scope)
        for i, parameter in enumerate(node["params"] or []):
            inner[parameter["name"]] = kinds[i] if i < len(kinds) else None
        self.block(node["body"], inner)

    def local_function(self, name, node, scope):
        """Looked at when its calls are known: at the end of the block."""
        mark = "local " + str(id(scope)) + name
        scope[name] = mark
        self.waiting.append((name, node, scope))

    def run_waiting(self, waiting):
        """Bodies of local functions: their parameters have the types that all calls agree on."""
        for name, node, scope in waiting:
            calls = self.called.get((id(scope), name), [])
            kinds = []
            for i in range(len(node["params"] or [])):
                given = {call[i] if i < len(call) else None for call in calls}
                # Several kinds of events: what one of them has may be asked for.
                agreed = given and None not in given and all(k.startswith("lunette.Event") for k in given if k)
                kinds.append("|".join(sorted(given)) if agreed or (len(given) == 1 and None not in given and given != {"nil"}) else None)
            self.function(node, scope, kinds)

    def block(self, body, scope):
        outer, self.waiting = getattr(self, "waiting", []), []
        for statement in body or []:
            self.statement(statement, scope)
        waiting, self.waiting = self.waiting, outer
        # The later ones first: they call the earlier ones.
        self.run_waiting(reversed(waiting))

    def statement(self, node, scope):
        tag = node["tag"]
        if tag == "Local":
            kinds = [(value, None) for value in node.get("values") or []]
            for i, name in enumerate(node["names"]):
                if i < len(kinds) and kinds[i][0]["tag"] == "Function":
                    self.local_function(name["name"], kinds[i][0], scope)
                else:
                    kind = self.expression(kinds[i][0], scope) if i < len(kinds) else None
                    scope[name["name"]] = kind if kind != "nil" else None
        elif tag == "LocalFunction":
            name = node["name"] if isinstance(node["name"], str) else node["name"]["name"]
            self.local_function(name, node["value"], scope)
        elif tag == "Assign":
            kinds = [self.expression(value, scope) for value in node["values"]]
            for i, target in enumerate(node["targets"]):
                if target["tag"] == "Name":
                    found = scope.find(target["name"])
                    if found is not None and found[target["name"]] != (kinds[i] if i < len(kinds) else None):
                        found[target["name"]] = None
                else:
                    self.expression(target, scope)
        elif tag in ("Call", "Method"):
            self.expression(node, scope)
        elif tag == "Return":
            for value in node.get("values") or []:
                self.expression(value, scope)
        elif tag == "If":
            for branch in node["branches"]:
                self.expression(branch["test"], scope)
                self.block(branch["body"], Scope(scope))
            if node.get("otherwise"):
                self.block(node["otherwise"]["body"], Scope(scope))
        elif tag == "While":
            self.expression(node["test"], scope)
            self.block(node["body"], Scope(scope))
        elif tag == "Repeat":
            inner = Scope(scope)
            self.block(node["body"], inner)
            self.expression(node["test"], inner)
        elif tag == "Do":
            self.block(node["body"], Scope(scope))
        elif tag == "Count":
            inner = Scope(scope)
            for part in ("from", "to", "step"):
                if node.get(part):
                    self.expression(node[part], scope)
            inner[node["name"]["name"]] = "number"
            self.block(node["body"], inner)
        elif tag == "Each":
            inner = Scope(scope)
            kinds = [None, None]
            for value in node["values"]:
                if value["tag"] == "Call" and value["base"].get("name") == "ipairs" and value["args"]:
                    listed = [k for k in members(self.expression(value["args"][0], scope)) if k.endswith("[]")]
                    kinds = ["integer", listed[0][:-2] if listed else None]
                else:
                    self.expression(value, scope)
            for i, name in enumerate(node["names"]):
                inner[name["name"]] = kinds[i] if i < 2 else None
            self.block(node["body"], inner)


def check_file(path, stubs):
    """The findings in one file, as (line, text)."""
    done = subprocess.run(["luajit", HERE / "dump_tree.lua", WORKBENCH, path], capture_output=True, text=True)
    if done.returncode != 0:
        return [(1, done.stderr.strip())]
    checker = Checker(stubs)
    checker.block(json.loads(done.stdout)["body"], Scope())
    return sorted(set(checker.findings))


if __name__ == "__main__":
    known = read_stubs(pathlib.Path(sys.argv[1]))
    found = [(path, line, text) for path in sys.argv[2:] for line, text in check_file(path, known)]
    for path, line, text in found:
        print("%s:%d: %s" % (path, line, text))
    sys.exit(1 if found else 0)
