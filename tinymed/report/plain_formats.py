"""A report's tables as Markdown and LaTeX, with every name escaped: it is text there, never markup."""

import re
from collections.abc import Callable, Sequence

from .document import Document, Table, visible

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#|~$!^@])")
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "[": "{[}",  # after a line's end it would be an argument of it
    "*": "{*}",
    "-": "{-}",  # two of them would be a dash
}


def markdown_text(text: object) -> str:
    r"""Return a text as Markdown shows it letter by letter: no markup, no HTML, no link.

    Args:
        text: Anything.

    Returns:
        Escaped text on one line.

    Example:
        >>> markdown_text("a|b <c> www.d")
        'a\\|b &lt;c&gt; www\\.d'
    """
    escaped = MARKDOWN.sub(r"\\\1", visible(text).replace("&", "\0"))
    escaped = escaped.replace("\0", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = re.sub(r"(?i)\b(www)\.", r"\1\\.", escaped.replace("://", r"\://"))
    return re.sub(r"^(\s*\d*)([-+=.)])(?=\s|$)", r"\1\\\2", escaped)  # no item of a list, no underline


def latex_text(text: object) -> str:
    r"""Return a text as LaTeX sets it letter by letter, in text mode with T1 or Unicode fonts.

    Args:
        text: Anything.

    Returns:
        Escaped text on one line.

    Example:
        >>> print(latex_text("50 % of a_b"))
        50 \% of a\_b
    """
    return "".join(LATEX.get(c, c) for c in visible(text))


def to_markdown(document: Document) -> str:
    """Write the lead and the tables of a report as Markdown.

    Args:
        document: The report.

    Returns:
        Markdown, a heading for each section that has a table.

    Example:
        >>> from tinymed.report.document import Section
        >>> section = Section("r", "Results", [Table("of test", ("", "AUC"), [("all", "0.9")])])
        >>> print(to_markdown(Document("A run", ["by patient"], [section])))
        # A run
        <BLANKLINE>
        by patient
        <BLANKLINE>
        ## Results
        <BLANKLINE>
        of test
        <BLANKLINE>
        |  | AUC |
        | --- | ---: |
        | all | 0.9 |
        <BLANKLINE>
    """
    lines = [f"# {markdown_text(document.title)}", ""]
    for line in document.lead:
        lines += [markdown_text(line), ""]
    return "\n".join(lines + by_section(document, lambda title: ["## " + markdown_text(title), ""], markdown_table))


def by_section(document: Document, head: Callable[[str], list[str]], write: Callable[[Table], list[str]]) -> list[str]:
    """Return the lines of all tables, below the heads of their sections."""
    lines: list[str] = []
    for section in document.sections:
        tables = [block for block in section.blocks if isinstance(block, Table)]
        if tables:
            lines += head(section.title)
        for table in tables:
            lines += write(table)
    return lines


def markdown_table(table: Table) -> list[str]:
    """Return a table as lines of Markdown."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(markdown_text(cell) for cell in cells)} |"

    rule = ["---", *(["---:" if table.numbers else "---"] * (len(table.head) - 1))]
    rows = [line(row) for row in table.rows]
    return [markdown_text(table.caption), "", line(table.head), f"| {' | '.join(rule)} |", *rows, ""]


def to_latex(document: Document) -> str:
    r"""Write the tables of a report as LaTeX, each a `table` to be put into an article.

    Args:
        document: The report.

    Returns:
        LaTeX; it needs T1 or Unicode fonts and the package textcomp, which LaTeX has had inside since 2020.

    Example:
        >>> from tinymed.report.document import Section
        >>> section = Section("r", "Results", [Table("of test", ("", "AUC"), [("all", "0.9")])])
        >>> r"all & 0.9 \\" in to_latex(Document("A run", [], [section]))
        True
    """
    lines = ["% Tables of a run, written by tinymed.  Needs \\usepackage[T1]{fontenc} or a Unicode engine."]
    return "\n".join(lines + by_section(document, lambda title: ["", f"% {latex_text(title)}"], latex_table)) + "\n"


def latex_table(table: Table) -> list[str]:
    """Return a table as lines of LaTeX."""

    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(latex_text(cell) for cell in cells)} \\\\"

    columns = "l" + ("r" if table.numbers else "l") * (len(table.head) - 1)
    lines = ["\\begin{table}[htbp]", "\\centering", f"\\caption{{{latex_text(table.caption)}}}"]
    lines += [f"\\begin{{tabular}}{{{columns}}}", "\\hline", line(table.head), "\\hline"]
    return [*lines, *(line(row) for row in table.rows), "\\hline", "\\end{tabular}", "\\end{table}", ""]
