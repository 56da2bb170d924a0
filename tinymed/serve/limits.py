"""What one request may take."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits of a server.

    Attributes:
        upload: Bytes of a request.
        pixels: Height x width of an image, told by its header before a pixel is decoded.
        receive: Seconds that a request may take to arrive.
        answer: Seconds that an answer may take, waiting included.
        queue: Images that wait for the network or are in it; one more is sent away.

    Example:
        >>> Limits(queue=4).queue
        4
    """

    upload: int = 32 << 20
    pixels: int = 64_000_000
    receive: float = 30.0
    answer: float = 60.0
    queue: int = 16
