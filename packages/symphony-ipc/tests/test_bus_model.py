"""Random histories of a tree of nodes, against a model of who gets what."""

import asyncio
import socket
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule
from symphony_ipc import Endpoint, from_socket
from symphony_ipc.bus import Bus
from symphony_sdk.errors import BusError
from symphony_sdk.messages import LogLine

TOPICS = ["a", "a.b", "a.c", "b.b", "a.b.c"]
PATTERNS = ["a", "a.b", "a.*", "*.b", "a.>", ">", "*.*"]
FENCE = "fence"


def naive(pattern, topic):
    wanted, words = pattern.split("."), topic.split(".")
    for place, word in enumerate(wanted):
        if word == ">":
            return len(words) > place
        if place >= len(words) or word not in {"*", words[place]}:
            return False
    return len(wanted) == len(words)


class Subscriber:
    def __init__(self, node, pattern, group):
        self.node = node
        self.pattern = pattern
        self.group = group
        self.got = []
        self.listener = None

    def take(self, delivery):
        if delivery.topic != FENCE:
            self.got.append(delivery.message.text)


class Node:
    def __init__(self, bus):
        self.bus = bus
        self.connection = None
        self.above = None
        self.below = []
        self.fences = Counter()
        self.fence = asyncio.Event()
        self.subscribers = []
        self.names = {}

    def fenced(self, delivery):
        self.fences[delivery.message.text] += 1
        self.fence.set()


class Tree(RuleBasedStateMachine):
    """The hub, the nodes below it, and those below them."""

    nodes = Bundle("nodes")
    subscribers = Bundle("subscribers")

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.runner.get_loop()
        self.alive = []
        self.count = 0

    def teardown(self):
        async def close():
            for node in reversed(self.alive):
                await node.bus.close()

        self.runner.run(close())
        self.runner.close()

    @initialize(target=nodes)
    def make_hub(self):
        return self.runner.run(self.make_node(None))

    async def make_node(self, above):
        self.count += 1
        node = Node(Bus(f"node-{self.count}"))
        await node.bus.listen(FENCE, node.fenced)
        if above is not None:
            ours, theirs = socket.socketpair()
            _, node.connection = await asyncio.gather(
                from_socket(
                    ours, Endpoint(above.bus.name, timeout=30), accepts=True, on_open=above.bus.attach
                ),
                from_socket(theirs, Endpoint(node.bus.name, timeout=30), accepts=False),
            )
            await node.bus.join(node.connection)
            node.above = above
            above.below.append(node)
        self.alive.append(node)
        return node

    @rule(target=nodes, above=nodes)
    def attach(self, above):
        if len(self.alive) >= 5 or above not in self.alive:
            return above
        return self.runner.run(self.make_node(above))

    @rule(node=nodes)
    def lose(self, node):
        """A node that has none below ends without a word."""
        if node.above is None or node.below or node not in self.alive:
            return

        async def end():
            async with await node.above.bus.subscribe("_bus.health") as health:
                node.connection._transport.abort()
                async with asyncio.timeout(20):
                    while (await anext(health)).message.process != node.bus.name:
                        pass
            await asyncio.gather(*node.above.bus._below._tasks)  # so that the nodes above know, too
            await self.fence(node.above)
            await node.bus.close()

        node.above.below.remove(node)
        self.alive.remove(node)
        self.runner.run(end())

    @rule(
        target=subscribers,
        node=nodes,
        pattern=st.sampled_from(PATTERNS),
        group=st.sampled_from(["", "", "g", "h"]),
    )
    def subscribe(self, node, pattern, group):
        subscriber = Subscriber(node, pattern, group)
        if node in self.alive:

            async def begin():
                subscriber.listener = await node.bus.listen(pattern, subscriber.take, group=group)

            self.runner.run(begin())
            node.subscribers.append(subscriber)
        return subscriber

    @rule(subscriber=consumes(subscribers))
    def unsubscribe(self, subscriber):
        if subscriber in subscriber.node.subscribers and subscriber.node in self.alive:

            async def end():
                async with subscriber.listener:
                    pass

            self.runner.run(end())
            subscriber.node.subscribers.remove(subscriber)

    async def fence(self, node):
        """Wait until all that was published at a node has arrived, also what the hub sent back for a group."""
        for publisher in (node, self.alive[0]):
            await self.fence_from(publisher)

    async def fence_from(self, node):
        self.count += 1
        text = str(self.count)
        node.bus.publish(FENCE, LogLine("fence", text))
        async with asyncio.timeout(20):
            for other in self.alive:
                while not other.fences[text]:
                    other.fence.clear()
                    await other.fence.wait()
        assert all(other.fences[text] == 1 for other in self.alive)

    @rule(node=nodes, topic=st.sampled_from(TOPICS))
    def publish(self, node, topic):
        if node not in self.alive:
            return
        self.count += 1
        text = str(self.count)

        async def act():
            node.bus.publish(topic, LogLine("info", text))
            await self.fence(node)

        self.runner.run(act())
        in_groups = Counter()
        for subscriber in [s for other in self.alive for s in other.subscribers]:
            got = subscriber.got.count(text)
            if not naive(subscriber.pattern, topic):
                assert got == 0
            elif subscriber.group:
                in_groups[subscriber.group] += got
            else:
                assert got == 1
        assert all(times == 1 for times in in_groups.values())

    @rule(node=nodes, name=st.sampled_from(["x", "y"]), group=st.sampled_from(["", "g"]))
    def register(self, node, name, group):
        if node not in self.alive or name in node.names:
            return
        taken = [other.names[name] for other in self.alive if name in other.names]

        async def answer(message):
            return LogLine(node.bus.name, message.text)

        async def act():
            return await node.bus.register(name, answer, group=group)

        try:
            self.runner.run(act())
        except BusError as error:
            assert error.code == "SYM-T023"
            assert taken and (not group or taken[0] != group)
        else:
            assert all(group and other == group for other in taken)
            node.names[name] = group

    @rule(node=nodes, name=st.sampled_from(["x", "y", "z"]))
    def request(self, node, name):
        if node not in self.alive:
            return
        answering = {other.bus.name for other in self.alive if name in other.names}

        async def act():
            return await node.bus.request(name, LogLine("", "ask"), LogLine, timeout=20)

        try:
            answer = self.runner.run(act())
        except BusError as error:
            assert error.code == "SYM-T022"
            assert not answering
        else:
            assert answer.level in answering
        found = self.runner.run(node.bus.endpoints(name))
        assert bool(found) == bool(answering)


TestTree = Tree.TestCase
TestTree.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
