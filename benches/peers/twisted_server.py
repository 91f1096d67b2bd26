"""The servers on Twisted, as in its tutorial.

`twisted_server.py WORKLOAD`, `twisted_server.py timers COUNT`.
"""
import json
import sys
import time

from twisted.internet import reactor
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer

QUOTE = b"An apple a day keeps the doctor away\r\n"
BLOCK = bytes((i * 7 + i // 256) % 256 for i in range(65536))
SINK_UNIT = 1 << 20
# After these seconds, all timers that are to fire are due.
ALL_DUE = 1.1


@implementer(IHalfCloseableProtocol)
class Finishing:
    """Sends what is unsent to one who has said all, where Twisted would drop it."""

    def readConnectionLost(self):
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self):
        pass


class Echo(Finishing, Protocol):
    def connectionMade(self):
        self.transport.setTcpNoDelay(True)
        # A transport is a producer too: one that does not read its echo is not read either.
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data):
        self.transport.write(data)


class Lines(Finishing, LineReceiver):
    """Lines end with LF, and a CR before it is dropped; those that are sent end with both."""

    delimiter = b"\n"
    MAX_LENGTH = sys.maxsize

    def connectionMade(self):
        self.transport.setTcpNoDelay(True)

    def sendLine(self, line):
        self.transport.write(line + b"\r\n")


class Answer(Lines):
    def connectionMade(self):
        super().connectionMade()
        # And so is a line receiver, which keeps the lines that it has while it is paused.
        self.transport.registerProducer(self, True)

    def lineReceived(self, line):
        if line.removesuffix(b"\r") == b"How are you?":
            self.sendLine(b"Fine")
        else:
            self.sendLine(b"I don't know what you mean")


class Chat(Lines):
    name = None

    def connectionMade(self):
        super().connectionMade()
        self.sendLine(b"What's your name?")

    def connectionLost(self, reason):
        self.factory.members.pop(self, None)

    def lineReceived(self, line):
        line = line.removesuffix(b"\r")
        if self.name is None:
            self.name = line
            self.sendLine(b"Welcome, " + line + b"!")
            self.factory.members[self] = None
            return
        message = b"<" + self.name + b"> " + line
        for member in self.factory.members:
            if member is not self:
                member.sendLine(message)


class Quote(Protocol):
    def connectionMade(self):
        self.transport.setTcpNoDelay(True)
        self.transport.write(QUOTE)
        self.transport.loseConnection()


class Sink(Finishing, Protocol):
    received = 0

    def connectionMade(self):
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data):
        units = self.received // SINK_UNIT
        self.received += len(data)
        dots = self.received // SINK_UNIT - units
        if dots:
            self.transport.write(b"." * dots)


class Broadcast(Finishing, Protocol):
    def connectionMade(self):
        self.transport.setTcpNoDelay(True)
        self.factory.members[self] = None

    def connectionLost(self, reason):
        del self.factory.members[self]

    def dataReceived(self, data):
        for _ in data:
            for member in self.factory.members:
                member.transport.write(BLOCK)


SERVERS = {"echo": Echo, "lines": Answer, "chat": Chat, "quote": Quote, "sink": Sink,
           "broadcast": Broadcast}


def randoms():
    state = 1
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        yield state >> 33


def resident():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024


def time_timers(count):
    timers = [0] * count
    call_later, now, fired, ended = reactor.callLater, time.perf_counter_ns, 0, 0

    def fire():
        nonlocal fired, ended
        fired += 1
        if fired == count:
            ended = now()
            reactor.stop()

    delays = [10 + random % 60000 / 1000 for random, _ in zip(randoms(), range(count))]
    soon = [random % 1000 / 1e3 for random, _ in zip(randoms(), range(count))]
    at_first, begin = resident(), now()
    for at, delay in enumerate(delays):
        timers[at] = call_later(delay, fire)
    schedule, scheduled, begin = now() - begin, resident(), now()
    for timer in timers:
        timer.delay(60)
    reset, begin = now() - begin, now()
    for timer in timers:
        timer.cancel()
    cancel, cancelled = now() - begin, resident()
    for at, delay in enumerate(soon):
        timers[at] = call_later(delay, fire)
    time.sleep(ALL_DUE)
    begin = now()
    reactor.run()
    return {"count": count, "schedule": schedule / count, "reset": reset / count,
            "cancel": cancel / count, "fire": (ended - begin) / count,
            "bytes_each": (scheduled - at_first) / count,
            "bytes_left": (cancelled - at_first) / count}


def main():
    work, *arguments = sys.argv[1:] or [""]
    if work == "timers" and arguments:
        print(json.dumps(time_timers(int(arguments[0]))))
    elif work in SERVERS:
        factory = Factory.forProtocol(SERVERS[work])
        factory.members = {}
        port = reactor.listenTCP(0, factory, backlog=1024, interface="127.0.0.1")
        print("listening on 127.0.0.1:%d" % port.getHost().port, flush=True)
        reactor.run()
    else:
        print("twisted serves echo, lines, chat, quote, sink and broadcast, and does timers, "
              "no other", file=sys.stderr)
        sys.exit(3)


main()
