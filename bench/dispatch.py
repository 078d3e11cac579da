"""What a job costs beside its work: videod, a 30-line BRPOP loop and xargs -P4, in one run, as ratios.

    python bench/dispatch.py [--jobs N]

Figures are of the daemon process alone, without redis-server: CPU from /proc/PID/stat, memory as PSS.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parents[1]
ENVIRON = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'bench/kind'}"}
TICKS = os.sysconf("SC_CLK_TCK")

LOOP = """
import json, sys, threading, time, redis
def serve():
    r = redis.Redis(unix_socket_path=sys.argv[1])
    while True:
        _, raw = r.brpop("loop_queue")
        job = json.loads(raw)
        time.sleep(job.get("seconds", 0))
        r.lpush("loop_done", job["id"])
threads = [threading.Thread(target=serve, daemon=True) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def cpu(pid: int) -> float:
    """CPU seconds of one process, from the scheduler: exact to a nanosecond, all threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def pss(pid: int) -> float:
    """MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


def until(look, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            sys.exit("timed out")
        time.sleep(0.02)  # a watcher that takes CPU itself would spoil the figures


def daemon_done(r: redis.Redis) -> int:
    return int(r.xlen("videod:events"))


def latency(r: redis.Redis, times: int = 200) -> list[float]:
    """LPUSH → the `started` event stands in the stream, milliseconds, on an idle daemon."""
    found = []
    for n in range(times):
        time.sleep(0.03)
        last = r.xinfo_stream("videod:events")["last-generated-id"] if r.exists("videod:events") else "0"
        begin = time.perf_counter()
        r.lpush("video_info_queue", json.dumps({"id": f"l{n}", "kind": "sleep"}))
        r.xread({"videod:events": last}, count=1, block=2000)
        found.append((time.perf_counter() - begin) * 1000)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--jobs", type=int, default=2000)
    jobs = options.parse_args().jobs
    folder = Path(tempfile.mkdtemp(prefix="videod-bench-"))
    socket = folder / "redis.sock"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    r = redis.Redis(unix_socket_path=str(socket))
    ini = folder / "v.ini"
    paths = f"state_dir={folder}/state\npid_file={folder}/v.pid\ndebug_log={folder}/v.log\n"
    ini.write_text(f"[DEFAULT]\nredis = unix://{socket}\nevents_max = 1000000\n{paths}")
    command = [sys.executable, "-m", "videod", "-c", str(ini)]
    until(lambda: socket.exists())
    try:
        subprocess.run([*command, "start", "prod"], check=True, env=ENVIRON)
        pid = int((folder / "v.pid").read_text())
        time.sleep(1)
        before, begin = cpu(pid), time.monotonic()
        time.sleep(10)
        idle = (cpu(pid) - before) / (time.monotonic() - begin)
        print(f"idle: {idle * 1000:.2f} ms CPU a second, PSS {pss(pid):.1f} MiB")
        delays = sorted(latency(r))
        p95 = delays[int(len(delays) * 0.95)]
        p50 = statistics.median(delays)
        print(f"LPUSH to started, idle: p50 {p50:.2f} ms, p95 {p95:.2f} ms, max {delays[-1]:.2f} ms")

        time.sleep(0.5)
        r.delete("videod:events")
        messages = [json.dumps({"id": f"n{n}", "kind": "sleep"}) for n in range(jobs)]
        before, begin = cpu(pid), time.monotonic()
        r.lpush("video_info_queue", *messages)
        until(lambda: daemon_done(r) >= 2 * jobs)
        ours_cpu, ours_wall = (cpu(pid) - before) / jobs * 1000, (time.monotonic() - begin) / jobs * 1000

        loop = subprocess.Popen([sys.executable, "-c", LOOP, str(socket)])
        time.sleep(1)
        before, begin = cpu(loop.pid), time.monotonic()
        r.lpush("loop_queue", *messages)
        until(lambda: r.llen("loop_done") == jobs)
        loop_cpu, loop_wall = (cpu(loop.pid) - before) / jobs * 1000, (time.monotonic() - begin) / jobs * 1000

        begin = time.monotonic()
        few = min(jobs, 1000)
        subprocess.run(["xargs", "-P4", "-n1", "true"], input="\n".join("x" * few), text=True, check=True)
        xargs_wall = (time.monotonic() - begin) / few * 1000
        print(f"no-op job: videod {ours_cpu:.3f} ms CPU, {ours_wall:.3f} ms wall")
        ratio = ours_cpu / loop_cpu
        print(f"           BRPOP loop {loop_cpu:.3f} ms CPU, {loop_wall:.3f} ms wall: videod/loop CPU {ratio:.2f}")
        print(f"           xargs -P4 {xargs_wall:.3f} ms wall: videod/xargs wall {ours_wall / xargs_wall:.2f}")

        r.delete("videod:events", "loop_done")
        halves = [json.dumps({"id": f"h{n}", "kind": "sleep", "seconds": 0.5}) for n in range(40)]
        begin = time.monotonic()
        r.lpush("video_info_queue", *halves)
        until(lambda: daemon_done(r) >= 80)
        ours = time.monotonic() - begin
        begin = time.monotonic()
        r.lpush("loop_queue", *halves)
        until(lambda: r.llen("loop_done") == 40)
        loops = time.monotonic() - begin
        begin = time.monotonic()
        subprocess.run(["xargs", "-P4", "-n1", "sleep"], input="0.5\n" * 40, text=True, check=True)
        xargs = time.monotonic() - begin
        loop.kill()
        print(f"40 jobs of 0.5 s on 4 slots: videod {ours:.2f} s, loop {loops:.2f} s, xargs {xargs:.2f} s:", end=" ")
        print(f"videod/loop {ours / loops:.3f}, videod/xargs {ours / xargs:.3f}")
        print(f"PSS after {jobs + 240} jobs: {pss(pid):.1f} MiB")
    finally:
        subprocess.run([*command, "stop", "prod"], check=False, env=ENVIRON)
        server.send_signal(signal.SIGTERM)
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
