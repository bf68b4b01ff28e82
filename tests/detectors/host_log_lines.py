"""Host log lines written for a test: the programs of a Mac, told in each of the formats that lunette reads.

    write(path, "eslogger", [Program(time, pid, parent pid, "/usr/bin/curl", ["curl", "-s", "x"], "com.apple.curl"), …])

A program stands after its parent. Times are seconds since 1970. What a format cannot tell is left out, as it is on a Mac: Santa's text
and osquery join the arguments, the unified log knows pids and paths and nothing else. Forms: tests/unit/test_endpoint_lines.c."""

import base64
import collections
import datetime
import json

Program = collections.namedtuple("Program", "time pid parent path arguments signing_id")
FORMATS = ("eslogger", "osquery", "santa", "santa-json", "log")


def _utc(time, form):
    return datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime(form)


def _eslogger(p):
    def image(path, signing_id, version):
        token = {"auid": 501, "euid": 501, "egid": 20, "ruid": 501, "rgid": 20, "pid": p.pid, "asid": 100003, "pidversion": version}
        parent = dict(token, pid=p.parent, pidversion=1)
        return {"audit_token": token, "parent_audit_token": parent, "responsible_audit_token": token, "ppid": p.parent,
                "original_ppid": p.parent, "executable": {"path": path, "path_truncated": False}, "signing_id": signing_id, "team_id": None,
                "is_platform_binary": signing_id.startswith("com.apple."), "tty": None}
    return json.dumps({"schema_version": 1, "version": 9, "time": _utc(p.time, "%Y-%m-%dT%H:%M:%S.%fZ"), "event_type": 9, "thread": None,
                       "process": image("/usr/libexec/xpcproxy", "com.apple.xpcproxy", 10),
                       "event": {"exec": {"target": image(p.path, p.signing_id, 11), "args": p.arguments, "env": [], "cwd": {"path": "/"},
                                          "script": None}}})


def _osquery(p):
    return json.dumps({"name": "pack_endpoint_processes", "hostIdentifier": "annas-mac", "unixTime": str(int(p.time)), "action": "added", "columns": {
        "event_type": "exec", "pid": str(p.pid), "path": p.path, "parent": str(p.parent), "original_parent": str(p.parent),
        "cmdline": " ".join(p.arguments), "cwd": "/", "uid": "501", "euid": "501", "username": "anna", "signing_id": p.signing_id, "team_id": "",
        "platform_binary": str(int(p.signing_id.startswith("com.apple."))), "time": str(int(p.time))}})


def _santa(p):
    return ("[%sZ] I santad: action=EXEC|decision=ALLOW|reason=BINARY|pid=%d|pidversion=11|ppid=%d|uid=501|user=anna|mode=M|path=%s|args=%s|machineid=M1"
            % (_utc(p.time, "%Y-%m-%dT%H:%M:%S.%f")[:-3], p.pid, p.parent, p.path, " ".join(p.arguments).replace("|", "<pipe>")))


def _santa_json(p):
    def ids(version):
        return {"id": {"pid": p.pid, "pidversion": version}, "parent_id": {"pid": p.parent}, "original_parent_pid": p.parent}
    return json.dumps({"event_time": _utc(p.time, "%Y-%m-%dT%H:%M:%S.%fZ"), "machine_id": "M1", "execution": {
        "instigator": dict(ids(10), executable={"path": "/usr/libexec/xpcproxy"}),
        "target": dict(ids(11), code_signature={"signing_id": p.signing_id}, is_platform_binary=p.signing_id.startswith("com.apple."),
                       executable={"path": p.path}),
        "args": [base64.b64encode(word.encode()).decode() for word in p.arguments], "decision": "DECISION_ALLOW"}})


def _log(p):
    return json.dumps({"timestamp": _utc(p.time, "%Y-%m-%d %H:%M:%S.%f+0000"), "processID": p.pid, "userID": 501, "processImagePath": p.path,
                       "processImageUUID": "0D1B2C3D-0000-3000-8000-000000000001", "eventMessage": "<private>"})


_WRITERS = {"eslogger": _eslogger, "osquery": _osquery, "santa": _santa, "santa-json": _santa_json, "log": _log}


def write(path, form, programs):
    path.write_text("".join(_WRITERS[form](program) + "\n" for program in programs), encoding="utf-8")
    return path
