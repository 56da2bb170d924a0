"""`tinymed serve`: answers, who may ask, limits, the queue, many requests at once, damaged uploads."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

httpx = pytest.importorskip("httpx", reason="pip install '.[test]'")
pytest.importorskip("starlette", reason="pip install '.[serve]'")
pytest.importorskip("uvicorn", reason="pip install '.[serve]'")

from commands import invoke, until_left  # noqa: E402
from serving import TOKEN, picture, raw, server  # noqa: E402

from tinymed.cli.serving import bound, names_of  # noqa: E402
from tinymed.errors import UserError  # noqa: E402
from tinymed.serve import Limits  # noqa: E402
from tinymed.serve.answers import called_by, suffix_of  # noqa: E402
from tinymed.serve.guard import HEADERS  # noqa: E402

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def address(finished_run):
    with server(finished_run) as where:
        yield where


def ask(address, content=None, name="cell.png", headers=BEARER, **fields):
    """Post an image."""
    file = {"image": (name, picture() if content is None else content)}
    return httpx.post(f"{address}/predict", files=file, data=fields, headers=headers, timeout=60)


FORM = "Content-Type: multipart/form-data; boundary=b"


def head(address, method, path, *more):
    """The head of a request as bytes, without the empty line that ends it."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address[7:]}", f"Authorization: Bearer {TOKEN}", "Connection: close"]
    return "".join(f"{line}\r\n" for line in [*lines, *more]).encode()


class TestAnswers:
    def test_one_is_what_predict_says(self, address, finished_run, tmp_path, capsys):
        path = tmp_path / "cell.png"
        path.write_bytes(picture(3))
        found = ask(address, picture(3)).json()
        code, out, _ = invoke(capsys, "predict", finished_run, path, "--json", "--backend", "numpy")
        assert code == 0
        wanted = json.loads(out)[0]
        assert found["label"] == wanted["label"]
        assert found["scores"] == pytest.approx(wanted["scores"], rel=1e-4)
        assert "image" not in found
        assert "research" in found["notice"]
        assert found["picture"].startswith("data:image/png;base64,")
        assert found["explanation"]["class"] == found["label"]
        assert found["explanation"]["picture"] != found["picture"]

    def test_precision_is_counted_from_the_runs_predictions(self, address, finished_run):
        import csv

        with (finished_run / "predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        about = httpx.get(f"{address}/about", headers=BEARER).json()
        for row in about["precision"]:
            given = [r for r in rows if r["predicted"] == row["class"]]
            assert row["n"] == len(given)
            if given:
                right = sum(r["true"] == row["class"] for r in given) / len(given)
                assert row["value"] == pytest.approx(right)
                assert 0 <= row["low"] <= right <= row["high"] <= 1

    def test_without_an_explanation(self, address):
        found = ask(address, explain="0").json()
        assert "explanation" not in found
        assert "picture" not in found

    def test_the_threshold_decides(self):
        scores = np.array([[0.3, 0.7, 0.0], [0.6, 0.2, 0.2], [0.8, 0.1, 0.1]])
        assert called_by(scores, ["a", "b", "c"], None).tolist() == [1, 0, 0]
        rule = {"positive": "c", "threshold": 0.2}
        assert called_by(scores, ["a", "b", "c"], rule).tolist() == [1, 2, 0]

    def test_nothing_is_left_behind(self, address, monkeypatch, tmp_path):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        assert ask(address).status_code == 200
        assert ask(address, b"no image").status_code == 422
        assert list(tmp_path.iterdir()) == []


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        "headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": TOKEN}, {"Cookie": TOKEN}]
    )
    def test_the_token_is_asked_for(self, address, headers):
        for response in (httpx.get(f"{address}/about", headers=headers), ask(address, headers=headers)):
            assert response.status_code == 401
            assert set(response.json()) == {"error"}
        assert httpx.get(f"{address}/about?token={TOKEN}").status_code == 401

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost:{port}.x"]
    )
    def test_a_foreign_name_is_refused(self, address, host):
        """A page whose name was made to point to this machine asks under that name."""
        host = host.format(port=address.rpartition(":")[2])
        for path in ("/", "/about"):
            response = httpx.get(f"{address}{path}", headers=BEARER | {"Host": host})
            assert response.status_code in (400, 421), host
        assert httpx.get(
            f"{address}/about", headers=BEARER | {"Host": address[7:].replace("127.0.0.1", "localhost")}
        ).is_success

    def test_two_names_or_none(self, address):
        for hosts in (b"", b"Host: " + address[7:].encode() + b"\r\nHost: evil.example\r\n"):
            answer = raw(address, b"GET / HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
            assert answer.split(b" ")[1] in (b"400", b"421")

    @pytest.mark.parametrize(
        "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
    )
    def test_another_page_is_refused(self, address, headers):
        assert ask(address, headers=BEARER | headers).status_code == 403

    def test_no_other_origin_is_allowed(self, address):
        response = httpx.options(f"{address}/predict", headers={"Origin": "http://evil.example"})
        assert response.status_code == 403
        assert not [name for name in response.headers if name.startswith("access-control")]

    def test_every_answer_has_the_headers(self, address):
        answers = [
            httpx.get(f"{address}{path}") for path in ("/", "/page.js", "/page.css", "/icon.svg", "/about", "/none")
        ]
        answers += [ask(address), ask(address, b"x"), httpx.get(f"{address}/predict", headers=BEARER)]
        for response in answers:
            assert {name: response.headers.get(name) for name in HEADERS} == HEADERS, response.url
            assert "server" not in response.headers or response.headers["server"] == "uvicorn"

    def test_the_page_tells_nothing_of_the_run_and_loads_nothing_from_elsewhere(self, address, finished_run):
        for path in ("/", "/page.js", "/page.css"):
            text = httpx.get(address + path).text
            assert "parasite" not in text
            assert str(finished_run) not in text
            assert not re.findall(r"https?://", text)
        assert "<script>" not in httpx.get(address).text
        script = httpx.get(f"{address}/page.js").text
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)

    @pytest.mark.parametrize(
        "path", ["/../config.json", "/%2e%2e/config.json", "/page.html", "/static/page.js", "/predict/x"]
    )
    def test_no_other_path(self, address, path):
        assert b" 404 " in raw(address, head(address, "GET", path) + b"\r\n")

    def test_names(self):
        assert names_of("127.0.0.1", 80, [])[:2] == ["127.0.0.1:80", "localhost:80"]
        assert "localhost" in names_of("127.0.0.1", 80, [])
        assert names_of("10.0.0.5", 9000, ["lab.example", "x:1"]) == ["10.0.0.5:9000", "lab.example:9000", "x:1"]


