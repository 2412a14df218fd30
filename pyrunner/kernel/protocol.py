"""The wire between the guest and the Python side: JSON messages in SOCK_SEQPACKET packets.

A message is cut into packets of at most 60 KiB, each led by one flag byte: '+' when more follows, '.' on
the last. A packet arrives whole or not at all, so there is nothing to resynchronise.

Two things are unusual here, both because user code shares this process:

* The C halves of the json module (`_json`) are used directly. The module itself costs 1 MiB of memory in
  every kernel (it brings `re` and `enum` with it), and user code may have replaced it.
* Signal handlers of the user may raise between any two calls, so every step below can be repeated, and a
  send never waits inside the system call.

Under gVisor a system call costs ten microseconds or more, so a short message is one call each way.
"""

from _json import encode_basestring, make_encoder, make_scanner
from _signal import SIG_BLOCK, SIG_SETMASK, pthread_sigmask, valid_signals
from _socket import (
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    SCM_RIGHTS,
    SOL_SOCKET,
)
from _thread import allocate_lock
from select import POLLERR, POLLHUP, POLLOUT, poll
from sys import byteorder

PACKET_PAYLOAD = 60 * 1024
MESSAGE_LIMIT = 16 * 1024 * 1024
RECEIVE_BUFFER = 64 * 1024
LAST = 0x2E  # '.'
MORE = 0x2B  # '+'
ALL_SIGNALS = valid_signals()


class Closed(Exception):
    """The guest is gone: there is nobody left to speak to."""


class _ScannerContext:
    """The settings that the C scanner reads; they are those of `json.loads`."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _refuse(value):
    raise TypeError(f"{type(value).__name__} is not JSON")


_scan = make_scanner(_ScannerContext())
# Not ASCII-only, so that text costs what it costs in UTF-8; NaN is refused, for JSON has none.
_encoder = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)


def encode(value):
    """Returns value as JSON bytes. Raises TypeError, ValueError or RecursionError if it is not JSON."""
    # Lone surrogates have no UTF-8 form; '?' is what the stream encoders of Python write too.
    return "".join(_encoder(value, 0)).encode("utf-8", "replace")


def decode(data):
    """Returns the dict in data, or None if data is not one JSON object."""
    try:
        value = _scan(str(data, "utf-8", "replace"), 0)[0]
    except (ValueError, TypeError, RecursionError, StopIteration):
        return None
    return value if type(value) is dict else None


def is_socket_error(exc):
    """Tells an error of the socket from one that a handler of the user raised; those seldom have a number."""
    return isinstance(exc, OSError) and exc.errno is not None and not isinstance(exc, TimeoutError)


def receive(sock):
    """Returns the next packet and its descriptors from a control socket; (None, []) when it was closed."""
    try:
        packet, control, _, _ = sock.recvmsg(RECEIVE_BUFFER, CMSG_SPACE(4 * 16), MSG_CMSG_CLOEXEC)
    except OSError:
        return None, []
    fds = []
    for level, kind, data in control:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            fds += [int.from_bytes(data[at : at + 4], byteorder) for at in range(0, len(data) // 4 * 4, 4)]
    return (packet, fds) if packet or fds else (None, [])


class Channel:
    """One end of a kernel's protocol socket.

    `send` may be called from any thread. `send_code` is the code object that the interrupt handler looks
    for: a KeyboardInterrupt must never cut a message in two.
    """

    __slots__ = (
        "_recv_into",
        "_send",
        "_fileno",
        "_buffer",
        "_lock",
        "_count",
        "_parts",
        "_message",
    )

    def __init__(self, sock):
        # Bound methods are taken now: user code can replace those of the class, never these.
        self._recv_into = sock.recv_into
        self._send = sock.send
        self._fileno = sock.fileno()
        self._buffer = bytearray(RECEIVE_BUFFER)
        self._lock = allocate_lock()
        self._count = 0
        self._parts = []
        self._message = None

    def receive(self):
        """Waits for the next message, and returns it again and again until `release` is called.

        Junk and oversized messages are skipped. Raises Closed at the end, and whatever a signal handler of the
        user raises: call it again then, nothing is lost. (CPython runs handlers at calls, and at no other
        place in these lines; so two assignments in a row are never parted.)
        """
        while self._message is None:
            self._take()
            self._use(self._buffer[0], bytes(self._buffer[1 : self._count]))
        return self._message

    def release(self):
        """Says that the message has been dealt with."""
        self._message = None

    def _take(self):
        """Waits for a packet, unless the last one has not been used: its first byte says so."""
        buffer = self._buffer
        if buffer[0] == 0:
            self._count = PACKET_PAYLOAD + 1
            try:
                self._count = self._recv_into(buffer, RECEIVE_BUFFER)
            except BaseException as exc:
                if is_socket_error(exc):
                    raise Closed from exc
                if buffer[0] == 0:
                    raise  # a handler raised while we slept; nothing came
                # It raised after the packet came, and took the length with it. A part is always full; what is
                # behind the end of a last packet does no harm, as JSON says itself where it ends.
                if buffer[0] != MORE:
                    self._count = RECEIVE_BUFFER
        if self._count == 0:
            raise Closed

    def _use(self, flag, payload):
        """Adds a packet to the message that is being read; makes it the message if it was the last."""
        parts = [*self._parts, payload]
        size = sum(map(len, parts))
        message = None
        if flag == LAST and size <= MESSAGE_LIMIT:
            message = decode(b"".join(parts))
        if flag != MORE or size > MESSAGE_LIMIT:
            parts = []
        self._parts = parts
        self._message = message
        self._buffer[0] = 0

    def send(self, message):
        """Sends message. Raises what `encode` raises, ValueError when it is too large, Closed at the end."""
        data = encode(message)
        if len(data) > MESSAGE_LIMIT:
            raise ValueError("message too large")
        with self._lock:
            if len(data) <= PACKET_PAYLOAD:
                self._send_packet(b"." + data)
            else:
                self._send_long(data)

    def _send_long(self, data):
        # Half a message would make the guest read the next one as its tail: no signal may come between.
        before = pthread_sigmask(SIG_BLOCK, ALL_SIGNALS)
        try:
            last = (len(data) - 1) // PACKET_PAYLOAD * PACKET_PAYLOAD
            for start in range(0, last + 1, PACKET_PAYLOAD):
                flag = b"." if start == last else b"+"
                self._send_packet(flag + data[start : start + PACKET_PAYLOAD])
        finally:
            pthread_sigmask(SIG_SETMASK, before)

    def _send_packet(self, packet):
        while True:
            try:
                self._send(packet, MSG_DONTWAIT | MSG_NOSIGNAL)
                return
            except BlockingIOError:
                self._wait_writable()
            except OSError as exc:
                if is_socket_error(exc):
                    raise Closed from exc
                raise

    def _wait_writable(self):
        poller = poll()
        poller.register(self._fileno, POLLOUT | POLLERR | POLLHUP)
        # Bounded, so that a lost wake-up costs a moment and not the kernel.
        poller.poll(1000)


Channel.send_code = Channel.send.__code__
