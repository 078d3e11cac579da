"""Soak and chaos: three real nodes under a random load and random faults, and an account at the end.

    python -m tests.chaos --minutes 30 [--seed 7]

`world` holds the servers and the nodes, `load` pushes, `harm` breaks, `watch` looks at the steady node, `account`
adds up and `results` opens what was uploaded.
"""