@pytest.fixture(scope="module")
def small(finished_run):
    """A server that takes little."""
    with server(finished_run, Limits(upload=20_000, pixels=2_000, receive=1.0)) as where:
        yield where


class TestLimits:
    def test_bytes(self, small):
        response = ask(small, bytes(30_000))
        assert response.status_code == 413
        assert "20,000 bytes" in response.json()["error"]
        lies = head(small, "POST", "/predict", "Transfer-Encoding: chunked", FORM) + b"\r\n"
        first = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        body = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in [first, *[bytes(5000)] * 6])
        assert b" 413 " in raw(small, lies + body)

    def test_pixels(self, small):
        response = ask(small, picture(side=50))
        assert response.status_code == 422
        assert "50 x 50 pixels are more than the limit of 2,000" in response.json()["error"]

    def test_a_request_that_does_not_end(self, small):
        assert b" 408 " in raw(small, head(small, "POST", "/predict", "Content-Length: 5000", FORM) + b"\r\n--b")

    @pytest.mark.parametrize(
        ("files", "status"),
        [
            ([], 415),
            ([("other", ("a.png", picture()))], 400),
            ([("image", ("a.png", picture())), ("image", ("b.png", picture()))], 400),
            ([("image", ("a.png", b""))], 400),
            ([(f"image{i}", ("a.png", b"x")) for i in range(9)], 400),
        ],
    )
    def test_other_forms(self, small, files, status):
        response = httpx.post(f"{small}/predict", files=files or None, headers=BEARER)
        assert response.status_code == status
        assert response.json()["error"]

    def test_a_full_queue_sends_away_and_says_when_to_come(self, finished_run):
        async def many(where):
            async with httpx.AsyncClient(timeout=60) as client:
                send = [client.post(f"{where}/predict", files={"image": picture(i)}, headers=BEARER) for i in range(8)]
                return await asyncio.gather(*send)

        with server(finished_run, Limits(queue=2), seconds=0.5) as where:
            answers = asyncio.run(many(where))
            assert sorted({r.status_code for r in answers}) == [200, 503]
            for response in answers:
                if response.status_code == 503:
                    assert int(response.headers["retry-after"]) >= 1
            assert ask(where).status_code == 200  # there is room again

    def test_an_answer_that_takes_too_long(self, finished_run):
        with server(finished_run, Limits(answer=0.2), seconds=1.0) as where:
            assert ask(where).status_code == 504


