"""The line protocol of every peer: one JSON object a line in, one a line out, in order. See ../README.md."""

import json
import sys
import threading
import time

MESSAGE_LIMIT = 2000


def options(argv):
    """Reads `--name value` pairs."""
    return {name[2:]: value for name, value in zip(argv[1::2], argv[2::2])}


def say(text):
    """Writes one line at once; nothing else may write to standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def serve(caller):
    """Carries out commands one after the other until the input ends."""
    say("READY 0")
    for line in sys.stdin:
        start = time.monotonic()
        try:
            answer = {"ok": True, "value": carry_out(caller, json.loads(line)), "attachments": {}}
        except Exception as failure:
            answer = describe(failure)
        answer["millis"] = int((time.monotonic() - start) * 1000)
        say(json.dumps(answer))


def carry_out(caller, command):
    op = command.get("op", "call")
    if op == "refer":
        return caller.refer(command.get("ref", "default"), command)
    if op == "close":
        return caller.close(command.get("ref", "default"))
    if op == "call":
        return caller.call(command)
    if op == "concurrent":
        return concurrent(caller, command)
    raise ValueError(f"no such op: {op}")


def concurrent(caller, command):
    """`n` calls from `threads` with a `pause` after each; `unique` gives each a text of its own and counts answers that are not it."""
    counts = {"answers": {}, "failures": {}, "messages": {}, "wrong": 0, "slowest": 0}
    unique = command.get("unique", False)
    pause = command.get("pause", 0) / 1000
    numbers = iter(range(command["n"]))
    lock = threading.Lock()

    def one(number):
        text = f"unique-{number}"
        call = dict(command, args=[text]) if unique else command
        try:
            value = caller.call(call)
            with lock:
                counts["wrong"] += unique and value != text
                add(counts["answers"], "echo" if unique else str(value))
        except Exception as failure:
            told = describe(failure)
            key = f"{told['exception']}/{told['code']}"
            with lock:
                add(counts["failures"], key)
                counts["messages"].setdefault(key, told["message"])

    def loop():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            start = time.monotonic()
            one(number)
            spent = int((time.monotonic() - start) * 1000)
            with lock:
                counts["slowest"] = max(counts["slowest"], spent)
            time.sleep(pause)

    threads = [threading.Thread(target=loop) for _ in range(command.get("threads", 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def add(counts, key):
    counts[key] = counts.get(key, 0) + 1


def describe(failure):
    return {
        "ok": False,
        "exception": type(failure).__name__,
        "code": -1,
        "message": str(failure)[:MESSAGE_LIMIT],
        "causes": [],
    }
