"""A trained run as a local page: drop an image, see what the network says, how often that was right, and why.

    guard      who may ask: the host's name, the token; headers of every answer
    upload     one file out of a request, within limits of bytes and seconds
    worker     one thread for the network and a queue before it
    answers    an image to an answer: probabilities, precision with its interval, Grad-CAM or mask
    app        the pages and endpoints
    page.*     what the browser shows

Nothing is kept of what is sent.  The answers are for research, not for diagnosis.  See docs/serve.md.
"""

from .answers import Answers
from .app import make_app
from .limits import Limits

__all__ = ["Answers", "Limits", "make_app"]
