"""The servers on asyncio: protocols and transports, on uvloop's loop if it is asked for.

`asyncio_server.py [--uvloop] WORKLOAD`, `asyncio_server.py [--uvloop] timers COUNT`. In chat each
message is written by itself, and both loops send it at once.
"""
import asyncio
import json
import logging
import sys
import time

QUOTE = b"An apple a day keeps the doctor away\r\n"
BLOCK = bytes((i * 7 + i // 256) % 256 for i in range(65536))
SINK_UNIT = 1 << 20
# After these seconds, all timers that are to fire are due.
ALL_DUE = 1.1
UVLOOP = "--uvloop" in sys.argv


class Buffered(asyncio.BufferedProtocol):
    """All connections receive into one buffer, as what is kept of it is copied.

    For a plain protocol asyncio's own loop allocates 256 KiB at each read, which the allocator maps
    anew; that costs more than the rest of an echo. uvloop does not."""

    buffer = memoryview(bytearray(262144))

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.data_received(bytes(self.buffer[:nbytes]))


class Connection(asyncio.Protocol if UVLOOP else Buffered):
    """One that does not read its own answers is not read either."""

    def connection_made(self, transport):
        self.transport = transport

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class Echo(Connection):
    def data_received(self, data):
        self.transport.write(data)


class Lines(Connection):
    rest = b""

    def data_received(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        if lines:
            self.lines_received(lines)

    def lines_received(self, lines):
        self.transport.write(b"".join([
            b"Fine\r\n" if line == b"How are you?\r" or line == b"How are you?"
            else b"I don't know what you mean\r\n" for line in lines]))


class Unpaused(Connection):
    """What others say is kept for one that does not read it, who may go on talking."""

    def pause_writing(self):
        pass

    def resume_writing(self):
        pass


class Chat(Unpaused, Lines):
    members = {}
    prefix = None

    def connection_made(self, transport):
        super().connection_made(transport)
        transport.write(b"What's your name?\r\n")

    def connection_lost(self, exc):
        self.members.pop(self, None)

    def lines_received(self, lines):
        for line in lines:
            line = line.removesuffix(b"\r")
            if self.prefix is None:
                self.prefix = b"<" + line + b"> "
                self.transport.write(b"Welcome, " + line + b"!\r\n")
                self.members[self] = self.transport
                continue
            message = self.prefix + line + b"\r\n"
            for member, transport in self.members.items():
                if member is not self:
                    transport.write(message)


class Quote(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(QUOTE)
        transport.close()


class Sink(Connection):
    received = 0

    def data_received(self, data):
        self.buffer_updated(len(data))

    def buffer_updated(self, nbytes):
        units = self.received // SINK_UNIT
        self.received += nbytes
        dots = self.received // SINK_UNIT - units
        if dots:
            self.transport.write(b"." * dots)


class Broadcast(Unpaused):
    members = {}

    def connection_made(self, transport):
        self.members[self] = transport

    def connection_lost(self, exc):
        del self.members[self]

    def data_received(self, data):
        for _ in data:
            for transport in self.members.values():
                transport.write(BLOCK)


SERVERS = {"echo": Echo, "lines": Lines, "chat": Chat, "quote": Quote, "sink": Sink,
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


def time_timers(loop, count):
    """Moving a timer is no operation of asyncio's: to reset one is to cancel it and call anew."""
    timers = [0] * count
    call_later, now, fired = loop.call_later, time.perf_counter_ns, 0

    def fire():
        nonlocal fired
        fired += 1
        if fired == count:
            loop.stop()

    delays = [10 + random % 60000 / 1000 for random, _ in zip(randoms(), range(count))]
    soon = [random % 1000 / 1e3 for random, _ in zip(randoms(), range(count))]
    at_first, begin = resident(), now()
    for at, delay in enumerate(delays):
        timers[at] = call_later(delay, fire)
    schedule, scheduled, begin = now() - begin, resident(), now()
    for at, delay in enumerate(delays):
        timers[at].cancel()
        timers[at] = call_later(delay + 60, fire)
    reset, begin = now() - begin, now()
    for timer in timers:
        timer.cancel()
    cancel, cancelled = now() - begin, resident()
    for at, delay in enumerate(soon):
        timers[at] = call_later(delay, fire)
    time.sleep(ALL_DUE)
    begin = now()
    loop.run_forever()
    return {"count": count, "schedule": schedule / count, "reset": reset / count,
            "cancel": cancel / count, "fire": (now() - begin) / count,
            "bytes_each": (scheduled - at_first) / count,
            "bytes_left": (cancelled - at_first) / count}


async def serve(protocol):
    # It warns at each write to one who is gone until the protocol has been told, which is soon.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=1024)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main():
    work, *arguments = [word for word in sys.argv[1:] if word != "--uvloop"] or [""]
    if UVLOOP:
        import uvloop
        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    if work == "timers" and arguments:
        print(json.dumps(time_timers(loop, int(arguments[0]))))
    elif work in SERVERS:
        loop.run_until_complete(serve(SERVERS[work]))
    else:
        print("asyncio serves echo, lines, chat, quote, sink and broadcast, and does timers, "
              "no other", file=sys.stderr)
        sys.exit(3)


main()
