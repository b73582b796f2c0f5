"""What a connection counts: what it carried, and what it ignored."""

import msgspec


class Counters(msgspec.Struct):
    """What a connection carried, and what it ignored because it does no harm.

    Args:
        late: Answers to requests that were cancelled or whose deadline had passed.
        unknown: Answers to requests that were never asked or have been answered.
        notifications: Notifications and published messages that nobody listens to, or of a type that is not
            known here.
        frames_in: Frames of the peer.
        bytes_in: Bytes of the peer.
        frames_out: Frames for the peer.
        bytes_out: Bytes for the peer.
    """

    late: int = 0
    unknown: int = 0
    notifications: int = 0
    frames_in: int = 0
    bytes_in: int = 0
    frames_out: int = 0
    bytes_out: int = 0
