#!/usr/bin/env python3
"""Compares servers within the same moments.

All servers live at the same time, each with its load, and are stopped but one, in turn, for a twentieth of a second. So what
the host of a virtual machine does to one it does to all. Figures of runs one after the other differ by 20 % and more there;
these differ by 2 or 3 %. How long answers take cannot be measured so. It is for the workloads whose load warms up for 0.3 s.

    benches/in_turns.py --n 1000 tcp_echo tokio pirn narrow=pirn,PIRN_DEBUG=width=1 bare=go@target/release/examples/bare_echo

A server is NAME=PEER[@PROGRAM][,VARIABLE=VALUE...], or only PEER[...]. The workloads and peers are those of `peers`; PROGRAM is
for its `--server`. Each figure is the median of the rounds, then the median of its ratios to the first server's, then each.
"""

import argparse
import os
import random
import re
import resource
import signal
import statistics
import subprocess
import sys
import time

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "target", "release")
# Less than the load warms up, so none measures before the turns begin.
SETUP_S = 0.2


def server(text):
    """Splits `name=peer@program,A=b`."""
    first, *variables = text.split(",")
    name, _, rest = first.rpartition("=")
    peer, _, program = rest.partition("@")
    return name or peer, peer, program, dict(variable.split("=", 1) for variable in variables)


def command(args, peer, program, secs):
    of = {"pirn": "peers-pirn", "pirn-shared": "peers-pirn", "pirn-hook": "peers-pirn-hook"}.get(peer, "peers")
    words = [os.path.join(PROGRAMS, of), args.workload, "--peer", peer, "--n", str(args.n), "--procs", str(args.procs)]
    return words + ["--secs", str(secs)] + (["--server", program] if program else [])


def signal_all(process, what):
    try:
        os.killpg(process.pid, what)
    except ProcessLookupError:
        pass


def one_round(args, servers):
    """Lets all run, and returns the figures of each by its name."""
    running = {}
    try:
        return take_turns(args, servers, running)
    finally:
        # Nothing stays behind stopped if this one is ended.
        for process in running.values():
            signal_all(process, signal.SIGKILL)


def take_turns(args, servers, running):
    secs = round(args.secs * len(servers))
    for name, peer, program, variables in servers:
        running[name] = subprocess.Popen(
            command(args, peer, program, secs),
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, **variables),
            start_new_session=True,
        )
        time.sleep(SETUP_S)
        signal_all(running[name], signal.SIGSTOP)
    while any(process.poll() is None for process in running.values()):
        # In another order each time: who comes first finds another cache.
        for process in random.sample(list(running.values()), len(running)):
            signal_all(process, signal.SIGCONT)
            time.sleep(args.turn / 1000)
            if process.poll() is None:
                signal_all(process, signal.SIGSTOP)
    figures = {}
    for name, process in running.items():
        text, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{name} has failed: {process.returncode}")
        lines = (re.split(r" +", line) for line in text.splitlines())
        figures[name] = {f[3]: float(f[4]) for f in lines if len(f) > 4 and re.search("per_s$|_us_per_", f[3])}
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000, help="connections")
    parser.add_argument("--procs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=3, help="for how long each server runs in a round")
    parser.add_argument("--turn", type=float, default=50, help="milliseconds")
    parser.add_argument("workload")
    parser.add_argument("servers", nargs="+", type=server)
    args = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    rounds = [one_round(args, args.servers) for _ in range(args.rounds)]
    first = args.servers[0][0]
    for figure in rounds[0][first]:
        print(args.workload, args.n, figure)
        for name, *_ in args.servers:
            values = [figures[name][figure] for figures in rounds]
            ratios = [figures[name][figure] / figures[first][figure] for figures in rounds]
            each = " ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"  {name:16} {statistics.median(values):10.4g}  x{statistics.median(ratios):.3f}  ({each})")


main()
