"""A process that has imported what every worker needs, and from which workers are forked in a few milliseconds.

- `main.py` is what it executes, `warm_up.py` what it does before the first fork.
- `messages.py` is what it is asked over its one socket, and what it answers.
- `client.py` is the host's side of it.

It is no part of the sandbox: nothing of an extension ever runs in it. What its children share, because they have it
from the same process, is the layout of their address space and the seed of `hash()` of strings; that is no secret
that one extension could use against another, but neither may be relied on as one.
"""