def test_two_hundred_requests_eight_at_a_time_lose_none(address):
    """Each gets the answer to its own image."""
    one_by_one = {seed: ask(address, picture(seed), explain="0").json()["scores"] for seed in range(8)}

    async def load():
        room = asyncio.Semaphore(8)

        async def one(client, i):
            async with room:
                files = {"image": (f"{i}.png", picture(i % 8))}
                return i, await client.post(f"{address}/predict", files=files, data={"explain": "0"}, headers=BEARER)

        async with httpx.AsyncClient(timeout=120) as client:
            return await asyncio.gather(*(one(client, i) for i in range(200)))

    answers = asyncio.run(load())
    assert len(answers) == 200
    for i, response in answers:
        assert response.status_code == 200
        assert response.json()["scores"] == one_by_one[i % 8]


def mutated(rng, whole):
    """A file with a few bytes changed, cut, doubled, or replaced by noise."""
    changed = bytearray(whole)
    kind = rng.integers(0, 5)
    if kind == 0:
        return bytes(changed[: rng.integers(0, len(changed))])
    if kind == 1:
        return rng.bytes(int(rng.integers(1, 3000)))
    if kind == 2:
        return bytes(changed) * 2
    for place in rng.integers(0, len(changed), rng.integers(1, 40)):
        changed[place] = rng.integers(0, 256)
    return bytes(changed)


NAMES = [
    "a.png",
    "a.dcm",
    "a.nii.gz",
    "../../etc/passwd",
    "a\r\nX: y.png",
    "\x00.png",
    "é" * 300 + ".tif",
    ".png",
    "",
    "a.PNG.exe",
]


def whole_files(folder):
    """A file of each kind that readers know."""
    import tifffile
    from dicom_files import save
    from masks import blob, write_nifti

    files = [picture(1, form=form) for form in ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "PPM")]
    values = blob(0, (40, 40))[0]
    tifffile.imwrite(folder / "a.tif", np.stack([values] * 3), photometric="minisblack")
    save(folder / "a.dcm", values.astype(np.uint16), 12, PatientID="ID1")
    write_nifti(folder / "a.nii.gz", np.stack([values] * 3).astype(np.int16))
    return files + [path.read_bytes() for path in sorted(folder.iterdir())]


def fuzz(address, count, forms):
    """How many damaged uploads were answered with each status."""
    rng, statuses = np.random.default_rng(11), {}
    with httpx.Client(timeout=60) as client:
        for i in range(count):
            content, name = mutated(rng, forms[i % len(forms)]), NAMES[i // len(forms) % len(NAMES)]
            boundary = f"b{i}".encode()
            told = name.encode().replace(b"\r\n", b"%0D%0A")
            body = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="image"; filename="' + told
            body += b'"\r\n\r\n' + content + b"\r\n--" + boundary + b"--\r\n"
            if i % 3 == 0:
                body = mutated(rng, body)  # the form itself
            headers = BEARER | {"Content-Type": f"multipart/form-data; boundary=b{i}", "Connection": "close"}
            response = client.post(f"{address}/predict", content=body, headers=headers)
            statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
            assert response.status_code in (200, 400, 422), response.text
            assert isinstance(response.json(), dict)
            assert tempfile.gettempdir() not in response.text
    return statuses


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.full)])
def test_damaged_uploads_never_crash_it(address, count, tmp_path):
    pytest.importorskip("tifffile", reason="the test writes TIFF by another library")
    pytest.importorskip("pydicom", reason="pip install '.[medical]'")
    statuses = fuzz(address, count, whole_files(tmp_path))
    assert statuses[422] > count / 5
    assert ask(address).status_code == 200


def test_suffixes_that_readers_know():
    known = {"x.PNG": ".png", "a.b.nii.gz": ".nii.gz", "../x.dcm": ".dcm", "x.exe": "", "": "", "png": ""}
    assert {name: suffix_of(name) for name in known} == known


