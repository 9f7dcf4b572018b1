"""What is asked of each subject. Every experiment returns rows of results and the raw log to lay beside them."""

import contextlib
import multiprocessing
import random
import re
import signal
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

from network import Network
from patience import ATTEMPTS, MachineSlept, until
from storm import Storm, replay
from truths.subjects import Lifeline, is_there
from truths.swarm import Swarm
from verdicts import check_log, seconds


def apart(job, *arguments):
    """Does a job in a process of its own, anew where the machine slept; what it returns."""
    for attempt in range(ATTEMPTS):
        receiving, sending = multiprocessing.Pipe(False)
        process = multiprocessing.Process(target=_send_result, args=(sending, job, arguments))
        process.start()
        sending.close()
        try:
            kind, value = receiving.recv()
        except EOFError:
            kind, value = "failed", "its process died"
        process.join()
        if kind == "done":
            return value
        if kind == "failed":
            raise RuntimeError(value)
    raise MachineSlept(value)


def _send_result(sending, job, arguments):
    try:
        sending.send(("done", job(*arguments)))
    except MachineSlept as slept:
        sending.send(("slept", str(slept)))
    except BaseException as error:
        traceback.print_exc()
        sending.send(("failed", f"{type(error).__name__}: {error}"))


def side_by_side(jobs):
    """Runs jobs (each a tuple of a function and its arguments) at the same time; their results in order."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(apart, *job) for job in jobs]]


# The server sleeps

def stall(subject, clients, limit, length):
    """So many healthy clients, the server stopped for so long. How many of them it lost, or called anything but alive."""
    with subject.run(*subject.options, limit=limit) as server, Swarm(server.address, subject.answer) as swarm:
        swarm.open(clients)
        for bee in swarm.bees:
            swarm.say(bee, subject.hello(f"healthy-{bee.number}", limit))
        swarm.until(lambda: all(bee.heard >= subject.waits_for for bee in swarm.bees), "all to be in")
        swarm.beat(swarm.bees, limit / 8, subject.beat)
        swarm.pass_time(1)
        server.send_signal(signal.SIGSTOP)
        swarm.pass_time(length)
        server.send_signal(signal.SIGCONT)
        swarm.pass_time(2 * limit + 1)
        swarm.premise(limit * 0.45)
        lost = [bee for bee in swarm.bees if bee.ended_at]
        false = [v for v in server.verdicts() if not v.get("new")] if isinstance(subject, Lifeline) else lost
        return {"clients": clients, "lost": len(lost), "false": len(false)}


# Silent clients

def detection(subject, clients):
    """Each falls silent at once after its hello. By how much later than its limit, in seconds, it saw its end; and the
    server says that it judged it, where it says so."""
    with subject.run(*subject.options) as server, Swarm(server.address) as swarm:
        swarm.open(clients)
        limit = {}
        for bee in swarm.bees:
            limit[bee] = subject.limits(bee.number)
            swarm.say(bee, subject.hello(f"silent-{bee.number}", limit[bee]))
            if bee.number % 20 == 0:
                swarm.pump(0)
        swarm.until(lambda: all(bee.ended_at for bee in swarm.bees), "all to be found silent", 120)
        late = [bee.ended_at - bee.spoke_at - limit[bee] for bee in swarm.bees]
        judged_late = []
        if isinstance(subject, Lifeline):
            server.settle()
            for verdict in server.verdicts(state="gone"):
                heard, judged = seconds(verdict["heard"]), seconds(verdict["judged"])
                who, _, number = verdict.get("id", "").rpartition("-")
                if who == "silent":
                    bee = swarm.bees[int(number)]
                    assert judged - heard >= limit[bee] - 0.002, verdict
                    judged_late.append(judged - bee.spoke_at - limit[bee])
        return sorted(late), sorted(judged_late)


# Silence with full send buffers

def full_buffers_lifeline(subject, clients, limit, cut):
    """Clients that read nothing and whose pipes are full fall silent; with `cut`, because their cable was pulled."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network(["far"])) if cut else None
        server = stack.enter_context(subject.run(
            *subject.options, host="0.0.0.0" if cut else "127.0.0.1", prefix=network.inside if cut else ()))
        address = (network.address["far"], server.address[1]) if cut else server.address
        swarm = stack.enter_context(Swarm(address))
        with network.at("far") if cut else contextlib.nullcontext():
            swarm.open(clients, receive_buffer=4096)
        for bee in swarm.bees:
            swarm.say(bee, subject.hello(f"stuck-{bee.number}", limit))
            swarm.until(lambda: bee.heard, "its first reply")
            swarm.deafen(bee)
        # All of them at the same time write until nothing more goes.
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < limit / 4:
            for bee in swarm.bees:
                before = time.time()
                try:
                    bee.socket.send(b"x\n" * 8192)
                    bee.spoke_at = before
                    quiet_since = time.monotonic()
                except BlockingIOError:
                    pass
            time.sleep(0.005)
        if cut:
            network.pull("far")
        until(lambda: len(server.verdicts(state="gone")) >= clients, "all to be gone", 120)
        gone = server.verdicts(state="gone")
        late = sorted(seconds(v["judged"]) - swarm.bees[int(v["id"].rpartition("-")[2])].spoke_at - limit for v in gone)
        return {"late": late, "reasons": sorted({v["reason"] for v in gone})}


