"""A bundle as files: pages that say what the document says, and whatever is done to them is named."""

import stat
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.problem import Exit, Problem
from ops.watch.evidence import command, printing
from ops.watch.evidence.collecting import document_of
from ops.watch.evidence.files import JSON, MANIFEST, PDF, head_in, manifest_of, page_hashes, write_bundle
from ops.watch.evidence.printing import print_bundle, values_of
from ops.watch.evidence.verifying import _not_drawn, _wrong_pages, verify_bundle
from shared.evidence.chain import Link, chained, head_of
from shared.evidence.entries import Entry
from shared.evidence.words import Says
from tests.support import disputed

DOCUMENT = disputed.bundle()
PDF_BYTES = print_bundle(DOCUMENT)
PAGES = page_hashes(PDF_BYTES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle as it was made."""
    made = tmp_path / "dispute"
    write_bundle(DOCUMENT, made)
    return made


def text_of(pdf: bytes) -> list[str]:
    """The text of each page, without the places where a long word may break."""
    return [page.extract_text().replace("\u200b", "") for page in PdfReader(BytesIO(pdf)).pages]


def with_pages(pdf: bytes, order: list[int]) -> bytes:
    """A PDF with these pages of another one, in this order."""
    reader, writer, out = PdfReader(BytesIO(pdf)), PdfWriter(), BytesIO()
    for number in order:
        writer.add_page(reader.pages[number])
    if reader.metadata is not None:
        writer.add_metadata({str(name): str(value) for name, value in reader.metadata.items()})
    writer.write(out)
    return out.getvalue()


def changed(path: Path, **more: Any) -> None:
    """Changes fields of a JSON file."""
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **more}))


def test_each_page_names_the_order_its_number_and_the_head_of_the_chain() -> None:
    pages, head = text_of(PDF_BYTES), head_of(DOCUMENT)

    for number, text in enumerate(pages, start=1):
        assert f"{number} / {len(pages)}" in text
        assert "주문 order A-1001" in text
        assert head in text
    assert head in pages[-1].rpartition("How to check")[2]


def test_each_entry_carries_its_hash_and_the_one_before() -> None:
    text = "\n".join(text_of(PDF_BYTES))

    for entry in DOCUMENT["entries"]:
        assert f"#{entry['number']}" in text
        assert text.count(entry["hash"]) >= 1
        assert text.count(entry["previous"]) >= 1


def test_the_pages_have_both_languages_and_no_secret() -> None:
    pages = text_of(PDF_BYTES)
    text = "\n".join(pages)

    assert "누가 무엇을 샀습니까?" in pages[0]
    assert "Who bought what?" in pages[1]
    assert "The buyer is 가나다 주식회사 (P-17)." in text
    assert "[U+1F642]" in text
    assert disputed.SERIAL not in text
    assert disputed.ACCOUNT not in text


def test_the_same_document_makes_the_same_bytes() -> None:
    assert print_bundle(DOCUMENT) == PDF_BYTES
    assert head_in(PDF_BYTES) == head_of(DOCUMENT)


def test_ids_and_texts_of_any_length_stay_on_the_page() -> None:
    details = {
        "reason": "가나다 " * 500,
        "detail": "x" * 2_000,
        "lines": [{"line_id": "1" * 128, "quantity": 1}] * 300,
    }
    did = {**details, "actor": "kim", "action": "x", "result": "done"}
    says, at = Says("가" * 300, "a" * 300), disputed.PAID_AT
    entry = Entry("decision", "d" * 256, says, did, at, at)
    document = document_of("A-" + "1" * 126, [("orders", entry)], disputed.TAKEN_AT, at_once=True)

    pages = PdfReader(BytesIO(print_bundle(document))).pages
    text = "".join(text_of(print_bundle(document)))
    assert len(pages) > 4
    assert text.replace("\n", "").count("x") >= 2_000


def test_a_detail_is_written_as_people_read_it() -> None:
    values = values_of(DOCUMENT)
    details = {
        (detail["en"], detail["value"])
        for section in values["sections"]
        for group in section["groups"]
        for entry in group["entries"]
        for detail in entry["details"]
    }

    assert ("paid at", "2026-10-21 14:03:05") in details
    assert ("payment method", "계좌이체 bank transfer") in details
    assert ("left", "₩105,600") in details
    assert ("total", "-₩70,400") in details
    assert ("asked for everything", "아니오 no") in details
    assert ("lines", "1 × 40") in details
    assert not [value for _, value in details if value in ("None", "", "[]")]
    assert printing.TEMPLATE.is_file()


def test_a_bundle_that_nobody_touched_is_whole(folder: Path) -> None:
    manifest, faults = verify_bundle(folder, head_of(DOCUMENT).upper())

    assert faults == []
    assert len(manifest["pages"]) == len(PAGES)
    for name in (JSON, PDF, MANIFEST):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_evidence_is_never_replaced(folder: Path) -> None:
    with pytest.raises(Problem, match="never replaced") as refused:
        write_bundle(DOCUMENT, folder)

    assert refused.value.exit_code is Exit.USAGE
    assert verify_bundle(folder)[1] == []


def test_an_entry_that_is_taken_out_of_the_json_is_named(folder: Path) -> None:
    entries = [entry for entry in DOCUMENT["entries"] if entry["kind"] != "payment"]
    changed(folder / JSON, entries=entries)

    assert "evidence.json: entry 5 (payment pay-9001) is missing" in verify_bundle(folder)[1]


def test_a_changed_entry_and_a_changed_head_are_named(folder: Path) -> None:
    entries = [dict(entry) for entry in DOCUMENT["entries"]]
    entries[4]["details"] = {**entries[4]["details"], "amount": 1}
    changed(folder / JSON, entries=entries, order_id="A-9")

    assert verify_bundle(folder)[1][:2] == [
        "evidence.json: what stands before the entries was changed",
        "evidence.json: entry 5 (payment pay-9001) was changed",
    ]


def test_a_json_that_was_only_written_anew_is_told_from_one_that_was_changed(folder: Path) -> None:
    changed(folder / JSON)

    assert verify_bundle(folder)[1] == [
        "evidence.json was written anew: its entries are the same, its bytes are not"
    ]


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ([0, 1, 3, 4], "evidence.pdf: page 3 is missing"),
        ([0, 2, 1, 3, 4], "evidence.pdf: page 2 stands behind page 3"),
        ([0, 1, 1, 2, 3, 4], "evidence.pdf: page 2 stands behind page 2"),
        ([0, 1, 2, 3], "evidence.pdf: page 5 is missing"),
    ],
)
def test_a_page_that_is_taken_out_moved_or_repeated_is_named(
    folder: Path, order: list[int], told: str
) -> None:
    rest = [] if order[-1] == 3 else list(range(5, len(PAGES)))
    (folder / PDF).write_bytes(with_pages(PDF_BYTES, [*order, *rest]))

    assert told in verify_bundle(folder)[1]


def test_a_page_of_another_bundle_is_named(folder: Path) -> None:
    other = document_of("A-1001", disputed.entries()[:-4], disputed.TAKEN_AT, at_once=True)
    reader, another = PdfReader(BytesIO(PDF_BYTES)), PdfReader(BytesIO(print_bundle(other)))
    writer, out = PdfWriter(), BytesIO()
    for number, page in enumerate(reader.pages):
        writer.add_page(another.pages[2] if number == 2 else page)
    writer.write(out)
    (folder / PDF).write_bytes(out.getvalue())

    faults = verify_bundle(folder)[1]
    assert "evidence.pdf: page 3 was changed" in faults
    assert "evidence.pdf belongs to another bundle: it names the head of none" in faults


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_whatever_is_done_to_pages_is_noticed(order: list[int], gone: set[int]) -> None:
    noted = [f"page-{number}" for number in range(6)]
    found = [noted[number] for number in order if number not in gone]
    told = list(_wrong_pages(found, noted))

    if found == noted:
        assert told == ["evidence.pdf was written anew: its pages draw the same, its bytes are not the same"]
    else:
        assert {f"evidence.pdf: page {number + 1} is missing" for number in gone} <= set(told)
        assert len(gone) == 6 or told


def test_the_pdf_of_another_document_is_noticed_though_the_manifest_was_changed_with_it(folder: Path) -> None:
    other = document_of("A-1001", disputed.entries()[:-1], disputed.TAKEN_AT, at_once=True)
    pdf = print_bundle(other)
    (folder / PDF).write_bytes(pdf)
    files = {JSON: sha256((folder / JSON).read_bytes()).hexdigest(), PDF: sha256(pdf).hexdigest()}
    changed(folder / MANIFEST, files=files, pages=page_hashes(pdf))

    (fault,) = verify_bundle(folder)[1]
    assert fault == f"evidence.pdf belongs to another bundle: it names the head {head_of(other)}"


@pytest.mark.parametrize("gone", [0, 1, 2, len(PAGES) - 1])
def test_a_page_is_missed_though_the_manifest_was_changed_with_it(folder: Path, gone: int) -> None:
    pdf = with_pages(PDF_BYTES, [number for number in range(len(PAGES)) if number != gone])
    (folder / PDF).write_bytes(pdf)
    files = {JSON: sha256((folder / JSON).read_bytes()).hexdigest(), PDF: sha256(pdf).hexdigest()}
    changed(folder / MANIFEST, files=files, pages=page_hashes(pdf))

    faults = verify_bundle(folder, head_of(DOCUMENT))[1]

    assert f"evidence.pdf: page {gone + 1} of {len(PAGES)} is missing, and manifest.json hides it" in faults


def test_a_page_without_its_number_and_an_entry_on_no_page_are_noticed_too(folder: Path) -> None:
    writer, out = PdfWriter(clone_from=BytesIO(PDF_BYTES)), BytesIO()
    writer.add_blank_page(width=100, height=100)
    writer.write(out)
    pdf = out.getvalue()
    (folder / PDF).write_bytes(pdf)
    files = {JSON: sha256((folder / JSON).read_bytes()).hexdigest(), PDF: sha256(pdf).hexdigest()}
    changed(folder / MANIFEST, files=files, pages=page_hashes(pdf))

    place = len(PAGES) + 1
    assert (
        f"evidence.pdf: page {place} is none of its pages, and manifest.json hides it"
        in (verify_bundle(folder)[1])
    )
    assert list(_not_drawn(["1 / 1 사슬의 머리 aa"], [Link(3, "payment", "p-1", "bb")])) == [
        "evidence.pdf: entry 3 (payment p-1) is on no page"
    ]


def test_a_bundle_that_was_made_anew_is_noticed_by_who_knows_the_head(folder: Path, tmp_path: Path) -> None:
    forged = document_of("A-1001", disputed.entries()[:-1], disputed.TAKEN_AT, at_once=True)
    write_bundle(forged, tmp_path / "forged")

    assert verify_bundle(tmp_path / "forged")[1] == []
    (fault,) = verify_bundle(tmp_path / "forged", head_of(DOCUMENT))[1]
    assert fault.startswith("this is another bundle: the head of its chain is ")


@pytest.mark.parametrize("name", [JSON, PDF])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"%PDF-1.7 nothing", b"\xff" * 100])
def test_a_file_that_is_gone_or_no_such_file_any_more_is_named(
    folder: Path, name: str, content: bytes | None
) -> None:
    path = folder / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    assert any(fault.startswith(f"{name} ") for fault in verify_bundle(folder)[1])


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"form": "other"}'])
def test_a_manifest_that_was_changed_is_a_problem_that_says_so(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)

    with pytest.raises(Problem, match="no manifest any more") as broken:
        verify_bundle(folder)
    assert broken.value.exit_code is Exit.RULE_BROKEN


def test_a_manifest_with_another_head_or_fewer_entries_is_noticed(folder: Path) -> None:
    manifest = manifest_of(DOCUMENT, (folder / JSON).read_bytes(), PDF_BYTES)
    changed(folder / MANIFEST, entries=manifest["entries"][:-1])
    assert f"{MANIFEST} was changed: its last entry is not the head of the chain" in verify_bundle(folder)[1]

    changed(folder / MANIFEST, entries=manifest["entries"], head="0" * 64)
    assert len(verify_bundle(folder)[1]) >= 2


def test_a_folder_without_a_bundle_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"has no manifest\.json") as nothing:
        verify_bundle(tmp_path)
    assert "pawl evidence ORDER -o DIR" in nothing.value.hint


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["evidence", *words])


def test_the_command_says_that_a_bundle_is_whole(folder: Path) -> None:
    told = run("verify", str(folder))

    assert told.exit_code == Exit.OK
    assert f"{len(DOCUMENT['entries'])} entries and {len(PAGES)} pages" in told.stdout
    assert orjson.loads(run("verify", str(folder), "--json").stdout)["faults"] == []


def test_the_command_names_each_fault_and_ends_with_its_exit_code(folder: Path) -> None:
    (folder / PDF).unlink()
    problem = run("verify", str(folder)).exception
    as_json = run("verify", str(folder), "--json")

    assert isinstance(problem, Problem)
    assert (problem.exit_code, problem.message) == (Exit.RULE_BROKEN, "evidence.pdf is missing")
    assert problem.hint
    assert (as_json.exit_code, orjson.loads(as_json.stdout)["faults"]) == (
        Exit.RULE_BROKEN,
        ["evidence.pdf is missing"],
    )


def test_the_command_writes_a_bundle_and_prints_its_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(where: Any, order_id: str) -> dict[str, Any]:
        return DOCUMENT

    monkeypatch.setattr(command, "take_evidence", take)
    monkeypatch.setattr(command, "find_system", lambda *where: None)
    made = tmp_path / "a" / "b"
    told = run("A-1001", "-o", str(made), "--json")

    assert told.exit_code == Exit.OK
    assert orjson.loads(told.stdout)["head"] == head_of(DOCUMENT)
    assert verify_bundle(made)[1] == []
    assert head_of(DOCUMENT) in run("A-1001", "-o", str(tmp_path / "c")).stdout
    assert chained({}, []) == {"entries": []}
