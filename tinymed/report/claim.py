"""The points of CLAIM, the Checklist for Artificial Intelligence in Medical Imaging, in words of our own.

Numbered as in Mongan, Moy & Kahn, Radiology: Artificial Intelligence 2(2):e200029, 2020.  The update of 2024 (Tejani et
al., the same journal 6(4):e240300) says "reference standard" for "ground truth" and "testing" for "validation" on other
data, as is done here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from .document import Section, Table, Text

AUTHOR = "for the author"


class Point(NamedTuple):
    """A point of the checklist.

    Attributes:
        number: As in the checklist of 2020.
        part: The part of an article that it belongs to.
        asks: What it asks for, in our words.
        key: By which a run answers it; "" where no run can.
    """

    number: int
    part: str
    asks: str
    key: str = ""


POINTS = (
    Point(1, "Title", "Does the title say that a method of artificial intelligence is studied, and of which kind?"),
    Point(2, "Abstract", "Does a structured summary give design, methods, results and what follows from them?"),
    Point(3, "Introduction", "Why is it needed, and where in care would it be used?"),
    Point(4, "Introduction", "What was the aim, and which hypothesis was to be tested?"),
    Point(5, "Study design", "Were the data collected before the study was planned (retrospective) or for it?"),
    Point(6, "Study design", "What is the study for: making a model, exploring, feasibility, showing non-inferiority?"),
    Point(7, "Data", "Where do the data come from?", "sources"),
    Point(8, "Data", "Who was included and left out: where, when, by which symptoms, findings or techniques?"),
    Point(9, "Data", "What was done to the images before the network saw them?", "preparation"),
    Point(10, "Data", "Which subset of the data was used, and how was it chosen?"),
    Point(11, "Data", "How is each predictor and outcome defined?", "outcomes"),
    Point(12, "Data", "How were the data de-identified?"),
    Point(13, "Data", "What was done about data that are missing or unreadable?", "missing"),
    Point(14, "Reference standard", "What counts as the truth, told so that others could do the same?"),
    Point(15, "Reference standard", "Why was this reference chosen over others?"),
    Point(16, "Reference standard", "Who annotated, with which qualification and preparation?"),
    Point(17, "Reference standard", "With which tools was it annotated?"),
    Point(18, "Reference standard", "How far did annotators differ, from each other and from themselves?"),
    Point(19, "Partitions", "How many images were meant to be used, and how was that number found?", "sizes"),
    Point(20, "Partitions", "How were the images divided into parts, and in which proportions?", "division"),
    Point(21, "Partitions", "At which level are the parts disjoint: image, study, patient, institution?", "disjoint"),
    Point(22, "Model", "What is the network: inputs, outputs, every layer between?", "network"),
    Point(23, "Model", "Which libraries and packages, in which versions?", "versions"),
    Point(24, "Model", "How were the weights initialised?", "initial"),
    Point(25, "Training", "How was it trained: augmentation, hyper-parameters, number of models?", "training"),
    Point(26, "Training", "How was the final model chosen?", "selection"),
    Point(27, "Training", "If models were combined, how?", "ensemble"),
    Point(28, "Evaluation", "Which measures of performance?", "measures"),
    Point(29, "Evaluation", "How is uncertainty measured, with which significance?", "uncertainty"),
    Point(30, "Evaluation", "How robust is it: what happens if assumptions or data change?"),
    Point(31, "Evaluation", "How can its answers be explained, and was that checked?", "explanation"),
    Point(32, "Evaluation", "Was it tested on data from elsewhere?"),
    Point(33, "Results", "How many were screened, included, left out: a diagram of the flow?"),
    Point(34, "Results", "Who are the patients of each part: age, sex, disease?"),
    Point(35, "Results", "How well does it do on every part of the data?", "performance"),
    Point(36, "Results", "How accurate is the diagnosis, and how precise is that figure?", "accuracy"),
    Point(37, "Results", "Where does it fail?", "failures"),
    Point(38, "Discussion", "What are the limits: bias, how far the results hold elsewhere?"),
    Point(39, "Discussion", "What follows for practice: use and clinical role?"),
    Point(40, "Other", "Is the study registered, and where?"),
    Point(41, "Other", "Where are protocol, code, model and data?", "availability"),
    Point(42, "Other", "Who paid for it, and what was their part?"),
)
KEYS = tuple(point.key for point in POINTS if point.key)


def checklist(answers: Mapping[str, str]) -> Section:
    """Return the checklist with what a run can answer filled in, and the rest left for the author.

    Args:
        answers: Key of a point -> what the run says of it.

    Returns:
        A section of a report.

    Raises:
        ValueError: There is no point of such a key.

    Example:
        >>> checklist({"division": "by patient"}).blocks[1].rows[19][-1]
        'by patient'
    """
    unknown = set(answers) - set(KEYS)
    if unknown:
        raise ValueError(f"checklist: no point is called {', '.join(sorted(unknown))}")
    rows = [(str(p.number), p.part, p.asks, answers.get(p.key) or AUTHOR) for p in POINTS]
    done = sum(1 for row in rows if row[-1] != AUTHOR)
    told = (
        "Points of the Checklist for Artificial Intelligence in Medical Imaging (CLAIM; Mongan, Moy & Kahn 2020, words "
        "of its 2024 update), in words of our own. An article should be held to the checklist itself."
    )
    part = sum(1 for row in rows if row[-1].startswith("in part"))
    told_by = f"{done - part} of {len(POINTS)} points answered by the run, {part} in part"
    caption = f"CLAIM: {told_by}, {len(POINTS) - done} left for the author"
    return Section(
        "claim",
        "CLAIM checklist",
        [Text(told), Table(caption, ("point", "part", "what is asked", "answer"), rows, numbers=False)],
    )