def full_buffers_mosquitto(subject, clients, limit, cut):
    """The same by subscribers that read nothing of what is published to them. Found out when their wills come."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network(["far", "near"])) if cut else None

        def reached(address):
            with network.at("near"):
                return is_there((network.address["near"], address[1]))

        server = stack.enter_context(
            subject.run(host="0.0.0.0", prefix=network.inside, reached=reached) if cut else subject.run())
        port = server.address[1]
        near = stack.enter_context(Swarm((network.address["near"], port) if cut else server.address))
        far = stack.enter_context(Swarm((network.address["far"], port) if cut else server.address))
        with network.at("near") if cut else contextlib.nullcontext():
            watcher, publisher = near.open(2)
        near.say(watcher, subject.hello("watcher", 90, will=False) + subject.subscribe("presence/#"))
        near.say(publisher, subject.hello("publisher", 90, will=False))
        with network.at("far") if cut else contextlib.nullcontext():
            far.open(clients, receive_buffer=4096)
        for bee in far.bees:
            far.say(bee, subject.hello(f"stuck-{bee.number}", limit))
            far.until(lambda: bee.heard >= 4, "its CONNACK")
            far.say(bee, subject.subscribe("flood"))
            far.until(lambda: bee.heard >= 9, "its SUBACK")
            far.deafen(bee)
        near.until(lambda: watcher.heard >= 9 and publisher.heard >= 4, "watcher and publisher")
        flood = subject.publish("flood", b"x" * 8000, keep=False)
        found = {}
        end = time.monotonic() + 120
        begun = time.monotonic()
        while len(found) < clients and time.monotonic() < end:
            if time.monotonic() - begun < 1:  # by then their buffers are full many times over
                near.say(publisher, flood)
                for bee in far.bees:
                    far.say(bee, subject.beat)
            elif cut and network:
                network.pull("far")
                cut = False
            near.pump(0.01)
            for bee in far.bees:
                if b"presence/stuck-%d" % bee.number + b"offline" in watcher.tail and bee not in found:
                    found[bee] = time.time()
        late = sorted(found[bee] - bee.spoke_at - limit for bee in found)
        return {"late": late, "reasons": ["will"], "never": clients - len(found)}


# Take-overs

def storm_part(address, ids, seed, duration, sending, going):
    storm = Storm(address, ids, seed)
    storm.rage(seconds=duration)
    storm.calm()
    sending.send(storm.deeds)
    # The others are calm as well: now it shows who was replaced, and who stands.
    going.recv()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        storm.crowd.pump(0.05)
    sending.send(storm.standing())
    going.recv()
    storm.close()


def take_overs_lifeline(subject, ids_count, duration, processes):
    """Several processes take over and drop the same ids for a while. The log, replayed, against what stands."""
    ids = [f"client-{number}" for number in range(ids_count)]
    with subject.run("--rejoin", "200ms", "--flap", "0", "--workers", "4") as server:
        parts = []
        for number in range(processes):
            (receiving, sending), (waiting, going) = multiprocessing.Pipe(False), multiprocessing.Pipe(False)
            process = multiprocessing.Process(target=storm_part, args=(
                server.address, ids, random.randrange(1 << 32), duration, sending, waiting))
            process.start()
            parts.append((process, receiving, going))
        deeds = sum(receiving.recv() for _, receiving, _ in parts)
        for _, _, going in parts:
            going.send(1)
        standing = {}
        for _, receiving, _ in parts:
            standing.update(receiving.recv())
        if server.seen("dropped"):
            raise MachineSlept("the log is not whole: it was not read in time")
        until(lambda: replay(list(server.events)) == standing, "the log and the truth to agree", 30)
        holders = set(standing.values())
        assert len(holders) == len(standing)
        until(lambda: {who for who, state in check_log(server.numbered()).items()
                       if state != "gone" and who in ids} == holders, "exactly those who stand to be alive", 30)
        replaced = len(server.seen("end", reason="replaced"))
        flicker = len(server.verdicts(state="gone", reason="replaced"))
        for process, _, going in parts:
            going.send(1)
            process.join()
        return {"deeds": deeds, "take-overs": replaced, "false offline": flicker, "wrong at the end": 0,
                "sequences": len(server.numbered())}


def take_overs_mosquitto(subject, ids_count, duration):
    """The usual way of presence: a retained `online`, and a will that says `offline`. What a watcher is told."""
    rng = random.Random(7)
    with subject.run() as server, Swarm(server.address) as swarm:
        (watcher,) = swarm.open(1)
        watcher.keeps = 1 << 26
        swarm.say(watcher, subject.hello("watcher", 9000, will=False) + subject.subscribe("presence/#"))
        swarm.until(lambda: watcher.heard >= 9, "the watcher")
        holder, deeds, take_overs, goodbyes, broken = {}, 0, 0, 0, 0
        end = time.monotonic() + duration
        while time.monotonic() < end:
            deeds += 1
            name = f"client-{rng.randrange(ids_count)}"
            chance = rng.random()
            old = holder.get(name)
            if chance < 0.6 or not old:
                take_overs += old is not None and not old.ended_at
                (bee,) = swarm.open(1)
                swarm.say(bee, subject.hello(name, 9000))
                swarm.until(lambda: bee.heard >= 4 or bee.ended_at, "CONNACK")
                swarm.say(bee, subject.publish(f"presence/{name}", "online"))
                holder[name] = bee
            elif chance < 0.8:
                swarm.say(old, subject.publish(f"presence/{name}", "offline") + subject.disconnect)
                goodbyes += 1
                del holder[name]
            else:
                swarm.drop(old, "reset" if chance < 0.9 else None)
                broken += 1
                del holder[name]
            swarm.pump(0)
        swarm.pass_time(2)
        offline = sum(state == "offline" for _, state in _messages(watcher.tail))
        (late,) = swarm.open(1)
        late.keeps = 1 << 26
        swarm.say(late, subject.hello("late", 9000, will=False) + subject.subscribe("presence/#"))
        swarm.pass_time(1)
        states = dict(_messages(late.tail))
        truth = {name: "online" if name in holder and not holder[name].ended_at else "offline"
                 for name in states}
        wrong = sum(states[name] != truth[name] for name in states)
        return {"deeds": deeds, "take-overs": take_overs, "false offline": offline - goodbyes - broken,
                "wrong at the end": wrong}


def _messages(heard):
    """The presence messages within what was heard: name and state, in order."""
    found = re.finditer(rb"presence/(client-\d+)(online|offline)", heard)
    return [(message.group(1).decode(), message.group(2).decode()) for message in found]