def test_a_segmenting_run_shows_its_mask(tmp_path):
    from masks import mask_tree

    from tinymed.cli import main

    folder = tmp_path / "run"
    data = mask_tree(tmp_path / "data", 12)
    options = [
        "--size",
        "32",
        "--option",
        "base=2",
        "--option",
        "depth=1",
        "--steps",
        "2",
        "--batch",
        "2",
        "--backend",
        "numpy",
    ]
    code = main(["train", "unet_small", "--task", "segmentation", "--data", str(data), "--out", str(folder), *options])
    assert code == 0
    with server(folder) as where:
        found = ask(where).json()
        about = httpx.get(f"{where}/about", headers=BEARER).json()
        plain = ask(where, explain="0").json()
    assert (about["explains"], about["draws"]) == (True, True)
    assert found["explanation"]["class"] == "foreground"
    assert found["explanation"]["picture"] != found["picture"] == plain["picture"]
    assert "explanation" not in plain
    assert sum(found["pixels"].values()) == 40 * 40
    assert found["picture"].startswith("data:image/png;base64,")
    assert not {"mask", "overlay", "image"} & set(found)


def test_a_detecting_run_shows_its_boxes_also_where_there_are_none(tmp_path):
    from test_detection import box_tree

    from tinymed.cli import main

    data, folder = box_tree(tmp_path / "data", 8), tmp_path / "run"
    options = [
        "--option",
        "base=2",
        "--option",
        "depth=1",
        "--size",
        "16",
        "--steps",
        "2",
        "--batch",
        "4",
        "--least",
        "0",
    ]
    arguments = ["train", "--task", "detection", "--data", str(data), "--out", str(folder), "--backend", "numpy"]
    assert main([*arguments, "--workers", "0", *options]) == 0
    answers = []
    for least in (0.0, 2.0):  # scores from which on a box is shown
        metrics = json.loads((folder / "metrics.json").read_text())
        for row in metrics["val"]["per_class"].values():
            row["threshold"] = least
        (folder / "metrics.json").write_text(json.dumps(metrics))
        with server(folder) as where:
            response = ask(where)
        assert response.status_code == 200, response.text
        answers.append(response.json())
    for found in answers:
        assert sum(found["found"].values()) == len(found["things"])
        assert found["picture"].startswith("data:image/png;base64,")
        assert found["explanation"]["picture"].startswith("data:image/png;base64,")
    assert answers[1]["things"] == []
    assert answers[0]["things"]
    assert all(set(box) == {"label", "xmin", "ymin", "xmax", "ymax", "score"} for box in answers[0]["things"])


class TestCommand:
    def test_it_prints_its_address_answers_and_stops(self, finished_run):
        command = [sys.executable, "-m", "tinymed", "serve", str(finished_run), "--port", "0", "--backend", "numpy"]
        started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
        with until_left(started) as process:
            lines, address = [], ""
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"(http://127\.0\.0\.1:\d+)/#token=(\S+)", line):
                    address, token = found[1], found[2]
                    break
            assert address, lines
            assert len(token) >= 32
            response = ask(address, headers={"Authorization": f"Bearer {token}"})
            assert response.status_code == 200
            process.send_signal(signal.SIGINT)
            process.wait(20)

    def test_it_may_be_asked_as_soon_as_its_address_is_known(self):
        """The address is printed before the server runs: a question that comes in between waits."""
        listening = bound(("127.0.0.1", 0))
        with listening, socket.create_connection(listening.getsockname(), 5) as asking:
            asking.sendall(b"GET / HTTP/1.1\r\n\r\n")
            answering, _ = listening.accept()
            with answering:
                assert answering.recv(14) == b"GET / HTTP/1.1"

    def test_an_address_is_given_once(self):
        with bound(("127.0.0.1", 0)) as listening, pytest.raises(UserError, match="cannot listen there"):
            bound(listening.getsockname())

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--host", "::", "--no-token"], "--no-token"),
            (["--host", "203.0.113.9"], "cannot listen there"),
            (["--weights", "middling"], "best or last"),
            (["--port", "70000"], "--port"),
            (["--queue", "0"], "--queue"),
        ],
    )
    def test_mistakes(self, options, message, finished_run, capsys):
        code, out, err = invoke(capsys, "serve", finished_run, *options)
        assert (code, out) == (2, "")
        assert message in err
        assert len(err.strip().splitlines()) == 1

    def test_no_run(self, tmp_path: Path, capsys):
        code, _, err = invoke(capsys, "serve", tmp_path)
        assert code == 2
        assert str(tmp_path) in err


def test_without_a_token(finished_run):
    """Asked for, the token is left out; foreign names and pages are refused all the same."""
    with server(finished_run, token=None) as where:
        assert httpx.get(f"{where}/about").status_code == 200
        assert ask(where, headers={"Origin": "http://evil.example"}).status_code == 403
        assert httpx.get(f"{where}/about", headers={"Host": "evil.example"}).status_code == 421
