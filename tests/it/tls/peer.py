"""Python's module ssl as the peer: `serve`, or `connect PORT` once for each line of input, in JSON."""

import json
import socket
import ssl
import sys
import threading

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context(protocol, version):
    made = ssl.SSLContext(protocol)
    made.minimum_version = made.maximum_version = VERSIONS[version]
    made.load_verify_locations("authority.pem")
    return made


class Connection:
    """A TLS connection over a socket, which can close its sending half alone."""

    def __init__(self, sock, made, **options):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = made.wrap_bio(self.incoming, self.outgoing, **options)
        self.call(self.tls.do_handshake)

    def flush(self):
        if self.outgoing.pending:
            self.sock.sendall(self.outgoing.read())

    def call(self, what, *arguments):
        while True:
            try:
                result = what(*arguments)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(1 << 16)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            except ssl.SSLError:
                self.flush()  # The alert that says why.
                raise

    def read(self):
        """Returns no bytes at the end; a connection that is cut short raises an error."""
        try:
            return self.call(self.tls.read, 1 << 16)
        except ssl.SSLZeroReturnError:
            return b""

    def read_all(self):
        return b"".join(iter(self.read, b""))

    def write(self, data):
        view = memoryview(data)
        while view:
            view = view[self.call(self.tls.write, view[: 1 << 16]) :]

    def finish(self):
        """Says that nothing more is sent."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:  # The other side has not finished.
            pass
        self.flush()


def info(tls):
    version = tls.version().removeprefix("TLSv")
    certificate = "true" if tls.getpeercert() else "false"
    resumed = "true" if tls.session_reused else "false"
    alpn = tls.selected_alpn_protocol() or "-"
    return f"version={version} alpn={alpn} certificate={certificate} resumed={resumed}"


def serve_one(sock, made):
    if sock.recv(1, socket.MSG_PEEK) == b"S":
        with sock.makefile("rb", buffering=0) as lines:
            assert lines.readline() == b"STARTTLS\r\n"
        sock.sendall(b"220 go ahead\r\n")
    connection = Connection(sock, made, server_side=True)
    first = b""
    while b"\n" not in first:
        more = connection.read()
        if not more:
            return
        first += more
    what, rest = first.split(b"\n", 1)
    if what == b"info":
        connection.write(info(connection.tls).encode() + b"\n")
    elif what == b"echo":
        while rest:
            connection.write(rest)
            rest = connection.read()
    elif what == b"count":
        connection.write(b"%d bytes\n" % len(rest + connection.read_all()))
    elif what == b"cut":
        connection.write(b"hello\n")
        sock.close()
        return
    connection.finish()
    connection.read_all()


def serve(version, port):
    made = context(ssl.PROTOCOL_TLS_SERVER, version)
    made.load_cert_chain("localhost.pem", "localhost-key.pem")
    made.verify_mode = ssl.CERT_OPTIONAL
    made.set_alpn_protocols(["irc", "chat"])
    other = context(ssl.PROTOCOL_TLS_SERVER, version)
    other.load_cert_chain("wildcard.pem", "wildcard-key.pem")
    other.set_alpn_protocols(["irc", "chat"])

    def choose(tls, name, _):
        if name == "x.wild.test":
            tls.context = other

    made.sni_callback = choose
    while True:
        sock, _ = port.accept()
        try:
            serve_one(sock, made)
        except OSError as error:
            print(error, file=sys.stderr, flush=True)
        sock.close()


def connect(port, wish, sessions):
    made = context(ssl.PROTOCOL_TLS_CLIENT, wish["version"])
    if wish.get("resume"):
        made = sessions[wish["resume"]][0]
    if wish.get("certificate"):
        made.load_cert_chain("client.pem", "client-key.pem")
    if wish.get("alpn"):
        made.set_alpn_protocols(wish["alpn"])
    sock = socket.create_connection(("127.0.0.1", port))
    session = sessions[wish["resume"]][1] if wish.get("resume") else None
    connection = Connection(sock, made, server_hostname=wish["name"], session=session)
    connection.write(wish["text"].encode())
    if wish.get("then") == "finish":
        connection.finish()
    if wish.get("then") == "cut":
        received = connection.read()
        sock.close()
        return received.decode()
    if wish.get("long"):
        data = b"".join(b"line %09d\n" % number for number in range((16 << 20) // 15))
        received = exchange(connection, data)
        connection.finish()
        return f"{received == data} {len(data)}"
    received = connection.read_all()
    sessions[wish.get("keep")] = (made, connection.tls.session)
    connection.finish()
    sock.close()
    return received.decode()


def exchange(connection, data):
    """Sends the data and reads as much, a piece of each in turn."""
    received = bytearray()
    for start in range(0, len(data), 1 << 16):
        connection.write(data[start : start + (1 << 16)])
        while len(received) < start:
            received += connection.read()
    while len(received) < len(data):
        received += connection.read()
    return received


if sys.argv[1] == "serve":
    for version in VERSIONS:
        port = socket.create_server(("127.0.0.1", 0))
        print(port.getsockname()[1], flush=True)
        threading.Thread(target=serve, args=(version, port), daemon=True).start()
    sys.stdin.read()
else:
    sessions = {}
    for line in sys.stdin:
        try:
            answer = connect(int(sys.argv[2]), json.loads(line), sessions)
        except OSError as error:
            answer = f"{type(error).__name__}: {error}"
        print(answer.rstrip("\n"), flush=True)
