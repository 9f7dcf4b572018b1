"""Take-overs in a storm: what the log tells is what is."""

import random

import pytest

from patience import MachineSlept, repeated_when_machine_slept, until
from storm import Storm, replay
from verdicts import check_log


@pytest.mark.parametrize("rejoin", ["0", "200ms", "1h"])
@repeated_when_machine_slept
def test_the_replay_of_a_storm_equals_the_truth(serve, rejoin):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    ids = [f"client-{number}" for number in range(12)]
    with serve("--rejoin", rejoin, "--workers", "3", "--flap", "0") as server:
        storm = Storm(server, ids, seed)
        try:
            storm.rage(deeds=600)
            storm.calm()
            until(lambda: replay(list(server.events)) == storm.standing(), "the log and the truth to agree")
            server.settle()
            if server.seen("dropped"):
                raise MachineSlept("the log is not whole: it was not read in time")

            standing = storm.standing()
            assert len(set(standing.values())) == len(standing), "two sessions of one id"
            if rejoin != "1h":
                holders = set(standing.values())
                until(lambda: {who for who, state in check_log(server.numbered()).items()
                               if state != "gone" and who in ids} == holders, "exactly those who stand to be alive")
            states = check_log(server.numbered())
            for name in standing.values():
                assert states[name] == "alive"
            for event in server.seen("end"):
                assert event["reason"] in ("stopped", "closed", "reset", "replaced"), event
            for verdict in server.verdicts(state="gone"):
                # One who was taken over is not gone: somebody else is he.
                assert verdict["reason"] != "replaced", verdict
        finally:
            storm.close()
