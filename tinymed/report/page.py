"""A report as one HTML file: no script, no address outside, pictures inside it."""

import base64
from pathlib import Path
from typing import Any

from ..errors import UserError
from .document import Document, visible

TEMPLATE = "page.html"


def to_html(document: Document) -> str:
    """Write a report as one self-contained HTML page.

    Args:
        document: The report; every text in it is escaped.

    Returns:
        The page.

    Raises:
        UserError: jinja2 is not installed.

    Example:
        >>> from tinymed.report.document import Document, Section, Text
        >>> page = to_html(Document("<b>", [], [Section("one", "One", [Text("a & b")])]))
        >>> "&lt;b&gt;" in page, "a &amp; b" in page
        (True, True)
    """
    try:
        import jinja2
    except ImportError:
        raise UserError("a report as HTML needs jinja2: pip install 'tinymed[report]'") from None
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        finalize=lambda value: visible(value) if type(value) is str else value,  # what is markup already stays
    )
    return environment.get_template(TEMPLATE).render(document=document, kind=kind_of, data=data_uri)


def kind_of(block: Any) -> str:
    """Return the name of a block's class, by which the template chooses."""
    return type(block).__name__


def data_uri(png: bytes) -> str:
    """Return a picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
