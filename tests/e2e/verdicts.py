"""Reading verdicts: times, stories of one client, and whether a log holds together."""

import datetime

# Deadlines are kept in whole milliseconds, and times are told in microseconds: nothing finer is promised.
TICK = 0.002


def seconds(text):
    """A time as events tell it, in seconds since 1970."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


def story(server, name):
    """What became of this client: its states, in order, with the reason where there is one."""
    return [event["state"] + (f" {event['reason']}" if "reason" in event else "")
            for event in server.numbered() if event["event"] == "verdict" and event.get("id") == name]


def check_times(verdict):
    """Heard, then happened, then judged."""
    heard, happened, judged = (seconds(verdict[name]) for name in ("heard", "happened", "judged"))
    assert heard <= happened + TICK and happened <= judged + TICK, verdict


def check_silence(verdict, limit):
    """A verdict over silence came no earlier than the silence had lasted for the limit."""
    check_times(verdict)
    assert seconds(verdict["happened"]) - seconds(verdict["heard"]) >= limit - TICK, verdict
    assert seconds(verdict["judged"]) - seconds(verdict["heard"]) >= limit - TICK, verdict


def check_log(numbered):
    """Sequences without a gap, and each client's verdicts follow from each other. Returns the last state by client."""
    states = {}
    for place, event in enumerate(numbered, 1):
        assert event["sequence"] == place, (place, event)
        if event["event"] != "verdict":
            continue
        check_times(event)
        who = event.get("id") or event["tag"]
        if event.get("new"):
            assert states.get(who) in (None, "forgotten"), (event, states.get(who))
            assert event["state"] == "alive"
        else:
            assert states.get(who) == event["from"] and event["from"] != event["state"], (event, states.get(who))
        assert ("reason" in event) == (event["state"] == "gone"), event
        assert ("fault" in event) == (event["state"] == "gone"), event
        states[who] = event["state"]
    return states
