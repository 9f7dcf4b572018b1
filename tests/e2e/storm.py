"""A storm of clients that take each other's ids over, and the replay that holds the server's log against the truth."""

import random
import time

from crowd import Crowd

LONG = "every=1h grace=1h"


class Storm:
    """Random deeds with a few ids, by one thread. What it knows for sure is told by `standing`."""

    def __init__(self, server_or_address, ids, seed):
        self.crowd = Crowd(server_or_address)
        self.ids = ids
        self.random = random.Random(seed)
        self.named = {}  # member to the id that it said last
        self.deeds = 0

    def _living(self):
        return [member for member in self.named if not member.ended]

    def deed(self):
        """One random deed; it waits for nothing but room to connect."""
        chance = self.random.random()
        living = self._living()
        self.deeds += 1
        if chance < 0.55 or len(living) < 2:
            (member,) = self.crowd.connect(1)
            self.named[member] = name = self.random.choice(self.ids)
            self.crowd.say([member], f"id {name} {LONG}\n")
        elif chance < 0.65:
            self.crowd.say([self.random.choice(living)], "beat\n")
        elif chance < 0.75:
            member = self.random.choice(living)
            self.named[member] = name = self.random.choice(self.ids)
            self.crowd.say([member], f"id {name} {LONG}\n")
        elif chance < 0.85:
            self.crowd.say([self.random.choice(living)], "stop\n")
        elif chance < 0.93:
            self._close(self.random.choice(living), self.crowd.close)
        else:
            self._close(self.random.choice(living), lambda members: self.crowd.reset(members[0]))
        self.crowd.pump(0)

    def _close(self, member, how):
        how([member])
        del self.named[member]

    def rage(self, deeds=None, seconds=None):
        end = time.monotonic() + seconds if seconds else None
        while (deeds is None or self.deeds < deeds) and (end is None or time.monotonic() < end):
            self.deed()

    def calm(self):
        """Everything said has been answered, or its session was ended by the server."""
        self.crowd.until(lambda: all(m.ended or self.crowd.replies[m.number] == m.said or m.heard
                                     for m in self.crowd.members), "replies")

    def standing(self):
        """The address and id of each session of ours that the server has not ended."""
        self.crowd.pump(0)
        return {member.name: name for member, name in self.named.items() if not member.ended}

    def close(self):
        self.crowd.close()
        self.crowd.poll.close()


def replay(events):
    """What the log says is left: the address and id of each session without an end. Checks its order on the way."""
    sessions = {}
    ended = set()
    for event in events:
        kind, tag = event.get("event"), event.get("tag")
        if kind == "connect":
            assert tag not in sessions and tag not in ended, event
            sessions[tag] = {"address": event["address"], "id": None}
        elif kind == "id":
            assert tag in sessions, event
            sessions[tag]["id"] = event["id"]
        elif kind == "end":
            assert tag in sessions, event
            session = sessions.pop(tag)
            ended.add(tag)
            assert event["address"] == session["address"], event
            assert event.get("id") in (session["id"], None), event
    return {session["address"]: session["id"] for session in sessions.values()}
